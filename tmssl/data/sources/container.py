"""What every kind of source offers: images by path, where their bytes are, and labels files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from tmssl.data.sources.location import ImageLocation


class Container(Protocol):
    """Images and their labels; paths are relative to the root."""

    @property
    def root(self) -> Path:
        """The folder or file that paths are relative to."""
        ...

    @property
    def images(self) -> Sequence[str]:
        """The paths of all images, in the order of the catalogue."""
        ...

    @property
    def labels(self) -> Sequence[str]:
        """The paths of the labels files to read."""
        ...

    @property
    def outside(self) -> list[str]:
        """Paths that are left out because they lead out of the allowed folders."""
        ...

    @property
    def skipped(self) -> Mapping[str, Sequence[str]]:
        """Reason to the files that are no images of the source, those outside excepted."""
        ...

    @property
    def shards(self) -> Sequence[Path]:
        """The files whose contents tell the images apart, where their lengths do not."""
        ...

    def location(self, path: str) -> ImageLocation:
        """Where the bytes of an image are."""
        ...

    def length(self, path: str) -> int:
        """Bytes of an image."""
        ...

    def open(self, path: str) -> BinaryIO:
        """A labels file, open for reading.

        Raises:
            OSError: it cannot be read.
            UnreadableError: it is damaged inside its archive.
        """
        ...

    def attribution(self) -> str:
        """The text of ATTRIBUTION.txt, or nothing."""
        ...
