"""A folder of images, an archive or a table of them becomes rows; and what the join lost is told."""

import dataclasses
import functools
import hashlib
import os
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import msgspec

from tmssl.data.sources.archive import Archive, Place, is_archive, read_archive
from tmssl.data.sources.folder import SUFFIXES, Bounds, Folder, read_folder
from tmssl.data.sources.join import JoinReport, Labels, images_of_labels, outside_words
from tmssl.data.sources.marks import Mark, MarkTable
from tmssl.data.sources.table import Record, is_table, read_table
from tmssl.data.vienna import US_COLUMN, is_us_code
from tmssl.errors import CatalogueError
from tmssl.text import safe

_LOST = 0.05  # a join that finds fewer of its labels than this has failed


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """The table of images."""

    holder: Folder | Archive
    """what holds the images"""
    marks: MarkTable
    """in the order of their paths"""
    report: JoinReport

    @property
    def root(self) -> Path:
        """The folder or archive that paths are relative to."""
        return self.holder.root

    def place(self, mark: Mark) -> Place:
        """Where the bytes of a mark's image are."""
        return self.holder.place(mark.path)

    @property
    def places(self) -> "Places":
        """Where the bytes of every mark's image are."""
        return Places(self)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over path, file size and labels of every mark, in order; the same for a copy.

        Sizes stand for contents, since reading 538,000 files to hash them takes as long as
        packing them; a changed image of the very same size needs a new pack by hand.
        """
        state = hashlib.sha256()
        for mark in self.marks:
            facts = (
                mark.path,
                self.holder.length(mark.path),
                mark.id,
                mark.vienna,
                mark.group,
                mark.split,
                mark.title,
                mark.url,
                sorted(mark.extra.items()),
            )
            state.update(repr(facts).encode("utf-8", "surrogatepass"))
        return state.hexdigest()


class Places(Sequence[Place]):
    """The places of a catalogue's images, each made when it is asked for: half a million are large."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def __len__(self) -> int:
        return len(self._catalogue.marks)

    @overload
    def __getitem__(self, row: int) -> Place: ...
    @overload
    def __getitem__(self, row: slice) -> list[Place]: ...
    def __getitem__(self, row: int | slice) -> Place | list[Place]:
        if isinstance(row, slice):
            return [self._catalogue.place(mark) for mark in self._catalogue.marks[row]]
        return self._catalogue.place(self._catalogue.marks[row])


def read_catalogue(source: Path, also_under: Path | None = None) -> Catalogue:
    """The catalogue of a folder or an archive of images, or of a table of them with a `path` column.

    Labels inside a folder or an archive are found. Rows join by path, then by file name without
    regard to case where that names one image only. Images lie in the folder, or that of the table, once
    links are followed; others are left out and reported, but those under `also_under`.

    Raises:
        CatalogueError: nothing is there, the table has no `path`, or the join lost nearly everything.
    """
    if not source.exists():
        raise CatalogueError(
            f"there is nothing at {safe(source)}; give a folder, an archive or a table of images"
        )
    if also_under is not None and not also_under.is_dir():
        raise CatalogueError(f"--images-under is {safe(also_under)}, which is no folder")
    if not _is_unicode(str(source.resolve())):
        raise CatalogueError(f"the name of {safe(source)} is not UTF-8; rename it")
    top = source if source.is_dir() else source.parent
    bounds = Bounds(top, *([also_under] if also_under else []))
    if source.is_dir():
        return _of_holder(read_folder(source, bounds))
    if is_archive(source):
        return _of_holder(read_archive(source))
    if not is_table(source):
        raise CatalogueError(
            f"{safe(source)} is neither a folder, nor a .tar or .zip, nor a .csv, .tsv, .jsonl, "
            ".json, .parquet or .xml table"
        )
    return _of_table(source, bounds)


def _of_holder(holder: Folder | Archive) -> Catalogue:
    """The catalogue of all images of a folder or archive."""
    if not holder.images and holder.outside:
        raise CatalogueError(f"{safe(holder.root)}: {outside_words(holder.outside)}")
    if not holder.images:
        raise CatalogueError(
            f"no images in {safe(holder.root)}; it should hold files that end in "
            f"{', '.join(sorted(SUFFIXES))}, in any depth of folders"
        )
    return _joined(holder.root, holder, _records_of(holder), keep_unlabelled=True)


def _records_of(holder: Folder | Archive) -> Iterator[Record]:
    """Rows of the labels among images; their paths are relative to the top, or to the labels."""
    images, folded = set(holder.images), _FoldedPaths(holder.images)
    for name in holder.labels:
        beside = f"{name.rpartition('/')[0]}/".lstrip("/")
        try:
            file = holder.open(name)
        except OSError as error:
            raise CatalogueError(f"cannot read {safe(name)}: {safe(error, 200)}") from error
        with file:
            for record in read_table(os.path.join(holder.root, name), file):  # noqa: PTH118 - a member of an archive is no path
                path = record["path"].removeprefix(f"{holder.root}/")
                near = posixpath.normpath(beside + path.replace("\\", "/"))
                if beside and (near in images or path not in images):
                    # Of this table's folder, so that no other table's image is taken for it.
                    path = near if near in images else folded.image(near)
                record["path"] = path
                yield record


class _FoldedPaths:
    """The images of a holder by their paths without regard to case; made when first asked for."""

    def __init__(self, images: Sequence[str]) -> None:
        self._images = images
        self._by_path: dict[str, str] | None = None

    def image(self, path: str) -> str:
        """The only image of such a path, or the path itself."""
        if self._by_path is None:
            self._by_path = {}
            for image in self._images:
                key = image.casefold()
                self._by_path[key] = "" if key in self._by_path else image
        return self._by_path.get(path.casefold()) or path


def _of_table(source: Path, bounds: Bounds) -> Catalogue:
    """The catalogue of the images that a table names."""
    with source.open("rb") as file:
        marks = Labels(read_table(str(source), file))
    if not marks.rows:
        raise CatalogueError(f"{safe(source)} holds no marks with an image or Vienna codes")
    named = dict.fromkeys(posixpath.normpath(mark.path) for mark in marks.rows)
    there = [path for path in sorted(named) if _is_file(os.path.join(source.parent, path))]  # noqa: PTH118 - half a million times
    images = [path for path in there if bounds.hold(os.path.join(source.parent, path))]  # noqa: PTH118 - as above
    outside = sorted(set(there).difference(images))
    if len(images) + len(outside) < len(named):
        images = sorted({*images, *read_folder(source.parent, bounds).images})
    holder = Folder(source.parent, images, [], outside)
    return _joined(source, holder, marks, keep_unlabelled=False)


def _is_file(path: str) -> bool:
    """Whether there is a file; a name that no file can have is none."""
    try:
        return os.path.isfile(path)  # noqa: PTH113 - half a million times
    except ValueError:
        return False


class _Join:
    """Which label row each image has, and what met nothing."""

    def __init__(self, labels: Labels, images: list[str]) -> None:
        image_of = images_of_labels((mark.path for mark in labels.rows), images)
        self.row_of: dict[str, int] = {}
        self.lost: list[str] = []
        self.twice: list[str] = []
        self.respelled = 0
        for row, mark in enumerate(labels.rows):
            path = image_of.get(mark.path)
            if path is None:
                self.lost.append(mark.path)
            elif path in self.row_of:
                self.twice.append(path)
            else:
                self.respelled += path != mark.path
                self.row_of[path] = row


def _joined(
    source: Path,
    holder: Folder | Archive,
    records: Iterable[Record] | Labels,
    *,
    keep_unlabelled: bool,
) -> Catalogue:
    """Labels and images, joined, with the report of it."""
    labels = records if isinstance(records, Labels) else Labels(records)
    odd = [path for path in holder.images if not _is_unicode(path)]
    images = [path for path in holder.images if _is_unicode(path)] if odd else holder.images
    join = _Join(labels, images)
    _check_join(source, len(labels.rows), len(join.row_of), join.lost, images, holder.outside)
    _check_codes(source, labels)
    unlabelled = [path for path in images if path not in join.row_of] if keep_unlabelled else []
    counts: Counter[str] = Counter()
    marks = MarkTable.of(_counted(_marks(labels.rows, join.row_of, images, unlabelled), counts))
    report = JoinReport(
        source=str(source),
        images=len(marks),
        labels=len(labels.rows),
        joined=len(labels.rows) - len(join.lost) - len(join.twice),
        with_codes=counts["codes"],
        with_group=counts["group"],
        validation=counts["validation"],
        respelled=join.respelled,
        bare_codes=labels.bare if labels.lists else 0,
        untitled=labels.untitled if labels.untitled < len(labels.rows) else 0,
        bad_codes=tuple(labels.bad),
        us_codes=tuple(labels.us),
        unknown_codes=tuple(labels.unknown),
        images_without_label=tuple(unlabelled),
        labels_without_image=tuple(join.lost),
        duplicates=tuple(join.twice),
        odd_names=tuple(odd),
        outside=tuple(holder.outside),
    )
    return Catalogue(holder, marks, report)


def _marks(
    rows: MarkTable, row_of: dict[str, int], images: list[str], unlabelled: list[str]
) -> Iterator[Mark]:
    """A mark for each image that has a label or may go without, in the order of their paths."""
    alone = set(unlabelled)
    for path in images:  # which are sorted
        row = row_of.get(path)
        if row is not None:
            mark = rows[row]
            yield mark if path == mark.path else msgspec.structs.replace(mark, path=path)
        elif path in alone:
            yield Mark(path)


def _counted(marks: Iterable[Mark], counts: Counter[str]) -> Iterator[Mark]:
    """The marks as they are; how many have codes, a group, or are for validation goes to `counts`."""
    for mark in marks:
        counts["codes"] += bool(mark.vienna)
        counts["group"] += bool(mark.group)
        counts["validation"] += mark.split == "validation"
        yield mark


def _is_unicode(path: str) -> bool:
    """Whether a file name is UTF-8 on disk; Python marks other bytes as lone surrogates."""
    return path.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in path)


def _check_join(
    source: Path, labels: int, joined: int, lost: list[str], images: list[str], outside: list[str]
) -> None:
    """A join that lost nearly everything is an error, since its scores would be noise."""
    if not labels or joined >= _LOST * labels:
        return
    # Where nothing else is amiss names agree already, and only the place is to be allowed.
    if set(lost) <= set(outside):
        raise CatalogueError(f"{safe(source)}: {outside_words(outside)}")
    away = f"; {outside_words(outside)}" if outside else ""
    there = ", ".join(safe(path, 60) for path in images[:3]) or "nowhere"
    wanted = ", ".join(safe(path, 60) for path in lost[:3])
    raise CatalogueError(
        f"{safe(source)}: only {joined} of {labels} labels found their image; the labels name "
        f"{wanted}; the images are {there}; make the names agree{away}"
    )


def _check_codes(source: Path, labels: Labels) -> None:
    """Codes of which none parses are an error; a few bad ones are only reported."""
    if labels.coded:
        return
    if labels.bad:
        raise CatalogueError(
            f"{safe(source)}: none of its {len(labels.bad)} Vienna codes parses, such as "
            f"'{safe(labels.bad[0], 60)}'; codes look like 26.01.03, separated by semicolons"
        )
    marked = [code for code in labels.us if is_us_code(code)]
    if marked:
        raise CatalogueError(
            f"{safe(source)}: '{safe(marked[0], 60)}' is a US design search code, another scheme "
            f"than Vienna's; name that column {US_COLUMN} and leave `vienna` to Vienna codes"
        )
