"""The labels files among the images of a folder or archive, read one after the other as rows."""

from collections.abc import Iterator, Mapping

from tmssl.data.cells import Row
from tmssl.data.matching.paths import NestedPaths
from tmssl.data.picture import UnreadableError
from tmssl.data.sources.container import Container
from tmssl.data.tables.columns import NoPathError
from tmssl.data.tables.csv_table import is_workbook
from tmssl.data.tables.table import is_metadata, is_plain_table, is_register, read_table
from tmssl.data.tables.trademark_xml import ForeignXmlError
from tmssl.errors import CatalogueError
from tmssl.text import count, pasted, safe


def label_rows(
    container: Container,
    columns: Mapping[str, list[str]],
    unread: list[tuple[str, str]],
    notes: list[str],
) -> Iterator[Row]:
    """The rows of all labels files, with paths relative to the top of the folder or archive.

    XML files that cannot be read or are of another kind are left out, since a register may have a
    file for each mark; of one that is damaged, the marks before the damage count.

    Args:
        container: the images and labels.
        columns: meaning to columns, as by `parse_columns`.
        unread: gets the path and the reason of each file that is left out.
        notes: gets a sentence on everything that was taken for something, and why.

    Raises:
        CatalogueError: a table cannot be read, or XML files are damaged and none can be read.
    """
    paths = NestedPaths(str(container.root), container.labels, container.images)
    read, damage = 0, None
    for labels in container.labels:
        try:
            for row in _file_rows(container, labels, columns, notes):
                row["path"] = paths.resolve(row["path"], labels)
                yield row
            read += 1
        except ForeignXmlError as error:
            unread.append((labels, error.reason))
        except NoPathError:
            if not is_metadata(labels) or "path" in columns:
                raise
            unread.append((labels, "no column file_name or path, so it names no images"))
        except CatalogueError as error:
            if not is_register(labels):
                raise
            name = safe(f"{container.root}/{labels}")
            unread.append((labels, str(error).removeprefix(f"cannot read {name}: ")))
            damage = damage or error
    if damage and not read:
        raise damage


def _file_rows(
    container: Container, labels: str, columns: Mapping[str, list[str]], notes: list[str]
) -> Iterator[Row]:
    """The rows of one labels file."""
    name = f"{container.root}/{labels}"
    try:
        with container.open(labels) as file:
            yield from read_table(name, file, columns, notes)
    except (OSError, UnreadableError) as error:
        raise CatalogueError(f"cannot read {safe(name)}: {safe(error, 200)}") from error


def unread_tables(container: Container) -> list[str]:
    """A sentence on the tables and workbooks of a source in which no labels were found."""
    skipped = [path for paths in container.skipped.values() for path in paths]
    tables = sorted(path for path in skipped if is_plain_table(path))
    books = sorted(path for path in skipped if is_workbook(path))
    notes = []
    if tables:
        notes.append(
            f"{_such(tables, 'table')} not read; give it as the source, or call it labels.csv "
            "(or .tsv, .jsonl, .parquet)"
        )
    if books:
        notes.append(
            f"{_such(books, 'workbook')} not read; make a labels.csv of it: libreoffice --headless "
            f"--convert-to csv {pasted(books[0])}"
        )
    return notes


def _such(paths: list[str], noun: str) -> str:
    """`1 table, a.csv, is`, or `3 tables, such as a.csv, are`."""
    such = "such as " if len(paths) > 1 else ""
    verb = "are" if len(paths) > 1 else "is"
    return f"{count(len(paths), noun)}, {such}{safe(paths[0], 60)}, {verb}"
