from typing import Any

from benchmarks import tables


def run(contestant: str, rate: float, **more: Any) -> dict[str, Any]:
    return {"kind": "run", "contestant": contestant, "work": "png", "callers": 32, "rate": rate, **more}


def test_ratios_are_of_the_same_round_and_the_limits_are_nobodys_peer() -> None:
    rows = [
        *(run("convolve", rate, p99_ms=4.0) for rate in (900, 1000, 5000)),
        *(run("plain", rate, p99_ms=8.0) for rate in (600, 500, 2000)),
        *(run("FastAPI, empty route", 9000, p99_ms=1.0) for _ in range(3)),
        *(run(name, rate, p99_ms=16.0) for name in ("triton", "kserve") for rate in (300, 200, 500)),
    ]
    assert (
        "| one picture, a PNG file, 32 callers: requests/s | 1,000 | 300 | triton | 600 | 5.00 × | 2.00 × |\n"
        "| 32 callers, PNG: p99, ms | 4.0 | 16.0 | triton | 8.0 | 0.25 × | 0.50 × |"
    ) in tables.comparison(tables.lines(rows))


def test_what_was_measured_in_turns_goes_before_the_rest() -> None:
    peers = [run("convolve", 1000, p99_ms=4.0, cpu_us=100.0), run("triton", 500, p99_ms=8.0, cpu_us=400.0)]
    best = [run("convolve", 1200, p99_ms=5.0), run("triton", 400, p99_ms=10.0)]
    table = tables.comparison(tables.steadiest(peers, best))
    assert "| 1,200 | 400 | triton | – | 3.00 × | – |" in table
    assert "| processor time per PNG request at 32 callers, µs | 100 | 400 | triton | – | 0.25 × | – |" in table


def test_who_answered_wrongly_has_no_figure() -> None:
    rows = [run("convolve", 1000), run("triton", 9000), {**run("triton", 0), "failure": "classes [1] instead of [7]"}]
    assert tables.medians(rows, "rate", kind="run") == {"convolve": 1000}
    told = tables.noise([*rows, {"kind": "spread", "round": 0, "failure": "3 refused"}])
    assert "runs without figures: triton (png: classes [1] instead of [7]), convolve (spread: 3 refused)." in told


def test_v2_is_compared_with_the_words_that_suit_the_others() -> None:
    rows = [run("convolve", 900, work="v2-png"), run("convolve", 1000), run("triton", 300)]
    (line,) = [line for line in tables.lines([{**row, "p99_ms": 1, "cpu_us": 1} for row in rows]) if "v2" in line.title]
    assert line.values == {"convolve": [900], "triton": [300]}


def test_large_requests_are_held_against_the_bare_engine_of_the_same_round() -> None:
    def ceiling(way: list[int], *rates: float) -> list[dict[str, Any]]:
        same = {"kind": "ceiling", "work": "bulk-bytes", "networks": "both networks", "way": way}
        return [{**same, "rate": rate} for rate in rates]

    rows = [
        *(run("convolve", rate, work="bulk-bytes", callers=4) for rate in (18, 9, 27)),
        *ceiling([1, 0, 1024], 90_000, 1_000, 1_000),  # once the quickest, but not as a rule
        *ceiling([0, 1, 16], 1024 * 20, 1024 * 12, 1024 * 30),
    ]
    (sentence, _) = tables.sentences(rows).splitlines()
    assert "UINT8: 0.90 of the bare engine without HTTP on all cores, both networks," in sentence
    assert "computes 20,480 pictures/s" in sentence


def test_all_cores_are_held_against_one_in_the_same_round() -> None:
    rows = [run("convolve", rate) for rate in (900, 500, 1900)]
    rows += [run(tables.ONE_CORE, rate) for rate in (500, 250, 1000)]
    (sentence, _) = tables.sentences(rows).splitlines()
    assert "32 callers: requests/s: on all cores 1.90 × as many as on one, load generator and all." in sentence


def test_a_curve_has_the_middle_of_the_rounds_without_those_that_failed() -> None:
    def measured(rate: float, p50: float) -> dict[str, Any]:
        point = {"kind": "growth", "panel": "pictures in one request", "x": 64, "pictures": 64}
        return {**point, "rate": rate, "p50_ms": p50, "p99_ms": 9.0}

    failed = {"kind": "growth", "panel": "pictures in one request", "x": 64, "pictures": 64, "failure": "status 503"}
    rows = [{"kind": "machine"}, measured(10, 3.0), failed, measured(30, 1.0), measured(20, 2.0)]
    assert tables.points(rows) == {"pictures in one request": [tables.Point(64, 1280, 2.0, 9.0)]}
    assert "| pictures in one request | 64 | 1,280 | 2.0 | 9.0 |" in tables.growth(rows)
