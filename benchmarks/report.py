"""Saved rows → benchmarks/results.md, its drawings, and the README's section."""

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks import drawings, tables
from benchmarks.pictures import ROOT
from benchmarks.visits import Row

FOLDER = Path(__file__).parent
ROWS = FOLDER / "rows"
PAGE = FOLDER / "results.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- speed: written by `python -m benchmarks render` -->", "<!-- /speed -->"
MORE = (
    'Each peer computes with OpenVINO on the same weights, its batching tuned; "plain" is FastAPI with OpenVINO on the'
    " event loop, written by hand. Every server, equal arithmetic, growing work: [results](benchmarks/results.md)."
    " How it is measured: [benchmarks](benchmarks/README.md)."
)


def save(what: str, rows: Sequence[Row]) -> None:
    """Keep the rows of one measurement, in place of the last ones."""
    ROWS.mkdir(exist_ok=True)
    (ROWS / f"{what}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read(what: str) -> list[Row]:
    """The rows of the last measurement, none if there was none."""
    path = ROWS / f"{what}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def render() -> None:
    """Write the page, the drawings and the README's section from what is saved."""
    parts = ["# Results\n\nWritten by `python -m benchmarks render` from `benchmarks/rows/`.\n"]
    if peers := read("peers"):
        drawings.bars(tables.lines(peers), FOLDER / "peers.svg")
        parts += ["## Beside the peers\n", about(peers), tables.comparison(tables.lines(peers))]
        parts += [tables.sentences(peers), "![Requests per second](peers.svg)\n"]
        parts += ["### Each of them\n", tables.everybody(peers)]
        best = read("best")
        if best:
            parts += ["## Beside the best of them, in turns\n", about(best)]
            parts += [tables.comparison(tables.lines(best)), tables.sentences(best)]
        put_into_readme(peers, best)
    if precisions := read("precisions"):
        parts += ["## In the same arithmetic\n", about(precisions), tables.equal_precision(precisions)]
        parts += [f"- {tables.noise(precisions)}\n"]
    if alone := read("alone"):
        drawings.variants(alone, FOLDER / "alone.svg")
        parts += ["## Alone\n", about(alone), tables.ourselves(alone), tables.comparison_of_one(alone)]
        parts += [tables.sentences(alone), "![Requests per second](alone.svg)\n"]
    if growth := read("growth"):
        drawings.curves(growth, FOLDER / "growth.svg")
        parts += ["## As work grows\n", about(growth), "![Four curves](growth.svg)\n", tables.growth(growth)]
    PAGE.write_text("\n".join(parts), encoding="utf-8")


def about(rows: Sequence[Row]) -> str:
    """Where, when and with what."""
    (machine,) = [row for row in rows if row["kind"] == "machine"]
    versions = ", ".join(f"{name} {version}" for name, version in {**machine["versions"], **machine["peers"]}.items())
    return (
        f"`{machine['command']}`, {machine['date']}. {machine['machine']}; servers and load generator (wrk, one thread)"
        f" share the cores. Convolve's own choice of arithmetic here is {machine['precision']}. {versions}.\n"
    )


def put_into_readme(peers: Sequence[Row], best: Sequence[Row]) -> None:
    """The comparison between the README's two marks, if it has them."""
    text = README.read_text(encoding="utf-8")
    before, found, rest = text.partition(BEGIN)
    if found:
        _, end, after = rest.partition(END)
        table = tables.comparison(tables.steadiest(peers, best))
        section = f"{BEGIN}\n\n## Speed\n\n{table}\n{about(best or peers)}\n{MORE}\n\n"
        README.write_text(before + section + end + after, encoding="utf-8")
