"""Vienna codes: parsing every printed form, levels, titles and inverse document frequencies.

The Vienna Classification (WIPO) numbers figurative elements as category.division.section.
"""

import csv
import functools
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from importlib.resources import files
from typing import TypeGuard

from tmssl.data.cells import cell_text, is_missing
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
_BLANKS = re.compile(r"[ \f\v]+")
_LONGEST_PRINTED = 64  # characters of one code with its edition; longer text is none
_DEEPEST = 8  # lists within lists of a cell that are looked into
_LARGEST_PRINTED = 10**9  # among numbers; the largest code is 299999
_LONGEST_KEPT = (
    200  # characters of a cell whose codes are remembered: few cells are longer, or come again
)
# A slash, or a blank before a new code, may be the only separator.
_GLUED = re.compile(
    rf"\s*/\s*|(?<=[\d.])\s+(?=(?:{_EDITION_FORM})?\s*(?:A\s*)?\d)", re.IGNORECASE | re.ASCII
)
# 26,1 may be two categories, or one code with a decimal comma; 26,1,3 may be a list of integers.
_BARE_COMMAS = re.compile(r"\d{1,2}(\s*,\s*\d{1,2})+", re.ASCII)
_SURE_NUMBER = re.compile(r"\d{1,2}(\.\d{2})?|\d{4}|\d{6}", re.ASCII)
_BARE = re.compile(r"\d{1,2}", re.ASCII)
# Vienna in the languages of offices, and the initials of its Classification of Figurative Elements.
_VIENNA_NAME = re.compile(
    r"vienn|viena|wien|bécs|weenen|vídeň|viyana"
    r"|венск|ウィーン|维也纳|維也納|비엔나|빈\s?분류|(?<![a-z])(cfe|vcl)(?![a-z])",
    re.IGNORECASE,
)
# US design search codes look like Vienna codes but mean other things; only a name tells them apart.
US_COLUMN = "design_search_code"
_US_COLUMN = re.compile(r"(us(pto)?[ _-]*)?(design[ _-]*(search[ _-]*)?codes?|dsc)", re.IGNORECASE)
_US_KIND = re.compile(
    r"(?<![a-z])u\.?s\.?(?![a-z])|uspto|united states|design|(?<!inter)na[tcz]ion|domest",
    re.IGNORECASE,
)
_US_CODE = re.compile(r"(us(pto|dc)?|dsc)\b[\s:.()-]*\d.*|.*\d\s*\(us\)", re.IGNORECASE | re.ASCII)


def parse_code(text: str) -> str:
    """A printed code as `26.01.03`, `26.01` or `26`.

    Accepts `26.1.3`, `26.01.03`, `260103`, `2601`, with an auxiliary `A`, a trailing dot, or an
    edition such as `CFE(9)`. A section or division `00` stands for the level above: `26.01.00` is
    `26.01`.

    Raises:
        CodeError: it is none of these, its category is not in 1 to 29, or its division or section not
            in 1 to 99.
    """
    plain = text.strip()
    if len(plain) > _LONGEST_PRINTED:
        raise _no_code(plain)
    return _parse_printed(plain)


@functools.lru_cache(maxsize=1 << 16)
def _parse_printed(text: str) -> str:
    """A printed code of at most `_LONGEST_PRINTED` characters, as `parse_code` has it."""
    plain = _EDITION.sub("", text)
    plain = _AUXILIARY.sub("", plain).strip()
    if _SOLID.fullmatch(plain):
        parts = [plain[i : i + 2] for i in range(0, len(plain), 2)]
    else:
        match = _DOTTED.fullmatch(plain)
        parts = [part for part in match.groups() if part] if match else []
    while parts and parts[-1] == "00":
        parts.pop()
    numbers = [int(part) for part in parts]
    if not _in_range(numbers):
        raise _no_code(text)
    return ".".join(f"{number:02d}" for number in numbers)


def _no_code(text: str) -> CodeError:
    return CodeError(f"'{safe(text, 60)}' is not a Vienna code; codes look like 26.01.03")


def _in_range(numbers: list[int]) -> bool:
    """Whether numbers are a category, optionally with a division and a section."""
    return (
        bool(numbers)
        and 1 <= numbers[0] <= LAST_CATEGORY
        and all(1 <= number <= LAST_PART for number in numbers)
    )


def parse_codes(value: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The codes of a cell, a list or a string with any separators: (sorted unique codes, unparsed).

    Missing cells are neither. `26 01 03` and `26,1` could be several categories or one code, so they
    count as unparsed. So do numbers that may have lost digits; each begins with `number`.
    """
    codes: set[str] = set()
    unparsed: list[str] = []
    for item in _items(value):
        parsed, bad = _parse_number(item) if _is_number(item) else _parse_text(cell_text(item))
        codes.update(parsed)
        unparsed += bad
    return tuple(sorted(codes)), tuple(unparsed)


def _items(value: object, depth: int = 0) -> Iterator[object]:
    """The items of a cell and of the lists in it; several small whole numbers are one item, as text."""
    if not isinstance(value, list | tuple | set | frozenset):
        yield value
    elif depth > _DEEPEST:
        yield "a list within lists"
    elif len(value) > 1 and all(_is_number(item) and _is_small_whole(item) for item in value):
        yield ", ".join(str(int(item)) for item in value)
    else:
        for item in value:
            yield from _items(item, depth + 1)


def _is_small_whole(number: float | Decimal) -> bool:
    return 0 <= number <= LAST_PART and number == int(number)


def _is_number(value: object) -> TypeGuard[int | float | Decimal]:
    """Whether a cell is a number that is one."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return False
    return isinstance(value, int) or math.isfinite(value)  # isfinite overflows on large integers


def _parse_number(number: float | Decimal) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The code that a number stands for beyond doubt, or the number as unparsed.

    26.1 may have been 26.10, and 10203 may have been 010203.
    """
    if not -_LARGEST_PRINTED <= number <= _LARGEST_PRINTED:  # its digits may be thousands
        return (), (f"number above {_LARGEST_PRINTED}",)
    text = str(int(number)) if number == int(number) else str(number)
    if _SURE_NUMBER.fullmatch(text):
        codes, _ = _parse_text(text)
        if codes:
            return codes, ()
    return (), (f"number {text}",)


def is_lossy_number(part: str) -> bool:
    """Whether an unparsed part is a number, or are numbers, whose code is in doubt."""
    return part.startswith("number")


def _parse_text(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The codes of one string, and its parts that do not parse."""
    return _parse_short_text(text) if len(text) <= _LONGEST_KEPT else _parse_whole(text)


def _parse_whole(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """As `_parse_text`."""
    codes, bad = [], []
    for part in _split(text):
        try:
            codes.append(parse_code(part))
        except CodeError:
            bad.append(part)
    return tuple(codes), tuple(bad)


_parse_short_text = functools.lru_cache(maxsize=1 << 16)(_parse_whole)


def _split(text: str) -> list[str]:
    """The printed codes of one string, separated by punctuation, brackets or only blanks."""
    bare = text.strip().strip("[]{}").replace("'", "").replace('"', "")
    if _BARE_COMMAS.fullmatch(text.strip().strip("[](){}")):
        return [f"numbers {bare}"]
    parts: list[str] = []
    # One blank for many: the pattern looks through all that follow at each of them.
    bare = _BLANKS.sub(" ", bare)
    for chunk in (chunk.strip() for chunk in _SEPARATORS.split(bare)):
        codes = [code.strip() for code in _GLUED.split(chunk)]
        ambiguous = len(codes) > 1 and any(_BARE.fullmatch(code) for code in codes)
        parts += [chunk] if ambiguous or is_missing(chunk) else codes
    return [part for part in parts if not is_missing(part)]


def names_vienna(name: str) -> bool:
    """Whether the name of a column or of a scheme says Vienna, in any language of the offices."""
    return _VIENNA_NAME.search(name) is not None


def is_vienna_kind(kind: str, code: str) -> bool:
    """Whether a code of a register is Vienna's, by the kind that it is printed under.

    Kinds that name Vienna or a national scheme decide; under any other words, and in any language, the
    code does: it is Vienna's where Vienna has its division. A number alone may be a class of goods.
    """
    if not kind or names_vienna(kind):
        return True
    if _US_KIND.search(kind):
        return False
    try:
        plain = parse_code(code)
    except CodeError:
        return False
    return len(plain) > 2 and bool(title(plain))


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
