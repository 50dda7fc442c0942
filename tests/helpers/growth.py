"""How the work of a parser grows with its input, in CPU time of this thread."""

import time
from collections.abc import Callable
from typing import Any


def growth(work: Callable[[Any], object], make: Callable[[int], Any], size: int) -> float:
    """CPU time for four times the input, in shares of that for the input: 4 is linear, 16 is quadratic."""
    return _cpu_s(work, make(4 * size)) / max(_cpu_s(work, make(size)), 1e-4)


def _cpu_s(work: Callable[[Any], object], given: Any) -> float:
    """The least of three runs, as other processes share the machine."""
    taken = []
    for _ in range(3):
        begin = time.thread_time()
        work(given)
        taken.append(time.thread_time() - begin)
    return min(taken)
