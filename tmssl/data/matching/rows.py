"""The image of each row of labels: by its path, by the address of a register, or by its number."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from tmssl.data.matching.numbers import match_numbers, parse_number
from tmssl.data.matching.paths import match_labels


@dataclasses.dataclass
class RowMatches:
    """Which image each row means."""

    image_of: dict[int, str] = dataclasses.field(default_factory=dict)
    """row to image"""
    doubts: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """as in `Matches`, or a number and the images of that number"""
    roots: dict[tuple[str, str], int] = dataclasses.field(default_factory=dict)
    """as in `Matches`"""
    numbered: int = 0
    """rows that found their image by a number"""
    kind: str = ""
    """of that number"""


def match_rows(
    paths: Sequence[str],
    addresses: Mapping[int, str],
    numbers: Mapping[int, Mapping[str, str]],
    images: Sequence[str],
    *,
    root: str = "",
    scopes: Collection[str] = (),
    left_out: Collection[str] = (),
) -> RowMatches:
    """Find the image of every row that names exactly one.

    Args:
        paths: of all rows.
        addresses: row of a register to the address of its image, whose folders count first; its path
            is the last part of that.
        numbers: row of a register to the kinds of its mark's numbers, and these.
        images: paths relative to their root.
        root: path of that root.
        scopes: folders with a labels file of their own.
        left_out: paths that exist and are no images of the source.
    """
    named = [addresses.get(row) or path for row, path in enumerate(paths)]
    first = match_labels(named, images, root=root, scopes=scopes, left_out=left_out)
    found = RowMatches(doubts=first.doubts, roots=first.roots)
    for row, name in enumerate(named):
        if name in first.image_of:
            found.image_of[row] = first.image_of[name]
    _match_last_parts(found, paths, addresses, images, left_out)
    _match_by_number(found, paths, numbers, images)
    settled = {named[row] for row in found.image_of} | {paths[row] for row in found.image_of}
    settled.update(found.image_of.values())
    found.doubts = {
        name: of
        for name, of in found.doubts.items()
        if name not in settled and not settled.issuperset(of)
    }
    return found


def _match_last_parts(
    found: RowMatches,
    paths: Sequence[str],
    addresses: Mapping[int, str],
    images: Sequence[str],
    left_out: Collection[str],
) -> None:
    """Match rows of a register by the last part of an address whose folders fit no image."""
    rest = [row for row in addresses if addresses[row] and row not in found.image_of]
    if not rest:
        return
    free = sorted(set(images).difference(found.image_of.values()))
    matches = match_labels((paths[row] for row in rest), free, left_out=left_out)
    for row in rest:
        if paths[row] in matches.image_of:
            found.image_of[row] = matches.image_of[paths[row]]
    found.doubts |= matches.doubts


def _match_by_number(
    found: RowMatches,
    paths: Sequence[str],
    numbers: Mapping[int, Mapping[str, str]],
    images: Sequence[str],
) -> None:
    """Match rows of a register by the numbers of their marks, and others whose path is a number."""
    rest: dict[int, Mapping[str, str]] = {}
    for row, path in enumerate(paths):
        if row in found.image_of:
            continue
        if row in numbers:
            rest[row] = numbers[row]
        elif parse_number(path):
            rest[row] = {"number": path}
    free = sorted(set(images).difference(found.image_of.values())) if rest else []
    matches = match_numbers(rest, free)
    found.image_of |= matches.image_of
    found.doubts |= matches.doubts
    found.numbered, found.kind = len(matches.image_of), matches.kind
