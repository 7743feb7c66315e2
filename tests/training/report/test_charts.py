import pytest

from training.report.charts import Line, Scale, draw_lines, draw_reliability, find_powers, find_ticks, round_down


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (1, 30, [10, 20, 30]),
        (-60, 60, [-50, 0, 50]),
        (0, 8, [0, 2, 4, 6, 8]),
        (3, 3, [3]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, ticks: list[float]) -> None:
    assert find_ticks(low, high) == ticks


def test_ticks_by_factors() -> None:
    assert find_powers(0.01, 1) == [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]
    assert find_powers(0.0001, 1) == [0.0001, 0.001, 0.01, 0.1, 1]
    assert [round_down(value) for value in (0.017, 0.01, 0.09, 7)] == [0.01, 0.01, 0.05, 5]


def test_scale_stays_within_its_ends() -> None:
    scale = Scale(0, 10, 100, 0)
    assert [scale(value) for value in (-5, 0, 5, 10, 15)] == [100, 100, 50, 0, 0]
    assert Scale(0.01, 1, 0, 100, log=True)(0.1) == 50
    assert Scale(3, 3, 0, 100)(3) == 50


def test_lines_are_joined_point_by_point_and_up_is_more() -> None:
    chart = draw_lines(
        "words",
        [Line("one", "now", [(0, 0.0), (10, 1.0)])],
        x_label="x",
        percent=True,
        mark=(5, "half"),
        size=(166, 148),
    )
    path = chart.paths[0]
    assert path.d == "M46 110L146 10"
    assert [dot.words for dot in path.dots] == ["one: 0 → 0\u202f%", "one: 10 → 100\u202f%"]
    assert chart.mark is not None
    assert (chart.mark.place, chart.mark.label) == (96, "half")


def test_one_point_is_a_drawing_too() -> None:
    chart = draw_lines("words", [Line("one", "now", [(1, 0.5)])], x_label="epoch", log=True)
    assert [dot.words for dot in chart.paths[0].dots] == ["one: 1 → 0.5"]


def test_reliability_has_the_diagonal_and_a_dot_for_each_bin() -> None:
    bins = [
        {"from": 0.4, "to": 0.5, "pictures": 4, "confidence": 0.45, "accuracy": 0.5},
        {"from": 0.9, "to": 1.0, "pictures": 96, "confidence": 0.99, "accuracy": 1.0},
    ]
    diagonal, dots = draw_reliability("words", bins).paths
    assert diagonal.dots == []
    few, many = dots.dots
    assert few.radius < many.radius
    assert few.low is not None
    assert few.high is not None
    assert few.high < few.y < few.low  # up is more
    assert many.words == "96 pictures: 99\u202f% sure, 100\u202f% right"
