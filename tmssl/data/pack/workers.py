"""Work spread over processes that know nothing of torch, end with their parent and leave it Ctrl-C."""

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

_OF_A_TERMINAL = (signal.SIGINT, signal.SIGHUP)  # reach the whole foreground group


@contextmanager
def deaf_children() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C and a hang-up even while they import.

    Only the parent is to act on them. Signals can only be set in the main thread; elsewhere
    `begin_worker` does the same a little later.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _OF_A_TERMINAL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def begin_worker() -> None:
    """Leave the terminal's signals to the parent, and end with it even if it is killed outright."""
    for number in _OF_A_TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait until the parent is gone, then end this worker, which would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


Result = TypeVar("Result")
Stop = Callable[[], bool] | None

_AHEAD = 2  # jobs on their way for each worker, so that none waits and memory stays flat


def check(stop: Stop) -> None:
    """End the work where it is asked to.

    Raises:
        KeyboardInterrupt: `stop` said yes.
    """
    if stop is not None and stop():
        raise KeyboardInterrupt


def spread(
    work: Callable[..., Result], jobs: Iterable[tuple[Any, ...]], workers: int, stop: Stop = None
) -> Generator[Result, None, None]:
    """The results of `work(*job)` for every job, each as it is finished.

    Jobs are taken from their iterable only when they are about to be done. With one worker it is
    this process. Close it (`contextlib.closing`) to end the workers where its reader fails.

    Raises:
        PackError: a worker was killed.
        KeyboardInterrupt: `stop` said yes.
    """
    if workers > 1:
        yield from _together(work, iter(jobs), workers, stop)
        return
    for job in jobs:
        check(stop)
        yield work(*job)


def _together(
    work: Callable[..., Result], jobs: Iterator[tuple[Any, ...]], workers: int, stop: Stop
) -> Generator[Result, None, None]:
    """`spread` over several processes."""
    context = multiprocessing.get_context("forkserver")
    running: set[Future[Result]] = set()
    with deaf_children():  # the server of the workers, from which they inherit it
        forkserver.ensure_running()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker) as pool:
        try:
            while True:
                check(stop)
                while len(running) < _AHEAD * workers and (job := next(jobs, None)) is not None:
                    running.add(pool.submit(work, *job))
                if not running:
                    return
                finished, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        except BrokenProcessPool as error:
            raise PackError(
                "a process that decodes images was killed, most likely for memory; "
                "go on with fewer --workers, finished parts are kept; in a script of your own "
                "let only `if __name__ == '__main__':` build a pack"
            ) from error
        except BaseException:
            # Waits for what is being done, lest it meet the files of whoever begins anew.
            pool.shutdown(cancel_futures=True)
            raise


def _begin_worker() -> None:
    """As every worker begins, and with one thread of blosc2."""
    begin_worker()
    blosc2.set_nthreads(1)
