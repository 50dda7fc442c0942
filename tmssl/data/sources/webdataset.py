"""Tars of samples, as WebDataset writes them: files that share a key are one sample."""

import json
import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from tmssl.data.cells import Row, column_name
from tmssl.data.picture import UnreadableError
from tmssl.data.sources.archive import SIDECARS, Archive, read_archive
from tmssl.data.sources.folder import LABELS, read_attribution
from tmssl.data.sources.location import Member, read_member
from tmssl.data.tables.limits import whole_number
from tmssl.data.vienna import parse_codes
from tmssl.text import safe

_MAX_SIDECAR = 1 << 20  # bytes


class TarShards:
    """The images and labels of several tars; `Folder` has the same methods."""

    def __init__(self, root: Path, names: Sequence[str], labels: Sequence[str] = ()) -> None:
        """List the members of every shard.

        Args:
            root: the folder that names are relative to.
            names: of the shards.
            labels: files beside the shards that have the labels of all.

        Raises:
            CatalogueError: a shard cannot be read in place.
        """
        self.root = root
        self.archives = {name: read_archive(root / name) for name in names}
        self.images = [
            f"{name}/{path}" for name, archive in self.archives.items() for path in archive.images
        ]
        inside = [f"{name}/{path}" for name, one in self.archives.items() for path in one.labels]
        self.labels = list(labels) or inside
        self.outside: list[str] = []
        self.skipped: dict[str, list[str]] = defaultdict(list)
        for name, archive in self.archives.items():
            for reason, paths in archive.skipped.items():
                self.skipped[reason] += [f"{name}/{path}" for path in paths]
        self.skipped[LABELS] += labels

    @property
    def shards(self) -> list[Path]:
        """The tars."""
        return [self.root / name for name in self.archives]

    def _split(self, path: str) -> tuple[Archive | None, str]:
        """The shard of a path, and the path inside it."""
        end = path.find("/")
        while end >= 0:
            if archive := self.archives.get(path[:end]):
                return archive, path[end + 1 :]
            end = path.find("/", end + 1)
        return None, path

    def location(self, path: str) -> Member:
        """Where the bytes of an image are."""
        archive, inside = self._split(path)
        if archive is None:
            raise KeyError(path)
        return archive.location(inside)

    def length(self, path: str) -> int:
        """Bytes of an image."""
        return self.location(path).size

    def open(self, path: str) -> BinaryIO:
        """A labels file in a shard or beside the shards, open for reading.

        Raises:
            OSError: it cannot be read.
            UnreadableError: it is damaged inside its shard.
        """
        archive, inside = self._split(path)
        return (self.root / path).open("rb") if archive is None else archive.open(inside)

    def attribution(self) -> str:
        """The text of ATTRIBUTION.txt beside or in the shards, or nothing."""
        inside = (one.attribution() for one in self.archives.values())
        return read_attribution(self.root) or next(filter(None, inside), "")

    def sidecar_rows(self, unread: list[tuple[str, str]]) -> Iterator[Row]:
        """The labels beside the images of every shard, as `sidecar_rows`."""
        for name, archive in self.archives.items():
            yield from sidecar_rows(archive, unread, prefix=f"{name}/")


def sidecar_kinds(archive: Archive) -> list[str]:
    """The suffixes of the sidecars of an archive; none unless one shares its key with an image."""
    if not archive.sidecars:
        return []
    stems = {posixpath.splitext(path)[0] for path in archive.images}
    keys = {_key(path) for path in archive.images}
    names = [name for name in archive.sidecars if _stem(name) in stems or _key(name) in keys]
    return sorted({posixpath.splitext(name)[1].lower() for name in names})


def sidecar_rows(
    archive: Archive, unread: list[tuple[str, str]], prefix: str = ""
) -> Iterator[Row]:
    """A row for each sample that has a `.json`, `.cls` or `.txt` beside its image.

    A key is a name up to its last dot, or up to its first one where only one image has it. A sample
    without an image gives a row with its key as the path, which then finds no image.

    Args:
        archive: a shard.
        unread: gets the path and the reason of each sidecar that is left out.
        prefix: of paths in the rows.
    """
    by_stem, by_key = _unique(archive.images, _stem), _unique(archive.images, _key)
    samples: dict[str, list[str]] = {}
    for name in archive.sidecars:
        samples.setdefault(_stem(name), []).append(name)
    for stem, names in samples.items():
        row: Row = {}
        for name in sorted(names, key=_rank):
            try:
                row = {**sidecar_cells(name, _sidecar(archive.sidecars[name])), **row}
            except (UnreadableError, ValueError, RecursionError) as error:
                unread.append((prefix + name, safe(error, 200)))
        if row:
            image = by_stem.get(stem) or by_key.get(_key(names[0])) or stem
            yield {**row, "path": prefix + image}


def _sidecar(member: Member) -> bytes:
    """The bytes of a sidecar, which is small."""
    if member.size > _MAX_SIDECAR:
        raise UnreadableError(f"{member.size:,} bytes, too many for labels")
    return read_member(member)


def sidecar_cells(name: str, data: bytes) -> Row:
    """The cells of one sidecar: the fields of JSON, a class, or a caption; codes are known as such.

    Raises:
        ValueError: it is not UTF-8, no JSON, or JSON that is no object.
    """
    suffix = posixpath.splitext(name)[1].lower()
    text = data.decode("utf-8-sig").strip()
    if suffix == ".json":
        cells: Any = json.loads(text, parse_int=whole_number)
        if not isinstance(cells, dict):
            raise ValueError("JSON that is no object with a field for each label")
        return {str(key): cell for key, cell in cells.items() if column_name(str(key)) != "path"}
    codes, unparsed = parse_codes(text)
    if codes and not unparsed and "." in text:
        return {"vienna": text}
    return {"title" if suffix == ".txt" else "cls": text}


def _rank(name: str) -> int:
    """The place of a sidecar among those of a sample; the first one that has a field decides it."""
    return SIDECARS.index(posixpath.splitext(name)[1].lower())


def _stem(name: str) -> str:
    """A path up to the last dot of its name."""
    return posixpath.splitext(name)[0]


def _key(name: str) -> str:
    """A path up to the first dot of its name, which is WebDataset's key."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _unique(images: Sequence[str], form: Any) -> Mapping[str, str]:
    """The image of each stem or key that only one image has."""
    found: dict[str, str] = {}
    for image in images:
        key = form(image)
        found[key] = "" if key in found else image
    return found
