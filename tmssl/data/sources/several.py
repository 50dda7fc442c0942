"""Several sources as one: the paths of each begin with its own folder."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from tmssl.data.sources.container import Container
from tmssl.data.sources.location import ImageLocation


class Several:
    """The images of several sources; `Folder` has the same methods."""

    def __init__(self, containers: Sequence[Container]) -> None:
        """Give each source a prefix for its paths, its place under the folder that holds all.

        So an image of two sources, such as two tables of one folder, has one path.
        """
        roots = [str(container.root.resolve()) for container in containers]
        self.root = Path(os.path.commonpath([str(Path(root).parent) for root in roots]))
        self.prefixes = [f"{os.path.relpath(root, self.root)}/" for root in roots]
        self.outside = [
            prefix + path
            for prefix, one in zip(self.prefixes, containers, strict=True)
            for path in one.outside
        ]
        self.labels: list[str] = []
        self._of = dict(zip(self.prefixes, containers, strict=True))

    @property
    def images(self) -> list[str]:
        """All paths."""
        return [prefix + path for prefix, one in self._of.items() for path in one.images]

    @property
    def skipped(self) -> dict[str, list[str]]:
        """Reason to the files that are no images, of all."""
        found: dict[str, list[str]] = defaultdict(list)
        for prefix, one in self._of.items():
            for reason, paths in one.skipped.items():
                found[reason] += [prefix + path for path in paths]
        return found

    @property
    def shards(self) -> list[Path]:
        """The shards of all."""
        return [shard for one in self._of.values() for shard in one.shards]

    def _split(self, path: str) -> tuple[Container, str]:
        """The source of a path, and the path in it."""
        end = path.find("/") + 1
        while end:
            if one := self._of.get(path[:end]):
                return one, path[end:]
            end = path.find("/", end) + 1
        raise KeyError(path)

    def location(self, path: str) -> ImageLocation:
        """Where the bytes of an image are."""
        one, inside = self._split(path)
        return one.location(inside)

    def length(self, path: str) -> int:
        """Bytes of an image."""
        one, inside = self._split(path)
        return one.length(inside)

    def open(self, path: str) -> BinaryIO:
        """A labels file of one of them, open for reading.

        Raises:
            OSError: it cannot be read.
        """
        one, inside = self._split(path)
        return one.open(inside)

    def attribution(self) -> str:
        """The first lines of all ATTRIBUTION.txt on one line."""
        texts = (one.attribution().strip().partition("\n")[0] for one in self._of.values())
        return "; ".join(dict.fromkeys(filter(None, texts)))
