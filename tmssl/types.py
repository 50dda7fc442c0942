"""Types that several rooms share: array aliases and the call that reports progress."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Progress = Callable[[int, int], None]
"""Called with (done, all) of whatever is counted."""
Indices = npt.NDArray[np.int64]
"""Rows of a pack, of a gallery, or places in another array."""
Vectors = npt.NDArray[np.float32]
"""One vector a row, (n, d)."""
Floats = npt.NDArray[np.float64]
"""Figures or random draws."""
Pixels = npt.NDArray[np.uint8]
"""RGB images, (..., h, w, 3)."""
Hashes = npt.NDArray[np.uint64]
"""64-bit hashes."""
Mask = npt.NDArray[np.bool_]
"""Which of a gallery's rows count, (n,)."""
