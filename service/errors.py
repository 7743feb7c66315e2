"""Everything that can go wrong while serving, as one family. Knows no HTTP: `problems.py` maps it to statuses.

ServiceError
├── CallerError             the caller can mend it
│   ├── BadBody             not JSON, not a form, or not the fields that we read
│   ├── BadQuery            a query parameter that we do not understand
│   ├── EmptyBody           nothing was sent
│   ├── SlowBody            the body did not arrive in time
│   ├── UnsupportedMediaType  a body in a form, or an encoding, that we do not read
│   ├── BadPicture          a picture file that is damaged
│   ├── UnsupportedPicture  a kind of file that we do not read
│   ├── WrongShape          pixels in another shape, type or range than the network's input
│   ├── OpaqueNetwork       a network that can not be looked into
│   ├── TooLarge            over a cap
│   │   ├── BodyTooLarge        bytes
│   │   ├── PictureTooLarge     pixels
│   │   └── TooManyPictures     pictures in one call
│   ├── UnknownModel        no such model
│   │   └── UnknownVersion  no such version of it
│   ├── UnknownRequest      no such request, or too long ago
│   ├── FeedbackOff         no pictures are kept on this server
│   ├── AdminClosed         what it asks for is closed on this server
│   ├── WrongToken          what it asks for needs a token, and this is none
│   └── Conflict            not in the present state
│       ├── ReadOnlyStore   the folder with the models can not be written
│       ├── VersionRefused  a version that does not keep its promises
│       ├── PolicyRefused   a policy that can not be read, or would make no sense
│       └── NothingBefore   there is nothing to go back to
├── Overload                we can not, right now
│   ├── QueueFull           too much is waiting
│   ├── Draining            the server is going down
│   ├── NotReady            no version serves yet
│   ├── DeadlineExceeded    the answer would come too late
│   └── NotEverywhere       done, but a worker has not followed yet
├── ModelError              a folder under models/ that can not serve
│   ├── BadManifest         manifest.json does not keep the contract
│   ├── BadVersion          its files do not
│   └── BadPolicy           policy.json does not
├── StoreFull               no room for what should be written
└── EngineError             the network failed while computing
"""

import re
import reprlib
from collections.abc import Iterator
from typing import Any

KINDS = {bool: "a boolean", str: "text", bytes: "bytes", type(None): "null", list: "a list", dict: "an object"}
"""What callers call things."""
SHOWN = reprlib.Repr()
"""Looks only at the beginning of what is long or deep, of which ascii() makes text first, or an error."""
SHOWN.maxlevel = 3
SHOWN.maxstring = SHOWN.maxother = SHOWN.maxlong = 80


def shown(value: Any, length: int = 80) -> str:
    """What a caller sent, in ASCII, for a message: of the long the beginning, of the deep the surface."""
    if isinstance(value, str):
        return ascii(value[:length])[:length]
    return SHOWN.repr(value).encode("ascii", "backslashreplace").decode()[:length]


def kind(value: Any) -> str:
    """What a value from JSON is."""
    return KINDS.get(type(value), "a number")


def wanted(message: str) -> str:
    """What Pydantic says of a field, as what was expected."""
    said = {"Field required": "a value", "Extra inputs are not permitted": "no such field"}
    return said.get(message, message).removeprefix("Input should be ").removeprefix("Value error, ")


class ServiceError(Exception):
    """What happened, in words for the person who has to mend it.

    Args:
        detail: One sentence that says what happened.
        expected: What would have been right.
        found: What there was instead.
        fix: The next thing to try.
    """

    def __init__(self, detail: str, *, expected: str = "", found: str = "", fix: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.expected = expected
        self.found = found
        self.fix = fix

    def __str__(self) -> str:
        parts = [self.detail]
        for word, text in (("expected", self.expected), ("found", self.found), ("fix", self.fix)):
            if text:
                parts.append(f"{word}: {text}")
        return "; ".join(parts)

    @classmethod
    def slug(cls) -> str:
        """`QueueFull` → `queue-full`: the name in problem details and metrics."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    @classmethod
    def family(cls) -> Iterator[type["ServiceError"]]:
        """The class itself and all below it."""
        yield cls
        for child in cls.__subclasses__():
            yield from child.family()


class CallerError(ServiceError):
    """The caller can mend it."""


class BadBody(CallerError):
    """The body is not JSON, not a form, or has not the fields that we read."""


class BadQuery(CallerError):
    """A query parameter that we do not understand."""


class EmptyBody(CallerError):
    """Nothing was sent."""


class SlowBody(CallerError):
    """The body did not arrive in time."""


class UnsupportedMediaType(CallerError):
    """A body in a form, or an encoding, that we do not read."""


class BadPicture(CallerError):
    """A picture file that is damaged."""


class UnsupportedPicture(CallerError):
    """A kind of file that we do not read."""


class WrongShape(CallerError):
    """Pixels in another shape, type or range than the network's input."""


class OpaqueNetwork(CallerError):
    """A network that can not be looked into; it may well serve."""


class TooLarge(CallerError):
    """Over a cap."""


class BodyTooLarge(TooLarge):
    """More bytes, or more JSON, than we take."""


class PictureTooLarge(TooLarge):
    """More pixels than we decode."""


class TooManyPictures(TooLarge):
    """More pictures in one call than we take."""


class UnknownModel(CallerError):
    """No model of that name is served."""


class UnknownVersion(UnknownModel):
    """The model is there, that version of it is not."""


class UnknownRequest(CallerError):
    """No such request, or too long ago."""


class FeedbackOff(CallerError):
    """No pictures are kept on this server."""


class AdminClosed(CallerError):
    """What it asks for is closed on this server."""


class WrongToken(CallerError):
    """What it asks for needs a token, and this is none."""


class Conflict(CallerError):
    """Not in the present state."""


class ReadOnlyStore(Conflict):
    """The folder with the models can not be written."""


class VersionRefused(Conflict):
    """A version that does not keep its promises."""


class PolicyRefused(Conflict):
    """A policy that can not be read, or would make no sense."""


class NothingBefore(Conflict):
    """There is nothing to go back to."""


class Overload(ServiceError):
    """We can not, right now; `retry_after_s` says when to come back.

    Args:
        retry_after_s: Whole seconds after which a further try makes sense.
    """

    def __init__(
        self, detail: str, *, expected: str = "", found: str = "", fix: str = "", retry_after_s: int = 1
    ) -> None:
        super().__init__(detail, expected=expected, found=found, fix=fix)
        self.retry_after_s = retry_after_s


class QueueFull(Overload):
    """Too much is waiting."""


class Draining(Overload):
    """The server is going down."""


class NotReady(Overload):
    """No version serves yet."""


class DeadlineExceeded(Overload):
    """The answer would come too late."""


class NotEverywhere(Overload):
    """Done, but a worker has not followed yet."""


class ModelError(ServiceError):
    """A folder under models/ that can not serve.

    Args:
        field: The one that is wrong, of a file with fields.
    """

    def __init__(self, detail: str, *, field: str = "", expected: str = "", found: str = "", fix: str = "") -> None:
        super().__init__(detail, expected=expected, found=found, fix=fix)
        self.field = field

    @property
    def reason(self) -> str:
        """Why, without the folder's place on this machine, which is nobody's business."""
        told = (("field", self.field), ("expected", self.expected), ("found", self.found))
        return type(self).__name__ + ": " + ", ".join(f"{word} {text}" for word, text in told if text)


class BadManifest(ModelError):
    """manifest.json does not keep the contract."""


class BadVersion(ModelError):
    """The files of a version do not keep the contract."""


class BadPolicy(ModelError):
    """A model's policy.json does not keep the contract."""


class StoreFull(ServiceError):
    """No room for what should be written."""


class EngineError(ServiceError):
    """The network failed while computing."""
