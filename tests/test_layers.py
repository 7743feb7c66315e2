"""Imports only go down; serving never knows training, and the client knows nobody."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = [
    ["__main__"],
    ["workers"],
    ["server"],
    ["app"],
    ["api.inside"],
    ["api.admin", "api.grpc", "api.native", "api.openinference", "api.page", "api.tfserving"],
    ["api.openapi", "api.operations"],
    ["api.schemas.inside", "api.schemas.openinference", "api.schemas.tfserving"],
    ["api.schemas.dialects", "api.schemas.native", "api.schemas.operations"],
    ["access", "api.query", "api.schemas.refusals", "door", "drain", "inference", "watchdog"],
    ["api.schemas.reference", "protocol", "road"],
    ["problems", "state"],
    ["control"],
    ["lifecycle"],
    ["feedback", "inside", "registry"],
    ["loader", "trial"],
    ["serving", "verdict"],
    ["batcher", "layers", "repository"],
    ["archive", "bodies", "claims", "lists", "metrics", "seen", "engines.openvino", "engines.tensorflow"],
    ["engines", "engines.kernels", "history", "messages", "pictures", "safetensors", "settings", "tally"],
    ["board", "novelty", "paper", "png", "tensors"],
    ["sheet"],
    ["light"],
    ["ink"],
    ["boxes"],
    ["marks"],
    ["touching"],
    ["outline", "shapes"],
    ["manifest", "policy"],
    ["engines.core", "errors", "files", "whole"],
]
"""From the command line down to what knows nobody. A module imports from layers below its own only."""

CLIENT = [
    ["__main__"],
    ["command"],
    ["client", "files", "output"],
    ["patience"],
    ["calls"],
    ["answers", "pictures"],
    ["errors"],
]
"""The same for the client."""

PACKAGES = {"__init__", "api", "api.schemas"}
"""With nothing in them but modules."""
DEPTH = {module: depth for depth, layer in enumerate(LAYERS) for module in layer}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path, package: str) -> Iterator[str]:
    """Modules of `package` that a file imports at its top, as dotted names inside the package."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package:
            inside = str(node.module)[len(package) + 1 :]
            for alias in node.names:
                name = f"{inside}.{alias.name}".lstrip(".")
                yield name if is_module(package, name) else inside


def is_module(package: str, name: str) -> bool:
    path = ROOT.joinpath(package, *name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "service").with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", modules("service"), ids=name_of)
def test_imports_only_go_down(path: Path) -> None:
    name = name_of(path)
    if name in PACKAGES:
        return
    for imported in imports(path, "service"):
        if imported:
            assert DEPTH[imported] > DEPTH[name], f"{name} imports {imported}"


def test_every_module_has_its_layer() -> None:
    assert {name_of(path) for path in modules("service")} - PACKAGES == DEPTH.keys()


def test_every_package_is_shipped() -> None:
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent for package in ("convolve", "service", "training") for path in modules(package)}
    assert {".".join(folder.relative_to(ROOT).parts) for folder in folders} == set(shipped)


@pytest.mark.parametrize("path", modules("service"), ids=name_of)
def test_serving_never_imports_training_or_keras(path: Path) -> None:
    names = {
        alias.name.split(".")[0] for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import) for alias in node.names
    } | {
        str(node.module).split(".")[0] for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
    }  # fmt: skip
    allowed = {"tensorflow"} if path.name == "tensorflow.py" else set()
    assert not names & ({"training", "keras", "tensorflow"} - allowed)


@pytest.mark.parametrize("path", modules("training"), ids=lambda path: path.stem)
def test_training_borrows_the_contract_files_the_preparation_and_the_engines_only(path: Path) -> None:
    for imported in imports(path, "service"):
        assert imported.split(".")[0] in {"manifest", "errors", "files", "pictures", "engines"}, (
            f"{path.name}: {imported}"
        )


def test_the_contract_needs_the_standard_library_only() -> None:
    for name in ("manifest.py", "errors.py"):
        for node in ast.parse((ROOT / "service" / name).read_text()).body:
            roots = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            roots += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for root in roots:
                assert root.split(".")[0] in sys.stdlib_module_names | {"service"}


@pytest.mark.parametrize("path", modules("convolve"), ids=lambda path: path.stem)
def test_the_client_needs_nothing_of_the_server_and_its_imports_go_down(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        roots = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        roots += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        for root in roots:
            assert root.split(".")[0] in sys.stdlib_module_names | {"convolve", "httpx2", "rich"}
    depth = {module: depth for depth, layer in enumerate(CLIENT) for module in layer}
    if path.name != "__init__.py":
        for imported in imports(path, "convolve"):
            assert depth[imported] > depth[path.stem], f"{path.stem} imports {imported}"
