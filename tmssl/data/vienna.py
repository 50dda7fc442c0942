"""Vienna codes: parsing every printed form, levels, titles and inverse document frequencies.

The Vienna Classification (WIPO) numbers figurative elements as category.division.section.
"""

import csv
import functools
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.resources import files

from tmssl.data.cells import EMPTY_WORDS, cell_text
from tmssl.errors import CodeError
from tmssl.text import safe

LEVELS = ("category", "division", "section")
LAST_CATEGORY = 29
LAST_PART = 99  # of divisions and sections
_EUIPO = " (EUIPO only)"
_EUIPO_SECTIONS = 90  # from here on, sections are EUIPO's own
LAST_FIGURATIVE = 24  # 25 to 29 are ornaments, geometry, lettering, inscriptions and colours

_EDITION_FORM = r"(?:CFE|VCL|VC)?\s*\(\s*\d{1,2}\s*\)\s*:?"
_EDITION = re.compile(rf"^{_EDITION_FORM}\s*", re.IGNORECASE | re.ASCII)
_AUXILIARY = re.compile(r"^A\s*(?=\d)|(?<=[\d.])\s*A$", re.IGNORECASE | re.ASCII)
_DOTTED = re.compile(r"(\d{1,2})(?:\.(\d{1,2}))?(?:\.(\d{1,2}))?\.?", re.ASCII)
_SOLID = re.compile(r"\d{4}|\d{6}", re.ASCII)
_SEPARATORS = re.compile(r"[;,|\n\r\t]+")
# A slash, or a blank before a new code, may be the only separator.
_GLUED = re.compile(
    rf"\s*/\s*|(?<=[\d.])\s+(?=(?:{_EDITION_FORM})?\s*(?:A\s*)?\d)", re.IGNORECASE | re.ASCII
)
_BARE = re.compile(r"\d{1,2}", re.ASCII)
# US design search codes look like Vienna codes but mean other things; only a name tells them apart.
US_COLUMN = "design_search_code"
_US_COLUMN = re.compile(r"(us(pto)?[ _-]*)?(design[ _-]*(search[ _-]*)?codes?|dsc)", re.IGNORECASE)
_US_CODE = re.compile(r"(us(pto|dc)?|dsc)\b[\s:.()-]*\d.*|.*\d\s*\(us\)", re.IGNORECASE | re.ASCII)


@functools.lru_cache(maxsize=1 << 16)
def parse_code(text: str) -> str:
    """A printed code as `26.01.03`, `26.01` or `26`.

    Accepts `26.1.3`, `26.01.03`, `260103`, `2601`, with an auxiliary `A`, a trailing dot, or an
    edition such as `CFE(9)`.

    Raises:
        CodeError: it is none of these, its category is not in 1 to 29, or its division or section not
            in 1 to 99.
    """
    plain = _EDITION.sub("", text.strip())
    plain = _AUXILIARY.sub("", plain).strip()
    if _SOLID.fullmatch(plain):
        parts = [plain[i : i + 2] for i in range(0, len(plain), 2)]
    else:
        match = _DOTTED.fullmatch(plain)
        parts = [part for part in match.groups() if part] if match else []
    numbers = [int(part) for part in parts]
    if not _in_range(numbers):
        raise CodeError(f"'{safe(text, 60)}' is not a Vienna code; codes look like 26.01.03")
    return ".".join(f"{number:02d}" for number in numbers)


def _in_range(numbers: list[int]) -> bool:
    """Whether numbers are a category, optionally with a division and a section."""
    return (
        bool(numbers)
        and 1 <= numbers[0] <= LAST_CATEGORY
        and all(1 <= number <= LAST_PART for number in numbers)
    )


def parse_codes(value: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The codes of a cell, a list or a string with any separators: (sorted unique codes, unparsed).

    Empty cells (`EMPTY_WORDS`) are neither. `26 01 03` could be three categories or one section, so it
    counts as unparsed.
    """
    items = value if isinstance(value, list | tuple | set | frozenset) else [value]
    codes: set[str] = set()
    unparsed: list[str] = []
    for item in items:
        parsed, bad = _parse_text(cell_text(item))
        codes.update(parsed)
        unparsed += bad
    return tuple(sorted(codes)), tuple(unparsed)


@functools.lru_cache(maxsize=1 << 16)
def _parse_text(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The codes of one string, and its parts that do not parse."""
    codes, bad = [], []
    for part in _split(text):
        try:
            codes.append(parse_code(part))
        except CodeError:
            bad.append(part)
    return tuple(codes), tuple(bad)


def _split(text: str) -> list[str]:
    """The printed codes of one string, separated by punctuation, brackets or only blanks."""
    bare = text.strip().strip("[]{}").replace("'", "").replace('"', "")
    parts: list[str] = []
    for chunk in (chunk.strip() for chunk in _SEPARATORS.split(bare)):
        codes = [code.strip() for code in _GLUED.split(chunk)]
        ambiguous = len(codes) > 1 and any(_BARE.fullmatch(code) for code in codes)
        parts += [chunk] if ambiguous or chunk.lower() in EMPTY_WORDS else codes
    return [part for part in parts if part.lower() not in EMPTY_WORDS]


def is_us_column(name: str) -> bool:
    """Whether the name of a column says that it holds US design search codes, which are not Vienna codes."""
    return _US_COLUMN.fullmatch(name.strip()) is not None


def is_us_code(text: str) -> bool:
    """Whether a printed code is marked as a US design search code, such as `US 26.01.21`."""
    return _US_CODE.fullmatch(text.strip()) is not None


def at_level(codes: Iterable[str], level: str) -> frozenset[str]:
    """Codes cut to a level (`category`, `division` or `section`); coarser codes are left out."""
    length = 2 + 3 * LEVELS.index(level)
    return frozenset(code[:length] for code in codes if len(code) >= length)


def is_figurative(code: str) -> bool:
    """Whether a code is of categories 1 to 24, which depict something."""
    return int(code[:2]) <= LAST_FIGURATIVE


@functools.cache
def _titles() -> dict[str, str]:
    """Code to title, from the embedded table."""
    table = files("tmssl.data").joinpath("tables/vienna_divisions.csv")
    with table.open(encoding="utf-8") as file:
        return {
            row["code"]: row["title"] + ("" if row["in_wipo_scheme"] == "1" else _EUIPO)
            for row in csv.DictReader(file)
        }


def title(code: str) -> str:
    """The title of a category or division; a section has its division's; empty when unknown.

    Divisions .99 and sections from .90 exist in EUIPO's version only, and the title says so.
    """
    titles = _titles()
    text = titles.get(code) or titles.get(code[:5], "")
    own_section = len(code) == 8 and int(code[6:]) >= _EUIPO_SECTIONS
    return f"{text}{_EUIPO}" if text and own_section and not text.endswith(_EUIPO) else text


def idf(codes_per_mark: Sequence[Iterable[str]]) -> dict[str, float]:
    """Inverse document frequency of each code: log(marks / marks with the code)."""
    counts = Counter(code for codes in codes_per_mark for code in set(codes))
    return {code: math.log(len(codes_per_mark) / count) for code, count in counts.items()}
