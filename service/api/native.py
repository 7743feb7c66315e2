"""Our own dialect: POST /predict. A picture in, named probabilities out."""

import asyncio
import math
import re
import time
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, repeat
from typing import Any, Literal, cast

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from service import bodies, pictures, problems, road, tensors
from service.api import query
from service.api.schemas.native import PREDICT_API
from service.door import Answer, HotRoute
from service.engines import Answers
from service.errors import BadBody, ServiceError, UnsupportedMediaType, kind, shown
from service.pictures import Seen
from service.road import Source, ask, check_count, together
from service.seen import show
from service.serving import Serving
from service.state import Shared

router = APIRouter(tags=["predict"], route_class=HotRoute)


FIELDS = {"image": False, "images": True}
"""What JSON may have: one picture, or a list."""
YIELD_EVERY = 32
"""Pictures that are shown before others get a turn of the loop."""
NONE = Answers(np.empty((0, 0), np.float32))
"""What is said of no picture."""


@dataclass(frozen=True)
class Query:
    """What the query string asks for."""

    model: str | None = None
    version: int | None = None
    label: str | None = None
    top: int = 3
    prepare: pictures.Mode = "auto"
    include: Literal["", "seen"] = ""
    feedback: Literal["", "none"] = ""


@router.post("/predict", **PREDICT_API)
@router.api_route("/predict", methods=["POST", "PUT"], include_in_schema=False)  # PUT for `curl -T`
async def predict(request: Request) -> Response:
    """Probabilities of every class for one picture, or for each of many. PUT does the same."""
    shared: Shared = request.scope["state"]["shared"]
    asked = parse_query(request.scope["query_string"])
    serving = shared.registry.get(asked.model, asked.version, asked.label, request.scope["headers"])
    request.scope["state"]["serving"] = serving
    body = await bodies.read(request, shared.settings)
    started = time.perf_counter()
    sources = take_apart(body, request, serving, shared.settings.max_pictures)
    looked: list[Seen | ServiceError] = []
    if asked.include:
        looked = await road.prepare(serving, list(sources), asked.prepare, road.inspect_one, request)
        prepared = [item.pixels if isinstance(item, Seen) else item for item in looked]
    elif isinstance(sources, np.ndarray):
        prepared = list(sources)
    else:
        prepared = await road.prepare(serving, sources, asked.prepare, road.prepare_one, request)
    serving.metrics.prepare_seconds.observe(time.perf_counter() - started)
    pixels = [item for item in prepared if not isinstance(item, ServiceError)]
    if len(prepared) == 1 and not pixels:
        raise cast(ServiceError, prepared[0])
    places = None
    if len(pixels) < len(prepared):
        places = [place for place, item in enumerate(prepared) if not isinstance(item, ServiceError)]
    answers = NONE
    if pixels:
        whole = sources if isinstance(sources, np.ndarray) else together(pixels)
        answers = await ask(request, serving, whole, places, kept=asked.feedback != "none")
    best = (-answers.probabilities).argsort(axis=1, kind="stable")[:, : asked.top].tolist()
    rows = zip(answers.probabilities, best, serving.recognized(answers), strict=True)
    labels = serving.manifest.labels
    predictions = []
    for item in prepared:
        if isinstance(item, ServiceError):
            shared.metrics.rejected.labels(item.slug()).inc()
            predictions.append({"error": problems.describe(item)})
        else:
            predictions.append(describe(*next(rows), labels))
    if looked:
        await show_seen(serving, looked, answers, predictions)
    return Answer({"model": serving.manifest.name, "version": serving.manifest.version, "predictions": predictions})


@lru_cache(maxsize=256)
def parse_query(text: bytes) -> Query:
    """The parameters of /predict.

    Raises:
        BadQuery: Unknown, given twice, or with a value that it does not take.
    """
    given = query.read(text, Query.__dataclass_fields__)
    return Query(
        model=given.get("model"),
        version=query.number("version", given["version"]) if "version" in given else None,
        label=given.get("label"),
        top=query.number("top", given.get("top", "3")),
        prepare=cast(pictures.Mode, given.get("prepare", "auto")),
        include=cast(Literal["", "seen"], given.get("include", "")),
        feedback=cast(Literal["", "none"], given.get("feedback", "")),
    )


def take_apart(body: bytes, request: Request, serving: Serving, max_pictures: int) -> list[Source] | NDArray[np.uint8]:
    """The pictures in a body, which is told by its first bytes before its media type.

    Returns:
        As they were sent; of the plainest JSON uint8 (n, height, width, channels), the network's input already.

    Raises:
        BadBody: A form or JSON that we can not read.
        EmptyBody: One without pictures.
        TooManyPictures: More than `max_pictures`.
        UnsupportedMediaType: None of the things that we read.
    """
    if pictures.recognise(body):
        return [body]
    if (plain := road.read_plain(body, serving, FIELDS)) is not None:
        check_count(len(plain), max_pictures)
        return plain
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return [*bodies.files(body, content_type, max_pictures)]
    if kind == "application/json" or kind.endswith("+json") or body.lstrip()[:1] in (b"{", b"["):
        return from_json(tensors.parse(body), serving.manifest.input.shape, max_pictures)
    if kind == "application/x-www-form-urlencoded" and re.match(rb"[\w.%+\[\]-]{1,64}=", body):
        raise UnsupportedMediaType(
            "the body is a URL-encoded form, which carries no files",
            expected="the picture file itself, multipart/form-data, or application/json",
            found=shown(body[:40].decode("latin-1")),
            fix="curl --data-binary @seven.png …/predict",
        )
    if kind.startswith("image/") or kind in ("", "application/octet-stream", "application/x-www-form-urlencoded"):
        return [body]  # `pictures` says what it is instead
    raise UnsupportedMediaType(
        "the body is neither a picture nor a form nor JSON",
        expected="a PNG, JPEG, WebP, BMP or GIF file, multipart/form-data, or application/json",
        found=shown(kind),
        fix="curl --data-binary @seven.png …/predict",
    )


def from_json(value: Any, shape: tensors.Shape, max_pictures: int) -> list[Source]:
    """`{"image": X}` or `{"images": [X, …]}`."""
    form = '{"image": X} or {"images": [X, …]}, X being base64 of a picture file, or its pixels'
    if not isinstance(value, dict) or set(value) not in ({"image"}, {"images"}):
        found = f"the fields {shown(sorted(islice(value, 16)))}" if isinstance(value, dict) else kind(value)
        raise BadBody("the JSON has not the fields that we read", expected=form, found=found)
    sources = value["images"] if "images" in value else [value["image"]]
    if not isinstance(sources, list):
        raise BadBody("`images` is not a list", expected=form, found=kind(sources))
    check_count(len(sources), max_pictures)
    if "images" in value and is_one(sources, shape):
        raise BadBody("`images` is one picture", expected=form, found="its pixels", fix='send {"image": X}')
    return sources


def is_one(sources: list[Any], shape: tensors.Shape) -> bool:
    """Whether what should be pictures are the pixels of one, or its rows."""
    height, width, _ = shape
    if len(sources) == math.prod(shape):
        return all(isinstance(each, int | float) for each in sources)
    return len(sources) == height and all(isinstance(each, list) and len(each) == width for each in sources)


def describe(
    row: NDArray[np.float32], best: list[int], recognized: bool | None, labels: tuple[str, ...]
) -> dict[str, Any]:
    """One prediction, with the `best` classes; `recognized` is left out where the version can not tell."""
    guesses = [{"class_id": index, "label": labels[index], "probability": row[index]} for index in best]
    first = guesses[0] if recognized is None else {**guesses[0], "recognized": recognized}
    return {**first, "top": guesses, "probabilities": row}


async def show_seen(
    serving: Serving, looked: list[Seen | ServiceError], answers: Answers, predictions: list[dict[str, Any]]
) -> None:
    """Add to each prediction what the network was given."""
    scores = repeat(None) if answers.novelty is None else iter(answers.novelty.tolist())
    for index, (seen, prediction) in enumerate(zip(looked, predictions, strict=True), start=1):
        if isinstance(seen, Seen):
            recognized = prediction.get("recognized")
            prediction["seen"] = show(seen, serving.manifest.input, novelty=next(scores), recognized=recognized)
        if index % YIELD_EVERY == 0:
            await asyncio.sleep(0)
