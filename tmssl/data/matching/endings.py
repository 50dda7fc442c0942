"""The images that share the longest ending with a path, and whether the rest of the two may differ."""

import functools
from collections.abc import Iterable, Iterator, Sequence

from tmssl.data.matching.spelling import Spelled, is_web, spelled

Parts = tuple[str, ...]


class Folders:
    """The folders of images and of labels, folded."""

    def __init__(self, images: Sequence[str], files: Sequence[str], labels: Sequence[str]) -> None:
        """Keep some paths, whose folders are found when they are needed.

        Args:
            images: that labels may mean.
            files: these images, and what else is there.
            labels: the paths of labels.
        """
        self._images, self._files, self._labels = images, files, labels

    @functools.cached_property
    def image_root(self) -> Parts:
        """The folder that holds all images."""
        return common_folder(spelled(path).parts for path in self._images)

    @functools.cached_property
    def label_roots(self) -> dict[str, Parts]:
        """For each root of foreign labels, the folder that holds all labels of that root."""
        by_root: dict[str, Parts] = {}
        for path in self._labels:
            label = spelled(path)
            if label.root:
                folder = by_root.get(label.root, label.parts[:-1])
                by_root[label.root] = common_folder(((*folder, ""), label.parts))
        return by_root

    @functools.cached_property
    def _endings(self) -> set[Parts]:
        """Every ending of every folder of images."""
        folders = {spelled(path).parts[:-1] for path in self._files}
        return {folder[i:] for folder in folders for i in range(len(folder))}

    def agree(self, label: Spelled, image: Parts, common: int) -> bool:
        """Whether a label may mean an image with whose path it shares the last parts.

        One of the two must be an ending of the other. Where both go on, they contradict each other,
        unless what is left of each is a root: the same for all labels, and the same for all images.

        Args:
            label: what is searched for.
            image: the parts of the image's path.
            common: number of parts that are the same, the file's name included.
        """
        label_rest, image_rest = len(label.parts) - common, len(image) - common
        if not label_rest:
            return True
        if not image_rest:  # a label of a folder that is here means no image outside it
            return label.parts[label_rest - 1 : -1] not in self._endings
        if not label.root or image_rest > len(self.image_root):
            return False
        return is_web(label.root) or self.is_root(label, common)

    def is_root(self, label: Spelled, common: int) -> bool:
        """Whether all that comes before the common ending of a foreign label is a root of all of them."""
        return len(label.parts) - common <= len(self.label_roots.get(label.root, ()))


class EndingTree:
    """Images of one file name by their folders, from the innermost to the outermost."""

    def __init__(self, images: Sequence[tuple[int, Parts]]) -> None:
        """Sort images into a tree.

        Args:
            images: row and parts of each.
        """
        self._top = _Node()
        for row, parts in images:
            node = self._top
            for folder in reversed(parts[:-1]):
                node = node.inside.setdefault(folder, _Node())
            node.rows.append(row)

    def longest(self, label: Spelled) -> list[int]:
        """The rows of the images that share the longest ending with a label.

        An image whose path ends there comes before those that go on.
        """
        node = self._top
        for folder in reversed((label.host, *label.parts[:-1])):
            if folder not in node.inside:
                break
            node = node.inside[folder]
        return node.rows or list(node.below())


class _Node:
    """A folder of a tree of endings."""

    __slots__ = ("inside", "rows")

    def __init__(self) -> None:
        self.rows: list[int] = []
        """of the images whose paths begin in this folder"""
        self.inside: dict[str, _Node] = {}

    def below(self) -> Iterator[int]:
        """The rows of all images, of this folder and those further out."""
        yield from self.rows
        for node in self.inside.values():
            yield from node.below()


def shared(first: Parts, second: Parts) -> int:
    """Number of folders that are the same at the end of two paths whose file names are taken for one."""
    number = 1
    for one, other in zip(first[-2::-1], second[-2::-1], strict=False):
        if one != other:
            break
        number += 1
    return number


def common_folder(paths: Iterable[Parts]) -> Parts:
    """The folder that holds all of some paths."""
    common: Parts | None = None
    for parts in paths:
        folder = parts[:-1]
        if common is None:
            common = folder
            continue
        length = 0
        for one, other in zip(common, folder, strict=False):
            if one != other:
                break
            length += 1
        common = common[:length]
    return common or ()
