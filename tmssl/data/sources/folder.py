"""A folder of images, at any depth, and the labels in it."""

import dataclasses
import functools
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from tmssl.data.formats import HEAD_BYTES, why_no_image
from tmssl.data.tables.table import choose_labels, is_label_file
from tmssl.errors import CatalogueError
from tmssl.text import safe

_SHARDS = (".parquet", ".tar", ".zip", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
ATTRIBUTION = "ATTRIBUTION.txt"
HIDDEN, BROKEN = "hidden", "broken link"  # reasons to skip a file
LABELS, UNREAD = "labels", "table or archive that is not read"


def read_attribution(root: Path) -> str:
    """The text of ATTRIBUTION.txt in a folder, or nothing."""
    path = root / ATTRIBUTION
    return path.read_text("utf-8", errors="replace") if path.is_file() else ""


def is_shard(name: str) -> bool:
    """Whether a file among others has the suffix of one that may hold many images."""
    return name.lower().endswith(_SHARDS)


class AllowedFolders:
    """The folders that files must lie in once links are resolved; no link or table leads elsewhere."""

    def __init__(self, *folders: Path) -> None:
        self._roots = [os.path.join(os.path.realpath(folder), "") for folder in folders]  # noqa: PTH118 - strings, as below
        self._checked: dict[str, bool] = {}
        self.broken: set[str] = set()
        """links that were asked for, lead inside and to nothing"""

    def contain(self, path: str) -> bool:
        """Whether a file or folder lies inside; only links and each folder once are resolved."""
        folder, _, name = path.rpartition("/")
        if name in ("", ".", ".."):
            return self._resolves_inside(path)
        if os.path.islink(path):  # noqa: PTH114 - half a million times
            inside = self._resolves_inside(path)
            if inside and not os.path.exists(path):  # noqa: PTH110 - strings
                self.broken.add(path)
            return inside and path not in self.broken
        if folder not in self._checked:
            self._checked[folder] = self._resolves_inside(folder)
        return self._checked[folder]

    def _resolves_inside(self, path: str) -> bool:
        real = os.path.join(os.path.realpath(path), "")  # noqa: PTH118 - strings
        return any(real.startswith(root) for root in self._roots)


def elsewhere(paths: Iterable[str], root: Path, images: Iterable[str]) -> list[str]:
    """Those absolute paths that lead to files of this machine outside the folders of some images.

    Args:
        paths: that labels name.
        root: the folder or archive of the images.
        images: their paths, relative to the root.
    """
    inside = AllowedFolders(root)
    there: dict[str, bool] = {}
    found = []
    for path in paths:
        folder = path.rpartition("/")[0] if path.startswith("/") else ""
        if folder and folder not in there:
            there[folder] = os.path.isdir(folder)  # noqa: PTH112 - half a million times
        if folder and there[folder] and os.path.lexists(path) and not inside.contain(path):
            found.append(path)
    if not found:
        return []
    folders = {f"{root}/{image}".rpartition("/")[0] for image in images}
    real = set(map(os.path.realpath, folders))  # those of links that were followed too
    return [path for path in found if os.path.realpath(path.rpartition("/")[0]) not in real]


@dataclasses.dataclass(frozen=True)
class Folder:
    """The images and labels of a folder; paths are relative to it and sorted."""

    root: Path
    images: list[str]
    labels: list[str]
    outside: list[str]
    """paths that are left out because they lead out of the allowed folders"""
    archives: list[str] = dataclasses.field(default_factory=list)
    """tars, zips and Parquet files, which may be shards of images"""
    skipped: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    """reason to the files that are no images of the source, those outside excepted"""
    shards: Sequence[Path] = ()
    """none: the lengths of its files tell their contents apart"""

    def location(self, path: str) -> str:
        """Where the bytes of an image are."""
        return os.path.join(self.root, path)  # noqa: PTH118 - half a million times

    def length(self, path: str) -> int:
        """Bytes of an image file; -1 where there is none."""
        try:
            return os.stat(self.location(path)).st_size  # noqa: PTH116 - half a million times
        except OSError:
            return -1

    def open(self, path: str) -> BinaryIO:
        """A file, open for reading.

        Raises:
            OSError: it cannot be read.
        """
        return (self.root / path).open("rb")

    def attribution(self) -> str:
        """The text of ATTRIBUTION.txt, or nothing."""
        return read_attribution(self.root)


def read_folder(root: Path, allowed: AllowedFolders) -> Folder:
    """List the images and labels under a folder; hidden files and folders are left out.

    Links to folders are followed, each folder once.

    Raises:
        CatalogueError: a folder cannot be listed.
    """
    images: list[str] = []
    labels: list[str] = []
    archives: list[str] = []
    outside: list[str] = []
    skipped: dict[str, list[str]] = defaultdict(list)
    visited = set()
    for parent, folders, files in os.walk(root, onerror=_raise_unlistable, followlinks=True):
        state = os.stat(parent)  # noqa: PTH116 - os.walk gives strings
        if (state.st_dev, state.st_ino) in visited:
            folders.clear()
            continue
        visited.add((state.st_dev, state.st_ino))
        relative = Path(parent).relative_to(root).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        visible = [name for name in (*folders, *files) if not name.startswith(".")]
        skipped[HIDDEN] += [prefix + path for path in _hidden(parent, folders, files)]
        barred = {name for name in visible if not allowed.contain(f"{parent}/{name}")}
        broken = {name for name in barred if f"{parent}/{name}" in allowed.broken}
        skipped[BROKEN] += [prefix + name for name in visible if name in broken]
        outside += [prefix + name for name in visible if name in barred - broken]
        readable = set(visible) - barred
        # Links come last, so that an image has the path of its own folder.
        folders[:] = sorted(
            readable.intersection(folders),
            key=lambda name: (os.path.islink(f"{parent}/{name}"), name),  # noqa: PTH114 - used at once; strings
        )
        for name in filter(readable.__contains__, files):
            if is_label_file(name):
                labels.append(prefix + name)
            if is_shard(name):
                archives.append(prefix + name)
            elif is_label_file(name):
                continue
            elif reason := why_no_image(name, functools.partial(_head, f"{parent}/{name}")):
                skipped[reason].append(prefix + name)
            else:
                images.append(prefix + name)
    chosen = choose_labels(labels)
    skipped[LABELS] = chosen
    skipped[UNREAD] = sorted({*labels, *archives}.difference(chosen))
    return Folder(root, sorted(images), chosen, outside, sorted(archives), skipped)


def _head(path: str) -> bytes:
    """The first bytes of a file; none of what is no file, such as a pipe, or cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(file, HEAD_BYTES) if stat.S_ISREG(os.fstat(file).st_mode) else b""
        finally:
            os.close(file)
    except OSError:
        return b""


def _hidden(parent: str, folders: list[str], files: list[str]) -> Iterator[str]:
    """The hidden files of a folder, and all files of its hidden folders."""
    yield from (name for name in files if name.startswith("."))
    for folder in folders:
        if folder.startswith("."):
            for inner, _, names in os.walk(f"{parent}/{folder}"):
                yield from (f"{inner}/{name}".removeprefix(f"{parent}/") for name in names)


def _raise_unlistable(error: OSError) -> None:
    """Stop: half of the images without a word would be worse than none."""
    raise CatalogueError(
        f"cannot list {safe(error.filename)}: {safe(error.strerror)}; "
        "make it readable or move it away"
    ) from error
