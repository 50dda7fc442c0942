"""A folder of images, or a table of them, becomes rows; and what the join of labels lost is told."""

import dataclasses
import functools
import hashlib
import os
from pathlib import Path

from tmssl.data.join import images_of_labels
from tmssl.data.table import LABEL_FILES, Record, is_table, labels_inside, read_table, text_of
from tmssl.data.vienna import parse_codes
from tmssl.errors import CatalogueError
from tmssl.text import count, safe

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"})
_KNOWN = ("path", "id", "vienna", "group", "split", "title", "url")
_HELD_OUT = frozenset(
    [
        "val",
        "valid",
        "validation",
        "dev",
        "eval",
        "evaluation",
        "test",
        "testing",
        "query",
        "queries",
        "holdout",
    ]
)
_LOST = 0.05  # a join that finds fewer of its labels than this has failed


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """One image and what is known of it."""

    path: str
    """relative to the catalogue's root"""
    id: str = ""
    vienna: tuple[str, ...] = ()
    group: str = ""
    split: str = ""
    """`validation` for whatever a table holds out of training (val, dev, test, query), else as it was"""
    title: str = ""
    url: str = ""
    extra: dict[str, str] = dataclasses.field(default_factory=dict)
    """further columns, as they were"""


@dataclasses.dataclass(frozen=True)
class JoinReport:
    """How labels and images met."""

    source: str
    images: int
    """images found"""
    labels: int
    """rows of labels read; 0 when there are none"""
    joined: int
    """rows that found their image"""
    with_codes: int
    """marks with at least one Vienna code"""
    with_group: int
    validation: int
    """marks kept for validation"""
    bad_codes: tuple[str, ...] = ()
    """codes that do not parse, as printed"""
    images_without_label: tuple[str, ...] = ()
    labels_without_image: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    """images named by more than one row; the first row counts"""
    odd_names: tuple[str, ...] = ()
    """files left out because their names are not UTF-8"""

    def lines(self) -> list[str]:
        """The report for a person."""
        told = [f"{safe(self.source)}: {count(self.images, 'image')}"]
        if self.labels:
            told += [
                f"  {count(self.labels, 'label row')}, {self.joined:,} joined to an image",
                f"  {self.with_codes:,} with Vienna codes, {self.with_group:,} with a group, "
                f"{self.validation:,} for validation",
            ]
        else:
            told.append(f"  no labels: there is no {', '.join(LABEL_FILES)} or output_YYYY.json")
        for name, found in (
            ("images without a label", self.images_without_label if self.labels else ()),
            ("labels without an image", self.labels_without_image),
            ("codes that do not parse", self.bad_codes),
            ("images named more than once", self.duplicates),
            ("files left out since their names are not UTF-8", self.odd_names),
        ):
            if found:
                examples = ", ".join(safe(item, 60) for item in found[:3])
                told.append(f"  {len(found):,} {name}, such as {examples}")
        return told


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """The table of images."""

    root: Path
    marks: tuple[Mark, ...]
    report: JoinReport

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over path, file size and labels of every mark, in order; the same for a copy.

        Sizes stand for contents, since reading 538,000 files to hash them takes as long as
        packing them; a changed image of the very same size needs a new pack by hand.
        """
        state = hashlib.sha256()
        root = str(self.root)
        for mark in self.marks:
            try:
                size = os.stat(os.path.join(root, mark.path)).st_size  # noqa: PTH116, PTH118 - half a million times
            except OSError:
                size = -1
            facts = (mark.path, size, mark.id, mark.vienna, mark.group, mark.split, mark.title,
                     mark.url, sorted(mark.extra.items()))  # fmt: skip
            state.update(repr(facts).encode("utf-8", "surrogatepass"))
        return state.hexdigest()


def read_catalogue(source: Path) -> Catalogue:
    """The catalogue of a folder of images or of a CSV, JSONL or Parquet table with a `path` column.

    A labels file inside the folder is found. Rows join by path, then by file name without regard
    to case where that names one image only.

    Raises:
        CatalogueError: nothing is there, the table has no `path`, or the join lost nearly everything.
    """
    if source.is_dir():
        images = find_images(source)
        if not images:
            raise CatalogueError(
                f"no images in {safe(source)}; it should hold files that end in "
                f"{', '.join(sorted(SUFFIXES))}, in any depth of folders"
            )
        records = [record for table in labels_inside(source) for record in read_table(table)]
        return _joined(source, source, images, records, keep_unlabelled=True)
    if not source.exists():
        raise CatalogueError(
            f"there is nothing at {safe(source)}; give a folder or a table of images"
        )
    if not is_table(source):
        raise CatalogueError(
            f"{safe(source)} is neither a folder nor a .csv, .tsv, .jsonl, .json or .parquet table"
        )
    records = read_table(source)
    named = {record["path"]: None for record in records}
    images = [path for path in named if _is_file(os.path.join(source.parent, path))]  # noqa: PTH118 - half a million times
    if len(images) < len(named):
        images = sorted({*images, *find_images(source.parent)})
    return _joined(source, source.parent, images, records, keep_unlabelled=False)


def _is_file(path: str) -> bool:
    """Whether there is a file; a name that no file can have is none."""
    try:
        return os.path.isfile(path)  # noqa: PTH113 - half a million times
    except ValueError:
        return False


def find_images(folder: Path) -> list[str]:
    """Paths of images under a folder, relative to it, sorted; hidden files and folders are left out.

    Links to folders are followed, each folder once.

    Raises:
        CatalogueError: a folder cannot be listed.
    """
    found, seen = [], set()
    for parent, folders, files in os.walk(folder, onerror=_cannot_list, followlinks=True):
        state = os.stat(parent)  # noqa: PTH116 - os.walk gives strings
        if (state.st_dev, state.st_ino) in seen:
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = Path(parent).relative_to(folder).as_posix()
        found += [
            name if inside == "." else f"{inside}/{name}"
            for name in files
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 - half a million times
        ]
    return sorted(found)


def _cannot_list(error: OSError) -> None:
    """Half of the images, silently, would be worse than none."""
    raise CatalogueError(
        f"cannot list {safe(error.filename)}: {safe(error.strerror)}; make it readable or move it away"
    ) from error


def _joined(
    source: Path, root: Path, images: list[str], records: list[Record], *, keep_unlabelled: bool
) -> Catalogue:
    """Labels and images, joined, with the report of it."""
    odd = [path for path in images if not _is_unicode(path)]
    images = [path for path in images if _is_unicode(path)] if odd else images
    for record in records:
        record["path"] = (
            record["path"].removeprefix(f"{root}/") if keep_unlabelled else record["path"]
        )
    image_of = images_of_labels((record["path"] for record in records), images)
    rows: dict[str, Mark] = {}
    lost: list[str] = []
    bad: list[str] = []
    twice: list[str] = []
    for record in records:
        path = image_of.get(record["path"])
        if path is None:
            lost.append(record["path"])
        elif path in rows:
            twice.append(path)
        else:
            rows[path], unparsed = _mark(path, record)
            bad += unparsed
    _check_join(source, len(records), len(rows), lost, images)
    _check_codes(source, rows, bad)
    unlabelled = [path for path in images if path not in rows] if keep_unlabelled else []
    rows.update((path, Mark(path)) for path in unlabelled)
    marks = tuple(rows[path] for path in sorted(rows))
    report = JoinReport(
        source=str(source), images=len(marks), labels=len(records),
        joined=len(records) - len(lost) - len(twice),
        with_codes=sum(bool(mark.vienna) for mark in marks),
        with_group=sum(bool(mark.group) for mark in marks),
        validation=sum(mark.split == "validation" for mark in marks), bad_codes=tuple(bad),
        images_without_label=tuple(unlabelled), labels_without_image=tuple(lost),
        duplicates=tuple(twice), odd_names=tuple(odd),
    )  # fmt: skip
    return Catalogue(root, marks, report)


def _is_unicode(path: str) -> bool:
    """Whether a file name is UTF-8 on disk; Python marks other bytes as lone surrogates."""
    return path.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in path)


def _mark(path: str, record: Record) -> tuple[Mark, tuple[str, ...]]:
    """A labelled row, and its codes that do not parse."""
    codes, bad = parse_codes(record.get("vienna"))
    known = {name: text_of(record.get(name)) for name in ("id", "group", "split", "title", "url")}
    if known["split"].lower() in _HELD_OUT:
        known["split"] = "validation"
    further = {
        name: text for name, value in record.items()
        if name not in _KNOWN and (text := text_of(value))
    }  # fmt: skip
    return Mark(path=path, vienna=codes, extra=further, **known), bad


def _check_join(source: Path, labels: int, joined: int, lost: list[str], images: list[str]) -> None:
    """A join that lost nearly everything is an error, since its scores would be noise."""
    if not labels or joined >= _LOST * labels:
        return
    there = ", ".join(safe(path, 60) for path in images[:3]) or "nowhere"
    wanted = ", ".join(safe(path, 60) for path in lost[:3])
    raise CatalogueError(
        f"{safe(source)}: only {joined} of {labels} labels found their image; the labels name "
        f"{wanted}; the images are {there}; make the names agree"
    )


def _check_codes(source: Path, rows: dict[str, Mark], bad: list[str]) -> None:
    """Codes of which none parses are an error; a few bad ones are only reported."""
    if bad and not any(mark.vienna for mark in rows.values()):
        raise CatalogueError(
            f"{safe(source)}: none of its {len(bad)} Vienna codes parses, such as "
            f"'{safe(bad[0], 60)}'; codes look like 26.01.03, separated by semicolons"
        )
