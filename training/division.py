"""One part of a set → several that share no picture, the same ones each time."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.config import SPLIT_SEED
from training.datasets import LeftOut, Part
from training.errors import TrainingError

PARTS = ("test", "validation", "train")
"""In this order a picture that lies in several of them is kept: what was put aside to test by stays aside."""
SHARE = 0.15
"""Of each class is held back for validation, and as much for the test: of 10 pictures two each, of 100 fifteen."""
MOST = 500
"""Pictures of a class that are held back for each, at most: for ten classes as many as MNIST's validation part has."""
LEAST = 5
"""Different pictures that a class must have: one to validate, one to test, three to learn from."""

Flags = NDArray[np.bool_]


def split(part: Part, held_back: int, seed: int) -> tuple[Part, Part]:
    """Draw a validation part in which every class has its share, to within one picture.

    Args:
        part: What to divide.
        held_back: Exact size of the validation part.
        seed: Decides which pictures.

    Returns:
        The training part and the validation part, both in published order.
    """
    # RandomState, because NumPy promises its stream for good: versions years apart must share their validation part.
    random = np.random.RandomState(seed)
    counts = np.bincount(part.labels)
    shares = counts * held_back / len(part)
    quotas = np.floor(shares).astype(int)
    largest = np.argsort(quotas - shares, kind="stable")
    quotas[largest[: held_back - quotas.sum()]] += 1
    chosen = np.zeros(len(part), bool)
    for label, quota in enumerate(quotas):
        chosen[random.permutation(np.flatnonzero(part.labels == label))[:quota]] = True
    return pick(part, ~chosen), pick(part, chosen)


def divide(
    given: Mapping[str, Part], names: Mapping[str, Sequence[str]], classes: Sequence[str]
) -> tuple[dict[str, Part], list[LeftOut]]:
    """The three parts of a set of which nobody knows whether its pictures are all different.

    A picture is known by its pixels. Those of a class are put in the order of their checksums, and both ends of that
    are held back: names, order and later additions move (nearly) nothing from one part to another.

    Args:
        given: `train`, and `validation` and `test` where the set has been divided by somebody else.
        names: What to call each picture of each part.
        classes: Name of each class, by its number.

    Returns:
        `train`, `validation` and `test`, and what was left out: of equal pictures one is kept, and none that lies in
        several classes.

    Raises:
        TrainingError: A class has too few pictures.
    """
    keys = {part: [hash_picture(picture) for picture in given[part].pictures] for part in given}
    kept, left_out = sift(given, keys, names, classes)
    check_sizes(given, kept, left_out, classes)
    parts = {part: pick(given[part], kept[part]) for part in given}
    places = rank([key for key, keep in zip(keys["train"], kept["train"], strict=True) if keep], parts["train"].labels)
    quotas = np.clip(np.rint(SHARE * np.bincount(parts["train"].labels)).astype(int), 1, MOST)[parts["train"].labels]
    sizes = np.bincount(parts["train"].labels)[parts["train"].labels]
    chosen = {"test": places < quotas, "validation": places >= sizes - quotas}
    held_back = np.zeros(len(places), bool)
    for part in (part for part in chosen if part not in given):
        parts[part] = pick(parts["train"], chosen[part])
        held_back |= chosen[part]
    parts["train"] = pick(parts["train"], ~held_back)
    return parts, left_out


def hash_picture(picture: NDArray[np.uint8]) -> str:
    """SHA-256 of its pixels. The seed goes in as well, so that it decides who is held back."""
    return hashlib.sha256(SPLIT_SEED.to_bytes(4) + picture.tobytes()).hexdigest()


def sift(
    given: Mapping[str, Part],
    keys: Mapping[str, Sequence[str]],
    names: Mapping[str, Sequence[str]],
    classes: Sequence[str],
) -> tuple[dict[str, Flags], list[LeftOut]]:
    """Which pictures of each part to keep, and why not the others."""
    labels: dict[str, set[int]] = defaultdict(set)
    for part in given:
        for key, label in zip(keys[part], given[part].labels.tolist(), strict=True):
            labels[key].add(label)
    seen: dict[str, str] = {}
    kept, left_out = {}, []
    for part in filter(given.__contains__, PARTS):
        flags = np.zeros(len(given[part]), bool)
        for place, (key, name) in enumerate(zip(keys[part], names[part], strict=True)):
            if len(labels[key]) > 1:
                left_out.append(LeftOut(name, f"lies in {', '.join(classes[label] for label in sorted(labels[key]))}"))
            elif key in seen:
                left_out.append(LeftOut(name, f"the same as {seen[key]}"))
            else:
                flags[place], seen[key] = True, name
        kept[part] = flags
    return kept, left_out


def check_sizes(
    given: Mapping[str, Part], kept: Mapping[str, Flags], left_out: Sequence[LeftOut], classes: Sequence[str]
) -> None:
    """Refuse a set with a class that can not be learnt and measured."""
    for part, flags in kept.items():
        least = LEAST if part == "train" else 1
        counts = np.bincount(given[part].labels[flags], minlength=len(classes)).tolist()
        few = [f"{name} ({count})" for name, count in zip(classes, counts, strict=True) if count < least]
        if few:
            because = f"left out, such as {': '.join(left_out[0])}; " if left_out else ""
            raise TrainingError(
                f"too few different pictures in {part}: expected at least {least} a class, "
                f"found {', '.join(few[:20])}; {because}add pictures of them, or remove their folders"
            )


def rank(keys: Sequence[str], labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Place of each picture in its class, in the order of their keys, from 0."""
    places = np.empty(len(keys), np.int64)
    order = np.lexsort((np.array(keys), labels))
    starts = np.searchsorted(labels[order], labels[order], side="left")
    places[order] = np.arange(len(keys)) - starts
    return places


def pick(part: Part, flags: Flags) -> Part:
    """The flagged pictures, in their order."""
    return Part(part.pictures[flags], part.labels[flags])


def digest_parts(parts: Mapping[str, Part], classes: Sequence[str]) -> str:
    """SHA-256 over what a network learns and is measured by: part, class and pixels of every picture, in any order."""
    lines = [
        f"{part}\0{classes[label]}\0{hash_picture(picture)}\n"
        for part in parts
        for picture, label in zip(parts[part].pictures, parts[part].labels.tolist(), strict=True)
    ]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
