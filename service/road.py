"""What the dialects share: the way from what a caller sent to the network's answers."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect, Request

from service import lists, pictures, tensors
from service.engines import Answers
from service.errors import BadBody, BadQuery, DeadlineExceeded, EmptyBody, ServiceError, TooManyPictures, kind, shown
from service.pictures import Seen
from service.serving import Serving
from service.state import Shared

Source = bytes | str | list[Any] | NDArray[np.uint8]
"""A picture as it was sent: the bytes of a file, base64 of such, or numbers; or pixels that are the network's input."""
TURN_S = 0.002
"""Seconds in which pictures of one call are prepared before others get a turn of the loop."""

Prepared = TypeVar("Prepared", NDArray[np.uint8], Seen)
T = TypeVar("T")


def find(request: Request) -> Serving:
    """The version that the path names, by `name` and perhaps `version` or `label`.

    Raises:
        BadQuery: The version is not a number.
        UnknownModel: No such model, version or label.
    """
    given = request.scope["path_params"]
    shared: Shared = request.scope["state"]["shared"]
    headers = request.scope["headers"]
    serving = shared.registry.get(given["name"], number(given.get("version")), given.get("label"), headers)
    request.scope["state"]["serving"] = serving
    return serving


def number(version: str | None) -> int | None:
    """A version in a path or a message; nothing is None.

    Raises:
        BadQuery: Not a number.
    """
    if not version:
        return None
    if not re.fullmatch("[0-9]{1,18}", version):
        raise BadQuery("the version is not a number", expected="a whole number from 1 on", found=shown(version))
    return int(version)


def check_count(count: int, limit: int) -> None:
    """Pictures of one call.

    Raises:
        EmptyBody: None.
        TooManyPictures: More than `limit`.
    """
    if count < 1:
        raise EmptyBody("the request has no picture", expected="at least one", found="none")
    if count > limit:
        raise TooManyPictures(
            "too many pictures in one call",
            expected=f"at most {limit:,} (max_pictures)",
            found=f"{count:,}",
            fix="send them in several calls",
        )


async def prepare(
    serving: Serving,
    sources: Sequence[Source],
    mode: pictures.Mode,
    one: Callable[[Serving, Source, pictures.Mode], Awaitable[Prepared]],
    request: Request | None = None,
) -> list[Prepared | ServiceError]:
    """Each picture by `prepare_one` or `inspect_one`, or what is wrong with it: a bad one spoils only itself.

    Args:
        serving: Whose input they become.
        sources: The pictures of one call.
        mode: As in `pictures`.
        one: Prepares each.
        request: The call: several pictures are prepared only as long as its caller is there.

    Raises:
        DeadlineExceeded: All of them together take too long.
    """
    work = prepare_each(serving, sources, mode, one)
    return await (work if request is None or len(sources) == 1 else while_there(request, work))


async def prepare_each(
    serving: Serving,
    sources: Sequence[Source],
    mode: pictures.Mode,
    one: Callable[[Serving, Source, pictures.Mode], Awaitable[Prepared]],
) -> list[Prepared | ServiceError]:
    """One picture after the other. Errors as in `prepare`."""
    prepared: list[Prepared | ServiceError] = []
    turn = time.perf_counter()
    end = turn + serving.batcher.deadline_s
    for source in sources:
        try:
            prepared.append(await one(serving, source, mode))
        except DeadlineExceeded:
            raise
        except ServiceError as error:
            prepared.append(error.with_traceback(None))  # its frames hold this very list
        if (now := time.perf_counter()) > turn + TURN_S and len(prepared) < len(sources):
            if now > end:
                raise serving.batcher.too_late()
            await asyncio.sleep(0)
            turn = time.perf_counter()
    return prepared


async def prepare_all(
    serving: Serving, sources: Sequence[Source] | NDArray[np.uint8], mode: pictures.Mode, request: Request | None = None
) -> NDArray[np.uint8]:
    """The pixels of all, (n, height, width, channels), where a dialect has no words for one bad among many.

    Of the plainest JSON they are there already.

    Raises:
        CallerError: What is wrong with the first bad one.
        DeadlineExceeded: All of them together take too long.
    """
    if isinstance(sources, np.ndarray):
        return sources
    prepared = await prepare(serving, sources, mode, prepare_one, request)
    for index, item in enumerate(prepared):
        if isinstance(item, ServiceError):
            if len(prepared) > 1:
                item.detail = f"picture {index} (the first is 0): {item.detail}"
            raise item
    return together(prepared)  # type: ignore[arg-type]


def together(pixels: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures as one array; a single one is not copied."""
    if len(pixels) == 1:
        return pixels[0][np.newaxis]
    return np.concatenate(pixels).reshape(-1, *pixels[0].shape)  # np.stack takes ten times as long


async def prepare_one(serving: Serving, source: Source, mode: pictures.Mode) -> NDArray[np.uint8]:
    """Files are prepared; pixels go to the network as they are."""
    if isinstance(source, np.ndarray):
        return source
    if isinstance(source, list):
        return pixels_of(serving, source)
    return await serving.prepare(file_of(source), mode)


async def inspect_one(serving: Serving, source: Source, mode: pictures.Mode) -> Seen:
    """Like `prepare_one`, and tells what was done."""
    if isinstance(source, np.ndarray):
        return Seen(source)
    if isinstance(source, list):
        return Seen(pixels_of(serving, source))
    return await serving.inspect(file_of(source), mode)


def read_plain(body: bytes, serving: Serving, fields: Mapping[str, bool]) -> NDArray[np.uint8] | None:
    """All pictures of a body, where it is JSON of the plainest kind; see `lists.read_plain`."""
    return lists.read_plain(body, fields, serving.manifest.input.shape, unit=serving.float_pixels == "unit")


def pixels_of(serving: Serving, numbers: list[Any]) -> NDArray[np.uint8]:
    """The pixels of one picture as they were sent."""
    return tensors.pixels_of(numbers, serving.manifest.input.shape, unit=serving.float_pixels == "unit")


def file_of(source: bytes | str) -> bytes:
    """The bytes of a picture file."""
    if isinstance(source, str):
        source = tensors.file_of(source)
    if not isinstance(source, bytes):
        raise BadBody(
            "an image is neither text nor a list",
            expected="base64 of a picture file, or pixels",
            found=kind(source),
        )
    return source


async def ask(
    request: Request,
    serving: Serving,
    pixels: NDArray[np.uint8],
    places: Sequence[int] | None = None,
    *,
    kept: bool = True,
) -> Answers:
    """The answers; the question is taken back if its caller leaves while it waits.

    Args:
        request: Whose caller it is.
        serving: Who answers.
        pixels: (n, height, width, channels).
        places: Of each of them among all pictures of the call, where some of those are bad.
        kept: Whether they may be, where feedback is.
    """
    if serving.batcher.congested:
        answers = await while_there(request, serving.predict(pixels))
    else:
        answers = await serving.predict(pixels)
    state = request.scope["state"]
    if kept and state["shared"].feedback is not None:
        state["shared"].feedback.remember(state["request_id"].decode(), serving, pixels, answers.probabilities, places)
    return answers


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What comes out, as long as the caller is there to hear it.

    Raises:
        starlette.requests.ClientDisconnect: The caller has left, and the work was given up.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(request.receive())
    leaving.add_done_callback(lambda _: working.cancel())
    try:
        return await working
    except asyncio.CancelledError:
        if leaving.done():
            raise ClientDisconnect from None
        raise
    finally:
        leaving.cancel()
