"""Parts of a pack, decoded by all cores; each is complete or absent, so a build can go on."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import blosc2
import numpy as np

from tmssl.data.picture import UnreadableError, picture_square
from tmssl.errors import PackError

PER_PART = 256
_ALONE = 2 * PER_PART  # fewer images than this are quicker without other processes

Progress = Callable[[int, int], None]


def part_name(number: int) -> str:
    """File name of a part."""
    return f"part-{number:06d}.b2"


def build_parts(
    paths: list[str], building: Path, size: int, *, workers: int,
    progress: Progress | None, stop: Callable[[], bool] | None,
) -> dict[int, str]:  # fmt: skip
    """Write every part that is missing; returns the reason for each image that cannot be read.

    At most two parts for each worker are on their way, so memory stays flat.

    Raises:
        PackError: a worker was killed.
        KeyboardInterrupt: `stop` said yes; finished parts stay.
    """
    parts = range(-(-len(paths) // PER_PART))
    missing = [number for number in parts if not (building / part_name(number)).is_file()]
    done = len(paths) - sum(len(paths[n * PER_PART : (n + 1) * PER_PART]) for n in missing)
    jobs = [
        (paths[n * PER_PART : (n + 1) * PER_PART], str(building / part_name(n)), size)
        for n in missing
    ]
    if workers == 1 or len(jobs) * PER_PART <= _ALONE:
        for job in jobs:
            _check(stop)
            done += write_part(*job)
            if progress:
                progress(done, len(paths))
    else:
        _build_together(jobs, workers, done, len(paths), progress, stop)
    return _quarantine(building, parts)


def _check(stop: Callable[[], bool] | None) -> None:
    """End the build where it is asked to."""
    if stop is not None and stop():
        raise KeyboardInterrupt


def _build_together(
    jobs: list[tuple[list[str], str, int]], workers: int, done: int, total: int,
    progress: Progress | None, stop: Callable[[], bool] | None,
) -> None:  # fmt: skip
    """Spread the jobs over processes that know nothing of torch."""
    context = multiprocessing.get_context("forkserver")
    waiting, running = list(reversed(jobs)), set[Future[int]]()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_quiet_worker) as pool:
        try:
            while waiting or running:
                _check(stop)
                while waiting and len(running) < 2 * workers:
                    running.add(pool.submit(write_part, *waiting.pop()))
                finished, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                done += sum(future.result() for future in finished)
                if progress and finished:
                    progress(done, total)
        except BrokenProcessPool as error:
            raise PackError(
                "a process that decodes images was killed, most likely for memory; "
                "go on with fewer --workers, finished parts are kept"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _quiet_worker() -> None:
    """Ctrl-C is for the parent, which then ends its workers in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    blosc2.set_nthreads(1)


def write_part(paths: list[str], target: str, size: int) -> int:
    """Decode some images into one part; returns how many were looked at.

    The reasons for those that cannot be read are written before the part itself appears.
    """
    images, reasons = [], {}
    for i, path in enumerate(paths):
        try:
            images.append(picture_square(Path(path), size))
        except UnreadableError as error:
            reasons[i] = str(error)
    stacked = np.stack(images) if images else np.empty((0, size, size, 3), np.uint8)
    fresh = Path(f"{target}.new")
    Path(f"{target}.json").write_text(json.dumps(reasons), "utf-8")
    fresh.write_bytes(
        blosc2.pack_array2(
            stacked, cparams={"codec": blosc2.Codec.LZ4, "filters": [blosc2.Filter.NOFILTER]}
        )
    )
    os.replace(fresh, target)  # noqa: PTH105 - both are plain strings here
    return len(paths)


def _quarantine(building: Path, parts: range) -> dict[int, str]:
    """Row to reason, over all parts."""
    found: dict[int, str] = {}
    for number in parts:
        reasons = json.loads((building / f"{part_name(number)}.json").read_text("utf-8"))
        found.update((number * PER_PART + int(i), reason) for i, reason in reasons.items())
    return found
