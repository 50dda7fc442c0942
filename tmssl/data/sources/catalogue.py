"""Reading a source (a folder, an archive or a table of images) as a catalogue of marks."""

import dataclasses
import functools
import hashlib
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

import msgspec

from tmssl.data.formats import SUFFIXES
from tmssl.data.sources.archive import is_archive, read_archive
from tmssl.data.sources.class_folders import ClassFolders
from tmssl.data.sources.container import Container
from tmssl.data.sources.folder import BROKEN, AllowedFolders, Folder, read_folder
from tmssl.data.sources.forms import rows_of, shards_of_files, shards_of_folder
from tmssl.data.sources.join import is_utf8, join_labels
from tmssl.data.sources.join_report import JoinReport, merged, outside_message
from tmssl.data.sources.label_files import unread_tables
from tmssl.data.sources.labels import Labels
from tmssl.data.sources.location import ImageLocation
from tmssl.data.sources.marks import Mark, MarkTable
from tmssl.data.sources.several import Several
from tmssl.data.sources.shard_digest import content_digest
from tmssl.data.sources.specification import expand, split_sources
from tmssl.data.tables.columns import parse_columns
from tmssl.data.tables.csv_table import is_workbook, workbook_error
from tmssl.data.tables.table import is_table, read_table
from tmssl.errors import CatalogueError
from tmssl.files import is_folder, is_there
from tmssl.text import count, safe


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """The marks of a source and where their images are."""

    container: Container
    """of the images"""
    marks: MarkTable
    """in the order of their paths"""
    report: JoinReport

    @property
    def root(self) -> Path:
        """The folder or archive that paths are relative to."""
        return self.container.root

    def location(self, mark: Mark) -> ImageLocation:
        """Where the bytes of a mark's image are."""
        return self.container.location(mark.path)

    @property
    def locations(self) -> "ImageLocations":
        """Where the bytes of every mark's image are."""
        return ImageLocations(self)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over path, file size and labels of every mark, in order; the same for a copy.

        Shards of many images count by their contents. Of other files, sizes stand for contents, since hashing 538,000 files takes as long as packing them.
        Remove the pack by hand after an image has changed and kept its exact size.
        """
        digest = hashlib.sha256()
        if self.container.shards:
            digest.update(content_digest(self.container.shards).encode())
        for mark in self.marks:
            length, extra = self.container.length(mark.path), sorted(mark.extra.items())
            labels = mark.id, mark.vienna, mark.group, mark.split, mark.title, mark.url, extra
            state = repr((mark.path, length, *labels))
            digest.update(state.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


class ImageLocations(Sequence[ImageLocation]):
    """The image locations of a catalogue, made one at a time: half a million would take much memory."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def __len__(self) -> int:
        return len(self._catalogue.marks)

    @overload
    def __getitem__(self, row: int) -> ImageLocation: ...
    @overload
    def __getitem__(self, row: slice) -> list[ImageLocation]: ...
    def __getitem__(self, row: int | slice) -> ImageLocation | list[ImageLocation]:
        if isinstance(row, slice):
            return [self._catalogue.location(mark) for mark in self._catalogue.marks[row]]
        return self._catalogue.location(self._catalogue.marks[row])


@dataclasses.dataclass(frozen=True)
class _Request:
    """How a user wants a source to be read."""

    allowed: AllowedFolders
    columns: Mapping[str, list[str]]
    folders: str
    also_under: Path | None = None


def read_catalogue(
    source: Path, also_under: Path | None = None, *, columns: str = "", folders: str = ""
) -> Catalogue:
    """The catalogue of a folder, an archive, shards, or a table with a `path` column.

    Labels inside a folder or an archive are found. Images must lie in the folder, or in that of the
    table, once links are resolved; others are left out and reported.

    Args:
        source: the folder, archive or table; a pattern of shards; or several of these, joined by `::`.
        also_under: another folder that images may lie in.
        columns: names of a table's columns where they differ, as `parse_columns` takes them.
        folders: what folders of images say, as `ClassFolders` takes it.

    Raises:
        ConfigError: `columns` or `folders` is not understood.
        CatalogueError: the source is missing, has no images or no `path`, or its join failed.
    """
    if also_under is not None and not is_folder(also_under):
        raise CatalogueError(f"--images-under is {safe(also_under)}, which is not a folder")
    files = [file for part in split_sources(source) for file in expand(part)]
    for file in files:
        if not is_there(file):
            raise CatalogueError(
                f"there is nothing at {safe(file)}; give a folder, an archive or a table of images"
            )
        if not is_utf8(str(file.resolve())):
            raise CatalogueError(f"the name of {safe(file)} is not UTF-8; rename it")
    roots = {file if file.is_dir() else file.parent for file in files}
    allowed = AllowedFolders(*roots, *([also_under] if also_under else []))
    request = _Request(allowed, parse_columns(columns), folders, also_under)
    if len(files) > 1 and (shards := shards_of_files(files)):
        return _container_catalogue(shards, request)
    catalogues = [_one_catalogue(file, request) for file in files]
    return catalogues[0] if len(catalogues) == 1 else _join_catalogues(catalogues)


def _one_catalogue(source: Path, request: _Request) -> Catalogue:
    """The catalogue of one folder, archive or table."""
    if source.is_dir():
        folder = read_folder(source, request.allowed)
        return _container_catalogue(shards_of_folder(folder) or folder, request)
    if shards := shards_of_files([source]):
        return _container_catalogue(shards, request)
    if is_table(source):
        return _table_catalogue(source, request)
    if is_workbook(source.name):
        raise workbook_error(str(source))
    if not is_archive(source):
        raise CatalogueError(
            f"{safe(source)} is neither a folder, nor a .tar or .zip, nor a .csv, .tsv, .jsonl, "
            ".json, .parquet or .xml table"
        )
    return _container_catalogue(read_archive(source), request)


def _join_catalogues(catalogues: list[Catalogue]) -> Catalogue:
    """Several catalogues as one; of an image that two of them have, the first one's labels count."""
    container = Several([one.container for one in catalogues])
    twice: list[str] = []
    marks = MarkTable.of(_marks_of_all(container.prefixes, catalogues, twice))
    report = merged([one.report for one in catalogues])
    prefixes = ", ".join(dict.fromkeys(container.prefixes))
    note = f"read as {len(catalogues)} sources in one; paths begin with {safe(prefixes, 200)}"
    if twice:
        note += f"; {count(len(twice), 'image')} of two of them, such as {safe(twice[0], 60)}, once"
    report = msgspec.structs.replace(report, images=len(marks), notes=(note, *report.notes))
    return Catalogue(container, marks, report)


def _marks_of_all(
    prefixes: list[str], catalogues: list[Catalogue], twice: list[str]
) -> Iterator[Mark]:
    """The marks of some catalogues by their paths under all; `twice` gets those met before."""
    seen: set[str] = set()
    for prefix, one in zip(prefixes, catalogues, strict=True):
        for mark in one.marks:
            path = prefix + mark.path
            if path in seen:
                twice.append(path)
            else:
                seen.add(path)
                yield msgspec.structs.replace(mark, path=path)


def _container_catalogue(container: Container, request: _Request) -> Catalogue:
    """The catalogue of all images of a folder, an archive or shards."""
    unread: list[tuple[str, str]] = []
    notes: list[str] = []
    rows = rows_of(container, request.allowed, request.columns, unread, notes)
    labels = Labels(rows, notes)  # which lists the images of Parquet
    if not container.images and container.outside:
        raise CatalogueError(f"{safe(container.root)}: {outside_message(container.outside)}")
    if not container.images:
        raise CatalogueError(
            f"no images in {safe(container.root)}; it should hold files that end in "
            f"{', '.join(sorted(SUFFIXES))}, at any depth, or shards of such"
        )
    if not labels.rows:
        notes += unread_tables(container)
    folders = ClassFolders(request.folders, container.images)
    marks, report = join_labels(container.root, container, labels, folders, keep_unlabelled=True)
    report = msgspec.structs.replace(report, unread_labels=tuple(unread))
    return Catalogue(container, marks, report)


def _table_catalogue(source: Path, request: _Request) -> Catalogue:
    """The catalogue of the images that a table names."""
    with source.open("rb") as file:
        notes: list[str] = []
        labels = Labels(read_table(str(source), file, request.columns, notes), notes)
    if not labels.marks:
        raise CatalogueError(f"{safe(source)} holds no marks with an image or Vienna codes")
    named = {posixpath.normpath(mark.path) for mark in labels.marks}
    existing = [path for path in sorted(named) if _is_file(_beside(source, path))]
    images = [path for path in existing if request.allowed.contain(_beside(source, path))]
    outside = sorted(set(existing).difference(images))
    skipped: dict[str, Sequence[str]] = {}
    if len(existing) < len(named):  # some names may be other spellings of files in the folders
        others, broken = _files_around(source, request, images)
        images = sorted([*images, *others])
        skipped = {BROKEN: broken}
    container = Folder(source.parent, images, [], outside, skipped=skipped)
    folders = ClassFolders(request.folders, images)
    marks, report = join_labels(source, container, labels, folders, keep_unlabelled=False)
    return Catalogue(container, marks, report)


def _files_around(
    source: Path, request: _Request, images: list[str]
) -> tuple[list[str], list[str]]:
    """Images in the folder of a table and in the one that was allowed, and broken links there.

    Args:
        source: the table; paths are relative to its folder.
        request: how the source is to be read.
        images: paths that are known already, under whatever name.
    """
    known = {os.path.normpath(_beside(source, path)) for path in images}
    others: list[str] = []
    broken: list[str] = []
    for home in filter(None, (source.parent, request.also_under)):
        folder = read_folder(home, request.allowed)
        prefix = os.path.relpath(home, source.parent)
        paths = [os.path.normpath(f"{prefix}/{path}") for path in folder.images]
        others += [path for path in paths if os.path.normpath(_beside(source, path)) not in known]
        known.update(os.path.normpath(_beside(source, path)) for path in paths)
        broken += [os.path.normpath(f"{prefix}/{path}") for path in folder.skipped[BROKEN]]
    return others, broken


def _beside(source: Path, path: str) -> str:
    """A path relative to the folder of a table; an absolute one stays."""
    return os.path.join(source.parent, path)  # noqa: PTH118 - half a million times


def _is_file(path: str) -> bool:
    """Whether a file exists; a name that no file can have does not."""
    try:
        return os.path.isfile(path)  # noqa: PTH113 - half a million times
    except ValueError:
        return False
