"""The pixels of a catalogue, decoded once into one memory-mapped file; `open_pack` opens them.

Importing costs nothing, so that who reads a pack's small files alone does not load blosc2.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tmssl.data.pack.reader import Pack, open_pack

__all__ = ["Pack", "open_pack"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'tmssl.data.pack' has no attribute {name!r}")
    return getattr(import_module("tmssl.data.pack.reader"), name)
