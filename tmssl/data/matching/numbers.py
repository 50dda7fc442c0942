"""Matching images named by a mark's number: as an office prints it, or as ST.13, which adds the office.

WIPO's Standard ST.13 writes the number of a mark as the office, a kind, a year or zeros, and the serial
number: `EM500000018000001` is 018000001 of the EUIPO.
"""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tmssl.data.matching.spelling import fold, stem

OFFICE = "office"

_LEAST_DIGITS = 6  # of a number that is known in spite of zeros, offices and separators
_MOST_CANDIDATES = 3  # that a doubt names
_ST13 = re.compile(r"([a-z]{2})[\s_.-]*(?:50|10|20|30|40)(\d{13,15})")
_NUMBER = re.compile(r"([a-z]{2,5})?[\s_.-]*(\d[\d\s.,/-]*)")
_INDEX = re.compile(r"(?<=\d)(?:[\s_-]+|\s*\()(?:image|img|fig|page|p)?[\s_-]*\d{1,2}\)?$")
_OFFICES = {"eutm": "em", "ctm": "em", "euipo": "em", "ohim": "em", "uk": "gb", "usa": "us"}


class MarkNumber(NamedTuple):
    """The number of a mark, in a form that all its spellings share."""

    office: str
    """two letters, or empty where the number stands alone"""
    digits: str
    """without leading zeros"""

    def may_be(self, other: "MarkNumber") -> bool:
        """Whether the offices do not contradict each other."""
        return not (self.office and other.office) or self.office == other.office


@dataclasses.dataclass
class NumberMatches:
    """The images of rows by their numbers."""

    image_of: dict[int, str] = dataclasses.field(default_factory=dict)
    """row to image"""
    doubts: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """a number and the images of that number, or an image and the numbers that it may be of"""
    kind: str = ""
    """of the numbers by which most images are named"""


def parse_number(text: str) -> MarkNumber | None:
    """The number that a text is, if it is one of at least six digits."""
    plain = fold(text).strip()
    if match := _ST13.fullmatch(plain):
        office, digits = match.groups()
    elif match := _NUMBER.fullmatch(plain):
        office, digits = match.group(1) or "", re.sub(r"\D", "", match.group(2))
    else:
        return None
    digits = digits.lstrip("0")
    office = _OFFICES.get(office, office)
    return MarkNumber(office, digits) if len(digits) >= _LEAST_DIGITS else None


def match_numbers(numbers: Mapping[int, Mapping[str, str]], images: Sequence[str]) -> NumberMatches:
    """Find the images that are named by the numbers of marks.

    Images are named by one kind of number, the one that finds most of them, since an application and
    a registration of the same number are different marks.

    Args:
        numbers: row to kind and number; the kind `office` is the code of the office.
        images: paths that have no label yet.
    """
    names = _Names(images)
    best = NumberMatches()
    for kind in dict.fromkeys(kind for of_row in numbers.values() for kind in of_row):
        if kind == OFFICE:
            continue
        found = NumberMatches(kind=kind)
        rows_of: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row, of_row in numbers.items():
            if kind in of_row:
                rows_of[of_row[kind], of_row.get(OFFICE, "")].append(row)
        for (number, office), rows in rows_of.items():
            _claim(found, number, rows, names.of(number, office))
        _drop_shared(found, numbers)
        if (len(found.image_of), len(found.doubts)) > (len(best.image_of), len(best.doubts)):
            best = found
    return best


def _claim(found: NumberMatches, number: str, rows: list[int], images: list[str]) -> None:
    """Give the images of one number to its rows: one to all of them, or each to its own."""
    if len(images) == 1:
        found.image_of.update(dict.fromkeys(rows, images[0]))
    elif images and len(images) == len(rows):
        found.image_of.update(zip(rows, sorted(images), strict=True))
    elif images:
        found.doubts[number] = tuple(images[:_MOST_CANDIDATES])


def _drop_shared(found: NumberMatches, numbers: Mapping[int, Mapping[str, str]]) -> None:
    """Take back images that rows of different numbers claim."""
    claimed: dict[str, set[str]] = defaultdict(set)
    for row, image in found.image_of.items():
        claimed[image].add(numbers[row][found.kind])
    shared = {image: of for image, of in claimed.items() if len(of) > 1}
    for image, of in shared.items():
        found.doubts[image] = tuple(sorted(of)[:_MOST_CANDIDATES])
    found.image_of = {row: image for row, image in found.image_of.items() if image not in shared}


class _Names:
    """Images by the numbers that they are named by."""

    def __init__(self, images: Sequence[str]) -> None:
        self._exact: dict[str, list[str]] = defaultdict(list)
        self._whole: dict[str, list[tuple[MarkNumber, str]]] = defaultdict(list)
        self._first: dict[str, list[tuple[MarkNumber, str]]] = defaultdict(list)
        for image in images:
            name = _named_by(image)
            self._exact[name].append(image)
            if number := parse_number(name):
                self._whole[number.digits].append((number, image))
            without = _INDEX.sub("", name)
            if without != name and (number := parse_number(without)):
                self._first[number.digits].append((number, image))

    def of(self, number: str, office: str) -> list[str]:
        """The images of a number: named exactly so, else in another spelling, else one of several."""
        if exact := self._exact.get(fold(number).strip()):
            return exact
        wanted = parse_number(number)
        if wanted is None:
            return []
        office = fold(office).strip()
        wanted = wanted._replace(office=wanted.office or _OFFICES.get(office, office))
        for names in (self._whole, self._first):
            if found := [
                image for one, image in names.get(wanted.digits, ()) if one.may_be(wanted)
            ]:
                return found
        return []


def _named_by(image: str) -> str:
    """The folded name of an image without its suffix, or its folder's where the name is too short."""
    folder, _, name = fold(image).rpartition("/")
    own = stem(name).strip()
    above = folder.rpartition("/")[2].strip()
    return above if len(re.sub(r"\D", "", own)) <= 2 and parse_number(above) else own
