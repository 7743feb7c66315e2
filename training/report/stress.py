"""How much right is left when pictures are moved, turned, resized, noisy, or drawn with another pen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import ndimage

from training.calibrate import Probabilities
from training.datasets import Part, Pixels

Predict: TypeAlias = Callable[[Pixels], Probabilities]
"""uint8 (n, height, width, channels) → probabilities (n, classes)."""

PICTURES = 2_000
"""How many are changed, at most: ± 0.2 % at 99 %, and half a minute for all changes."""
SEED = 2_000
"""Of the noise, so that every version gets the same."""


@dataclass(frozen=True)
class Stress:
    """One way of changing pictures, and how far it goes."""

    unit: str
    less: str
    """How an amount below none is told, and `more` one above it."""
    more: str
    amounts: tuple[float, ...]
    none: float
    """The amount that changes nothing."""
    change: Callable[[Pixels, float], Pixels]


def shift(pictures: Pixels, pixels: float) -> Pixels:
    """Move a quarter of the pictures down, up, right and left each."""
    moved = pictures.copy()
    for start, (down, right) in enumerate([(1, 0), (-1, 0), (0, 1), (0, -1)]):
        moved[start::4] = ndimage.shift(pictures[start::4], (0, down * pixels, right * pixels, 0), order=1)
    return moved


def rotate(pictures: Pixels, degrees: float) -> Pixels:
    """Turn pictures about their centre; positive is clockwise, as they are seen."""
    turned: Pixels = ndimage.rotate(pictures, -degrees, axes=(2, 1), reshape=False, order=1)
    return turned


def scale(pictures: Pixels, factor: float) -> Pixels:
    """Resize what is drawn, about the centre; the frame stays."""
    centre = (np.array(pictures.shape[1:3]) - 1) / 2
    offset = np.array([0, *(centre - centre / factor), 0])
    scaled: Pixels = ndimage.affine_transform(pictures, np.array([1, 1 / factor, 1 / factor, 1]), offset, order=1)
    return scaled


def add_noise(pictures: Pixels, deviation: float) -> Pixels:
    """Add normal noise to every value; `deviation` is a share of the whole range from black to white."""
    noise = np.random.default_rng(SEED).normal(0, deviation * 255, pictures.shape)
    return np.clip(np.rint(pictures + noise), 0, 255).astype(np.uint8)


def thicken(pictures: Pixels, pixels: float) -> Pixels:
    """Widen every stroke of light ink by about that many pixels, or make it thinner: half of it on either side."""
    radius = abs(round(pixels))
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = (rows**2 + columns**2 <= radius**2)[np.newaxis, :, :, np.newaxis]
    # At twice the size, where a radius of one is half a pixel.
    fine = pictures.repeat(2, axis=1).repeat(2, axis=2)
    fine = (ndimage.grey_dilation if pixels > 0 else ndimage.grey_erosion)(fine, footprint=disc)
    count, height, width, channels = pictures.shape
    thick: Pixels = np.rint(fine.reshape(count, height, 2, width, 2, channels).mean(axis=(2, 4))).astype(np.uint8)
    return thick


STRESSES = {
    "shift": Stress("pixels", "", "moved by {:g} pixels", (0, 1, 2, 3, 4, 5, 6, 7, 8), 0, shift),
    "rotation": Stress(
        "degrees, clockwise",
        "turned by {:g} degrees",
        "turned by {:g} degrees",
        (-60, -45, -35, -25, -15, -8, 0, 8, 15, 25, 35, 45, 60),
        0,
        rotate,
    ),
    "scale": Stress(
        "times the size",
        "shrunk to {:.0%}",
        "grown to {:.0%}",
        (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6),
        1,
        scale,
    ),
    "noise": Stress(
        "standard deviation, of black to white",
        "",
        "noise of {:.0%} of the range",
        (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
        0,
        add_noise,
    ),
    "thickness": Stress(
        "pixels wider",
        "strokes {:g} pixels thinner",
        "strokes {:g} pixels thicker",
        (-2, -1, 0, 1, 2, 3, 4),
        0,
        thicken,
    ),
}


def measure_stress(predict: Predict, part: Part) -> dict[str, list[dict[str, float]]]:
    """Share of right answers under every change.

    Args:
        predict: The network.
        part: Pictures from which `PICTURES`, evenly spread, are taken. Changes take ink for light and what lies outside
            for black: those on white paper are changed as negatives.

    Returns:
        By name of the change, in order of its amounts: `amount` and `accuracy`, 0 to 1.
    """
    chosen = np.unique(np.linspace(0, len(part) - 1, min(PICTURES, len(part))).astype(int))
    paper = np.uint8(part.paper)
    pictures, labels = paper ^ part.pictures[chosen], part.labels[chosen]
    figures = {}
    for name, stress in STRESSES.items():
        changed = [pictures if amount == stress.none else stress.change(pictures, amount) for amount in stress.amounts]
        # All at once: to ask a Keras network takes a tenth of a second by itself.
        found = predict(paper ^ np.concatenate(changed)).argmax(axis=1).reshape(len(changed), len(labels))
        shares = (found == labels).mean(axis=1)
        figures[name] = [
            {"amount": amount, "accuracy": float(share)} for amount, share in zip(stress.amounts, shares, strict=True)
        ]
    return figures
