"""One function for each route: what is sent, and how the answer is read. Knows no sockets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypedDict, TypeVar
from urllib.parse import quote

import httpx2

from convolve import answers
from convolve.answers import Details, Event, Model, Prediction
from convolve.errors import Problem, Unreachable
from convolve.pictures import File, Source

T = TypeVar("T")

CHANGE_S = 90.0
"""Seconds for a change of what serves: a version proves itself, and all workers follow. Servers give up after 60."""
PICTURE_S = 1.0
"""Seconds for one large picture among many, amply."""
OF_THE_PICTURE = frozenset({400, 413, 415})
"""Statuses that say something of what was sent."""


class Options(TypedDict, total=False):
    """What may be asked of a prediction; what is left out, the server chooses."""

    model: str
    """Default: the server's `default_model`."""
    version: int
    """Default: the one that answers where a call names none."""
    label: str
    """The version that is called so, such as `previous` after a promotion."""
    top: int
    """How many of the best guesses come back; 3."""
    prepare: Literal["auto", "none"]
    """`none` sends the pixels of files to the network as they are."""
    include: Literal["seen"]
    """`seen` brings along what the network was given."""


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """A request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[httpx2.Response], T]
    body: Mapping[str, Any] = field(default_factory=dict)
    """`content`, `json` or `files`, as httpx2 takes them."""
    params: Mapping[str, Any] = field(default_factory=dict)
    accepts: frozenset[int] = frozenset()
    """Statuses beside 2xx that `read` wants to see."""
    repeatable: bool = True
    """Whether the same call twice does no more than once, so that it may be sent again when its answer got lost."""
    admin: bool = False
    """Whether it needs the token; no other call carries it."""
    takes_s: float = 0.0
    """Seconds that the server may need for it."""

    def answers(self, response: httpx2.Response) -> bool:
        """Whether the response is one for `read`."""
        return response.is_success or response.status_code in self.accepts

    def conclude(self, outcome: httpx2.Response | httpx2.RequestError) -> T:
        """The result of the last try.

        Raises:
            Unreachable, BadAnswer, Problem: There is none.
        """
        if isinstance(outcome, httpx2.RequestError):
            reason = str(outcome) or type(outcome).__name__
            raise Unreachable(
                f"no answer from {answers.place(outcome.request)}: {reason}",
                request_id=outcome.request.headers["x-request-id"],
            )
        if not self.answers(outcome):
            raise answers.refusal(outcome)
        return self.read(outcome)


def given(options: Options) -> dict[str, Any]:
    """Those that say something: None is as if it were left out."""
    return {name: value for name, value in options.items() if value is not None}


def predict(source: Source, options: Options) -> Call[Prediction]:
    """One picture; what is wrong with it is raised."""

    def read(response: httpx2.Response) -> Prediction:
        (prediction,) = read_predictions(response, 1)
        if isinstance(prediction, Problem):
            raise prediction
        return prediction

    return Call(method="POST", path="predict", params=given(options), body=body_of([source]), read=read)


def predict_many(sources: Sequence[Source], options: Options) -> Call[list[Prediction | Problem]]:
    """Some pictures in one request; what is wrong with one of them stands in its place."""

    def read(response: httpx2.Response) -> list[Prediction | Problem]:
        if response.is_success:
            return read_predictions(response, len(sources))
        problem = answers.refusal(response)
        if problem.kind == "bad-query":
            raise problem
        return [problem]

    return Call(
        method="POST",
        path="predict",
        params=given(options),
        body=body_of(sources),
        read=read,
        # A call with one picture is refused as a whole where that picture is bad.
        accepts=OF_THE_PICTURE if len(sources) == 1 else frozenset(),
        takes_s=PICTURE_S * len(sources),
    )


def read_predictions(response: httpx2.Response, count: int) -> list[Prediction | Problem]:
    def read(value: Any) -> list[Prediction | Problem]:
        found = answers.predictions(value, answers.request_id(response))
        if len(found) != count:
            raise ValueError(f"{len(found)} answers to {count} pictures")
        return found

    return answers.understand(response, read)


def body_of(sources: Sequence[Source]) -> dict[str, Any]:
    """A file as it is, files as a form, and JSON where there are pixels."""
    files = [source.data for source in sources if isinstance(source, File)]
    if len(files) < len(sources):
        images = b",".join(source.as_json() for source in sources)
        return {"content": b'{"images":[' + images + b"]}", "headers": {"content-type": "application/json"}}
    if len(files) == 1:
        return {"content": files[0], "headers": {"content-type": "application/octet-stream"}}
    # Names of files on this side are nobody's business on the other.
    return {"files": [("picture", (str(number), data)) for number, data in enumerate(files)]}


def models() -> Call[tuple[Model, ...]]:
    return Call(method="GET", path="models", read=lambda response: answers.understand(response, answers.models))


def ready() -> Call[bool]:
    """Red is an answer as well."""

    def read(response: httpx2.Response) -> bool:
        return response.is_success and answers.understand(response, lambda told: str(told["status"])) == "ready"

    return Call(method="GET", path="health/ready", read=read, accepts=frozenset({503}))


def model(name: str) -> Call[Details]:
    return Call(method="GET", path=below(name), read=read_details)


def history(name: str) -> Call[tuple[Event, ...]]:
    read = answers.history
    return Call(method="GET", path=below(name, "history"), read=lambda response: answers.understand(response, read))


def promote(name: str, version: int | str) -> Call[Details]:
    return change(below(name, "promote"), {"json": {"label" if isinstance(version, str) else "version": version}})


def rollback(name: str) -> Call[Details]:
    return change(below(name, "rollback"))


def load(name: str, version: int | None) -> Call[Details]:
    return change(below(name, *version_path(version), "load"))


def unload(name: str, version: int | None) -> Call[Details]:
    return change(below(name, *version_path(version), "unload"))


def feedback(answer: Prediction | str, label: str | None, picture: int) -> Call[None]:
    """Said twice, it is no more than said once."""
    said: dict[str, Any] = {"request_id": answer, "picture": picture}
    if isinstance(answer, Prediction):
        said = {"request_id": answer.request_id, "picture": answer.picture}
    if label is not None:
        said["label"] = label
    return Call(method="POST", path="feedback", body={"json": said}, read=answers.nothing, admin=True)


def change(path: str, body: Mapping[str, Any] | None = None) -> Call[Details]:
    """Whoever goes back twice is somewhere else: a change is not sent again when its answer got lost."""
    return Call(
        method="POST", path=path, body=body or {}, read=read_details, repeatable=False, admin=True, takes_s=CHANGE_S
    )


def read_details(response: httpx2.Response) -> Details:
    return answers.understand(response, answers.details)


def version_path(version: int | None) -> tuple[str, ...]:
    return () if version is None else ("versions", str(version))


def below(*parts: str) -> str:
    """A path below models/; names are anybody's, and stay one part, `..` too."""
    return "/".join(["models", *(quote(part, safe="").replace(".", "%2E") for part in parts)])
