"""What the server answers, as values: JSON → frozen dataclasses. Fields that we do not know are passed over."""

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx2

from convolve.errors import BadAnswer, Problem

T = TypeVar("T")

KIND = "urn:convolve:problem:"
LONGEST_TEXT = 500
"""Characters of a foreign text that make their way into a message of ours."""


@dataclass(frozen=True)
class Guess:
    """One of the best guesses."""

    class_id: int
    """Position of the class among the model's labels."""
    label: str
    probability: float
    """From 0 to 1."""

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Guess":
        return Guess(int(value["class_id"]), str(value["label"]), float(value["probability"]))


@dataclass(frozen=True)
class Seen:
    """What the network was given, and what was done to the picture for it.

    A point (x, y) of the picture, after turning, lies at (x - box[0]) × scale + shift[0] and
    (y - box[1]) × scale + shift[1] of what the network was given.
    """

    picture: bytes
    """The network's input as a PNG file."""
    prepared: bool
    """Whether anything was done beyond decoding, greys and paper."""
    turned: int
    """The EXIF orientation that was undone, 1 to 8; 1 is upright."""
    inverted: bool
    """Dark ink on light paper became light on black."""
    box: tuple[float, ...] | None
    """Left, top, right and bottom of what was taken; None where there was nothing to see."""
    scale: float
    shift: tuple[float, ...]
    novelty: float | None = None
    """How unlike the training set it is, 0 to 1; None where the version can not tell."""
    warning: str = ""
    """Why the answer may mean little."""

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Seen":
        return Seen(
            picture=b64decode(value["picture"]),
            prepared=bool(value["prepared"]),
            turned=int(value["turned"]),
            inverted=bool(value["inverted"]),
            box=None if value["box"] is None else tuple(map(float, value["box"])),
            scale=float(value["scale"]),
            shift=tuple(map(float, value["shift"])),
            novelty=value.get("novelty"),
            warning=str(value.get("warning") or ""),
        )


@dataclass(frozen=True)
class Prediction(Guess):
    """The answer to one picture."""

    top: tuple[Guess, ...]
    """The best guesses, best first."""
    probabilities: tuple[float, ...]
    """One for each class, in class order."""
    model: str
    version: int
    request_id: str
    """What the server calls the request that this came with; feedback refers to it."""
    picture: int
    """Its place among that request's pictures, from 0 on."""
    recognized: bool | None = None
    """False: unlike what the network was trained on, and the guesses mean little. None: the version can not tell."""
    seen: Seen | None = None
    """What the network was given, if `include="seen"` asks for it."""


@dataclass(frozen=True)
class Model:
    """One version of a model."""

    name: str
    version: int
    state: str
    """`serving`, `refused` (see `reason`), `available`, or what newer servers say."""
    reason: str = ""
    labels: tuple[str, ...] = ()
    accuracy: Mapping[str, float] | None = None
    """Shares of right answers, by the pictures that they were measured on."""
    parameters: int | None = None
    engine: str = ""
    precision: str = ""

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Model":
        return Model(
            name=str(value["name"]),
            version=int(value["version"]),
            state=str(value["state"]),
            reason=str(value.get("reason") or ""),
            labels=tuple(value.get("labels") or ()),
            accuracy=value.get("accuracy"),
            parameters=value.get("parameters"),
            engine=str(value.get("engine") or ""),
            precision=str(value.get("precision") or ""),
        )


@dataclass(frozen=True)
class Trial:
    """A version that is tried out beside the one that answers."""

    mode: str
    """`canary` answers a share of the callers, `shadow` is compared only."""
    version: int
    share: float


@dataclass(frozen=True)
class Details:
    """A model with all its versions."""

    name: str
    version: int | None
    """The one that answers where a call names none."""
    labels: Mapping[str, int]
    """What versions are called, such as `stable` and `previous` after a promotion."""
    trial: Trial | None
    versions: tuple[Model, ...]


@dataclass(frozen=True)
class Event:
    """One step in a model's life."""

    time: str
    """UTC, ISO 8601."""
    event: str
    version: int | None
    reason: str


def understand(response: httpx2.Response, read: Callable[[Any], T]) -> T:
    """What a good answer says.

    Raises:
        BadAnswer: Not JSON, or not with the fields that `read` looks for.
    """
    try:
        return read(json.loads(response.content))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise BadAnswer(
            f"{place(response.request)} answers, but not as Convolve does ({type(error).__name__}: {str(error)[:80]})",
            request_id=request_id(response),
        ) from error


def nothing(response: httpx2.Response) -> None:
    """A good answer that needs no words.

    Raises:
        BadAnswer: It has some.
    """
    if response.status_code != 204:
        raise BadAnswer(
            f"{place(response.request)} answers, but not as Convolve does ({response.status_code} instead of 204)",
            request_id=request_id(response),
        )


def predictions(value: Mapping[str, Any], request_id: str) -> list[Prediction | Problem]:
    """One entry for each picture, in order."""
    return [
        problem(each["error"], request_id=request_id)
        if "error" in each
        else prediction(each, str(value["model"]), int(value["version"]), request_id, number)
        for number, each in enumerate(value["predictions"])
    ]


def prediction(value: Mapping[str, Any], model: str, version: int, request_id: str, picture: int) -> Prediction:
    return Prediction(
        **vars(Guess.of(value)),
        top=tuple(map(Guess.of, value["top"])),
        probabilities=tuple(map(float, value["probabilities"])),
        model=model,
        version=version,
        request_id=request_id,
        picture=picture,
        recognized=value.get("recognized"),
        seen=Seen.of(value["seen"]) if "seen" in value else None,
    )


def models(value: Mapping[str, Any]) -> tuple[Model, ...]:
    return tuple(map(Model.of, value["models"]))


def details(value: Mapping[str, Any]) -> Details:
    trial = value.get("trial")
    return Details(
        name=str(value["name"]),
        version=value.get("version"),
        labels={str(label): int(version) for label, version in value["labels"].items()},
        trial=Trial(str(trial["mode"]), int(trial["version"]), float(trial["share"])) if trial else None,
        versions=models({"models": value["versions"]}),
    )


def history(value: Mapping[str, Any]) -> tuple[Event, ...]:
    return tuple(
        Event(str(each["time"]), str(each["event"]), each.get("version"), str(each.get("reason") or ""))
        for each in value["events"]
    )


def refusal(response: httpx2.Response) -> Problem:
    """What any answer but a good one means; something between us and the server may have given it, in any form."""
    try:
        value = json.loads(response.content)
        details = value if isinstance(value, dict) else {}
    except (ValueError, RecursionError):
        details = {}
    if not details.get("title"):
        details["title"] = f"{place(response.request)} answers {response.status_code} {response.reason_phrase}"
    return problem(
        {**details, "status": response.status_code},
        retry_after_s=retry_after_s(response),
        request_id=request_id(response),
    )


def problem(value: Mapping[str, Any], *, retry_after_s: float | None = None, request_id: str = "") -> Problem:
    """Problem details as the exception that says the same."""
    kind = str(value.get("type", ""))
    words = {
        name: str(value.get(name) or "")[:LONGEST_TEXT] for name in ("title", "detail", "expected", "found", "fix")
    }
    return Problem(
        status=int(value["status"]),
        kind=kind.removeprefix(KIND)[:LONGEST_TEXT] if kind.startswith(KIND) else "",
        retry_after_s=retry_after_s,
        request_id=request_id,
        **words,
    )


def retry_after_s(response: httpx2.Response) -> float | None:
    """Seconds until `Retry-After`, which may be a number or a date; None where there is none that can be read."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def place(request: httpx2.Request) -> str:
    """Where it went, without a password that the URL may hold."""
    return str(request.url.copy_with(username=None, password=None))


def request_id(response: httpx2.Response) -> str:
    """The server's word, else ours."""
    return str(response.headers.get("x-request-id") or response.request.headers.get("x-request-id", ""))
