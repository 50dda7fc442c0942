"""Curves become dots: a column of dots shows all that its points span, so no spike is ever lost.

This is M4 (Jugel et al. 2014) carried to the dots themselves: of a column the first, the last, the lowest and
the highest point decide what is drawn, however many there are.
"""

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]
    Bytes = npt.NDArray[np.uint8]

_MOST = 1e150  # beyond it, differences leave the range of a float


def ordered(x: object, y: object) -> "tuple[Floats, Floats]":
    """Points in order of x; a y that is not finite becomes NaN, a gap; an x that is not finite is left out."""
    import numpy as np

    across = np.asarray(x, dtype=np.float64)
    up = np.asarray(y, dtype=np.float64)
    finite = np.isfinite(across)
    if not finite.all():
        across, up = across[finite], up[finite]
    if across.size > 1 and (across[1:] < across[:-1]).any():
        order = np.argsort(across, kind="stable")
        across, up = across[order], up[order]
    up = np.where(np.isfinite(up), up, np.nan)
    return np.clip(across, -_MOST, _MOST), np.clip(up, -_MOST, _MOST)


def spans(x: "Floats", y: "Floats", edges: "Floats") -> "tuple[Floats, Floats]":
    """Lowest and highest y that a line through points takes between each two edges; NaN where it is not.

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


def _at_edges(
    x: "Floats", y: "Floats", edges: "Floats", after: "npt.NDArray[np.int64]"
) -> "Floats":
    """Where the line crosses the edges; NaN before its begin, after its end and in its gaps."""
    import numpy as np

    inside = (after > 0) & (after < len(x))
    right = np.clip(after, 1, len(x) - 1)
    left = right - 1
    width = x[right] - x[left]
    share = np.divide(edges - x[left], width, out=np.zeros_like(edges), where=width > 0)
    crossing = y[left] + (y[right] - y[left]) * np.clip(share, 0.0, 1.0)
    return np.where(inside, crossing, np.nan)


def dots(
    x: "Floats",
    y: "Floats",
    across: tuple[float, float],
    up: tuple[float, float],
    columns: int,
    rows: int,
) -> "Bools":
    """The dots of a line, bool (rows, columns), the highest first; what is beyond `up` lies on its border.

    Args:
        x: float64 (n,), ascending.
        y: float64 (n,), NaN for a gap.
        across: x at the left and the right border.
        up: y at the lower and the upper border.
        columns: dots across.
        rows: dots up.
    """
    import numpy as np

    low, high = spans(x, y, np.linspace(*across, columns + 1))
    seen = np.isfinite(low)
    scale = (rows - 1) / (up[1] - up[0])
    place = np.arange(rows)[:, None]

    def row(value: "Floats") -> "Floats":
        return np.clip(np.rint((up[1] - np.where(seen, value, up[0])) * scale), 0, rows - 1)

    return (place >= row(high)) & (place <= row(low)) & seen


def braille(grid: "Bools") -> "Bytes":
    """Dots as the eight bits of braille characters, uint8 (rows / 4, columns / 2)."""
    import numpy as np

    bits = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint8)
    rows, columns = grid.shape
    cells = grid.reshape(rows // 4, 4, columns // 2, 2)
    return (cells * bits[None, :, None, :]).sum(axis=(1, 3), dtype=np.uint8)


def thinned(x: "Floats", y: "Floats", buckets: int) -> "tuple[Floats, Floats]":
    """First, lowest, highest and last point of each bucket along x, for a renderer of its own.

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
    kept: list[int] = []
    for begin, end in itertools.pairwise(at.tolist()):
        if end > begin:
            inside = y[begin:end]
            known = np.isfinite(inside).any()
            extremes = [np.nanargmin(inside), np.nanargmax(inside)] if known else []
            kept += sorted({int(begin), *(int(begin + i) for i in extremes), int(end) - 1})
    return x[kept], y[kept]
