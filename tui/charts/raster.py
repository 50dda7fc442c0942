"""Rasterizes curves: each column of dots covers the range of all its points, so no spike is lost.

This is M4 (Jugel et al. 2014) applied to dots: the first, last, lowest and highest point of a column decide what
is drawn.
"""

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tmssl.types import Floats, Indices, Mask

_MOST = 1e150  # differences of larger values overflow


def ordered(x: object, y: object) -> "tuple[Floats, Floats]":
    """Points sorted by x; a non-finite y becomes NaN (a gap), a point with a non-finite x is dropped."""
    import numpy as np

    xs = np.asarray(x, dtype=np.float64)
    ys = np.asarray(y, dtype=np.float64)
    finite = np.isfinite(xs)
    if not finite.all():
        xs, ys = xs[finite], ys[finite]
    if xs.size > 1 and (xs[1:] < xs[:-1]).any():
        order = np.argsort(xs, kind="stable")
        xs, ys = xs[order], ys[order]
    ys = np.where(np.isfinite(ys), ys, np.nan)
    return np.clip(xs, -_MOST, _MOST), np.clip(ys, -_MOST, _MOST)


def spans(x: "Floats", y: "Floats", edges: "Floats") -> "tuple[Floats, Floats]":
    """Lowest and highest y of the line through the points between neighbouring edges; NaN where there is no line.

    Args:
        x: float64 (n,), ascending.
        y: float64 (n,); the line has a gap at NaN.
        edges: float64 (columns + 1,), ascending.
    """
    import numpy as np

    at = np.searchsorted(x, edges)
    at[-1] = np.searchsorted(x, edges[-1], "right")
    low = np.full(len(edges) - 1, np.nan)
    high = low.copy()
    filled = at[1:] > at[:-1]
    if filled.any():
        begins, inside = at[:-1][filled], y[: at[-1]]
        low[filled] = np.fmin.reduceat(inside, begins)
        high[filled] = np.fmax.reduceat(inside, begins)
    if len(x) > 1:
        crossing = _at_edges(x, y, edges, at)
        low = np.fmin(low, np.fmin(crossing[:-1], crossing[1:]))
        high = np.fmax(high, np.fmax(crossing[:-1], crossing[1:]))
    return low, high


def _at_edges(x: "Floats", y: "Floats", edges: "Floats", after: "Indices") -> "Floats":
    """The y at which the line crosses each edge; NaN before its start, after its end and in its gaps."""
    import numpy as np

    inside = (after > 0) & (after < len(x))
    right = np.clip(after, 1, len(x) - 1)
    left = right - 1
    width = x[right] - x[left]
    # Clipped before the division, which overflows where the points are next to each other.
    along = np.clip(edges - x[left], 0.0, width)
    share = np.divide(along, width, out=np.zeros_like(edges), where=width > 0)
    crossing = y[left] + (y[right] - y[left]) * share
    return np.where(inside, crossing, np.nan)


def dots(
    x: "Floats",
    y: "Floats",
    x_limits: tuple[float, float],
    y_limits: tuple[float, float],
    columns: int,
    rows: int,
) -> "Mask":
    """The dots of a line, bool (rows, columns), top row first; a y outside the limits lies on the border.

    Args:
        x: float64 (n,), ascending.
        y: float64 (n,), NaN for a gap.
        x_limits: x at the left and the right border.
        y_limits: y at the lower and the upper border.
        columns: dots in a row.
        rows: rows of dots.
    """
    import numpy as np

    low, high = spans(x, y, np.linspace(*x_limits, columns + 1))
    drawn = np.isfinite(low)
    bottom, top = y_limits
    scale = (rows - 1) / (top - bottom)
    row = np.arange(rows)[:, None]

    def row_of(y: "Floats") -> "Floats":
        return np.clip(np.rint((top - np.where(drawn, y, bottom)) * scale), 0, rows - 1)

    return (row >= row_of(high)) & (row <= row_of(low)) & drawn


def braille(grid: "Mask") -> "npt.NDArray[np.uint8]":
    """Dots as the bit patterns of braille characters, uint8 (rows / 4, columns / 2)."""
    import numpy as np

    bits = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint8)
    rows, columns = grid.shape
    cells = grid.reshape(rows // 4, 4, columns // 2, 2)
    return (cells * bits[None, :, None, :]).sum(axis=(1, 3), dtype=np.uint8)


def thinned(x: "Floats", y: "Floats", buckets: int) -> "tuple[Floats, Floats]":
    """First, lowest, highest and last point of each bucket along x, for another renderer.

    Args:
        x: float64 (n,), ascending.
        y: float64 (n,), NaN for a gap.
        buckets: at least 1.
    """
    import numpy as np

    if len(x) <= 4 * buckets or x[-1] <= x[0]:
        return x, y
    at = np.searchsorted(x, np.linspace(x[0], x[-1], buckets + 1))
    at[-1] = len(x)
    indices: list[int] = []
    for begin, end in itertools.pairwise(at.tolist()):
        if end > begin:
            inside = y[begin:end]
            finite = np.isfinite(inside).any()
            extremes = [np.nanargmin(inside), np.nanargmax(inside)] if finite else []
            indices += sorted({int(begin), *(int(begin + i) for i in extremes), int(end) - 1})
    return x[indices], y[indices]
