"""Threads that each compute alone, so that results do not depend on how many there are."""

from concurrent.futures import ThreadPoolExecutor

import torch


def lone_threads(count: int, name: str) -> ThreadPoolExecutor:
    """A pool whose threads run torch's operations without help from other cores.

    An operation that several cores share may sum in another order, which gives other bits. A pool keeps
    the cores busier, too, than all of them in turn on each of many small operations.

    Args:
        count: threads.
        name: that their names begin with.
    """
    return ThreadPoolExecutor(count, thread_name_prefix=name, initializer=_compute_alone)


def _compute_alone() -> None:
    """Let this thread's operations run in it alone; both are settings of each thread."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
