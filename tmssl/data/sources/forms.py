"""The form of a source: image files with labels, Parquet rows of images, or tars of samples."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tmssl.data.cells import Row
from tmssl.data.sources.archive import Archive, is_archive
from tmssl.data.sources.container import Container
from tmssl.data.sources.folder import AllowedFolders, Folder
from tmssl.data.sources.label_files import label_rows
from tmssl.data.sources.parquet_shards import ImageColumn, ParquetShards, find_image_column
from tmssl.data.sources.webdataset import TarShards, sidecar_kinds, sidecar_rows
from tmssl.data.tables.columns import with_meanings
from tmssl.data.tables.parquet import open_parquet
from tmssl.data.tables.table import is_label_file, read_table
from tmssl.errors import CatalogueError
from tmssl.text import count, safe

_SUFFIX = ".parquet"
_NAMED = 200  # rows of a Parquet file that are asked whether they name image files


def shards_of_files(files: Sequence[Path]) -> Container | None:
    """The shards that some files are; None for other forms, and for a single archive."""
    if all(file.is_file() and is_archive(file) for file in files) and len(files) > 1:
        root = Path(os.path.commonpath([file.parent for file in files]))
        return TarShards(root, [os.path.relpath(file, root) for file in files])
    if all(file.is_file() and file.suffix.lower() == _SUFFIX for file in files):
        root = Path(os.path.commonpath([file.parent for file in files]))
        column = _image_column(files[0])
        if column and not _names_files(files[0]):
            return ParquetShards(root, [os.path.relpath(file, root) for file in files], column)
    return None


def shards_of_folder(folder: Folder) -> Container | None:
    """The shards of a folder that holds those instead of image files; None for other forms."""
    tables = [path for path in folder.archives if path.lower().endswith(_SUFFIX)]
    archives = [path for path in folder.archives if path not in set(tables)]
    if tables and not (folder.images and folder.labels):
        of_images = [path for path in tables if _image_column(folder.root / path)]
        rows = sum(_rows(folder.root / path) for path in of_images) if folder.images else 1
        if of_images and rows > len(folder.images):
            column = _image_column(folder.root / of_images[0])
            assert column is not None
            return ParquetShards(folder.root, of_images, column)
    if archives and not folder.images:
        beside = [path for path in folder.labels if not path.lower().endswith(_SUFFIX)]
        return TarShards(folder.root, archives, beside)
    return None


def rows_of(
    container: Container,
    allowed: AllowedFolders,
    columns: Mapping[str, list[str]],
    unread: list[tuple[str, str]],
    notes: list[str],
) -> Iterator[Row]:
    """The labels of a container, whatever its form.

    Args:
        container: the images and labels.
        allowed: the folders that files named by a Parquet row may lie in.
        columns: meaning to columns, as by `parse_columns`; shards name their images themselves.
        unread: gets the path and the reason of each labels file that is left out.
        notes: gets a sentence on the form and why it was taken for that.
    """
    labels = {meaning: names for meaning, names in columns.items() if meaning != "path"}
    if isinstance(container, ParquetShards):
        column = container.column
        notes.append(
            f"read as {count(len(container.names), 'Parquet shard')} of images in the column "
            f"'{safe(column.name, 60)}', since {column.reason}; the other columns are its labels"
        )
        yield from with_meanings(str(container.root), container.rows(allowed), labels, notes)
        return
    kinds: list[str] = []
    if isinstance(container, TarShards):
        kinds = sorted({kind for one in container.archives.values() for kind in sidecar_kinds(one)})
        notes.append(_tar_note(container, kinds))
    elif isinstance(container, Archive) and not container.labels:
        kinds = sidecar_kinds(container)
        if kinds:
            notes.append(f"read as one WebDataset shard, since {_sidecar_words(kinds)}")
    if isinstance(container, TarShards) and kinds and not container.labels:
        yield from with_meanings(str(container.root), container.sidecar_rows(unread), labels, notes)
    elif isinstance(container, Archive) and kinds:
        yield from with_meanings(
            str(container.root), sidecar_rows(container, unread), labels, notes
        )
    else:
        if isinstance(container, Folder):
            notes += _unused_note(container)
        yield from label_rows(container, columns, unread, notes)


def _unused_note(folder: Folder) -> list[str]:
    """The sentence on archives and Parquet files beside images, which are not read."""
    unused = [path for path in folder.archives if not is_label_file(path)]
    if not unused:
        return []
    found = count(len(unused), "archive or Parquet file", "archives and Parquet files")
    return [
        f"read as a folder of image files, as it holds {len(folder.images):,}; {found} beside them, "
        f"such as {safe(unused[0], 60)}, {'is' if len(unused) == 1 else 'are'} not read"
    ]


def _tar_note(container: TarShards, kinds: list[str]) -> str:
    """The sentence on several tars."""
    shards = count(len(container.archives), "shard")
    if container.labels:
        return f"read as {shards} of images, since it holds archives; labels from {safe(container.labels[0], 60)}"
    if kinds:
        return f"read as {shards} of WebDataset, since {_sidecar_words(kinds)}"
    return f"read as {shards} of images, since it holds archives; no labels file or sidecar in them"


def _sidecar_words(kinds: list[str]) -> str:
    """Why archives count as WebDataset."""
    return f"{' and '.join(kinds)} files share a key with the images and are their labels"


def _image_column(path: Path) -> ImageColumn | None:
    """The column of images of a Parquet file; None for other files."""
    try:
        return find_image_column(open_parquet(str(path), str(path)))
    except CatalogueError:
        return None  # as a table of labels it is refused in words that name what is missing


def _rows(path: Path) -> int:
    """The number of rows of a Parquet file."""
    return int(open_parquet(str(path), str(path)).metadata.num_rows)


def _names_files(path: Path) -> bool:
    """Whether a Parquet file is a table of image files, which lie beside it, with copies of their bytes."""
    try:
        with path.open("rb") as file:
            for _, row in zip(range(_NAMED), read_table(str(path), file), strict=False):
                if (path.parent / row["path"]).is_file():
                    return True
    except (CatalogueError, ValueError, OSError):
        return False
    return False
