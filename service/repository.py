"""What lies under models/: which versions there are, and whether they are whole."""

from itertools import islice
from pathlib import Path

from service.errors import BadVersion
from service.manifest import NAME, VERSION, Manifest, digest

MAX_FILES = 10_000
"""Files of a version that are looked at, at most."""


class Repository:
    """The folder models/<name>/<version>/. Reads, never writes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Names of the models that have at least one version, in order."""
        names = (path.name for path in folders(self.root) if NAME.fullmatch(path.name))
        return sorted(name for name in names if self.versions(name))

    def misnamed(self) -> list[str]:
        """Folders that are passed over for their names: those that hold versions, but are not called as a model may be,
        and those in a model's folder whose number can be no version's.
        """
        models = [path for path in folders(self.root) if not NAME.fullmatch(path.name) and numbers(path)]
        inside = [path for folder in folders(self.root) if NAME.fullmatch(folder.name) for path in folders(folder)]
        versions = [path for path in inside if path.name.isdecimal() and not VERSION.fullmatch(path.name)]
        return sorted(str(path.relative_to(self.root)) for path in models + versions)

    def versions(self, name: str) -> list[int]:
        """Versions of a model, oldest first. They compare as numbers: 10 comes after 9."""
        return numbers(self.root / name) if NAME.fullmatch(name) else []

    def stamp(self, name: str, version: int) -> int:
        """A number that changes when a file of a version does, so that a copy that goes on is noticed."""
        try:
            files = [(str(path), path.lstat()) for path in islice(self.folder(name, version).rglob("*"), MAX_FILES)]
        except OSError:
            return 0
        # A copy may keep all but the time of the change, which is the system's.
        return hash(tuple(sorted((path, found.st_size, found.st_mtime_ns, found.st_ctime_ns) for path, found in files)))

    def folder(self, name: str, version: int) -> Path:
        """Where a version lies."""
        return self.root / name / str(version)

    def open(self, name: str, version: int) -> Manifest:
        """The manifest of a version whose files are all there, and are the ones that were published.

        Raises:
            BadManifest: manifest.json does not keep the contract.
            BadVersion: A file is missing, damaged, or a link.
        """
        folder = self.folder(name, version)
        for path in [folder.parent, folder, *folder.rglob("*")]:
            if path.is_symlink():
                raise BadVersion(f"{path} is a link", expected="plain files", found="a symbolic link")
        manifest = Manifest.read(folder)
        if (manifest.name, manifest.version) != (name, version):
            raise BadVersion(
                f"{folder} holds another version",
                expected=f"{name} {version}",
                found=f"{manifest.name} {manifest.version}",
            )
        check(folder, manifest)
        return manifest


def check(folder: Path, manifest: Manifest) -> None:
    """Compare every file with its checksum: a copy that was cut short must not serve.

    Raises:
        BadVersion: One is missing, or another.
    """
    if "saved_model.pb" not in manifest.files:
        raise BadVersion(f"{folder}: the manifest lists no network", expected="saved_model.pb among its files")
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise BadVersion(f"{path} is missing", expected="every file of the manifest", found="no such file")
        found = digest(path)
        if found != expected:
            raise BadVersion(f"{path} is damaged", expected=f"SHA-256 {expected}", found=found)


def numbers(folder: Path) -> list[int]:
    """The folders in it that are called like a version."""
    found = (path.name for path in folders(folder))
    return sorted(int(version) for version in found if VERSION.fullmatch(version))


def folders(root: Path) -> list[Path]:
    """Folders in `root`; none where it can not be read."""
    try:
        return [path for path in root.iterdir() if path.is_dir()]
    except OSError:
        return []
