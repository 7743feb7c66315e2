"""What a request costs as work grows: more callers, more pictures, larger pictures, more models."""

import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from benchmarks import bodies, load, processes
from benchmarks.bodies import Body, Door, Pixels, Request
from benchmarks.contestants import LONGER, US, V2, Contestant, ours
from benchmarks.pictures import VERSION, draw
from benchmarks.sampler import WrongAnswer
from benchmarks.visits import Row, serving
from service.manifest import FILE

CALLERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
FEW = 4
"""Callers where size counts. Of two, both would at times be one worker's, and the one who checks the other's."""
ROOM = "32768"
"""Pictures that may wait in a worker: the largest requests of all callers at once."""
PICTURES = (1, 4, 16, 64, 256, 1024, 4096)
LARGE = 1024
"""Of these, from which on a request is a large one."""
SIDES = (28, 112, 448, 1000, 2000, 3464)
"""Of square pictures, in pixels; the last has 12 million."""
MODELS = (1, 2, 5, 10, 20)

PNG = Door("/predict", bodies.png)
BINARY = Door(V2, bodies.binary_bytes)


def measure(rounds: int, seconds: int) -> Iterator[Row]:
    """The points of four curves."""
    for _ in range(rounds):
        yield from on_one_server(seconds)
        for count in MODELS:
            yield from with_models(count, seconds)


def on_one_server(seconds: int) -> Iterator[Row]:
    """Callers, the size of a picture, and pictures in a request."""
    contestant = ours(US, "--max-queue", ROOM)
    (setup,) = contestant.setups
    single = PNG.requests(draw(64), 1, 64)
    with serving(contestant, setup, single[0]) as (port, _):
        load.warm_up(port, single, 32)
        for count in CALLERS:
            yield point(port, "callers", count, single, count, seconds)
        for side in SIDES:
            large = [Door("/predict", enlarged(side)).request(draw(64)[number : number + 1]) for number in range(4)]
            yield point(port, "megapixels of the picture", round(side * side / 1e6, 4), large, FEW, seconds)
        # Last: what is left of such requests when a run ends would be in the way of the next.
        for count in PICTURES:
            many = [BINARY.request(draw(4096)[:count])]
            lasting = seconds * (LONGER if count >= LARGE else 1)
            yield point(port, "pictures in one request", count, many, FEW, lasting, pictures=count)


def with_models(count: int, seconds: int) -> Iterator[Row]:
    """Callers of all models in turn, on a server that has loaded so many."""
    with tempfile.TemporaryDirectory(prefix="models-") as folder:
        names = [copy(Path(folder), number) for number in range(count)]
        contestant = ours(US, "--models", folder, "--default-model", names[0])
        sent = [Door(f"/predict?model={names[number % count]}", bodies.png).request(draw(64)[number : number + 1])
                for number in range(60)]  # fmt: skip
        yield from one_server(contestant, sent, count, seconds)


def one_server(contestant: Contestant, sent: Sequence[Request], count: int, seconds: int) -> Iterator[Row]:
    (setup,) = contestant.setups
    with serving(contestant, setup, sent[0]) as (port, started):
        load.warm_up(port, sent, 32)
        row = point(port, "models loaded", count, sent, 32, seconds)
        megabytes = processes.megabytes(processes.descendants())
        yield {**row, "start_s": round(started, 3), "megabytes": round(megabytes, 1)}


def copy(folder: Path, number: int) -> str:
    """The shipped version once more, under another name."""
    name = f"mnist-{number}"
    version = folder / name / "1"
    shutil.copytree(VERSION, version)
    manifest = json.loads((version / FILE).read_text())
    (version / FILE).write_text(json.dumps({**manifest, "name": name, "version": 1}))
    return name


def enlarged(side: int) -> bodies.Write:
    """A picture file with so many pixels on each side."""

    def write(pixels: Pixels) -> Body:
        file = io.BytesIO()
        picture = Image.fromarray(pixels[0].squeeze())
        picture.resize((side, side), Image.Resampling.BICUBIC).save(file, "PNG")
        return Body(file.getvalue(), "image/png")

    return write


def point(
    port: int, panel: str, x: float, sent: Sequence[Request], callers: int, seconds: int, pictures: int = 1
) -> Row:
    """One point of a curve."""
    row = {"kind": "growth", "panel": panel, "x": x, "callers": callers, "pictures": pictures}
    try:
        figures = load.run(port, sent, callers, seconds)
    except (load.BadRun, WrongAnswer) as error:
        return {**row, "failure": str(error)}
    return {**row, "bytes": len(sent[0].data), **figures.row()}
