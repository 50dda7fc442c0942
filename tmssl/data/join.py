"""Which image a label means: by its path, or by its file name where that leaves no doubt."""

import posixpath
import unicodedata
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from tmssl.data.folder import SUFFIXES


def images_of_labels(labels: Iterable[str], images: list[str]) -> dict[str, str]:
    """Label path to image path, for every label that names one image beyond doubt.

    Tried in turn: the path as it is, the path written otherwise (`./`, backslashes), without regard
    to case, the file name alone, and the file name without its suffix; L3D as published needs the
    third and fourth. A looser form counts only where one image and one label have it, and never takes an
    image from a label that names it exactly.
    """
    exact = set(images)
    wanted = list(dict.fromkeys(labels))
    found = {label: label for label in wanted if label in exact}
    taken = set(found)
    for form in (_plain, _folded, _name, _stem):
        left = [label for label in wanted if label not in found]
        if not left:
            break
        matches = _matches(left, images, form)
        if form is not _plain:  # the same path written twice is a duplicate, which the report tells
            matches = {label: image for label, image in matches.items() if image not in taken}
        found |= matches
        taken |= set(matches.values())
    return found


def _matches(labels: list[str], images: list[str], form: Callable[[str], str]) -> dict[str, str]:
    """Labels and images whose form is the same, and is nobody else's.

    Forms are compared by their hashes, which for half a million take a tenth of the memory, and once
    more as they are where these agree.
    """
    keys, rows, counts = np.unique(_hashes(images, form), return_index=True, return_counts=True)
    keys, rows = keys[counts == 1], rows[counts == 1]
    wanted = _hashes(labels, form)
    places = np.searchsorted(keys, wanted)
    places[places == len(keys)] = 0
    same = keys[places] == wanted if len(keys) else np.zeros(len(wanted), np.bool_)
    if form is not _plain:
        _, places_of, label_counts = np.unique(wanted, return_inverse=True, return_counts=True)
        same &= label_counts[places_of] == 1
    pairs = ((labels[i], images[rows[places[i]]]) for i in np.flatnonzero(same).tolist())
    return {label: image for label, image in pairs if form(label) == form(image)}


def _hashes(paths: list[str], form: Callable[[str], str]) -> npt.NDArray[np.int64]:
    """A hash of the form of each path, (n,)."""
    return np.fromiter((hash(form(path)) for path in paths), np.int64, len(paths))


def _plain(path: str) -> str:
    """A path without `./`, `//` and backslashes, accents composed, as macOS does not write them."""
    return _composed(posixpath.normpath(path.replace("\\", "/")))


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _folded(path: str) -> str:
    """A plain path without regard to case."""
    return _plain(path).casefold()


def _name(path: str) -> str:
    """A file name without its folders and case."""
    return _composed(path.replace("\\", "/").rpartition("/")[2]).casefold()


def _stem(path: str) -> str:
    """A file name without its folders, case and the suffix of an image; numbers have dots too."""
    name = _name(path)
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and dot + suffix in SUFFIXES else name
