"""Reading a source (a folder, an archive or a table of images) as a catalogue of marks."""

import dataclasses
import functools
import hashlib
import os
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from tmssl.data.cells import Row
from tmssl.data.sources.archive import Archive, is_archive, read_archive
from tmssl.data.sources.folder import SUFFIXES, AllowedFolders, Folder, read_folder
from tmssl.data.sources.join import is_utf8, join_labels
from tmssl.data.sources.join_report import JoinReport, outside_message
from tmssl.data.sources.labels import Labels
from tmssl.data.sources.location import ImageLocation
from tmssl.data.sources.marks import Mark, MarkTable
from tmssl.data.sources.matching import NestedPaths
from tmssl.data.sources.table import is_table, read_table
from tmssl.errors import CatalogueError
from tmssl.text import safe


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """The marks of a source and where their images are."""

    container: Folder | Archive
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

        File sizes stand for contents, since hashing 538,000 files takes as long as packing them.
        Remove the pack by hand after an image has changed and kept its exact size.
        """
        digest = hashlib.sha256()
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


def read_catalogue(source: Path, also_under: Path | None = None) -> Catalogue:
    """The catalogue of a folder, an archive, or a table with a `path` column.

    Labels inside a folder or an archive are found. Images must lie in the folder, or in that of the
    table, once links are resolved; others are left out and reported.

    Args:
        source: the folder, archive or table.
        also_under: another folder that images may lie in.

    Raises:
        CatalogueError: the source is missing, has no images or no `path`, or its join failed.
    """
    if not source.exists():
        raise CatalogueError(
            f"there is nothing at {safe(source)}; give a folder, an archive or a table of images"
        )
    if also_under is not None and not also_under.is_dir():
        raise CatalogueError(f"--images-under is {safe(also_under)}, which is not a folder")
    if not is_utf8(str(source.resolve())):
        raise CatalogueError(f"the name of {safe(source)} is not UTF-8; rename it")
    folder = source if source.is_dir() else source.parent
    allowed = AllowedFolders(folder, *([also_under] if also_under else []))
    if source.is_dir():
        return _container_catalogue(read_folder(source, allowed))
    if is_archive(source):
        return _container_catalogue(read_archive(source))
    if not is_table(source):
        raise CatalogueError(
            f"{safe(source)} is neither a folder, nor a .tar or .zip, nor a .csv, .tsv, .jsonl, "
            ".json, .parquet or .xml table"
        )
    return _table_catalogue(source, allowed)


def _container_catalogue(container: Folder | Archive) -> Catalogue:
    """The catalogue of all images of a folder or archive."""
    if not container.images and container.outside:
        raise CatalogueError(f"{safe(container.root)}: {outside_message(container.outside)}")
    if not container.images:
        raise CatalogueError(
            f"no images in {safe(container.root)}; it should hold files that end in "
            f"{', '.join(sorted(SUFFIXES))}, at any depth"
        )
    labels = Labels(_container_rows(container))
    marks, report = join_labels(container.root, container, labels, keep_unlabelled=True)
    return Catalogue(container, marks, report)


def _container_rows(container: Folder | Archive) -> Iterator[Row]:
    """The rows of all labels files of a folder or archive, with paths relative to its top."""
    paths = NestedPaths(str(container.root), container.images)
    for labels in container.labels:
        try:
            file = container.open(labels)
        except OSError as error:
            raise CatalogueError(f"cannot read {safe(labels)}: {safe(error, 200)}") from error
        with file:
            for row in read_table(f"{container.root}/{labels}", file):
                row["path"] = paths.resolve(row["path"], labels)
                yield row


def _table_catalogue(source: Path, allowed: AllowedFolders) -> Catalogue:
    """The catalogue of the images that a table names."""
    with source.open("rb") as file:
        labels = Labels(read_table(str(source), file))
    if not labels.marks:
        raise CatalogueError(f"{safe(source)} holds no marks with an image or Vienna codes")
    named = {posixpath.normpath(mark.path) for mark in labels.marks}
    existing = [path for path in sorted(named) if _is_file(_beside(source, path))]
    images = [path for path in existing if allowed.contain(_beside(source, path))]
    outside = sorted(set(existing).difference(images))
    if len(existing) < len(named):  # some names may be other spellings of files in the folder
        images = sorted({*images, *read_folder(source.parent, allowed).images})
    container = Folder(source.parent, images, [], outside)
    marks, report = join_labels(source, container, labels, keep_unlabelled=False)
    return Catalogue(container, marks, report)


def _beside(source: Path, path: str) -> str:
    """A path relative to the folder of a table; an absolute one stays."""
    return os.path.join(source.parent, path)  # noqa: PTH118 - half a million times


def _is_file(path: str) -> bool:
    """Whether a file exists; a name that no file can have does not."""
    try:
        return os.path.isfile(path)  # noqa: PTH113 - half a million times
    except ValueError:
        return False
