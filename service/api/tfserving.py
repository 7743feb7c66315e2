"""The dialect of TensorFlow Serving: its REST interface, and the list of models that it never had.

https://github.com/tensorflow/serving/blob/master/tensorflow_serving/g3doc/api_rest.md
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from service import bodies, road, tensors
from service.api.schemas.dialects import ASKING, describe
from service.api.schemas.tfserving import (
    Classes,
    Examples,
    ModelStatus,
    Rows,
    RowsAnswer,
    SignatureAnswer,
    Statuses,
)
from service.door import Answer, TerseRoute
from service.errors import BadBody, EmptyBody, kind, shown
from service.registry import Standing
from service.road import Source
from service.serving import Serving
from service.state import Shared

ROUTES = (
    "GET /v1/models[/NAME[/versions/V|/labels/L][/metadata]], "
    "POST /v1/models/NAME[/versions/V|/labels/L]:predict (or :classify)"
)
SIGNATURE = "serving_default"
PLACES = {(): "", ("version",): "/versions/{version:name}", ("label",): "/labels/{label:name}"}
"""What may follow a model's name in the path, by what it holds."""

Endpoint = Callable[[Request], Awaitable[Response]]

router = APIRouter(tags=["TensorFlow Serving"], route_class=TerseRoute)


def at_each_place(
    method: str, ending: str, answer: type[BaseModel] | None, **more: Any
) -> Callable[[Endpoint], Endpoint]:
    """A route for the model, and for one version of it by number or by label, described by `answer` and `more`."""

    def register(endpoint: Endpoint) -> Endpoint:
        for names, place in PLACES.items():
            path = "/v1/models/{name:name}" + place + ending
            router.add_api_route(path, endpoint, methods=[method], **describe(answer, "name", *names, **more))
        return endpoint

    return register


@at_each_place("POST", ":predict", RowsAnswer, question=Rows, refused=ASKING)
async def predict(request: Request) -> Response:
    """Rows of probabilities: `instances` are answered with `predictions`, `inputs` with `outputs`."""
    shared: Shared = request.scope["state"]["shared"]
    serving = road.find(request)
    body = await bodies.read_inflated(request, shared.settings)
    started = time.perf_counter()
    if (plain := road.read_plain(body, serving, {"instances": True})) is not None:
        return Answer({"predictions": await ask(request, serving, plain, started)})
    asked = parse(body)
    check_signature(asked)
    only = serving.manifest.input.name
    if (asked.get("instances") is None) == (asked.get("inputs") is None):
        raise BadBody(
            "the JSON has not the fields that we read", expected="either instances or inputs", found=told(asked)
        )
    if asked.get("instances") is not None:
        instances = listed(asked["instances"], "instances", shared.settings.max_pictures)
        key, given = "predictions", [named(each, only) for each in instances]
    else:
        value = named(asked["inputs"], only)
        key, given = "outputs", [value] if is_base64(value) else listed(value, "inputs", shared.settings.max_pictures)
    return Answer({key: await ask(request, serving, [source_of(each) for each in given], started)})


@at_each_place("POST", ":classify", Classes, question=Examples, refused=ASKING)
async def classify(request: Request) -> Response:
    """Every class with its probability, for examples with the feature `image`."""
    shared: Shared = request.scope["state"]["shared"]
    serving = road.find(request)
    asked = parse(await bodies.read_inflated(request, shared.settings))
    started = time.perf_counter()
    check_signature(asked)
    context = {} if asked.get("context") is None else asked["context"]
    examples = listed(asked.get("examples"), "examples", shared.settings.max_pictures)
    only = serving.manifest.input.name
    rows = await ask(request, serving, [feature(each, context, only) for each in examples], started)
    labels = serving.manifest.labels
    results = [list(zip(labels, row, strict=True)) for row in rows]
    # Its document says `result`, its code `results`, and clients were written after either.
    return Answer({"results": results, "result": results})


@at_each_place("POST", ":regress", None, question=Examples, refused=ASKING)
async def regress(request: Request) -> Response:
    """There is nothing to regress."""
    shared: Shared = request.scope["state"]["shared"]
    serving = road.find(request)
    parse(await bodies.read_inflated(request, shared.settings))
    raise BadBody(
        f"{serving.manifest.name} is not a regression model",
        expected=":predict or :classify",
        found=":regress",
        fix=f"POST /v1/models/{serving.manifest.name}:predict",
    )


def parse(body: bytes) -> dict[str, Any]:
    """The body's JSON object."""
    asked = tensors.parse(body)
    if not isinstance(asked, dict):
        raise BadBody("the JSON is no object", expected='{"instances": [X, …]}', found=kind(asked))
    return asked


def check_signature(asked: dict[str, Any]) -> None:
    """The signature that a request names, if it does."""
    name = asked.get("signature_name")
    if name not in (SIGNATURE, "", None):
        raise BadBody("the model has not that signature", expected=SIGNATURE, found=shown(name))


def listed(value: Any, field: str, most: int) -> list[Any]:
    """A list with something in it, and no more than a call may have: nobody looks at millions of things one by one."""
    if not isinstance(value, list):
        raise BadBody(f"`{field}` is not a list", expected=f'"{field}": [X, …]', found=kind(value))
    if not value:
        raise EmptyBody(f"`{field}` is empty", expected="at least one", found="none")
    road.check_count(len(value), most)
    return value


def named(value: Any, only: str) -> Any:
    """The value of the only input, which may be given by its name."""
    if not isinstance(value, dict) or is_base64(value):
        return value
    if value.keys() != {only}:
        raise BadBody("the model has not these inputs", expected=f'{{"{only}": X}}, or X alone', found=told(value))
    return value[only]


def is_base64(value: Any) -> bool:
    """Whether a value is bytes, as this dialect writes them."""
    return isinstance(value, dict) and value.keys() == {"b64"}


def source_of(value: Any) -> Source:
    """A picture: `{"b64": …}` is a file, text is as well, lists are pixels."""
    if is_base64(value):
        value = value["b64"]
        if isinstance(value, str):
            return value
    elif isinstance(value, str | list):
        return value
    raise BadBody(
        "an instance is not a picture",
        expected='pixels in lists, or {"b64": a file in base64}',
        found=shown(value, 40),
    )


def feature(example: Any, context: Any, only: str) -> Source:
    """The feature that is the picture, of an example or of the context of all; others are not looked at."""
    for words, given in (("an example", example), ("the context", context)):
        if not isinstance(given, dict):
            raise BadBody(f"{words} is no object", expected=f'{{"{only}": X}}', found=shown(given, 40))
    if twice := example.keys() & context.keys():
        raise BadBody("a feature of the context is in an example too", expected="one of both", found=told(twice))
    value = example.get(only, context.get(only))
    if isinstance(value, list) and len(value) == 1 and is_base64(value[0]):
        value = value[0]
    if value is None:
        raise BadBody("an example has no picture", expected=f"the feature {only}", found=told(example))
    return source_of(value)


def told(names: Any) -> str:
    """What was there, in a message."""
    return "the fields " + shown(sorted(islice(names, 16)))


async def ask(
    request: Request, serving: Serving, sources: list[Source] | NDArray[np.uint8], started: float
) -> NDArray[np.float32]:
    """The answers to what was sent."""
    shared: Shared = request.scope["state"]["shared"]
    road.check_count(len(sources), shared.settings.max_pictures)
    pixels = await road.prepare_all(serving, sources, "auto", request)
    serving.metrics.prepare_seconds.observe(time.perf_counter() - started)
    return (await road.ask(request, serving, pixels)).probabilities


@router.get("/v1/models", **describe(Statuses, refused=()))
async def models(request: Request) -> Response:
    """Every model, with the state of its versions."""
    shared: Shared = request.scope["state"]["shared"]
    return Answer(
        {
            "models": [
                {"name": name, "model_version_status": status(of_one)}
                for name, of_one in groupby(await shared.registry.listed(), itemgetter(0))
            ]
        }
    )


@at_each_place("GET", "", ModelStatus)
async def model(request: Request) -> Response:
    """The state of a model's versions, or of one of them."""
    shared: Shared = request.scope["state"]["shared"]
    given = request.scope["path_params"]
    standings = [
        each for each in await shared.registry.listed() if each.name == given["name"] and each.state != "available"
    ]
    version = road.number(given.get("version"))
    if "version" in given:
        standings = [each for each in standings if each.version == version]
    if not standings or "label" in given:
        manifest = road.find(request).manifest  # says what is wrong, where something is
        standings = [each for each in standings if each.version == manifest.version]
    return Answer({"model_version_status": status(standings)})


def status(standings: Iterable[Standing]) -> list[dict[str, Any]]:
    """Versions that serve or were refused, newest first."""
    return [
        {
            "version": str(each.version),
            "state": "AVAILABLE" if each.state == "serving" else "END",
            "status": {"error_code": "FAILED_PRECONDITION" if each.reason else "OK", "error_message": each.reason},
        }
        for each in sorted(standings, reverse=True)
        if each.state != "available"
    ]


@at_each_place("GET", "/metadata", SignatureAnswer)
async def metadata(request: Request) -> Response:
    """The model's signature."""
    manifest = road.find(request).manifest
    pixels = tensor_info(f"serving_default_{manifest.input.name}:0", "DT_UINT8", *manifest.input.shape)
    probabilities = tensor_info("StatefulPartitionedCall:0", "DT_FLOAT", len(manifest.labels))
    signature = {
        "inputs": {manifest.input.name: pixels},
        "outputs": {manifest.output: probabilities},
        "method_name": "tensorflow/serving/predict",
    }
    return Answer(
        {
            "model_spec": {"name": manifest.name, "signature_name": "", "version": str(manifest.version)},
            "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
        }
    )


def tensor_info(node: str, dtype: str, *shape: int) -> dict[str, Any]:
    """A tensor of any number of rows of this shape, as TensorFlow describes one."""
    dimensions = [{"size": str(size), "name": ""} for size in (-1, *shape)]
    return {"dtype": dtype, "tensor_shape": {"dim": dimensions, "unknown_rank": False}, "name": node}
