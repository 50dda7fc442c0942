"""A folder of images, at any depth, and the labels in it."""

import dataclasses
import os
from pathlib import Path
from typing import BinaryIO

from tmssl.data.sources.table import choose_labels, is_label_file
from tmssl.errors import CatalogueError
from tmssl.text import safe

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"})
ATTRIBUTION = "ATTRIBUTION.txt"


def is_image(name: str) -> bool:
    """Whether a file has the suffix of an image."""
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 - half a million times


class AllowedFolders:
    """The folders that files must lie in once links are resolved; no link or table leads elsewhere."""

    def __init__(self, *folders: Path) -> None:
        self._roots = [os.path.join(os.path.realpath(folder), "") for folder in folders]  # noqa: PTH118 - strings, as below
        self._checked: dict[str, bool] = {}

    def contain(self, path: str) -> bool:
        """Whether a file or folder lies inside; only links and each folder once are resolved."""
        folder, _, name = path.rpartition("/")
        if name in ("", ".", "..") or os.path.islink(path):  # noqa: PTH114 - half a million times
            return self._resolves_inside(path)
        if folder not in self._checked:
            self._checked[folder] = self._resolves_inside(folder)
        return self._checked[folder]

    def _resolves_inside(self, path: str) -> bool:
        real = os.path.join(os.path.realpath(path), "")  # noqa: PTH118 - strings
        return any(real.startswith(root) for root in self._roots)


@dataclasses.dataclass(frozen=True)
class Folder:
    """The images and labels of a folder; paths are relative to it and sorted."""

    root: Path
    images: list[str]
    labels: list[str]
    outside: list[str]
    """paths that are left out because they lead out of the allowed folders"""

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
        path = self.root / ATTRIBUTION
        return path.read_text("utf-8", errors="replace") if path.is_file() else ""


def read_folder(root: Path, allowed: AllowedFolders) -> Folder:
    """List the images and labels under a folder; hidden files and folders are left out.

    Links to folders are followed, each folder once.

    Raises:
        CatalogueError: a folder cannot be listed.
    """
    images: list[str] = []
    labels: list[str] = []
    outside: list[str] = []
    visited = set()
    for parent, folders, files in os.walk(root, onerror=_raise_unlistable, followlinks=True):
        state = os.stat(parent)  # noqa: PTH116 - os.walk gives strings
        if (state.st_dev, state.st_ino) in visited:
            folders.clear()
            continue
        visited.add((state.st_dev, state.st_ino))
        relative = Path(parent).relative_to(root).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        names = [name for name in files if is_image(name) or is_label_file(name)]
        visible = [name for name in (*folders, *names) if not name.startswith(".")]
        barred = {name for name in visible if not allowed.contain(f"{parent}/{name}")}
        outside += [prefix + name for name in visible if name in barred]
        readable = set(visible) - barred
        # Links come last, so that an image has the path of its own folder.
        folders[:] = sorted(
            readable.intersection(folders),
            key=lambda name: (os.path.islink(f"{parent}/{name}"), name),  # noqa: PTH114 - used at once; strings
        )
        images += [prefix + name for name in names if name in readable and is_image(name)]
        labels += [prefix + name for name in names if name in readable and is_label_file(name)]
    return Folder(root, sorted(images), choose_labels(labels), outside)


def _raise_unlistable(error: OSError) -> None:
    """Stop: half of the images without a word would be worse than none."""
    raise CatalogueError(
        f"cannot list {safe(error.filename)}: {safe(error.strerror)}; "
        "make it readable or move it away"
    ) from error
