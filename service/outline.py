"""The outline of a mark: its convex hull, and how nearly that has four corners."""

import numpy as np

MOST = 64  # corners of a hull that are tried as those of a sheet


def hull(mark: np.ndarray) -> np.ndarray:
    """The corners of the smallest convex outline of a mark: x and y, in order; float64 (n, 2).

    Args:
        mark: bool (height, width), with at least one pixel.
    """
    rows = np.flatnonzero(mark.any(axis=1))
    left = mark[rows].argmax(axis=1)
    right = mark.shape[1] - 1 - mark[rows, ::-1].argmax(axis=1)
    down = _turning(list(zip(right.tolist(), rows.tolist(), strict=True)))
    up = _turning(list(zip(left.tolist(), rows.tolist(), strict=True))[::-1])
    return np.array(down + up, np.float64)


def _turning(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those of the points that lie on a line which only ever turns one way."""
    line: list[tuple[int, int]] = []
    for x, y in points:
        while len(line) > 1 and (line[-1][0] - line[-2][0]) * (y - line[-2][1]) <= (line[-1][1] - line[-2][1]) * (
            x - line[-2][0]
        ):
            line.pop()
        line.append((x, y))
    return line


def four_corners(outline: np.ndarray) -> tuple[np.ndarray, float]:
    """The four corners of a hull that enclose most of it: x and y (4, 2), and which share that is.

    The share is 1 for a sheet or a box, however askew and from wherever a camera sees it, and 0.64 for an ellipse.
    """
    corners = outline[np.linspace(0, len(outline), min(len(outline), MOST), endpoint=False).astype(int)]
    # From each to each, the corner that is farthest off on either side: twice the areas of two triangles.
    apart = corners[np.newaxis] - corners[:, np.newaxis]
    crossed = apart[:, :, np.newaxis, 0] * apart[:, np.newaxis, :, 1]
    crossed -= apart[:, :, np.newaxis, 1] * apart[:, np.newaxis, :, 0]
    areas = crossed.max(axis=2) - crossed.min(axis=2)
    first, third = np.unravel_index(int(areas.argmax()), areas.shape)
    second, fourth = int(crossed[first, third].argmax()), int(crossed[first, third].argmin())
    after = np.roll(outline, -1, axis=0)
    whole = abs(float((outline[:, 0] * after[:, 1] - outline[:, 1] * after[:, 0]).sum()))
    return corners[[first, second, third, fourth]], float(areas.max()) / max(whole, 1.0)
