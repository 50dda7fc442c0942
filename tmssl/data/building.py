"""Parts of a pack, decoded by all cores; each is complete or absent, so a build can go on."""

import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path

import blosc2
import numpy as np

from tmssl.data.archive import Place, open_image
from tmssl.data.frame import COMPRESSION, Images
from tmssl.data.picture import UnreadableError, picture_square
from tmssl.errors import PackError
from tmssl.text import safe

PER_PART = 256

_ALONE = 2 * PER_PART  # fewer images than this are quicker without other processes
_SAMPLED = 32  # images whose packed size stands for all
_RESERVE = 1.25  # of disk, since a sample may be smaller than the rest

Progress = Callable[[int, int], None]


def part_name(number: int) -> str:
    """File name of a part."""
    return f"part-{number:06d}.b2"


@contextmanager
def only_builder(building: Path) -> Iterator[None]:
    """Hold the right to build in a folder; whoever holds it loses it by ending, however it ends.

    Raises:
        PackError: another process builds there, or nothing can be written there.
    """
    lock = building.with_name(f"{building.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
    except BlockingIOError:
        raise PackError(
            f"another process is building {safe(building.with_suffix(''))}; "
            "wait until it has finished, then start again"
        ) from None


def check_disk(places: Sequence[Place], building: Path, size: int) -> None:
    """Refuse a build that the disk has no room for, going by a sample of the images.

    The finished parts and the frame made of them are there at once.

    Raises:
        PackError: too little is free.
    """
    there = sum(part.stat().st_size for part in building.glob("part-*"))
    need = int(2 * _RESERVE * _packed_bytes(places, size)) - there
    free = shutil.disk_usage(building).free
    if need > free:
        raise PackError(
            f"packing {len(places):,} images at {size} px takes about {need / 2**30:.1f} GiB and "
            f"{free / 2**30:.1f} GiB are free in {safe(building.parent)}; "
            "set TMSSL_CACHE to a larger disk"
        )


def _packed_bytes(places: Sequence[Place], size: int) -> float:
    """Bytes that the images will take, judged by some that are spread over all of them."""
    chosen = places[:: -(-len(places) // _SAMPLED)]
    lengths = []
    for place in chosen:
        try:
            lengths.append(
                len(blosc2.compress2(picture_square(open_image(place), size), **COMPRESSION))
            )
        except UnreadableError:
            lengths.append(0)
    return sum(lengths) / max(1, len(chosen)) * len(places)


def build_parts(
    places: Sequence[Place], building: Path, size: int, *, workers: int,
    progress: Progress | None, stop: Callable[[], bool] | None,
) -> dict[int, str]:  # fmt: skip
    """Write every part that is missing; returns the reason for each image that cannot be read.

    At most two parts for each worker are on their way, so memory stays flat.

    Raises:
        PackError: a worker was killed.
        KeyboardInterrupt: `stop` said yes; finished parts stay.
    """
    parts = range(-(-len(places) // PER_PART))
    missing = [number for number in parts if not (building / part_name(number)).is_file()]
    jobs = [
        (places[n * PER_PART : (n + 1) * PER_PART], str(building / part_name(n)), size)
        for n in missing
    ]
    done = len(places) - sum(len(job[0]) for job in jobs)
    if progress:
        progress(done, len(places))
    if workers == 1 or len(jobs) * PER_PART <= _ALONE:
        for job in jobs:
            _check(stop)
            done += write_part(*job)
            if progress:
                progress(done, len(places))
    else:
        _build_together(jobs, min(workers, len(jobs)), done, len(places), progress, stop)
    return _quarantine(building, parts)


def _check(stop: Callable[[], bool] | None) -> None:
    """End the build where it is asked to."""
    if stop is not None and stop():
        raise KeyboardInterrupt


def _build_together(
    jobs: list[tuple[Sequence[Place], str, int]], workers: int, done: int, total: int,
    progress: Progress | None, stop: Callable[[], bool] | None,
) -> None:  # fmt: skip
    """Spread the jobs over processes that know nothing of torch."""
    context = multiprocessing.get_context("forkserver")
    waiting, running = list(reversed(jobs)), set[Future[int]]()
    _start_deaf_forkserver()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker) as pool:
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


def _start_deaf_forkserver() -> None:
    """Start the server of our workers with SIGINT ignored, which they inherit while they import.

    Ctrl-C reaches the whole foreground group, and only the parent is to act on it. Signals can only
    be set in the main thread; elsewhere the workers' initializer does the same a little later.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it even if it is killed outright."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    blosc2.set_nthreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait until the parent is gone, then end this worker, which would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def write_part(places: Sequence[Place], target: str, size: int) -> int:
    """Decode some images into one part; returns how many were looked at.

    The reasons for those that cannot be read are written before the part itself appears.
    """
    images, reasons = [], {}
    for i, place in enumerate(places):
        try:
            images.append(picture_square(open_image(place), size))
        except UnreadableError as error:
            reasons[i] = str(error)
    stacked = np.stack(images) if images else np.empty((0, size, size, 3), np.uint8)
    write_whole(Path(f"{target}.json"), json.dumps(reasons).encode())
    write_whole(Path(target), blosc2.pack_array2(stacked, cparams=COMPRESSION))
    return len(places)


def read_parts(building: Path, count: int) -> Iterator[Images]:
    """The images of the parts of `count` places, in order; unreadable ones are not among them."""
    for number in range(-(-count // PER_PART)):
        yield blosc2.unpack_array2((building / part_name(number)).read_bytes())


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there complete or not at all, even after a power cut."""
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _quarantine(building: Path, parts: range) -> dict[int, str]:
    """Row to reason, over all parts."""
    found: dict[int, str] = {}
    for number in parts:
        reasons = json.loads((building / f"{part_name(number)}.json").read_text("utf-8"))
        found.update((number * PER_PART + int(i), reason) for i, reason in reasons.items())
    return found
