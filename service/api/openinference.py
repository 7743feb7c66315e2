"""The dialect of KServe, Triton and MLServer: the Open Inference Protocol, version 2, with its binary extension.

https://github.com/kserve/open-inference-protocol, and for binary tensors, classification and the model repository
https://github.com/triton-inference-server/server/tree/main/docs/protocol
"""

import math
import time
from contextlib import suppress
from functools import lru_cache
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service import bodies, inference, lists, pictures, road, tensors
from service.access import authorise
from service.api.schemas.dialects import ASKING, CHANGING, LISTING, describe
from service.api.schemas.native import BINARY
from service.api.schemas.openinference import (
    Changed,
    ChangeRequest,
    Index,
    IndexRequest,
    InferRequest,
    InferResponse,
    Live,
    ModelMetadata,
    ModelReady,
    Ready,
    Server,
)
from service.api.schemas.reference import content
from service.door import Answer, TerseRoute
from service.engines import Answers
from service.errors import BadBody, CallerError, Overload, kind, shown
from service.inference import Question, Tensor, Wanted
from service.manifest import Manifest
from service.serving import Serving
from service.state import Shared

ROUTES = "POST /v2/models/NAME[/versions/V]/infer, GET /v2/models/NAME[/versions/V][/ready], GET /v2/health/ready"
MODEL = "/v2/models/{name:name}"
VERSION = MODEL + "/versions/{version:name}"
BEHIND = {"application/octet-stream": BINARY}
"""What an answer is whose tensors follow its JSON as bytes."""
INFER: dict[str, Any] = {"question": InferRequest, "refused": ASKING, "otherwise": BEHIND}
CHANGE: dict[str, Any] = {"question": ChangeRequest, "required": False, "refused": CHANGING}
INDEX = describe(Index, question=IndexRequest, required=False, refused=LISTING)
HEADER = "inference-header-content-length"
"""How long the JSON is, where binary tensors follow it. 0: no JSON, the body is the only input's data."""

SHORT = 1024
"""Bytes of JSON up to which what it says is kept."""

router = APIRouter(tags=["Open Inference Protocol v2"], route_class=TerseRoute)


@router.post(MODEL + "/infer", **describe(InferResponse, "name", **INFER))
@router.post(VERSION + "/infer", **describe(InferResponse, "name", "version", **INFER))
async def infer(request: Request) -> Response:
    """Probabilities for a tensor of pictures: pixels as numbers, or picture files as BYTES."""
    shared: Shared = request.scope["state"]["shared"]
    serving = road.find(request)
    body = await bodies.read_inflated(request, shared.settings)
    started = time.perf_counter()
    question = read(body, request.headers.get(HEADER), serving)
    pixels = await inference.prepare(serving, question, shared.settings.max_pictures, request)
    serving.metrics.prepare_seconds.observe(time.perf_counter() - started)
    return tell(serving, question, await road.ask(request, serving, pixels))


def read(body: bytes, header: str | None, serving: Serving) -> Question:
    """What a body asks.

    Raises:
        BadBody: Not a request of this protocol, or of another model.
        WrongShape: A shape that is none.
    """
    length = json_length(header, len(body))
    manifest = serving.manifest
    if not length and header is not None:
        return Question(raw(body, manifest.input.shape), [Wanted(manifest.output)], "auto")
    text, data = body[:length], memoryview(body)[length:]
    if data:
        return fill_in(recall(text, len(data), manifest), data)
    if (lifted := lists.lift_numbers(text)) is not None:
        with suppress(CallerError):  # what is wrong is said of the text as it was sent
            question = recall(lifted[0], 0, manifest)
            if question.tensor.data == [lists.LIFTED]:
                return fill_in(question, lifted[1])
    return understand(text, 0, manifest)


def fill_in(question: Question, data: memoryview | lists.Numbers) -> Question:
    """The question with its data."""
    return question._replace(tensor=question.tensor._replace(data=data))


def recall(text: bytes, behind: int, manifest: Manifest) -> Question:
    """`understand`, for JSON without the data: callers ask the same of one picture after another."""
    return (remember if len(text) <= SHORT else understand)(text, behind, manifest)


def understand(text: bytes, behind: int, manifest: Manifest) -> Question:
    """What JSON asks, with so many bytes of data `behind` it. Errors as in `read`."""
    asked = tensors.parse(text)
    given = objects(asked, "inputs")
    inference.check_names("input", [each.get("name") for each in given], [manifest.input.name])
    parameters = parameters_of(asked)
    binary = flag(parameters, "binary_data_output", default=False)
    name = asked.get("id")
    if not isinstance(name, str | None):
        raise BadBody("the id is no text", expected="text", found=shown(name, 40))
    return Question(
        tensor_of(given[0], behind),
        wanted_of(asked, manifest, binary) if asked.get("outputs") else [Wanted(manifest.output, binary)],
        inference.mode_of(parameters.get("prepare", "auto")),
        name or "",
    )


remember = lru_cache(maxsize=256)(understand)


def json_length(header: str | None, size: int) -> int:
    """How many bytes of the body are JSON."""
    if header is None:
        return size
    if not (header.isascii() and header.isdecimal() and len(header) < 19 and int(header) <= size):
        raise BadBody(
            "Inference-Header-Content-Length is not the length of the body's JSON",
            expected=f"a whole number up to {size}",
            found=shown(header, 40),
        )
    return int(header)


def raw(body: bytes, picture: tensors.Shape) -> Tensor:
    """The only input's data alone: a picture file, or raw pixels of one picture or more."""
    if pictures.recognise(body):
        return Tensor("BYTES", (1,), [body])
    return Tensor("UINT8", (len(body) // math.prod(picture), *picture), memoryview(body))


def objects(asked: Any, field: str) -> list[dict[str, Any]]:
    """A list of objects in the request."""
    value = asked.get(field) if isinstance(asked, dict) else None
    if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
        held = shown(value, 40) if isinstance(value, list) else kind(value)
        raise BadBody(
            f"the request has no {field}",
            expected=f'{{"{field}": [{{"name": …}}]}}',
            found=f"{field} is {held}" if isinstance(asked, dict) else kind(asked),
        )
    return value


def parameters_of(holder: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a request or a tensor; those that we do not know are nobody's business."""
    parameters = holder.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise BadBody("the parameters are no object", expected="an object", found=kind(parameters))
    return parameters


def flag(parameters: dict[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise BadBody(f"the parameter {name} is not true or false", expected="a boolean", found=shown(value, 40))
    return value


def tensor_of(given: dict[str, Any], behind: int) -> Tensor:
    """The input, with the data that the JSON holds, or without those `behind` it."""
    size = parameters_of(given).get("binary_data_size")
    data = given.get("data")
    if size is not None and data is not None:
        raise BadBody("the input's data are there twice", expected="data or binary_data_size", found="both")
    if size is not None:
        if type(size) is not int or size != behind:
            raise BadBody(
                "binary_data_size is not what follows the JSON",
                expected=f"{behind} bytes, after Inference-Header-Content-Length bytes of JSON",
                found=shown(size, 40),
            )
        data = []
    elif behind:
        raise BadBody("there are bytes behind the JSON", expected="binary_data_size", found=f"{behind} bytes")
    elif isinstance(data, str | dict):
        data = [data]
    elif not isinstance(data, list):
        raise BadBody("the input has no data", expected="data or binary_data_size", found=kind(data))
    datatype = given.get("datatype")
    if not isinstance(datatype, str):
        raise BadBody("the datatype is no text", expected="UINT8, say", found=shown(datatype, 40))
    return Tensor(datatype, inference.sized(given.get("shape")), data)


def wanted_of(asked: dict[str, Any], manifest: Manifest, binary: bool) -> list[Wanted]:
    """The outputs that are asked for, and how."""
    outputs = objects(asked, "outputs")
    inference.check_outputs([each.get("name") for each in outputs], manifest)
    wanted = []
    for output in outputs:
        parameters = parameters_of(output)
        classes = parameters.get("classification", 0)
        inference.check_classes(output["name"], classes, manifest)
        wanted.append(Wanted(output["name"], flag(parameters, "binary_data", default=binary), classes))
    return wanted


def tell(serving: Serving, question: Question, answers: Answers) -> Response:
    """The answer."""
    outputs: list[dict[str, Any]] = []
    binaries: list[bytes] = []
    for wanted in question.wanted:
        output, values = inference.fill(serving, answers, wanted)
        outputs.append(output)
        if wanted.binary:
            binaries.append(inference.pack_values(values))
            output["parameters"] = {"binary_data_size": len(binaries[-1])}
        else:
            output["data"] = values
    manifest = serving.manifest
    told: dict[str, Any] = {"model_name": manifest.name, "model_version": str(manifest.version), "outputs": outputs}
    if question.id:
        told["id"] = question.id
    if not binaries:
        return Answer(told)
    header = orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(b"".join([header, *binaries]), 200, {HEADER: str(len(header))}, "application/octet-stream")


@router.get("/v2", **describe(Server, refused=()))
@router.get("/v2/", include_in_schema=False)
async def server(request: Request) -> Response:
    """What this server is, and which extensions it has."""
    return Answer(inference.SERVER)


@router.get("/v2/health/live", **describe(Live, refused=()))
async def live(request: Request) -> Response:
    """Whether this process answers at all."""
    return Answer({"live": True})


@router.get(
    "/v2/health/ready",
    response_model=None,
    responses={200: {"content": content(Ready)}, 503: {"content": content(Ready), "description": "Not now."}},
)
async def ready(request: Request) -> Response:
    """Whether calls should be sent here. The protocol's text says `live`, its readers expect `ready`: here are both."""
    shared: Shared = request.scope["state"]["shared"]
    try:
        shared.ready()
    except Overload:
        return Response(orjson.dumps({"live": True, "ready": False}), 503, media_type="application/json")
    return Answer({"live": True, "ready": True})


@router.get(MODEL + "/ready", **describe(ModelReady, "name"))
@router.get(VERSION + "/ready", **describe(ModelReady, "name", "version"))
async def model_ready(request: Request) -> Response:
    """Whether the model, or that version of it, answers."""
    return Answer({"name": road.find(request).manifest.name, "ready": True})


@router.get(MODEL, **describe(ModelMetadata, "name"))
@router.get(VERSION, **describe(ModelMetadata, "name", "version"))
async def metadata(request: Request) -> Response:
    """The model's tensors."""
    shared: Shared = request.scope["state"]["shared"]
    manifest = road.find(request).manifest
    return Answer(inference.describe(manifest, shared.registry.models[manifest.name].versions))


@router.post("/v2/repository/index", **INDEX)
async def repository(request: Request) -> Response:
    """Every version in the store, with the reason why it does not serve."""
    shared: Shared = request.scope["state"]["shared"]
    asked = await read_optional(request, '{"ready": true}')
    return Answer(inference.index(await shared.registry.listed(), only_ready=flag(asked, "ready", default=False)))


@router.post("/v2/repository/models/{name:name}/load", **describe(Changed, "name", **CHANGE))
async def load(request: Request) -> Response:
    """Look at the model's folder at once, and bring it back if it was unloaded."""
    await check_change(request)
    await request.scope["state"]["shared"].control.load(request.scope["path_params"]["name"])
    return Answer({})


@router.post("/v2/repository/models/{name:name}/unload", **describe(Changed, "name", **CHANGE))
async def unload(request: Request) -> Response:
    """Take all versions of the model out of service. What is in flight is answered."""
    await check_change(request)
    await request.scope["state"]["shared"].control.unload(request.scope["path_params"]["name"])
    return Answer({})


async def check_change(request: Request) -> None:
    """Whether the caller may change what serves, and asks for nothing that we have not."""
    await authorise(request)
    inference.check_change(parameters_of(await read_optional(request, '{"parameters": {}}')))


async def read_optional(request: Request, example: str) -> dict[str, Any]:
    """A JSON object, or nothing."""
    body = await bodies.read_inflated(request, request.scope["state"]["shared"].settings)
    asked = tensors.parse(body) if body.strip() else {}
    if not isinstance(asked, dict):
        raise BadBody("the request is no object", expected=f"{example}, or nothing", found=kind(asked))
    return asked
