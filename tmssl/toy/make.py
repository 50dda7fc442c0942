"""A folder of toy trademarks with true Vienna codes, drawn from OpenMoji: data to try things on.

A group is the same figure or pair of figures in 3 to 6 stylings. Mark i is the same whatever the
number of marks and of workers; only the choice of validation queries depends on the whole.
"""

import csv
import glob
import json
import multiprocessing
import random
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from tmssl.data.pack.workers import init_worker, terminal_signals_ignored
from tmssl.doctor.machine import worker_count
from tmssl.errors import CatalogueError, ConfigError, TmsslError
from tmssl.text import safe
from tmssl.toy.compose import Plan, compose
from tmssl.toy.openmoji import Motif, load_motifs, require_extra
from tmssl.types import Progress

Row = tuple[int, tuple[str, ...], str]  # index, Vienna codes, title

COLUMNS = ("path", "id", "vienna", "group", "split", "title")
ATTRIBUTION = (
    "Drawings by OpenMoji (https://openmoji.org), CC BY-SA 4.0; "
    "these marks are adapted from them and under the same licence.\n"
    "OpenMoji is the open-source emoji and icon project. Its drawings were recoloured, simplified, "
    "framed and lettered.\n"
    "The licence: https://creativecommons.org/licenses/by-sa/4.0/\n"
)
_DESIGN = 2  # raise it when marks come out differently, so that old folders are drawn again
_CHUNK = 50  # marks a worker draws at a time
_IN_PROCESS = 120  # up to so many marks, starting workers costs more than it saves
_VALIDATION = 0.1  # share of the marks that become queries
_ABANDONED_S = 3600  # a build touches its folder many times a second
_OURS = {"images", "labels.csv", "ATTRIBUTION.txt", "toy.json"}


def make_toy(
    folder: Path,
    *,
    count: int = 3000,
    size: int = 128,
    seed: int = 0,
    workers: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Draw `count` toy trademarks, `size` x `size` pixels, into `folder`, and return it.

    Writes `images/*.png`, `labels.csv`, `ATTRIBUTION.txt` and `toy.json`. A folder that already
    holds these marks is used as it is, one that holds other toy marks is replaced, and any other
    is refused (CatalogueError). `workers` 0 uses every core; the marks are the same for any
    number. Nothing half-made is left when it is interrupted.
    """
    for name, value, least, most in (("count", count, 2, 10**6), ("size", size, 16, 2048)):
        if not least <= value <= most:
            raise ConfigError(f"{name} of the toy marks must be {least} to {most:,}, got {value}")
    parameters = {
        "design": _DESIGN,
        "openmoji": require_extra(),
        "count": count,
        "size": size,
        "seed": seed,
    }
    place = folder.resolve()  # a link to the folder stays a link
    if _already_there(place, parameters):
        return folder
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _draft_beside(place) as draft:
            _write(draft, parameters, workers or worker_count(), progress)
            _put_in_place(draft, place)
    except OSError as error:
        raise CatalogueError(
            f"the toy marks could not be written to {safe(folder)} ({error.strerror or error}): "
            "choose another folder or make room"
        ) from error
    return folder


@contextmanager
def _draft_beside(place: Path) -> Iterator[Path]:
    """A hidden folder beside `place`, removed at the end.

    Those that killed processes left behind, untouched for an hour, are removed first. (Age and not
    a lock: directories cannot be locked on NFS.)
    """
    for left in place.parent.glob(f".{glob.escape(place.name)}.*.part*"):
        touched = max(path.stat().st_mtime for path in (left, *left.glob("images")))
        if time.time() - touched > _ABANDONED_S:
            shutil.rmtree(left, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent))
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _already_there(folder: Path, parameters: dict[str, object]) -> bool:
    """Whether the folder holds exactly these marks; CatalogueError when it holds anything else."""
    if not folder.exists():
        return False
    if folder.is_dir() and not any(folder.iterdir()):
        return False
    recorded: object = None
    if folder.is_dir() and {path.name for path in folder.iterdir()} <= _OURS:
        try:
            recorded = json.loads((folder / "toy.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            recorded = None
    if not isinstance(recorded, dict) or "design" not in recorded:
        raise CatalogueError(
            f"{safe(folder)} exists and is not a folder of toy marks: "
            "choose another folder, or remove it first"
        )
    images = folder / "images"
    return (
        recorded == parameters
        and (folder / "labels.csv").is_file()
        and (folder / "ATTRIBUTION.txt").is_file()
        and images.is_dir()
        and sum(1 for _ in images.glob("*.png")) == parameters["count"]
    )


def _put_in_place(draft: Path, folder: Path) -> None:
    """Move the finished marks to where they belong, in place of older toy marks."""
    draft.chmod(0o755)
    if folder.exists():
        old = draft.with_suffix(".part-old")
        folder.rename(old)
        draft.rename(folder)
        shutil.rmtree(old)
    else:
        draft.rename(folder)


def _write(
    draft: Path, parameters: dict[str, object], workers: int, progress: Progress | None
) -> None:
    """Draw every mark into `draft` and write the labels beside them."""
    count, size, seed = (int(str(parameters[name])) for name in ("count", "size", "seed"))
    (draft / "images").mkdir()
    plans = plan_marks(load_motifs(), count, seed)
    rows: list[Row] = []
    for part in _draw_all(plans, seed, size, draft / "images", workers):
        rows += part
        if progress is not None:
            progress(len(rows), count)
    queries = choose_validation(plans, seed)
    with (draft / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for plan, (index, vienna, title) in zip(plans, sorted(rows), strict=True):
            split = "validation" if index in queries else "train"
            table.writerow(
                (
                    f"images/{_name(index)}",
                    f"toy-{index:06d}",
                    ";".join(vienna),
                    f"group-{plan.group:05d}",
                    split,
                    title,
                )
            )
    (draft / "ATTRIBUTION.txt").write_text(ATTRIBUTION, encoding="utf-8")
    (draft / "toy.json").write_text(json.dumps(parameters, indent=2) + "\n", encoding="utf-8")


def _name(index: int) -> str:
    """The file name of a mark."""
    return f"{index:06d}.png"


def plan_marks(figures: tuple[Motif, ...], count: int, seed: int) -> list[Plan]:
    """Groups of 3 to 6 marks until there are `count`; every fifth group or so is a pair of figures.

    Drawings of small themes come before their turn, so that animals and tools are not lost among
    faces and people; none is used alone twice.
    """
    order = _order_figures(figures, seed)
    companions = [figure for figure in order if figure.pairs]
    plans: list[Plan] = []
    alone = group = 0
    while len(plans) < count:
        rng = random.Random(f"tmssl toy group {seed} {group}")
        if alone < len(order) and rng.random() < 0.8:
            chosen: tuple[Motif, ...] = (order[alone],)
            alone += 1
        else:
            chosen = tuple(rng.sample(companions, 2))
        for place in range(rng.choice((3, 4, 4, 5, 5, 6))):
            if len(plans) < count:
                plans.append(Plan(len(plans), group, place, chosen))
        group += 1
    return plans


def _order_figures(figures: tuple[Motif, ...], seed: int) -> list[Motif]:
    """The drawings in a random order, each weighted by 1 / sqrt(size of its theme).

    Weighted sampling without replacement: Efraimidis and Spirakis (2006), keys u^(1/w).
    """
    sizes: dict[str, int] = defaultdict(int)
    for figure in figures:
        sizes[figure.theme] += 1
    rng = random.Random(f"tmssl toy order {seed}")
    keys = {figure.path: rng.random() ** (sizes[figure.theme] ** 0.5) for figure in figures}
    return sorted(figures, key=lambda figure: (-keys[figure.path], figure.path.name))


def choose_validation(plans: list[Plan], seed: int) -> set[int]:
    """The rows that are queries: a tenth of the marks, one each from groups that keep mates."""
    groups: dict[int, list[int]] = defaultdict(list)
    for plan in plans:
        groups[plan.group].append(plan.index)
    rng = random.Random(f"tmssl toy validation {seed}")
    able = [members for members in groups.values() if len(members) > 1]
    chosen = rng.sample(able, min(len(able), max(1, round(_VALIDATION * len(plans)))))
    return {rng.choice(members) for members in chosen}


def _draw_all(
    plans: list[Plan], seed: int, size: int, images: Path, workers: int
) -> Iterator[list[Row]]:
    """Draw the marks, in chunks as they get done; in this process when they are few."""
    chunks = [plans[start : start + _CHUNK] for start in range(0, len(plans), _CHUNK)]
    if workers == 1 or len(plans) <= _IN_PROCESS:
        for chunk in chunks:
            yield _draw_chunk(chunk, seed, size, images)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(chunks)), multiprocessing.get_context("spawn"), init_worker
    )
    try:
        with terminal_signals_ignored():
            futures = [pool.submit(_draw_chunk, chunk, seed, size, images) for chunk in chunks]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise TmsslError(
            "a process that draws toy marks ended early: give it more memory or fewer workers, and "
            "call make_toy under `if __name__ == '__main__':` in a script of your own"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _draw_chunk(plans: list[Plan], seed: int, size: int, images: Path) -> list[Row]:
    """Draw a few marks into `images`."""
    rows = []
    for plan in plans:
        mark = compose(plan, seed)
        (images / _name(plan.index)).write_bytes(mark.png(size))
        rows.append((plan.index, mark.vienna, mark.title))
    return rows
