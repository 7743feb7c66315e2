"""Looking inside: every value that a network computes for one picture, on a road of its own.

Nothing here exists until the first question: then the version that serves is read once more, with all of its layers as
outputs. One thread answers one question after the other, and only a few may wait, so that whoever looks can not slow
down those who predict.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, TypeVar

import numpy as np
import openvino
from numpy.typing import NDArray

from service import layers
from service.engines.core import compile_network
from service.errors import BadVersion, QueueFull, UnknownVersion
from service.layers import Anatomy, Layer, Numbers
from service.manifest import Manifest
from service.repository import check

MAX_WAITING = 16
"""Questions that may wait, at most; beyond, callers get 503 at once."""
MAX_OPEN = 2
"""Networks that are kept open, at most; the one that was asked longest ago is closed."""

Answer = TypeVar("Answer")


class Opened:
    """One version, ready to be looked into. Used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self.anatomy: Anatomy = layers.read(folder)
        self.shapes = {layer.name: layer.shape for layer in self.anatomy.layers}
        self.request: openvino.InferRequest | None = None

    def look(self, pixels: NDArray[np.uint8]) -> dict[str, Numbers]:
        """Every value, by layer: `conv_1.before` is before the activation, `conv_1` after it.

        Args:
            pixels: (height, width, channels), 0 to 255.

        Returns:
            float32 arrays of each layer's shape: rows, columns, channels; or one row.
        """
        if self.request is None:
            self.request = compile_network(self.anatomy.network, threads=1)
        self.request.infer([pixels[None]])
        tensors = zip(self.anatomy.ports, self.request.output_tensors, strict=True)
        return {name: self.arrange(name, tensor.data) for name, tensor in tensors}

    def arrange(self, name: str, values: Any) -> Numbers:
        """The caller's own copy, channels last."""
        shape = self.shapes[name.removesuffix(".before")]
        values = values.transpose(0, 2, 3, 1) if values.ndim == 4 else values
        return np.array(values, np.float32, order="C").reshape(shape)


class Microscope:
    """What looks into networks: one for each worker."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="inside")
        self.opened: OrderedDict[tuple[str, ...], Opened] = OrderedDict()  # touched on the thread only
        self.places = BoundedSemaphore(MAX_WAITING)

    async def layers(self, folder: Path, manifest: Manifest) -> list[Layer]:
        """The layers of the version in `folder`. Errors as in `look`."""
        return await self.ask(lambda: self.open(folder, manifest).anatomy.layers)

    async def look(
        self, folder: Path, manifest: Manifest, pixels: NDArray[np.uint8]
    ) -> tuple[list[Layer], dict[str, Numbers]]:
        """The layers, and every value that they compute for one picture: see `Opened.look`.

        Raises:
            QueueFull: Too many are looking already.
            OpaqueNetwork: Not a network that we can take apart.
            UnknownVersion: The files are not there any more, or others.
        """

        def question() -> tuple[list[Layer], dict[str, Numbers]]:
            opened = self.open(folder, manifest)
            return opened.anatomy.layers, opened.look(pixels)

        return await self.ask(question)

    async def ask(self, question: Callable[[], Answer]) -> Answer:
        """Let the thread answer, unless too many wait already."""
        if not self.places.acquire(blocking=False):
            raise QueueFull(
                "too many are looking inside", expected=f"at most {MAX_WAITING} at a time", fix="try again later"
            )
        asked = self.thread.submit(question)
        asked.add_done_callback(lambda _: self.places.release())
        return await asyncio.wrap_future(asked)

    def open(self, folder: Path, manifest: Manifest) -> Opened:
        """The version in `folder` as it was loaded, read at the first question."""
        # By its files as well: under the same number there may be another version by now.
        key = (str(folder), *manifest.files.values())
        if key not in self.opened:
            try:
                check(folder, manifest)
            except BadVersion as error:
                raise UnknownVersion(
                    "the version still answers, but can not be looked into",
                    expected=f"its files in {manifest.name}/{manifest.version}, as they were loaded",
                    found="other files" if folder.is_dir() else "they were removed",
                    fix="put them back, or let another version serve",
                ) from error
            self.opened[key] = Opened(folder)
            if len(self.opened) > MAX_OPEN:
                self.opened.popitem(last=False)
        self.opened.move_to_end(key)
        return self.opened[key]

    def close(self) -> None:
        """Take no new questions."""
        self.thread.shutdown(wait=False, cancel_futures=True)
