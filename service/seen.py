"""What is told of a picture beside its prediction: what the network was given, how it came about, and what is odd."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from service import paper, pictures
from service.manifest import Input
from service.pictures import Seen


def tell(seen: Seen) -> dict[str, Any]:
    """What was done to the picture."""
    return {
        "prepared": seen.prepared,
        "turned": seen.turned,
        "inverted": seen.inverted,
        "box": seen.box,
        "scale": seen.scale,
        "shift": seen.shift,
    }


def show(seen: Seen, given: Input, *, novelty: float | None = None, recognized: bool | None = None) -> dict[str, Any]:
    """The picture that the network was given, what was done to it, and a warning where there is cause for one.

    Args:
        seen: From `pictures.inspect`, or pixels as they were sent.
        given: The version's input.
        novelty: The picture's score; None where the version can not tell.
        recognized: Whether that is low enough.
    """
    told = {"picture": base64.b64encode(png(seen.pixels)).decode(), **tell(seen)}
    if novelty is not None:
        told["novelty"] = novelty
    if warning := "; ".join(doubts(seen, given, recognized)):
        told["warning"] = warning
    return told


def png(pixels: np.ndarray) -> bytes:
    """Pixels of one channel, or three, as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def doubts(seen: Seen, given: Input, recognized: bool | None) -> Iterator[str]:
    """Why the answer may mean little."""
    if given.preparation == "centred":
        yield from oddities(seen)
    if recognized is False:
        yield "it is unlike the pictures that the network was trained on"


def oddities(seen: Seen) -> Iterator[str]:
    """What is not as in pictures that were cropped and centred."""
    pixels = seen.pixels
    if seen.others:
        yield (
            f"{seen.others} other mark{'s' if seen.others > 1 else ''} of much the same size"
            f" {'were' if seen.others > 1 else 'was'} left out; send one at a time"
        )
    if pixels.min() == pixels.max():
        yield "it is blank: there is nothing to read"
    elif not seen.prepared and not pictures.looks_prepared(pixels):
        if np.median(pixels) > 127:
            yield (
                "it looks inverted: dark on light, and the network was trained on light on dark;"
                " send 255 - pixels, or a picture file with prepare=auto"
            )
        else:
            height, width, _ = pixels.shape
            yield (
                f"it is not as the training pictures, whose ink goes up to white, is {paper.box_side(height, width)}"
                " pixels high or wide and has its centre of mass in the middle; send a picture file with prepare=auto"
            )
