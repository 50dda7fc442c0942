"""What is to be added to a pack or removed from it, told apart from what is there already."""

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tmssl.data.pack.derived import Edit
from tmssl.data.pack.info import read_removed
from tmssl.data.pack.reader import Pack
from tmssl.data.sources.catalogue import Catalogue
from tmssl.data.sources.marks import Mark, MarkTable
from tmssl.errors import InputError
from tmssl.text import count, safe
from tmssl.types import Mask

_LONGEST = 1000  # characters of a source that are recorded


@dataclasses.dataclass
class Addition:
    """The marks of a source, by what becomes of each."""

    edit: Edit | None = None
    """None where nothing is new"""
    new: int = 0
    there: int = 0
    """marks of images that are in the pack already"""
    other_labels: list[str] = dataclasses.field(default_factory=list)
    """paths of those among them whose labels differ; the pack keeps its own"""
    same_id: list[str] = dataclasses.field(default_factory=list)
    """paths of further images whose id is that of a mark of the pack; they are left out"""
    back: int = 0
    """new marks that were removed before"""


def addition(parent: Pack, source: Catalogue) -> Addition:
    """What adding a source to a pack means.

    A mark is there already if the pack has its image file, or its id where ids tell the marks of the pack
    apart. What is there keeps its picture and its labels.

    Args:
        parent: the pack.
        source: the catalogue of the source.
    """
    prefix = os.path.relpath(source.root, parent.source_root)
    edit = Edit(np.ones(parent.count, np.bool_), source, "" if prefix == "." else prefix)
    found, known = Addition(), {mark.path: row for row, mark in enumerate(parent.marks)}
    ids = _telling_ids(parent.marks)
    gone = {mark.path for mark in read_removed(parent.folder)}
    new: list[Mark] = []
    for mark in source.marks:
        renamed = edit.renamed(mark)
        row = known.get(renamed.path)
        if row is not None:
            found.there += 1
            if parent.marks[row] != renamed:
                found.other_labels.append(renamed.path)
        elif mark.id and mark.id in ids:
            found.same_id.append(renamed.path)
        else:
            found.back += renamed.path in gone
            new.append(mark)
    found.new = len(new)
    if new:
        rest = dataclasses.replace(source, marks=MarkTable.of(new))
        by = safe(source.report.source or source.root, _LONGEST)
        found.edit = dataclasses.replace(edit, new=rest, by=by)
    return found


def _telling_ids(marks: MarkTable) -> set[str]:
    """The ids of marks, if each has one of its own; none where several share one, as those of a class do."""
    ids = Counter(filter(None, marks.column("id", str, "")))
    return set() if any(number > 1 for number in ids.values()) else set(ids)


def removal(parent: Pack, ids: Sequence[str], mask: Mask | None, by: str) -> Edit | None:
    """The edit that removes the marks with some ids, or paths, that pass a filter.

    Args:
        parent: the pack.
        ids: ids or paths; empty takes all marks of the filter.
        mask: the marks that pass the filter; None where there is none.
        by: what was asked for, in words.

    Returns:
        None where all that was asked for is removed already, or nothing passes the filter.

    Raises:
        InputError: there never was a mark of an id or path, or none would be left.
    """
    chosen = np.ones(parent.count, np.bool_) if mask is None else mask.copy()
    if ids:
        chosen &= _named(parent, ids)
    if not chosen.any():
        return None
    if chosen.all():
        raise InputError(
            f"that removes all of {count(parent.count, 'mark')}; a gallery needs at least one"
        )
    return Edit(~chosen, by=safe(by, _LONGEST))


def _named(parent: Pack, ids: Sequence[str]) -> Mask:
    """The marks that have one of some ids or paths.

    Raises:
        InputError: one of them is of no mark, and of none that was removed.
    """
    wanted, seen = set(ids), set()
    mask = np.zeros(parent.count, np.bool_)
    for row, mark in enumerate(parent.marks):
        names = wanted & {mark.id, mark.path}
        if names:
            mask[row] = True
            seen |= names
    missing = wanted - seen
    if missing:
        for mark in read_removed(parent.folder):
            missing -= {mark.id, mark.path}
    if missing:
        first = min(missing)
        raise InputError(
            f"{count(len(missing), 'name')} is of no mark, such as '{safe(first, 80)}'; give the id or the "
            "path of a mark, as `tmssl search` shows them"
        )
    return mask
