"""Matching the paths that labels name to images: the one place that decides which path means which."""

import posixpath
import unicodedata
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tmssl.data.sources.folder import SUFFIXES


def match_labels(labels: Iterable[str], images: list[str]) -> dict[str, str]:
    """Label path to image path, for every label that names exactly one image.

    The forms of a path are tried in turn: as it is, normalized (`./`, backslashes), without regard
    to case, the file name alone, and the file name without its suffix; L3D as published needs the
    third and fourth. A looser form counts only where one image and one label have it, and it never
    takes an image from a label that names it exactly.
    """
    exact = set(images)
    wanted = list(dict.fromkeys(labels))
    matched = {label: label for label in wanted if label in exact}
    taken = set(matched)
    for form in (_normalized, _case_folded, _file_name, _stem):
        unmatched = [label for label in wanted if label not in matched]
        if not unmatched:
            break
        matches = _match_by(form, unmatched, images)
        if form is not _normalized:  # there, two spellings of one path are reported as a duplicate
            matches = {label: image for label, image in matches.items() if image not in taken}
        matched |= matches
        taken |= set(matches.values())
    return matched


def _match_by(form: Callable[[str], str], labels: list[str], images: list[str]) -> dict[str, str]:
    """Label to image, where they have the same form and no other label or image has it.

    Hashes of the forms are compared first, which takes a tenth of the memory for half a million
    paths; where hashes agree, the forms themselves are compared.
    """
    keys, rows, counts = np.unique(_hashes(images, form), return_index=True, return_counts=True)
    keys, rows = keys[counts == 1], rows[counts == 1]
    if not len(keys):
        return {}
    wanted = _hashes(labels, form)
    found = np.searchsorted(keys, wanted)
    found[found == len(keys)] = 0
    same = keys[found] == wanted
    if form is not _normalized:
        _, group, group_sizes = np.unique(wanted, return_inverse=True, return_counts=True)
        same &= group_sizes[group] == 1
    pairs = ((labels[i], images[rows[found[i]]]) for i in np.flatnonzero(same).tolist())
    return {label: image for label, image in pairs if form(label) == form(image)}


def _hashes(paths: list[str], form: Callable[[str], str]) -> npt.NDArray[np.int64]:
    """A hash of the form of each path, (n,)."""
    return np.fromiter((hash(form(path)) for path in paths), np.int64, len(paths))


def _normalized(path: str) -> str:
    """A path without `./`, `//` and backslashes; accents are composed, which macOS does not do."""
    return _composed(posixpath.normpath(path.replace("\\", "/")))


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _case_folded(path: str) -> str:
    """A normalized path without regard to case."""
    return _normalized(path).casefold()


def _file_name(path: str) -> str:
    """A file name without its folders and case."""
    return _composed(path.replace("\\", "/").rpartition("/")[2]).casefold()


def _stem(path: str) -> str:
    """A file name without folders, case and an image's suffix; `12.5` has no suffix to lose."""
    name = _file_name(path)
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and dot + suffix in SUFFIXES else name


class NestedPaths:
    """Resolves the paths that a labels file inside a folder or archive names.

    They may be relative to the top, to the labels file or absolute. What a labels file names beside
    itself comes first, so that it never takes the image of another folder's labels.
    """

    def __init__(self, root: str, images: Sequence[str]) -> None:
        self._prefix = f"{root}/"
        self._images = images
        self._exact = set(images)
        self._by_folded: dict[str, str] | None = None  # made when first needed

    def resolve(self, path: str, labels: str) -> str:
        """The path relative to the top of what `labels`, a path relative to the top, calls `path`."""
        path = path.removeprefix(self._prefix)
        folder = labels.rpartition("/")[0]
        if not folder:
            return path
        beside = posixpath.normpath(f"{folder}/" + path.replace("\\", "/"))
        if beside in self._exact:
            return beside
        return path if path in self._exact else self._ignoring_case(beside)

    def _ignoring_case(self, path: str) -> str:
        """The only image with this path in any case, or the path itself."""
        if self._by_folded is None:
            self._by_folded = {}
            for image in self._images:
                key = image.casefold()
                self._by_folded[key] = "" if key in self._by_folded else image
        return self._by_folded.get(path.casefold()) or path
