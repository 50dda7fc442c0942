"""Worker processes: they never import torch, ignore Ctrl-C and end with their parent."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from typing import Any, TypeVar

import blosc2

from tmssl.errors import PackError

Result = TypeVar("Result")
Stop = Callable[[], bool] | None
"""Asked between jobs whether to stop."""

_TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGHUP)  # sent to the whole foreground group
_QUEUED = 2  # jobs in flight for each worker, so that none idles and memory stays flat


@contextmanager
def terminal_signals_ignored() -> Iterator[None]:
    """Processes that are started inside ignore Ctrl-C and a hang-up, even while they import.

    Only the parent acts on them. Signals can be set in the main thread alone; in another thread,
    `init_worker` does the same a little later.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _TERMINAL_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def init_worker() -> None:
    """Leave the terminal's signals to the parent, and end with it even if it is killed outright."""
    for number in _TERMINAL_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """End this worker once its parent is gone, as it would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _init_decoder() -> None:
    """`init_worker`, and one thread of blosc2."""
    init_worker()
    blosc2.set_nthreads(1)


def map_unordered(
    work: Callable[..., Result], jobs: Iterable[tuple[Any, ...]], workers: int, stop: Stop = None
) -> Generator[Result, None, None]:
    """The results of `work(*job)` for every job, in the order in which they finish.

    A job is taken from `jobs` only when a worker is about to need it. With one worker, the work is
    done in this process. Close the generator (`contextlib.closing`) to end the workers early.

    Raises:
        PackError: a worker was killed.
        KeyboardInterrupt: `stop` returned True.
    """
    if workers > 1:
        yield from _map_in_processes(work, iter(jobs), workers, stop)
        return
    for job in jobs:
        _raise_if_stopped(stop)
        yield work(*job)


def _raise_if_stopped(stop: Stop) -> None:
    if stop is not None and stop():
        raise KeyboardInterrupt


def _map_in_processes(
    work: Callable[..., Result], jobs: Iterator[tuple[Any, ...]], workers: int, stop: Stop
) -> Generator[Result, None, None]:
    """`map_unordered` over several processes."""
    context = multiprocessing.get_context("forkserver")
    running: set[Future[Result]] = set()
    with terminal_signals_ignored():  # workers inherit this from the fork server
        forkserver.ensure_running()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_init_decoder) as pool:
        try:
            while True:
                _raise_if_stopped(stop)
                while len(running) < _QUEUED * workers and (job := next(jobs, None)) is not None:
                    running.add(pool.submit(work, *job))
                if not running:
                    return
                finished, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        except BrokenProcessPool as error:
            raise PackError(
                "a process that decodes images was killed, most likely for memory; continue with "
                "fewer --workers, finished parts are kept; a script that builds a pack must do so "
                "under `if __name__ == '__main__':`"
            ) from error
        except BaseException:
            # Wait for running jobs, or they would write among the files of the next build.
            pool.shutdown(cancel_futures=True)
            raise
