"""Rows → Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.contestants import NOOPS, PLAIN, US, WORKS, Work
from benchmarks.load import NOISE
from benchmarks.visits import Row

LIMITS = tuple(noop.name for noop in NOOPS)
"""What no server is that one could use: no peers of ours."""
ONE_CORE = "one core"
"""What we are called where all that runs has one of them, load generator and all."""
NOBODY = "–"


@dataclass(frozen=True)
class Line:
    """One line of the comparison."""

    title: str
    values: dict[str, list[float]]
    """By contestant, one for each round."""
    more: bool
    """Whether more is better."""
    form: str

    @property
    def best(self) -> str | None:
        """The best server with a name."""
        named = {name: median(each) for name, each in self.values.items() if name not in (US, PLAIN.name, *LIMITS)}
        return (max if self.more else min)(named, key=named.__getitem__) if named else None

    def ratio(self, other: str | None) -> str:
        """Ours, as a multiple of another's in the same round: the middle one."""
        if other not in self.values or US not in self.values:
            return NOBODY
        rounds = zip(self.values[US], self.values[other], strict=False)
        return f"{median(ours / theirs for ours, theirs in rounds):.2f} ×"

    def value(self, name: str | None) -> str:
        return format(median(self.values[name]), self.form) if name in self.values else NOBODY


def starts(rows: Sequence[Row]) -> Line:
    """How long each takes until it answers."""
    values = series(rows, "seconds", kind="start", work="png")
    return Line("process start to first right answer, s", values, more=False, form=".2f")


def lines(rows: Sequence[Row]) -> list[Line]:
    """Every line that the rows have figures for."""
    one, crowd = {"work": "png", "callers": 1}, {"work": "png", "callers": 32}
    found = [
        *(rates(rows, work, callers) for work in WORKS.values() for callers in work.callers),
        Line("one caller, PNG: median, ms", series(rows, "p50_ms", kind="run", **one), more=False, form=".2f"),
        Line("32 callers, PNG: p99, ms", series(rows, "p99_ms", kind="run", **crowd), more=False, form=".1f"),
        starts(rows),
        Line(
            "memory of all processes after load, MB (PSS)",
            series(rows, "megabytes", kind="memory", work="png"),
            more=False,
            form=".0f",
        ),
        Line(
            "processor time per PNG request at 32 callers, µs",
            series(rows, "cpu_us", kind="run", **crowd),
            more=False,
            form=".0f",
        ),
    ]
    return [line for line in found if line.values]


def rates(rows: Sequence[Row], work: Work, callers: int) -> Line:
    """The line of a work with so many callers."""
    per_picture = {
        name: [rate * work.pictures for rate in each]
        for name, each in series(rows, "rate", kind="run", work=work.name, callers=callers).items()
    }
    # What v2 makes of it is compared with what the peers make of it in the words that suit them best.
    others = borrowed(rows, work.name, callers) if per_picture else {}
    unit = "requests/s" if work.pictures == 1 else "pictures/s"
    title = f"{work.title}, {callers} caller{'s' if callers > 1 else ''}: {unit}"
    return Line(title, {**others, **per_picture}, more=True, form=",.0f")


def borrowed(rows: Sequence[Row], work: str, callers: int) -> dict[str, list[float]]:
    """For a line through v2: the others' figures for the same pictures through the doors that they have."""
    if not work.startswith("v2-"):
        return {}
    others = series(rows, "rate", kind="run", work=work.removeprefix("v2-"), callers=callers)
    return {name: values for name, values in others.items() if name != US}


def medians(rows: Iterable[Row], figure: str, **having: object) -> dict[str, float]:
    """The middle of a figure over the rounds, by contestant."""
    return {name: median(values) for name, values in series(rows, figure, **having).items()}


def series(rows: Iterable[Row], figure: str, **having: object) -> dict[str, list[float]]:
    """A figure in each round, by contestant; nobody who gave a wrong answer there."""
    values: dict[str, list[float]] = {}
    wrong = set()
    for row in rows:
        if all(row.get(name) == value for name, value in having.items()):
            if "failure" in row:
                wrong.add(row.get("contestant"))
            elif figure in row:
                values.setdefault(row["contestant"], []).append(row[figure])
    return {name: each for name, each in values.items() if name not in wrong}


def table(head: Sequence[str], body: Iterable[Sequence[object]]) -> str:
    """A Markdown table, its first column to the left."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in (head, rule, *body)) + "\n"


def comparison(found: Iterable[Line]) -> str:
    """Ours beside the best peer and the plain server."""
    head = ("work", "Convolve", "best peer", "", "plain", "to the best peer", "to plain")
    return table(head, ((line.title, *beside(line)) for line in found))


def steadiest(peers: Sequence[Row], best: Sequence[Row]) -> list[Line]:
    """The lines of `peers`, those that were measured in turns instead wherever there are such."""
    in_turns = {line.title: line for line in lines(best)}
    return [in_turns.get(line.title, line) for line in lines(peers)]


def beside(line: Line) -> tuple[str, ...]:
    """Ours, the best peer's, its name, the plain server's, and what we are to both."""
    figures = line.value(US), line.value(line.best), line.best or "", line.value(PLAIN.name)
    return (*figures, line.ratio(line.best), line.ratio(PLAIN.name))


def everybody(rows: Sequence[Row]) -> str:
    """Each contestant's figure in each line."""
    names = list(dict.fromkeys(row["contestant"] for row in rows if row["kind"] == "run"))
    return table(("work", *names), ((line.title, *map(line.value, names)) for line in lines(rows)))


def equal_precision(rows: Sequence[Row]) -> str:
    """Ours beside the best peer, everybody in the same arithmetic."""
    body: list[tuple[str, ...]] = []
    for precision in dict.fromkeys(row["precision"] for row in rows if row["kind"] == "run"):
        same = [row for row in rows if row.get("precision") == precision]
        body += [(precision, line.title, *beside(line)) for line in lines(same) if line.more]
    head = ("arithmetic", "work", "Convolve", "best peer", "", "plain", "to the best peer", "to plain")
    return table(head, body)


def comparison_of_one(rows: Sequence[Row]) -> str:
    """Our figure in each line that is no rate."""
    return table(("", US), ((line.title, line.value(US)) for line in lines(rows) if not line.more))


@dataclass(frozen=True)
class Point:
    """One point of a curve: the medians over the rounds."""

    x: float
    rate: float
    """Pictures/s."""
    p50_ms: float
    p99_ms: float


def points(rows: Iterable[Row]) -> dict[str, list[Point]]:
    """The curves, by what grows."""
    measured: dict[tuple[str, float], list[Row]] = {}
    for row in rows:
        if row["kind"] == "growth" and "failure" not in row:
            measured.setdefault((row["panel"], row["x"]), []).append(row)
    curves: dict[str, list[Point]] = {}
    for (panel, x), rounds in measured.items():
        rate, p50, p99 = (median(row[name] for row in rounds) for name in ("rate", "p50_ms", "p99_ms"))
        curves.setdefault(panel, []).append(Point(x, rate * rounds[0]["pictures"], p50, p99))
    return curves


def growth(rows: Sequence[Row]) -> str:
    """The points of the curves."""
    body = (
        (panel, point.x, f"{point.rate:,.0f}", round(point.p50_ms, 3), round(point.p99_ms, 3))
        for panel, curve in points(rows).items()
        for point in curve
    )
    return table(("what grows", "to", "pictures/s", "p50, ms", "p99, ms"), body)


def ourselves(rows: Sequence[Row]) -> str:
    """Our variants beside each other, requests/s (p50 / p99 in ms)."""
    runs = [row for row in rows if row["kind"] == "run" and row["contestant"] not in LIMITS]
    names = list(dict.fromkeys(row["contestant"] for row in runs))
    works = dict.fromkeys((row["work"], row["callers"]) for row in runs)

    def cell(name: str, work: str, callers: int) -> str:
        def figure(which: str) -> float | None:
            return medians(runs, which, kind="run", work=work, callers=callers).get(name)

        rate, p50, p99 = figure("rate"), figure("p50_ms"), figure("p99_ms")
        return NOBODY if rate is None else f"{rate:,.0f} ({p50:.2f} / {p99:.1f})"

    body = (
        (f"{WORKS[work].title}, {callers} callers", *(cell(name, work, callers) for name in names))
        for work, callers in works
    )
    return table(("requests/s (p50 / p99 in ms)", *names), body)


def sentences(rows: Sequence[Row]) -> str:
    """What is no table: limits, spread, the open loop, and how quiet the machine was."""
    told = ceiling(rows, [row for row in rows if row["kind"] == "ceiling"])
    told += scaling(rows)
    told += [in_a_row(spread)] if (spread := [row["rate"] for row in rows if row["kind"] == "spread"]) else []
    told += [open_loop(row) for row in rows if row["kind"] == "open"]
    for name in LIMITS:
        noop = medians(rows, "rate", kind="run", contestant=name)
        told += [f"{name}, one process, 32 callers: {rate:,.0f} requests/s." for rate in noop.values()]
    told.append(noise(rows))
    return "\n".join(f"- {sentence}" for sentence in told) + "\n"


def in_a_row(rates: Sequence[float]) -> str:
    """How far runs with new connections lie apart."""
    middle = median(rates)
    least, most = (min(rates) / middle - 1) * 100, (max(rates) / middle - 1) * 100
    return (
        f"{len(rates)} runs in a row, PNG at 32 callers: median {middle:,.0f} requests/s,"
        f" from {least:+.1f} % to {most:+.1f} %."
    )


def open_loop(row: Row) -> str:
    return (
        f"Open loop at {row['asked']:,} requests/s, 70 % of the most: p50 {row['p50_ms']:.2f} ms,"
        f" p99 {row['p99_ms']:.2f} ms, from the time that each was due (the sender itself was late by"
        f" {row['late_p99_ms']:.2f} ms at its p99; {row['refused']:.0f} refused)."
    )


def scaling(rows: Sequence[Row]) -> list[str]:
    """What all cores do, as a multiple of what one does in the same round."""
    on_one = [row for row in rows if row.get("contestant") == ONE_CORE]
    told = []
    for work, callers in dict.fromkeys((row["work"], row["callers"]) for row in on_one):
        line = rates(rows, WORKS[work], callers)
        told.append(f"{line.title}: on all cores {line.ratio(ONE_CORE)} as many as on one, load generator and all.")
    return told


def ceiling(rows: Sequence[Row], ceilings: Sequence[Row]) -> list[str]:
    """The bare engine beside each large work, and what part of it is reached in the same round."""
    told = []
    for work, networks in dict.fromkeys((row["work"], row["networks"]) for row in ceilings):
        of_it = [row for row in ceilings if (row["work"], row["networks"]) == (work, networks)]
        rates = quickest(of_it)
        ours = [rate * WORKS[work].pictures for rate in series(rows, "rate", kind="run", work=work).get(US, [])]
        parts = [reached / rate for reached, rate in zip(ours, rates, strict=False)]
        if parts:
            told.append(
                f"{WORKS[work].title}: {median(parts):.2f} of the bare engine without HTTP on all cores, {networks},"
                f" which computes {median(rates):,.0f} pictures/s in turns with it."
            )
    return told


def quickest(ceilings: Sequence[Row]) -> list[float]:
    """The rates, one for each round, of the way to use all cores whose middle one is the best."""
    ways: dict[tuple[int, ...], list[float]] = {}
    for row in ceilings:
        ways.setdefault(tuple(row["way"]), []).append(row["rate"])
    return max(ways.values(), key=median)


def failed(row: Row) -> str:
    """Who had no figures, and where."""
    return f"{row.get('contestant', US)} ({row.get('work', row['kind'])}: {row['failure'].partition(':')[0]})"


def noise(rows: Sequence[Row]) -> str:
    """How much the others did."""
    others = [row["others"] for row in rows if "others" in row]
    checked = sum(row.get("checked", 0) for row in rows)
    failures = [row for row in rows if "failure" in row]
    wrong = "none was wrong" if not failures else f"runs without figures: {', '.join(map(failed, failures))}"
    disturbed = sum(other > NOISE for other in others)
    return (
        f"{len(others)} runs, {disturbed} of them with more than {NOISE} cores used by others;"
        f" {checked:,} answers were checked for status, shape and class, {wrong}."
    )
