"""A folder of images, in any depth, and the labels in it."""

import os
from pathlib import Path
from typing import BinaryIO

from tmssl.data.sources.table import choose_labels, is_label_file
from tmssl.errors import CatalogueError
from tmssl.text import safe

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"})
ATTRIBUTION = "ATTRIBUTION.txt"


def is_image(name: str) -> bool:
    """Whether a file's suffix is one of an image."""
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 - half a million times


class Bounds:
    """The folders in which files must lie once links are followed, so that no link and no table leads elsewhere."""

    def __init__(self, *folders: Path) -> None:
        self._tops = [os.path.join(os.path.realpath(folder), "") for folder in folders]  # noqa: PTH118 - strings, as below
        self._known: dict[str, bool] = {}

    def hold(self, path: str) -> bool:
        """Whether a file or folder lies inside; costs little more than a look at whether it is a link."""
        folder, _, name = path.rpartition("/")
        if name in ("", ".", "..") or os.path.islink(path):  # noqa: PTH114 - half a million times
            return self._inside(path)
        if folder not in self._known:
            self._known[folder] = self._inside(folder)
        return self._known[folder]

    def _inside(self, path: str) -> bool:
        real = os.path.join(os.path.realpath(path), "")  # noqa: PTH118 - strings
        return any(real.startswith(top) for top in self._tops)


class Folder:
    """The images and labels of a folder; paths are relative to it, sorted."""

    def __init__(
        self, root: Path, images: list[str], labels: list[str], outside: list[str]
    ) -> None:
        self.root = root
        self.images = images
        self.labels = labels
        self.outside = outside
        """what is left out since it leads out of the bounds"""

    def place(self, path: str) -> str:
        """Where an image's bytes are."""
        return os.path.join(self.root, path)  # noqa: PTH118 - half a million times

    def length(self, path: str) -> int:
        """Bytes of an image file; -1 where there is none."""
        try:
            return os.stat(self.place(path)).st_size  # noqa: PTH116 - half a million times
        except OSError:
            return -1

    def open(self, path: str) -> BinaryIO:
        """A file for reading.

        Raises:
            OSError: it cannot be read.
        """
        return (self.root / path).open("rb")

    def attribution(self) -> str:
        """The text of ATTRIBUTION.txt, or nothing."""
        path = self.root / ATTRIBUTION
        return path.read_text("utf-8", errors="replace") if path.is_file() else ""


def read_folder(root: Path, bounds: Bounds) -> Folder:
    """Images under a folder and its labels; hidden files and folders are left out.

    Links to folders are followed, each folder once; what leads out of the bounds is left out.

    Raises:
        CatalogueError: a folder cannot be listed.
    """
    found: list[str] = []
    labels: list[str] = []
    outside: list[str] = []
    seen = set()
    for parent, folders, files in os.walk(root, onerror=_cannot_list, followlinks=True):
        state = os.stat(parent)  # noqa: PTH116 - os.walk gives strings
        if (state.st_dev, state.st_ino) in seen:
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        inside = Path(parent).relative_to(root).as_posix()
        before = "" if inside == "." else f"{inside}/"
        shown = [name for name in files if is_image(name) or is_label_file(name)]
        away = [
            name
            for name in (*folders, *shown)
            if not name.startswith(".") and not bounds.hold(f"{parent}/{name}")
        ]
        outside += [before + name for name in away]
        # Links come last, so that an image has the path of its own folder.
        folders[:] = sorted(
            (name for name in folders if name[0] != "." and name not in away),
            key=lambda name: (os.path.islink(f"{parent}/{name}"), name),  # noqa: PTH114 - used at once; strings
        )
        shown = [name for name in shown if name[0] != "." and name not in away]
        found += [before + name for name in shown if is_image(name)]
        labels += [before + name for name in shown if is_label_file(name)]
    return Folder(root, sorted(found), choose_labels(labels), outside)


def _cannot_list(error: OSError) -> None:
    """Half of the images, silently, would be worse than none."""
    raise CatalogueError(
        f"cannot list {safe(error.filename)}: {safe(error.strerror)}; make it readable or move it away"
    ) from error
