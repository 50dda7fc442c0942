"""What tells the contents of shards apart: their digests, kept in the cache by size and time of change."""

import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

from tmssl.errors import CatalogueError
from tmssl.files import atomic_path, cache_folder
from tmssl.text import safe

_SETTLED_S = 4.0  # a file changed less long ago may change again within the clock tick of its disk


def content_digest(shards: Iterable[Path]) -> str:
    """SHA-256 over the contents of some files, in order; each file is read once, until it changes.

    Unlike a file for each image, a shard keeps its size when an image in it is replaced.

    Raises:
        CatalogueError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for shard in shards:
        try:
            digest.update(_file_digest(shard).encode())
        except OSError as error:
            raise CatalogueError(
                f"cannot read {safe(shard)}: {safe(error.strerror or error)}"
            ) from error
    return digest.hexdigest()


def _file_digest(path: Path) -> str:
    """The SHA-256 of a file, from the cache where it is known."""
    state = path.stat()
    key = f"{os.path.realpath(path)}\n{state.st_size}\n{state.st_mtime_ns}\n{state.st_ino}"
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    kept = cache_folder() / "digests" / name
    try:
        known = kept.read_text("ascii")
    except (OSError, ValueError):
        known = ""
    if len(known) == 2 * hashlib.sha256().digest_size:
        return known
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if time.time() - state.st_mtime > _SETTLED_S:
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(kept) as fresh:
                fresh.write_text(found, "ascii")
        except OSError:  # a full or read-only cache costs time, not the run
            pass
    return found
