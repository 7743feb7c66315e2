"""The contract between training and serving: what a version says of itself in `manifest.json`.

Standard library only, so that anything may read it.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from service.errors import BadManifest

FORMAT = 1
FILE = "manifest.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a model may be called; everything else under models/ is not a model."""
NAMED = "at most 64 letters, digits, '.', '_' and '-', of which the first is a letter or a digit"
"""The same in words."""
VERSION = re.compile(r"[1-9][0-9]{0,8}")
"""What the folder of a version is called."""
NUMBERED = "a whole number from 1 to 999999999"
"""The same in words."""
POLARITIES = ("light-on-dark", "dark-on-light")
PREPARATIONS = ("centred", "fit")


@dataclass(frozen=True)
class Input:
    """The one input of the signature `serving_default`."""

    name: str
    """Its name in the signature."""
    shape: tuple[int, int, int]
    """Height, width and channels of one picture."""
    dtype: str = "uint8"
    """Raw pixels: the network scales them itself."""
    range: tuple[int, int] = (0, 255)
    """Least and greatest value."""
    polarity: str = "light-on-dark"
    """How the training pictures look: 0 is background, 255 is ink."""
    preparation: str = "centred"
    """How a picture file becomes an input: see `service/pictures.py`."""


@dataclass(frozen=True)
class Golden:
    """One picture with the answer that this version must give to it."""

    pixels: bytes
    """uint8, row by row, exactly the input's shape."""
    probabilities: tuple[float, ...]
    """One for each label, in label order."""


@dataclass(frozen=True)
class Precision:
    """What it costs to compute in this arithmetic, on the pictures held back from training."""

    validation: float
    """Share of right answers on the validation part, 0 to 1: what every choice is made by."""
    test: float
    """Share of right answers on the test part, 0 to 1: recorded after the choice."""
    mean_difference: float
    """Mean distance of a probability from the one in f32, on the validation part."""
    max_difference: float
    """Largest such distance."""
    network: str = ""
    """Path of a network of its own inside the version's folder; empty is the SavedModel itself."""


@dataclass(frozen=True)
class Novelty:
    """A network of its own that tells pictures which are unlike the training set: 0 (like it) to 1 (unlike)."""

    network: str
    """Path of an OpenVINO network inside the version's folder: uint8 (n, *input.shape) in, float32 (n, 1) out."""
    threshold: float
    """A picture with a greater score is not recognized."""
    flagged: Mapping[str, float] = field(default_factory=dict)
    """Share of the pictures of the parts `validation` and `test` that are not recognized, 0 to 1."""


@dataclass(frozen=True, eq=False)
class Manifest:
    """All that serving needs to know of a version, and all that people ask about it. Equal to itself alone."""

    name: str
    version: int
    created: str
    """Time of export, UTC, ISO 8601."""
    input: Input
    labels: tuple[str, ...]
    """Name of each class, in the order of the probabilities."""
    parameters: int
    """Trained numbers in the network."""
    accuracy: Mapping[str, float]
    """Share of right answers on the parts `validation` and `test`, 0 to 1."""
    golden: tuple[Golden, ...]
    """A handful of pictures with their answers: of MNIST drawn by our own code, else of the validation part."""
    output: str = "probabilities"
    """Name of the signature's only output: float32, (n, classes)."""
    precisions: Mapping[str, Precision] = field(default_factory=dict)
    """What each arithmetic costs: `f32`, `bf16`, `int8`; empty if nobody measured."""
    novelty: Novelty | None = None
    """How pictures are told that are unlike the training set; None if this version can not tell."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Data, seed, recipe, library versions, machine and time of the run. Not read by serving."""
    gate: Mapping[str, Any] = field(default_factory=dict)
    """What was checked before it was published, and whether it was forced through. Not read by serving."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of every file of the version that an engine loads, by path inside its folder."""

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read and check `folder`/manifest.json.

        Raises:
            BadManifest: Names the file, the field, what was expected and what was found.
        """
        path = folder / FILE
        try:
            data = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise BadManifest(f"{path} is missing", expected="a manifest", found="no such file") from None
        except OSError as error:
            raise BadManifest(f"{path} can not be read", expected="JSON", found=str(error.strerror)) from error
        except (ValueError, RecursionError) as error:
            raise BadManifest(f"{path} can not be read", expected="JSON", found=str(error)) from None
        return Reader(path, data).manifest()

    def write(self, folder: Path) -> None:
        """Write `folder`/manifest.json."""
        data: dict[str, Any] = {"format": FORMAT, **asdict(self)}
        data["golden"] = [
            {"pixels": base64.b64encode(golden.pixels).decode(), "probabilities": golden.probabilities}
            for golden in self.golden
        ]
        if self.novelty is None:
            del data["novelty"]
        (folder / FILE).write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def digest(path: Path) -> str:
    """SHA-256 of a file, as lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Reader:
    """Checks field after field of a parsed manifest, and names the one that is wrong."""

    def __init__(self, path: Path, data: Any) -> None:
        self.path = path
        if not isinstance(data, dict):
            raise self.wrong("(the whole file)", "a JSON object", data)
        self.data: dict[str, Any] = data

    def wrong(self, name: str, expected: str, found: Any) -> BadManifest:
        return BadManifest(f"{self.path}: field {name}", field=name, expected=expected, found=repr(found)[:120])

    def get(self, name: str, kind: type | tuple[type, ...], expected: str, within: str = "") -> Any:
        """The field `name`, or the field `name` of the object `within`."""
        holder = self.get(within, dict, "an object") if within else self.data
        value = holder.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.wrong(f"{within}.{name}" if within else name, expected, value)
        return value

    def manifest(self) -> Manifest:
        if self.data.get("format") != FORMAT:
            raise self.wrong("format", str(FORMAT), self.data.get("format"))
        given = self.input()
        labels = self.get("labels", list, "a list of class names")
        if len(labels) < 2 or not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
            raise self.wrong("labels", "at least two class names, all different", labels)
        version = self.get("version", int, "a whole number from 1 on")
        if version < 1:
            raise self.wrong("version", "a whole number from 1 on", version)
        return Manifest(
            name=self.get("name", str, "the model's name"),
            version=version,
            created=self.get("created", str, "a time in ISO 8601"),
            input=given,
            output=self.get("output", str, "the name of the signature's output"),
            labels=tuple(labels),
            parameters=self.get("parameters", int, "a whole number"),
            accuracy=self.shares("accuracy"),
            golden=self.golden(given, len(labels)),
            precisions=self.precisions(),
            novelty=self.novelty() if "novelty" in self.data else None,
            training=self.get("training", dict, "an object"),
            gate=self.get("gate", dict, "an object") if "gate" in self.data else {},
            files=self.files(),
        )

    def input(self) -> Input:
        shape = self.get("shape", list, "three whole numbers: height, width, channels", "input")
        if len(shape) != 3 or not all(isinstance(size, int) and size > 0 for size in shape) or shape[2] not in (1, 3):
            raise self.wrong("input.shape", "height, width and 1 or 3 channels", shape)
        for name, only in (("dtype", "uint8"), ("range", [0, 255])):
            if self.get("input", dict, "an object").get(name) != only:
                raise self.wrong(f"input.{name}", repr(only), self.data["input"].get(name))
        for name, words in (("polarity", POLARITIES), ("preparation", PREPARATIONS)):
            if self.get(name, str, " or ".join(words), "input") not in words:
                raise self.wrong(f"input.{name}", " or ".join(words), self.data["input"][name])
        given = {name: self.get(name, str, "a word", "input") for name in ("name", "polarity", "preparation")}
        return Input(shape=(shape[0], shape[1], shape[2]), **given)

    def shares(self, name: str, within: str = "") -> dict[str, float]:
        """A share, 0 to 1, for each part of the data."""
        shares: dict[str, float] = self.get(name, dict, "an object", within)
        for part, share in shares.items():
            if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
                raise self.wrong(f"{within}.{name}.{part}".lstrip("."), "a share from 0 to 1", share)
        return shares

    def novelty(self) -> Novelty:
        network = self.get("network", str, "a path inside the version's folder", "novelty")
        if network not in self.files():
            raise self.wrong("novelty.network", "one of the files that `files` lists", network)
        threshold = self.get("threshold", (int, float), "a number from 0 to 1", "novelty")
        if not 0 <= threshold <= 1:
            raise self.wrong("novelty.threshold", "a number from 0 to 1", threshold)
        return Novelty(network, threshold, self.shares("flagged", "novelty"))

    def files(self) -> dict[str, str]:
        files: dict[str, str] = self.get("files", dict, "an object: path inside the version's folder, SHA-256")
        for name, value in files.items():
            if name.startswith("/") or ".." in name.split("/") or not isinstance(value, str):
                raise self.wrong(f"files.{name}", "a path inside the version's folder and its SHA-256", value)
        return files

    def precisions(self) -> dict[str, Precision]:
        found: dict[str, Precision] = {}
        for name, entry in (self.get("precisions", dict, "an object") if "precisions" in self.data else {}).items():
            try:
                found[name] = Precision(**entry)
            except TypeError as error:
                raise self.wrong(f"precisions.{name}", "accuracies and differences", error) from None
            *numbers, network = vars(found[name]).values()
            if not all(isinstance(number, int | float) for number in numbers):
                raise self.wrong(f"precisions.{name}", "accuracies and differences", entry)
            if network not in ("", *self.files()):
                raise self.wrong(f"precisions.{name}.network", "one of the files that `files` lists", network)
        if found and "f32" not in found:
            raise self.wrong("precisions", "f32, beside which the others are measured", list(found))
        return found

    def golden(self, given: Input, classes: int) -> tuple[Golden, ...]:
        height, width, channels = given.shape
        found = []
        for index, entry in enumerate(self.get("golden", list, "a list of pictures with their answers")):
            name = f"golden[{index}]"
            try:
                pixels = base64.b64decode(entry["pixels"], validate=True)
                probabilities = tuple(float(value) for value in entry["probabilities"])
            except (KeyError, TypeError, ValueError) as error:
                raise self.wrong(name, "base64 `pixels` and numbers `probabilities`", error) from None
            if len(pixels) != height * width * channels:
                raise self.wrong(f"{name}.pixels", f"{height * width * channels} bytes", len(pixels))
            if len(probabilities) != classes:
                raise self.wrong(f"{name}.probabilities", f"{classes} numbers", len(probabilities))
            found.append(Golden(pixels, probabilities))
        if not found:
            raise self.wrong("golden", "at least one picture with its answer", [])
        return tuple(found)
