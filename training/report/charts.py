"""Numbers → places on a drawing. What they look like is said by the template and its style sheet."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.evaluate import interval

LEFT, RIGHT, TOP, BOTTOM = 46, 20, 10, 38
"""Room around the field that is drawn in, for what stands at the axes."""
LEAST = 1e-4
"""Where values go up by factors, the axis begins there at the latest: what is less, or became 0, lies on it."""


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` → places from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (math.log10(max(each, 1e-9)) if self.log else each for each in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + min(1.0, max(0.0, share)) * (self.end - self.start), 1)


@dataclass(frozen=True)
class Tick:
    place: float
    label: str


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    words: str
    """What it says when it is pointed at."""
    radius: float = 2.5
    low: float | None = None
    """Ends of the interval that it stands for, as places."""
    high: float | None = None


@dataclass(frozen=True)
class Line:
    """Points that are joined, in values; `style` is a class of the style sheet."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Path:
    """A line as it is drawn."""

    name: str
    style: str
    d: str
    dots: list[Dot] = field(default_factory=list)


@dataclass(frozen=True)
class Chart:
    """A drawing, ready for the template."""

    title: str
    """Says in words what is seen, to those who do not see it."""
    width: int
    height: int
    x_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    paths: list[Path]
    mark: Tick | None = None
    """An upright line, with its word."""
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    bottom: int = BOTTOM


def find_ticks(low: float, high: float) -> list[float]:
    """About five round numbers from `low` to `high`."""
    rough = (high - low) / 5 or 1
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    return [
        round(number * step, 12) for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def find_powers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten from `low` to `high`; the powers alone where those are plenty."""
    factors = (1, 2, 5) if high < 1000 * low else (1,)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [round(factor * 10.0**exponent, 12) for exponent in exponents for factor in factors]
    return [value for value in values if low * 0.999 <= value <= high * 1.001]


def round_down(value: float) -> float:
    """The next number below that is 1, 2 or 5 times a power of ten."""
    return find_powers(value / 10, value)[-1]


def say_percent(value: float) -> str:
    """0.995 → 99.5 %, with a narrow space that does not break."""
    return f"{100 * value:.4g}\u202f%"


def say_number(value: float) -> str:
    """-0.5 → −0.5."""
    return f"{value:,g}".replace("-", "−")


def draw_lines(
    title: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    log: bool = False,
    log_x: bool = False,
    percent: bool = False,
    limits: tuple[float, float] | None = None,
    x_ticks: Sequence[float] | None = None,
    mark: tuple[float, str] | None = None,
    size: tuple[int, int] = (440, 250),
) -> Chart:
    """Lines over one pair of axes.

    Args:
        title: In words.
        lines: What to draw, first one below.
        x_label: Under the axis.
        log: Whether values go up by factors.
        log_x: Whether the lower axis does.
        percent: Whether values are shares, to be written as percentages.
        limits: Least and greatest value; what the lines need if not given.
        x_ticks: Where the lower axis has numbers; chosen if not given.
        mark: A place on the lower axis, and its word.
        size: Width and height.
    """
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    low, high = limits or ((round_down(max(min(ys), LEAST)), max(*ys, LEAST)) if log else (min(ys), max(ys)))
    x = Scale(min(xs), max(xs), LEFT, size[0] - RIGHT, log_x)
    y = Scale(low, high, size[1] - BOTTOM, TOP, log)
    say = say_percent if percent else say_number
    return Chart(
        title=title,
        width=size[0],
        height=size[1],
        x_label=x_label,
        x_ticks=[Tick(x(each), say_number(each)) for each in x_ticks or find_ticks(x.low, x.high)],
        y_ticks=[
            Tick(y(each), ("≤ " if min(ys) < each == low else "") + say(each))
            for each in (find_powers if log else find_ticks)(low, high)
        ],
        paths=[draw_path(line, x, y, say) for line in lines],
        mark=Tick(x(mark[0]), mark[1]) if mark else None,
    )


def draw_path(line: Line, x: Scale, y: Scale, say: Callable[[float], str]) -> Path:
    """A line on these axes, with a dot at each point that says its value in words."""
    return Path(
        line.name,
        line.style,
        join((x(across), y(up)) for across, up in line.points),
        [Dot(x(across), y(up), f"{line.name}: {say_number(across)} → {say(up)}") for across, up in line.points],
    )


def join(places: Iterable[tuple[float, float]]) -> str:
    """Places → the path through them."""
    return "M" + "L".join(f"{across:g} {up:g}" for across, up in places)


def draw_reliability(title: str, bins: Sequence[dict[str, Any]], size: tuple[int, int] = (340, 320)) -> Chart:
    """How often answers are right, over how sure they were; the diagonal is what they should be.

    A dot's area grows with its pictures; the line through it is where the true share lies with 95 %.
    """
    x = Scale(0, 1, LEFT, size[0] - RIGHT)
    y = Scale(0, 1, size[1] - BOTTOM, TOP)
    total = sum(each["pictures"] for each in bins)
    ends = [interval(each["accuracy"], each["pictures"]) for each in bins]
    dots = [
        Dot(
            x(each["confidence"]),
            y(each["accuracy"]),
            f"{each['pictures']:,} pictures: {say_percent(each['confidence'])} sure, "
            f"{say_percent(each['accuracy'])} right",
            round(2.5 + 8 * math.sqrt(each["pictures"] / total), 1),
            y(low),
            y(high),
        )
        for each, (low, high) in zip(bins, ends, strict=True)
    ]
    ticks = [0, 0.25, 0.5, 0.75, 1]
    return Chart(
        title=title,
        width=size[0],
        height=size[1],
        x_label="across: how sure · up: how often right",
        x_ticks=[Tick(x(each), say_percent(each)) for each in ticks],
        y_ticks=[Tick(y(each), say_percent(each)) for each in ticks],
        paths=[
            Path("as it should be", "then", join([(x(0), y(0)), (x(1), y(1))])),
            Path("", "now dots", "", dots),
        ],
    )
