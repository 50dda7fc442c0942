"""Which image a label means: by its path, or by its file name where that leaves no doubt."""

import posixpath
from collections import Counter
from collections.abc import Callable, Iterable


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
    """Labels and images whose form is the same, and is nobody else's."""
    image_forms = [form(image) for image in images]
    image_counts = Counter(image_forms)
    image_of = {
        key: image for key, image in zip(image_forms, images, strict=True) if image_counts[key] == 1
    }
    label_forms = [form(label) for label in labels]
    label_counts = Counter(label_forms)
    return {
        label: image_of[key]
        for key, label in zip(label_forms, labels, strict=True)
        if key in image_of and (label_counts[key] == 1 or form is _plain)
    }


def _plain(path: str) -> str:
    """A path without `./`, `//` and backslashes."""
    return posixpath.normpath(path.replace("\\", "/"))


def _folded(path: str) -> str:
    """A plain path without regard to case."""
    return _plain(path).casefold()


def _name(path: str) -> str:
    """A file name without its folders and case."""
    return path.replace("\\", "/").rpartition("/")[2].casefold()


def _stem(path: str) -> str:
    """A file name without its folders, case and suffix."""
    name = _name(path)
    return name.rpartition(".")[0] or name
