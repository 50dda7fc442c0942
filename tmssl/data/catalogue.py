"""A folder of images, or a table of them, becomes rows; and what the join of labels lost is told."""

import dataclasses
import hashlib
import os
from collections import Counter
from pathlib import Path

from tmssl.data.table import LABEL_FILES, Record, is_table, read_table
from tmssl.data.vienna import parse_codes
from tmssl.errors import CatalogueError
from tmssl.text import count, safe

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"})
_KNOWN = ("path", "id", "vienna", "group", "split", "title", "url")
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

    def lines(self) -> list[str]:
        """The report for a person."""
        told = [f"{safe(self.source)}: {count(self.images, 'image')}"]
        if self.labels:
            told.append(f"  {count(self.labels, 'label row')}, {self.joined:,} joined to an image")
        told.append(
            f"  {self.with_codes:,} with Vienna codes, {self.with_group:,} with a group, "
            f"{self.validation:,} for validation"
        )
        for name, found in (
            ("images without a label", self.images_without_label if self.labels else ()),
            ("labels without an image", self.labels_without_image),
            ("codes that do not parse", self.bad_codes),
            ("images named more than once", self.duplicates),
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

    @property
    def fingerprint(self) -> str:
        """SHA-256 over path, file size and labels of every mark, in order.

        Sizes stand for contents, since reading 538,000 files to hash them takes as long as
        packing them; a changed image of the very same size needs a new pack by hand.
        """
        state = hashlib.sha256()
        for mark in self.marks:
            try:
                size = os.stat(self.root / mark.path).st_size  # noqa: PTH116 - Path.stat is slower
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
        table = _labels_inside(source)
        records = read_table(table) if table else []
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
    named = [record["path"] for record in records]
    images = [path for path in dict.fromkeys(named) if (source.parent / path).is_file()]
    if len(images) < len(set(named)):
        images = sorted({*images, *find_images(source.parent)})
    return _joined(source, source.parent, images, records, keep_unlabelled=False)


def find_images(folder: Path) -> list[str]:
    """Paths of images under a folder, relative to it, sorted; hidden files and folders are left out."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = Path(parent).relative_to(folder)
        found += [
            (inside / name).as_posix()
            for name in files
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 - half a million times
        ]
    return sorted(found)


def _labels_inside(folder: Path) -> Path | None:
    """The labels file of a folder, if it has one."""
    for name in LABEL_FILES:
        if (folder / name).is_file():
            return folder / name
    return None


def _joined(
    source: Path, root: Path, images: list[str], records: list[Record], *, keep_unlabelled: bool
) -> Catalogue:
    """Labels and images, joined, with the report of it."""
    by_name = _by_file_name(images)
    exact = set(images)
    rows: dict[str, Mark] = {}
    lost: list[str] = []
    bad: list[str] = []
    twice: list[str] = []
    for record in records:
        path = record["path"] if record["path"] in exact else by_name.get(_key(record["path"]))
        if path is None:
            lost.append(record["path"])
        elif path in rows:
            twice.append(path)
        else:
            rows[path], unparsed = _mark(path, record)
            bad += unparsed
    _check_join(source, len(records), len(rows), lost, images)
    _check_codes(source, rows, bad)
    unlabelled = [path for path in images if path not in rows]
    if keep_unlabelled:
        rows.update((path, Mark(path)) for path in unlabelled)
    marks = tuple(rows[path] for path in sorted(rows))
    report = JoinReport(
        source=str(source), images=len(images) if keep_unlabelled else len(rows),
        labels=len(records), joined=len(records) - len(lost) - len(twice),
        with_codes=sum(bool(mark.vienna) for mark in marks),
        with_group=sum(bool(mark.group) for mark in marks),
        validation=sum(mark.split == "validation" for mark in marks), bad_codes=tuple(bad),
        images_without_label=tuple(unlabelled) if keep_unlabelled else (),
        labels_without_image=tuple(lost), duplicates=tuple(twice),
    )  # fmt: skip
    return Catalogue(root, marks, report)


def _key(path: str) -> str:
    """A file name without its folders and case, by which a label may find its image."""
    return path.replace("\\", "/").rpartition("/")[2].casefold()


def _by_file_name(images: list[str]) -> dict[str, str]:
    """File name to path, for names that only one image has."""
    counts = Counter(map(_key, images))
    return {_key(path): path for path in images if counts[_key(path)] == 1}


def _mark(path: str, record: Record) -> tuple[Mark, tuple[str, ...]]:
    """A labelled row, and its codes that do not parse."""
    codes, bad = parse_codes(record.get("vienna"))
    split = str(record.get("split", "")).strip().lower()
    mark = Mark(
        path=path, id=str(record.get("id", "")), vienna=codes, group=str(record.get("group", "")),
        split="validation" if split in ("val", "valid", "validation", "query") else split,
        title=str(record.get("title", "")), url=str(record.get("url", "")),
        extra={
            str(name): str(value) for name, value in record.items()
            if name not in _KNOWN and value not in ("", None)
        },
    )  # fmt: skip
    return mark, bad


def _check_join(source: Path, labels: int, joined: int, lost: list[str], images: list[str]) -> None:
    """A join that lost nearly everything is an error, since its scores would be noise."""
    if not labels or joined >= _LOST * labels:
        return
    there = ", ".join(safe(path, 60) for path in images[:3]) or "none"
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
