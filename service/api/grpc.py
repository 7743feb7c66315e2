"""The Open Inference Protocol, version 2, over gRPC: the same road as over REST. Needs the extra `grpc`.

Every worker listens on the port, and the kernel hands each new connection to one of them.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from service import access, door, inference, problems, road
from service.engines import Answers
from service.errors import BadBody, Overload, ServiceError, UnknownModel
from service.inference import Question, Tensor, Wanted
from service.manifest import Manifest
from service.messages import MESSAGES, SERVICE
from service.serving import Serving
from service.state import Shared

logger = logging.getLogger(__name__)

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
    507: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""What gRPC calls each status; INTERNAL is the rest."""
CONTENTS = {
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
    "BOOL": "bool_contents",
}
"""Where values of each datatype lie, if they are not raw."""
MOST = 2**31 - 1
"""Of anything that gRPC can be told."""


@dataclass
class Call:
    """One call, as gRPC sees it, and the version that it asks, as soon as that is known."""

    context: Any
    serving: Serving | None = None


Answering = Callable[[Shared, Any, Call], Awaitable[dict[str, Any]]]
"""A method: from a question, and its call, to the fields of the answer."""


@asynccontextmanager
async def listening(shared: Shared) -> AsyncIterator[None]:
    """Answer on `grpc_port` as long as this lasts."""
    settings = shared.settings
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 1),
            ("grpc.max_receive_message_length", min(settings.max_body_bytes, MOST)),
        ],
        maximum_concurrent_rpcs=min(settings.max_queue, MOST),
    )
    counted: door.Counted = {}
    handlers = {
        method.name: grpc.unary_unary_rpc_method_handler(
            partial(handle, shared, counted, method.name),
            request_deserializer=partial(decode, MESSAGES[method.input_type.name]),
            response_serializer=MESSAGES[method.output_type.name].SerializeToString,
        )
        for method in SERVICE.methods
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),))
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    server.add_insecure_port(f"{host}:{settings.grpc_port}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(settings.stop_s)


def decode(message: Any, data: bytes) -> Any:
    """A call's message, or what is wrong with it: gRPC's own answer to that would be an unknown error."""
    try:
        return message.FromString(data)
    except DecodeError as error:
        return error


async def handle(shared: Shared, counted: door.Counted, name: str, question: Any, context: Any) -> Any:
    """Answer a call, or say what is wrong with it; count it as the door counts those over HTTP.

    Args:
        shared: What all calls share.
        counted: What answers without a version are counted in.
        name: The method.
        question: Its message.
        context: The call.
    """
    started = time.perf_counter()
    call, status, metrics = Call(context), 200, shared.metrics
    metrics.in_flight.inc()
    try:
        if isinstance(question, DecodeError):
            raise BadBody("the message can not be read", expected=f"a {name}Request", found="other bytes")
        return MESSAGES[f"{name}Response"](**await METHODS[name](shared, question, call))
    except ServiceError as error:
        status = problems.status_of(error)
        metrics.rejected.labels(error.slug()).inc()
        refusal = refuse(context, error)
    except asyncio.CancelledError:
        status = door.LEFT
        raise
    except Exception:
        status = 500
        logger.exception("a call of %s failed", name)
        refusal = refuse(context, problems.FAILURE)
    finally:
        metrics.in_flight.dec()
        kept = counted if call.serving is None else call.serving.counted
        door.count(metrics, kept, call.serving, f"grpc {name}", status, time.perf_counter() - started)
        call.serving = None
    # Not in the midst of the error: it would live on in this one, and with it the version that it came from.
    return await context.abort(*refusal)


def refuse(context: Any, error: ServiceError) -> tuple[grpc.StatusCode, str]:
    """How a call ends, with what is wrong."""
    if isinstance(error, Overload):
        context.set_trailing_metadata((("grpc-retry-pushback-ms", str(error.retry_after_s * 1000)),))
    code = CODES.get(problems.status_of(error), grpc.StatusCode.INTERNAL)
    return code, problems.sentence(error)


def headers(context: Any) -> Iterator[tuple[bytes, bytes]]:
    """A call's metadata, in the form of headers; looked at only by who wants to know."""
    for key, value in context.invocation_metadata():
        if type(value) is str:
            yield key.encode(), value.encode()


def find(shared: Shared, name: str, version: str, call: Call) -> Serving:
    """The version that is asked; a canary knows its callers again by their metadata, as by headers over HTTP."""
    call.serving = shared.registry.get(name, road.number(version), headers=headers(call.context))
    return call.serving


async def server_live(shared: Shared, question: Any, call: Call) -> dict[str, Any]:
    return {"live": True}


async def server_ready(shared: Shared, question: Any, call: Call) -> dict[str, Any]:
    try:
        shared.ready()
    except Overload:
        return {"ready": False}
    return {"ready": True}


async def server_metadata(shared: Shared, question: Any, call: Call) -> dict[str, Any]:
    return inference.SERVER


async def model_ready(shared: Shared, question: Any, call: Call) -> dict[str, Any]:
    try:
        find(shared, question.name, question.version, call)
    except UnknownModel:  # clients wait for it in a loop
        return {"ready": False}
    return {"ready": True}


async def model_metadata(shared: Shared, question: Any, call: Call) -> dict[str, Any]:
    serving = find(shared, question.name, question.version, call)
    return inference.describe(serving.manifest, shared.registry.models[serving.manifest.name].versions)


async def repository_index(shared: Shared, question: Any, call: Call) -> dict[str, Any]:
    return {"models": inference.index(await shared.registry.listed(), only_ready=question.ready)}


async def load(shared: Shared, question: Any, call: Call) -> dict[str, Any]:
    check(shared, question, call)
    await shared.control.load(question.model_name)
    return {}


async def unload(shared: Shared, question: Any, call: Call) -> dict[str, Any]:
    check(shared, question, call)
    await shared.control.unload(question.model_name)
    return {}


def check(shared: Shared, question: Any, call: Call) -> None:
    """Whether the caller may change what serves, and asks for nothing that we have not."""
    access.check(shared, dict(headers(call.context)).get(b"authorization", b"").decode())
    inference.check_change(question.parameters)


async def model_infer(shared: Shared, asked: Any, call: Call) -> dict[str, Any]:
    """Probabilities for a tensor of pictures; raw if the question is raw."""
    serving = find(shared, asked.model_name, asked.model_version, call)
    started = time.perf_counter()
    question = read(asked, serving)
    pixels = await inference.prepare(serving, question, shared.settings.max_pictures)
    serving.metrics.prepare_seconds.observe(time.perf_counter() - started)
    answers = await serving.predict(pixels)
    if shared.feedback is not None:
        shared.feedback.remember(name_call(question, call.context), serving, pixels, answers.probabilities)
    return tell(serving, question, answers)


def name_call(question: Question, context: Any) -> str:
    """What feedback calls it: the metadata's x-request-id, else the message's id, else a name that is sent back."""
    given = dict(headers(context)).get(b"x-request-id") or question.id.encode()
    if not door.REQUEST_ID.fullmatch(given):
        given = secrets.token_hex(16).encode()
    context.set_trailing_metadata((("x-request-id", given.decode()),))
    return given.decode()


def tell(serving: Serving, question: Question, answers: Answers) -> dict[str, Any]:
    """The answer's fields."""
    outputs: list[dict[str, Any]] = []
    raw: list[bytes] = []
    for wanted in question.wanted:
        output, values = inference.fill(serving, answers, wanted)
        outputs.append(output)
        if wanted.binary:
            raw.append(inference.pack_values(values))
        else:
            texts = [text.encode() for text in values] if isinstance(values, list) else values
            output["contents"] = {CONTENTS[output["datatype"]]: texts}
    return {
        "model_name": serving.manifest.name,
        "model_version": str(serving.manifest.version),
        "id": question.id,
        "outputs": outputs,
        "raw_output_contents": raw,
    }


def read(asked: Any, serving: Serving) -> Question:
    """What a message asks. Errors as over REST."""
    manifest = serving.manifest
    inference.check_names("input", [each.name for each in asked.inputs], [manifest.input.name])
    if asked.outputs:
        inference.check_outputs([each.name for each in asked.outputs], manifest)
    raw = len(asked.raw_input_contents) > 0
    wanted = [wanted_of(each, manifest, raw) for each in asked.outputs] or [Wanted(manifest.output, raw)]
    return Question(tensor_of(asked), wanted, inference.mode_of(preparation_of(asked.parameters)), asked.id)


def preparation_of(parameters: Any) -> Any:
    """The parameter `prepare` as it was given."""
    if "prepare" not in parameters:
        return "auto"
    return getattr(parameters["prepare"], parameters["prepare"].WhichOneof("parameter_choice") or "string_param")


def wanted_of(output: Any, manifest: Manifest, raw: bool) -> Wanted:
    """How an output is wanted."""
    classes = output.parameters["classification"].int64_param
    inference.check_classes(output.name, classes, manifest)
    return Wanted(output.name, raw, classes)


def tensor_of(asked: Any) -> Tensor:
    """The input, its data raw or as values."""
    (given,) = asked.inputs
    shape = inference.sized(list(given.shape))
    if not asked.raw_input_contents:
        values = getattr(given.contents, CONTENTS[given.datatype]) if given.datatype in CONTENTS else ()
        return Tensor(given.datatype, shape, list(values))
    if len(asked.raw_input_contents) != 1 or given.HasField("contents"):
        raise BadBody(
            "the input's data are not there once",
            expected="contents, or one entry in raw_input_contents",
            found=f"{len(asked.raw_input_contents)} raw entries" + " and contents" * given.HasField("contents"),
        )
    return Tensor(given.datatype, shape, memoryview(asked.raw_input_contents[0]))


METHODS: dict[str, Answering] = {
    "ServerLive": server_live,
    "ServerReady": server_ready,
    "ServerMetadata": server_metadata,
    "ModelReady": model_ready,
    "ModelMetadata": model_metadata,
    "ModelInfer": model_infer,
    "RepositoryIndex": repository_index,
    "RepositoryModelLoad": load,
    "RepositoryModelUnload": unload,
}
