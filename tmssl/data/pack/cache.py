"""Where packs are cached, and how large their images are."""

from pathlib import Path

from tmssl.data.sources.catalogue import Catalogue
from tmssl.files import cache_folder


def pack_folder(catalogue: Catalogue, size: int) -> Path:
    """The folder in the cache for the pack of a catalogue at a size."""
    return cache_folder() / "packs" / f"{catalogue.fingerprint[:16]}-{size}"


def pack_size(image_size: int) -> int:
    """Side of packed images for views of `image_size`: an eighth more, in steps of 16."""
    return -(-image_size * 8 // (7 * 16)) * 16
