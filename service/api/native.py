"""Our own dialect: POST /predict. A picture in, named probabilities out."""

import asyncio
import math
import re
import time
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Literal, cast

import numpy as np
import orjson
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
URL_ENCODED = "application/x-www-form-urlencoded"
"""What curl calls a body of which nobody says otherwise."""
YIELD_EVERY = 32
"""Pictures that are shown before others get a turn of the loop."""
NONE = Answers(np.empty((0, 0), np.float32))
"""What is said of no picture."""
KNOWN = {None: b"", True: b',"recognized":true', False: b',"recognized":false'}
"""Whether a picture is like those that the network was trained on."""


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
    prepared: list[NDArray[np.uint8] | ServiceError] = []
    if asked.include:
        looked = await road.prepare(serving, list(sources), asked.prepare, road.inspect_one, request)
        prepared = [item.pixels if isinstance(item, Seen) else item for item in looked]
    elif not isinstance(sources, np.ndarray):
        prepared = await road.prepare(serving, sources, asked.prepare, road.prepare_one, request)
    serving.metrics.prepare_seconds.observe(time.perf_counter() - started)
    refused = {place: item for place, item in enumerate(prepared) if isinstance(item, ServiceError)}
    if refused and len(prepared) == 1:
        raise refused[0]
    places = [place for place in range(len(prepared)) if place not in refused] if refused else None
    answers = NONE
    if places != []:
        pixels = prepared if places is None else [prepared[place] for place in places]
        whole = sources if isinstance(sources, np.ndarray) else together(pixels)  # type: ignore[arg-type]
        answers = await ask(request, serving, whole, places, kept=asked.feedback != "none")
    recognized = serving.recognized(answers)
    predictions = describe(answers, recognized, serving.manifest.labels, asked.top)
    if looked:
        seen = [item for item in looked if isinstance(item, Seen)]
        await show_seen(serving, seen, answers, recognized, predictions)
    for place in refused:
        shared.metrics.rejected.labels(refused[place].slug()).inc()
        predictions.insert(place, orjson.dumps({"error": problems.describe(refused[place])}))
    written = orjson.Fragment(b"[" + b",".join(predictions) + b"]")
    return Answer({"model": serving.manifest.name, "version": serving.manifest.version, "predictions": written})


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
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        return [*bodies.files(body, content_type, max_pictures)]
    if media_type == "application/json" or media_type.endswith("+json") or body.lstrip()[:1] in (b"{", b"["):
        return from_json(tensors.parse(body), serving.manifest.input.shape, max_pictures)
    if media_type == URL_ENCODED and re.match(rb"[\w.%+\[\]-]{1,64}=", body):
        raise UnsupportedMediaType(
            "the body is a URL-encoded form, which carries no files",
            expected="the picture file itself, multipart/form-data, or application/json",
            found=shown(body[:40].decode("latin-1")),
            fix="curl --data-binary @seven.png …/predict",
        )
    if media_type.startswith("image/") or media_type in ("", "application/octet-stream", URL_ENCODED):
        return [body]  # `pictures` says what it is instead
    raise UnsupportedMediaType(
        "the body is neither a picture nor a form nor JSON",
        expected="a PNG, JPEG, WebP, BMP or GIF file, multipart/form-data, or application/json",
        found=shown(media_type),
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


def describe(answers: Answers, recognized: list[bool | None], labels: tuple[str, ...], top: int) -> list[bytes]:
    """One prediction for each picture, as JSON; `recognized` is left out where the version can not tell.

    All numbers are written in one call, and no object is made for each, which takes several times as long.
    """
    if not answers.probabilities.size:
        return []
    rows = orjson.dumps(answers.probabilities, option=orjson.OPT_SERIALIZE_NUMPY)[2:-2].split(b"],[")
    best = (-answers.probabilities).argsort(axis=1, kind="stable")[:, :top].tolist()
    heads = begin(labels)
    predictions = []
    for row, order, known in zip(rows, best, recognized, strict=True):
        numbers = row.split(b",")
        guesses = [heads[index] + numbers[index] for index in order]
        predictions.append(
            b'%b%b,"top":[%b}],"probabilities":[%b]}' % (guesses[0], KNOWN[known], b"},".join(guesses), row)
        )
    return predictions


@lru_cache(maxsize=16)
def begin(labels: tuple[str, ...]) -> list[bytes]:
    """How a guess at each class begins, up to its probability."""
    return [
        b'{"class_id":%d,"label":%b,"probability":' % (index, orjson.dumps(label)) for index, label in enumerate(labels)
    ]


async def show_seen(
    serving: Serving, looked: list[Seen], answers: Answers, recognized: list[bool | None], predictions: list[bytes]
) -> None:
    """Add to each prediction what the network was given."""
    for index, seen in enumerate(looked):
        novelty = None if answers.novelty is None else float(answers.novelty[index])
        told = show(seen, serving.manifest.input, novelty=novelty, recognized=recognized[index])
        predictions[index] = b'%b,"seen":%b}' % (predictions[index][:-1], orjson.dumps(told))
        if (index + 1) % YIELD_EVERY == 0:
            await asyncio.sleep(0)
