"""Which image a label means: by its path, or by its file name where that leaves no doubt."""

import dataclasses
import posixpath
import unicodedata
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tmssl.data.sources.folder import SUFFIXES
from tmssl.data.sources.marks import Mark, MarkTable, mark_of
from tmssl.data.sources.table import LABEL_FILES, Record
from tmssl.data.vienna import is_us_code, is_us_column, title
from tmssl.text import count, safe

_SHOWN = 3  # examples of a defect


@dataclasses.dataclass(frozen=True)
class JoinReport:
    """How labels and images met."""

    source: str
    images: int
    """images found"""
    labels: int
    """rows of labels read; 0 when there are none"""
    joined: int
    """rows that found their image"""
    with_codes: int
    """marks with at least one Vienna code"""
    with_group: int
    validation: int
    """marks kept for validation"""
    respelled: int = 0
    """rows that found it under another spelling: case, folder, suffix"""
    bare_codes: int = 0
    """rows whose codes are a bare string where others have a list"""
    untitled: int = 0
    """rows without a title where others have one"""
    bad_codes: tuple[str, ...] = ()
    """codes that do not parse, as printed"""
    us_codes: tuple[str, ...] = ()
    """US design search codes, by their column or as printed; they are not read as Vienna's"""
    unknown_codes: tuple[str, ...] = ()
    """codes that parse, of divisions that neither Vienna nor EUIPO has"""
    images_without_label: tuple[str, ...] = ()
    labels_without_image: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    """images named by more than one row; the first row counts"""
    odd_names: tuple[str, ...] = ()
    """files left out because their names are not UTF-8"""
    outside: tuple[str, ...] = ()
    """images, labels and folders left out because they lie outside the source's folder"""

    def lines(self) -> list[str]:
        """The report for a person."""
        told = [f"{safe(self.source)}: {count(self.images, 'image')}"]
        if self.labels:
            told += [
                f"  {count(self.labels, 'label row')}, {self.joined:,} joined to an image",
                f"  {self.with_codes:,} with Vienna codes, {self.with_group:,} with a group, "
                f"{self.validation:,} for validation",
            ]
        else:
            told.append(
                f"  no labels: there is no {', '.join(LABEL_FILES)}, output_YYYY.json or register in XML"
            )
        for number, what in (
            (self.respelled, "joined under another spelling (case, folder or suffix)"),
            (self.bare_codes, "with a bare string for a list of codes, read as one"),
            (self.untitled, "without a title"),
        ):
            if number:
                told.append(f"  {count(number, 'label row')} {what}")
        for one, many, found in self._defects():
            if found:
                examples = ", ".join(safe(item, 60) for item in found[:_SHOWN])
                such = ", such as" if len(found) > _SHOWN else ":"
                told.append(f"  {count(len(found), one, many)}{such} {examples}")
        if self.outside:
            told.append(f"  {outside_words(self.outside)}")
        return told

    def _defects(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """What was lost or is wrong, by its name for one and for several."""
        unlabelled = self.images_without_label if self.labels else ()
        return [
            ("image without a label", "images without a label", unlabelled),
            ("label without an image", "labels without an image", self.labels_without_image),
            ("code that does not parse", "codes that do not parse", self.bad_codes),
            (
                "US design search code, another scheme, not read as a Vienna code",
                "US design search codes, another scheme, not read as Vienna codes",
                self.us_codes,
            ),
            (
                "code of a division that Vienna does not have",
                "codes of divisions that Vienna does not have",
                self.unknown_codes,
            ),
            ("image named more than once", "images named more than once", self.duplicates),
            (
                "file left out since its name is not UTF-8",
                "files left out since their names are not UTF-8",
                self.odd_names,
            ),
        ]


def outside_words(paths: Sequence[str]) -> str:
    """What was left out because a link or a table leads out of the source's folder, and how to let it in."""
    return (
        f"{count(len(paths), 'path leads', 'paths lead')} out of the source's folder, such as {safe(paths[0], 60)}, and "
        f"{'is' if len(paths) == 1 else 'are'} left out; --images-under DIR lets in what lies under DIR"
    )


class Labels:
    """Rows of labels as marks, not yet joined to images, and what is odd about them."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.bad: list[str] = []
        self.us: list[str] = []
        self.unknown: list[str] = []
        self.bare = self.lists = self.untitled = self.coded = 0
        self._foreign: dict[str, bool] = {}
        self.rows = MarkTable.of(map(self._taken, records))

    def _taken(self, record: Record) -> Mark:
        """One row, its oddities noted."""
        mark, unparsed = mark_of(record)
        for code in unparsed:
            (self.us if is_us_code(code) else self.bad).append(code)
        self.unknown += [code for code in mark.vienna if not title(code)]
        value = record.get("vienna")
        self.lists += isinstance(value, list)
        self.bare += isinstance(value, str) and bool(value.strip())
        self.untitled += not mark.title
        self.coded += bool(mark.vienna)
        for column, text in mark.extra.items():
            if column not in self._foreign:
                self._foreign[column] = is_us_column(column)
            if self._foreign[column]:
                self.us.append(text)
        return mark


def images_of_labels(labels: Iterable[str], images: list[str]) -> dict[str, str]:
    """Label path to image path, for every label that names one image beyond doubt.

    Tried in turn: the path as it is, the path written otherwise (`./`, backslashes), without regard
    to case, the file name alone, and the file name without its suffix; L3D as published needs the
    third and fourth. A looser form counts only where one image and one label have it, and never takes an
    image from a label that names it exactly.
    """
    exact = set(images)
    wanted = list(dict.fromkeys(labels))
    found = {label: label for label in wanted if label in exact}
    taken = set(found)
    for form in (_plain, _folded, _name, _stem):
        left = [label for label in wanted if label not in found]
        if not left:
            break
        matches = _matches(left, images, form)
        if form is not _plain:  # the same path written twice is a duplicate, which the report tells
            matches = {label: image for label, image in matches.items() if image not in taken}
        found |= matches
        taken |= set(matches.values())
    return found


def _matches(labels: list[str], images: list[str], form: Callable[[str], str]) -> dict[str, str]:
    """Labels and images whose form is the same, and is nobody else's.

    Forms are compared by their hashes, which for half a million take a tenth of the memory, and once
    more as they are where these agree.
    """
    keys, rows, counts = np.unique(_hashes(images, form), return_index=True, return_counts=True)
    keys, rows = keys[counts == 1], rows[counts == 1]
    wanted = _hashes(labels, form)
    places = np.searchsorted(keys, wanted)
    places[places == len(keys)] = 0
    same = keys[places] == wanted if len(keys) else np.zeros(len(wanted), np.bool_)
    if form is not _plain:
        _, places_of, label_counts = np.unique(wanted, return_inverse=True, return_counts=True)
        same &= label_counts[places_of] == 1
    pairs = ((labels[i], images[rows[places[i]]]) for i in np.flatnonzero(same).tolist())
    return {label: image for label, image in pairs if form(label) == form(image)}


def _hashes(paths: list[str], form: Callable[[str], str]) -> npt.NDArray[np.int64]:
    """A hash of the form of each path, (n,)."""
    return np.fromiter((hash(form(path)) for path in paths), np.int64, len(paths))


def _plain(path: str) -> str:
    """A path without `./`, `//` and backslashes, accents composed, as macOS does not write them."""
    return _composed(posixpath.normpath(path.replace("\\", "/")))


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _folded(path: str) -> str:
    """A plain path without regard to case."""
    return _plain(path).casefold()


def _name(path: str) -> str:
    """A file name without its folders and case."""
    return _composed(path.replace("\\", "/").rpartition("/")[2]).casefold()


def _stem(path: str) -> str:
    """A file name without its folders, case and the suffix of an image; numbers have dots too."""
    name = _name(path)
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and dot + suffix in SUFFIXES else name
