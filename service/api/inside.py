"""Looking inside the network that answers: its layers and weights, all values for one picture, what each part adds."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from fastapi import APIRouter
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from service import bodies, road, safetensors
from service.api import native, query
from service.api.schemas.inside import INSIDE_API, NETWORK_API, OCCLUSION_API
from service.door import Answer
from service.errors import BadQuery, shown
from service.inside import Microscope
from service.layers import Layer, Numbers
from service.pictures import Seen
from service.seen import tell
from service.serving import Serving
from service.state import Shared

router = APIRouter(tags=["inside"])

MAX_PLACES = 1024
"""Places that an occlusion covers one after the other, at most."""
MAX_BYTES = 16 * 1024 * 1024
"""Pixels of all covered pictures together, at most."""
ERRATUM = "The lecture slides print 18,494; their own formula, and their own total of 1,199,882, give 18,496."
"""Of the second convolution of the documented network."""


@router.post("/inside", **INSIDE_API)
async def look_inside(request: Request) -> Response:
    """Every value that the network computes for one picture, layer by layer."""
    asked = read(request, "model", "version", "label", "prepare", "layers", "format")
    shared, serving = find(request, asked)
    seen = await see(request, serving, asked)
    layers, values = await microscope(shared).look(folder_of(shared, serving), serving.manifest, seen.pixels)
    probabilities = values[layers[-1].name]
    layers = select(layers, asked.get("layers", "all"))
    values = {
        name: array
        for layer in layers
        for name in (f"{layer.name}.before", layer.name)
        if (array := values.get(name)) is not None
    }
    best = int(probabilities.argmax())
    facts = {
        "model": serving.manifest.name,
        "version": serving.manifest.version,
        "class_id": best,
        "label": serving.manifest.labels[best],
        "probability": probabilities[best],
        "probabilities": probabilities,
        "seen": tell(seen),
    }
    if wants_binary(request, asked):
        return binary({**values, "seen.pixels": seen.pixels}, facts)
    pixels = seen.pixels[:, :, 0] if seen.pixels.shape[2] == 1 else seen.pixels
    facts["seen"] = {**tell(seen), "pixels": np.ascontiguousarray(pixels)}
    facts["layers"] = [
        {
            "name": layer.name,
            "kind": layer.kind,
            "shape": layer.shape,
            "before": values.get(f"{layer.name}.before"),
            "values": values[layer.name],
        }
        for layer in layers
    ]
    return Answer(facts)


@router.post("/inside/occlusion", **OCCLUSION_API)
async def occlude(request: Request) -> Response:
    """The probabilities with one small square of the prepared picture after the other covered by background."""
    asked = read(request, "model", "version", "label", "prepare", "patch", "stride")
    shared, serving = find(request, asked)
    seen = await see(request, serving, asked)
    side = max(seen.pixels.shape[:2])
    patch = query.number("patch", asked.get("patch", str(max(1, round(side * 5 / 28)))))
    stride = query.number("stride", asked.get("stride", str(max(1, round(side / 14)))))
    covered = cover(seen.pixels, patch, stride, 0 if serving.manifest.input.polarity == "light-on-dark" else 255)
    rows, columns = covered.shape[:2]
    questions = np.concatenate([seen.pixels[None], covered.reshape(-1, *seen.pixels.shape)])
    # Through the queue as all others, but not counted as pictures that somebody asked about.
    size = min(shared.settings.max_batch, shared.settings.max_queue)
    parts = [await serving.batcher.predict(questions[at : at + size]) for at in range(0, len(questions), size)]
    answers = np.concatenate([part.probabilities for part in parts])
    return Answer(
        {
            "model": serving.manifest.name,
            "version": serving.manifest.version,
            "patch": patch,
            "stride": stride,
            "probabilities": answers[0],
            "covered": answers[1:].reshape(rows, columns, -1),
        }
    )


@router.get("/models/{name}/versions/{version}/network", **NETWORK_API)
async def show_network(request: Request, name: str, version: str) -> Response:
    """The layers of a version that serves: shapes, parameters, what each value comes from, and the weights."""
    asked = read(request, "weights", "unit", "format")
    shared, serving = find(request, {"model": name, "version": version})
    layers = await microscope(shared).layers(folder_of(shared, serving), serving.manifest)
    facts = {
        "model": serving.manifest.name,
        "version": serving.manifest.version,
        "labels": serving.manifest.labels,
        "parameters": sum(layer.parameters for layer in layers),
        "accuracy": serving.manifest.accuracy,
        "layers": [outline(layer, below) for layer, below in zip(layers, [layers[0], *layers], strict=False)],
    }
    compact = wants_binary(request, asked)
    weights = await asyncio.to_thread(pick, layers, asked.get("weights", "all" if compact else "none"), asked)
    if compact:
        return binary(weights, facts)
    return Answer({**facts, "weights": weights} if weights else facts)


def read(request: Request, *known: str) -> dict[str, str]:
    """The query's parameters. Errors as in `query.read`."""
    return query.read(request.scope["query_string"], known)


def find(request: Request, asked: Mapping[str, str]) -> tuple[Shared, Serving]:
    """The version that is asked for, noted for the metrics."""
    shared: Shared = request.state.shared
    version = query.number("version", asked["version"]) if "version" in asked else None
    serving = shared.registry.get(asked.get("model"), version, asked.get("label"), request.scope["headers"])
    request.state.serving = serving
    return shared, serving


def microscope(shared: Shared) -> Microscope:
    """What looks into networks."""
    assert shared.microscope is not None  # noqa: S101 - without it, these routes are not there
    return shared.microscope


def folder_of(shared: Shared, serving: Serving) -> Path:
    """Where a version lies."""
    return shared.registry.repository.folder(serving.manifest.name, serving.manifest.version)


async def see(request: Request, serving: Serving, asked: Mapping[str, str]) -> Seen:
    """The one picture in the body as the network is given it, and what was done to it."""
    shared: Shared = request.state.shared
    body = await bodies.read(request, shared.settings)
    (source,) = native.take_apart(body, request, serving, 1)
    return await road.inspect_one(serving, source, "none" if asked.get("prepare") == "none" else "auto")


def cover(pixels: NDArray[np.uint8], patch: int, stride: int, shade: int) -> NDArray[np.uint8]:
    """The picture many times, with a square of background around one place after the other.

    Returns:
        (places down, places across, height, width, channels).

    Raises:
        BadQuery: Too many places.
    """
    height, width = pixels.shape[:2]
    rows, columns = range(0, height, stride), range(0, width, stride)
    if len(rows) * len(columns) > (most := min(MAX_PLACES, MAX_BYTES // pixels.size)):
        raise BadQuery(
            "too many places to cover",
            expected=f"at most {most:,}",
            found=f"{len(rows)} × {len(columns)}",
            fix="take a larger stride",
        )
    covered = np.broadcast_to(pixels, (len(rows), len(columns), *pixels.shape)).copy()
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            top, left = max(0, row - patch // 2), max(0, column - patch // 2)
            covered[i, j, top : row - patch // 2 + patch, left : column - patch // 2 + patch] = shade
    return covered


def outline(layer: Layer, below: Layer) -> dict[str, Any]:
    """One layer in words and numbers, without its weights."""
    return {
        "name": layer.name,
        "kind": layer.kind,
        "shape": layer.shape,
        "window": layer.window,
        "stride": layer.stride,
        "padding": layer.padding,
        "pooling": layer.pooling,
        "activation": layer.activation,
        "field": layer.reach and asdict(layer.reach),
        "parameters": layer.parameters,
        "counted": counted(layer, below),
        "note": ERRATUM if layer.kind == "conv" and layer.parameters == 18_496 else None,
    }


def counted(layer: Layer, below: Layer) -> str | None:
    """How the parameters are counted: `((3·3·1) + 1) · 32`."""
    if layer.kernel is None:
        return None
    inputs = "(" + "·".join(map(str, layer.kernel.shape[:-1])) + ")" if layer.kind == "conv" else f"{below.shape[0]:,}"
    return f"({inputs}{' + 1' if layer.bias is not None else ''}) · {layer.shape[-1]}"


def select(layers: list[Layer], names: str) -> list[Layer]:
    """Some layers: `all`, `none`, or names with commas between.

    Raises:
        BadQuery: One is not there.
    """
    by_name = {layer.name: layer for layer in layers}
    wanted = {"all": list(by_name), "none": []}.get(names, names.split(","))
    for name in wanted:
        if name not in by_name:
            expected = f"all, none, or of: {', '.join(by_name)}"
            raise BadQuery("there is no such layer, or nothing in it", expected=expected, found=shown(name))
    return [by_name[name] for name in dict.fromkeys(wanted)]


def pick(layers: list[Layer], names: str, asked: Mapping[str, str]) -> dict[str, Numbers]:
    """The weights of the layers with these names; `unit` takes one filter of each.

    Raises:
        BadQuery: No such layer, one without weights, or no such unit.
    """
    weights: dict[str, Numbers] = {}
    for layer in select([layer for layer in layers if layer.kernel is not None], names):
        name, kernel, bias = layer.name, layer.kernel, layer.bias
        assert kernel is not None  # noqa: S101 - the others were left out
        bias = np.zeros(kernel.shape[-1], np.float32) if bias is None else bias
        if "unit" in asked:
            unit = asked["unit"]
            if not unit.isdecimal() or len(unit) > 9 or int(unit) >= kernel.shape[-1]:
                raise BadQuery("no such unit", expected=f"0 to {kernel.shape[-1] - 1}", found=shown(unit))
            kernel, bias = kernel[..., int(unit)], bias[int(unit) : int(unit) + 1]
        weights[f"{name}.kernel"] = np.ascontiguousarray(kernel)
        weights[f"{name}.bias"] = np.ascontiguousarray(bias)
    return weights


def wants_binary(request: Request, asked: Mapping[str, str]) -> bool:
    """Whether the query, or else the header Accept, asks for the compact form."""
    if "format" in asked:
        return asked["format"] == "safetensors"
    accepted = request.headers.get("accept", "")
    return safetensors.MEDIA_TYPE in accepted or "application/octet-stream" in accepted


def binary(arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> Response:
    """Arrays as safetensors, all else as JSON texts in its metadata."""
    texts = {name: orjson.dumps(fact, option=orjson.OPT_SERIALIZE_NUMPY).decode() for name, fact in facts.items()}
    return Response(safetensors.pack(arrays, texts), media_type=safetensors.MEDIA_TYPE)
