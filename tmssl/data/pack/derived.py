"""A pack made from another one: some of its marks are kept, and new ones follow them.

The parent stays as it is, so a training that reads it never sees a change. The new pack is complete or absent.
Chunks of which every mark stays are copied as they are compressed; the others, and those of the new marks, are
written anew. `Change` in pack.json names the parent, and `kept` the rows that it gave, from which an index of
the parent becomes one of the new pack without embedding a mark twice.
"""

import dataclasses
import hashlib
import itertools
import posixpath
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from tmssl.data.pack.builder import attribution, complete, install, prepare_folder
from tmssl.data.pack.frame import PER_CHUNK, write_frame
from tmssl.data.pack.info import INFO_FILE, REMOVED_FILE, Change, PackInfo, read_removed
from tmssl.data.pack.parts import (
    BuildOptions,
    Outcome,
    build_parts,
    estimate_bytes,
    parts_token,
    read_parts,
)
from tmssl.data.pack.reader import FRAME_FILE, Pack, open_pack
from tmssl.data.sources.catalogue import Catalogue
from tmssl.data.sources.marks import Mark, MarkTable
from tmssl.errors import PackError
from tmssl.files import atomic_path
from tmssl.text import safe
from tmssl.types import Mask, Pixels

_NOTHING = Outcome({}, 0)


@dataclasses.dataclass(frozen=True)
class Edit:
    """What is to become of a pack."""

    kept: Mask
    """its marks that stay, bool (marks,)"""
    new: Catalogue | None = None
    """marks that follow them"""
    prefix: str = ""
    """what the new paths get before them, so that they are relative to the root of the pack's source"""
    by: str = ""
    """what was asked for, see `Change.by`"""

    def renamed(self, mark: Mark) -> Mark:
        """A new mark with its path in the pack."""
        path = posixpath.normpath(f"{self.prefix}/{mark.path}") if self.prefix else mark.path
        return msgspec.structs.replace(mark, path=path)

    def fingerprint(self, parent: str) -> str:
        """SHA-256 over the fingerprint of the parent and all that the edit changes."""
        new = self.new.fingerprint if self.new else ""
        digest = hashlib.sha256(f"{parent} {new} {self.prefix} ".encode("utf-8", "replace"))
        digest.update(np.packbits(self.kept).tobytes())
        return digest.hexdigest()


class Derived(NamedTuple):
    """What became of an edit."""

    pack: Pack | None
    """None where no new mark can be read and no other is left out"""
    left_out: dict[str, str]
    """path and reason of each new image that cannot be read"""


def derive_pack(parent: Pack, edit: Edit, folder: Path, options: BuildOptions) -> Derived:
    """Make the pack of an edit, in a folder named after its fingerprint; one that is there is opened.

    An interrupted build keeps the parts that it decoded, and the next one continues from them.

    Args:
        parent: what is edited.
        edit: the marks that stay and those that come; at least one of both.
        folder: where packs are made.
        options: size, workers, progress and stop, as for `build_pack`.

    Raises:
        PackError: an image is unreachable, the parent is damaged, or the disk is too small.
        KeyboardInterrupt: as for `build_pack`.
    """
    fingerprint = edit.fingerprint(parent.fingerprint)
    target = folder / f"{fingerprint[:16]}-{parent.size}"
    building = target.with_name(f"{target.name}.building")
    try:
        if not target.exists():
            prepare_folder(building, parts_token(fingerprint, parent.size))
            left_out = _write(parent, edit, building, options, fingerprint)
            if not (building / INFO_FILE).exists():
                shutil.rmtree(building)
                return Derived(None, left_out)
            install(building, target)
    except OSError as error:
        raise PackError(
            f"cannot write {safe(building)}: {safe(error.strerror or error)}; finished parts are "
            "kept; free some space, then give the same command again"
        ) from error
    pack, earlier = open_pack(target), {path for path, _ in parent.quarantine}
    return Derived(pack, {path: why for path, why in pack.quarantine if path not in earlier})


def _write(
    parent: Pack, edit: Edit, building: Path, options: BuildOptions, fingerprint: str
) -> dict[str, str]:
    """Write all files of the new pack, unless that would only repeat the parent; what cannot be read."""
    new = [edit.renamed(mark) for mark in edit.new.marks] if edit.new else []
    outcome: Outcome = _NOTHING
    images: Iterator[Pixels] = iter(())
    if edit.new:
        locations = edit.new.locations
        _check_room(parent, building, estimate_bytes(locations, parent.size))
        outcome = build_parts(locations, building, options)
        images = read_parts(building, len(locations))
    else:
        _check_room(parent, building, 0)
    left_out = {new[i].path: why for i, why in outcome.reasons.items()}
    if edit.kept.all() and len(left_out) == len(new):
        return left_out
    marks = MarkTable.of(
        itertools.chain(
            itertools.compress(parent.marks, edit.kept.tolist()),
            (mark for i, mark in enumerate(new) if i not in outcome.reasons),
        )
    )
    whole = _whole_chunks(edit.kept)
    write_frame(
        building / FRAME_FILE,
        itertools.chain(_kept_images(parent, edit.kept, whole), images),
        parent.size,
        map(parent.compressed, range(whole)),
    )
    _write_removed(parent, edit, building)
    info = _info(parent, edit, fingerprint, len(marks), outcome)
    complete(building, marks, dict(parent.quarantine) | left_out, info)
    return left_out


def _info(parent: Pack, edit: Edit, fingerprint: str, count: int, outcome: Outcome) -> PackInfo:
    """What pack.json will hold."""
    staying = int(edit.kept.sum())
    change = Change(
        parent=parent.identity,
        fingerprint=parent.fingerprint,
        added=count - staying,
        removed=parent.count - staying,
        by=edit.by,
    )
    credits = [parent.attribution, attribution(edit.new) if edit.new else ""]
    return msgspec.structs.replace(
        parent.info,
        fingerprint=fingerprint,
        count=count,
        attribution="; ".join(dict.fromkeys(filter(None, credits))),
        unfinished=parent.info.unfinished + outcome.unfinished,
        changes=[*parent.info.changes, change],
        kept=_ranges(edit.kept),
    )


def _whole_chunks(kept: Mask) -> int:
    """How many chunks from the first one on stay whole."""
    left_out = np.flatnonzero(~kept)
    return int(left_out[0] if len(left_out) else len(kept)) // PER_CHUNK


def _kept_images(parent: Pack, kept: Mask, whole: int) -> Iterator[Pixels]:
    """The images that stay, from a chunk on."""
    for begin in range(whole * PER_CHUNK, parent.count, PER_CHUNK):
        rows = begin + np.flatnonzero(kept[begin : begin + PER_CHUNK])
        if len(rows):
            yield parent.read(rows)


def _ranges(kept: Mask) -> list[tuple[int, int]]:
    """The ranges of rows that stay, each as (begin, end)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], kept, [False]]).astype(np.int8)))
    return [(begin, end) for begin, end in edges.reshape(-1, 2).tolist()]


def _write_removed(parent: Pack, edit: Edit, building: Path) -> None:
    """Write the marks that were removed so far, unless they are back."""
    back = {edit.renamed(mark).path for mark in edit.new.marks} if edit.new else set()
    earlier = (mark for mark in read_removed(parent.folder) if mark.path not in back)
    removed = MarkTable.of(
        itertools.chain(earlier, itertools.compress(parent.marks, (~edit.kept).tolist()))
    )
    if len(removed):
        with atomic_path(building / REMOVED_FILE) as fresh:
            fresh.write_bytes(removed.lines)


def _check_room(parent: Pack, building: Path, new: float) -> None:
    """Refuse a pack for which the disk has too little room: the parent's frame, and new images twice.

    Raises:
        PackError: too little is free.
    """
    existing = sum(part.stat().st_size for part in building.glob("part-*"))
    needed = parent.frame_bytes + int(2 * new) - existing
    free = shutil.disk_usage(building).free
    if needed > free:
        raise PackError(
            f"the changed pack takes about {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are "
            f"free in {safe(building.parent)}; make room on that disk"
        )
