"""Vienna codes: every printed form to one, their levels, titles and rarity.

The Vienna Classification (WIPO) numbers figurative elements as category.division.section.
"""

import csv
import functools
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.resources import files

from tmssl.errors import CodeError
from tmssl.text import safe

LEVELS = ("category", "division", "section")
LAST_CATEGORY = 29
LAST_FIGURATIVE = 24  # 25 to 29 are ornaments, geometry, lettering, inscriptions and colours

_EDITION = re.compile(r"^(?:CFE|VCL|VC)?\s*\(\s*\d{1,2}\s*\)\s*", re.IGNORECASE)
_AUXILIARY = re.compile(r"^A\s*(?=\d)|(?<=\d)\s*A$", re.IGNORECASE)
_DOTTED = re.compile(r"(\d{1,2})(?:\.(\d{1,2}))?(?:\.(\d{1,3}))?\.?")
_SOLID = re.compile(r"\d{4}|\d{6}")
_SEPARATORS = re.compile(r"[;,|/\n\t]+")
_GLUED = re.compile(r"(?<=[\d.])\s+(?=(?:A\s*)?\d)")  # codes that only a blank keeps apart


def parse_code(text: str) -> str:
    """A printed code as `26.01.03`, `26.01` or `26`.

    Accepts `26.1.3`, `26.01.03`, `260103`, `2601`, an auxiliary `A`, a trailing dot, and an edition
    such as `CFE(9)`.

    Raises:
        CodeError: it is none of these, or its category is outside 1 to 29.
    """
    plain = _EDITION.sub("", text.strip())
    plain = _AUXILIARY.sub("", plain).strip()
    if _SOLID.fullmatch(plain):
        parts = [plain[i : i + 2] for i in range(0, len(plain), 2)]
    else:
        found = _DOTTED.fullmatch(plain)
        parts = [part for part in found.groups() if part] if found else []
    numbers = [int(part) for part in parts]
    if (
        not numbers
        or not 1 <= numbers[0] <= LAST_CATEGORY
        or not all(1 <= n <= 99 for n in numbers)
    ):
        raise CodeError(f"'{safe(text, 60)}' is not a Vienna code; codes look like 26.01.03")
    return ".".join(f"{number:02d}" for number in numbers)


def parse_codes(value: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Codes of a list or of a string with any separators: (sorted unique codes, what did not parse)."""
    items = [str(item) for item in value] if isinstance(value, list | tuple) else [str(value or "")]
    codes, bad = set(), []
    for item in items:
        for part in _parts(item):
            try:
                codes.add(parse_code(part))
            except CodeError:
                bad.append(part)
    return tuple(sorted(codes)), tuple(bad)


def _parts(text: str) -> list[str]:
    """The codes of one string, which may be separated by punctuation, brackets or only blanks."""
    bare = text.strip().strip("[]{}").replace("'", "").replace('"', "")
    parts = (part.strip() for chunk in _SEPARATORS.split(bare) for part in _GLUED.split(chunk))
    return [part for part in parts if part]


def at_level(codes: Iterable[str], level: str) -> frozenset[str]:
    """Codes cut to `category`, `division` or `section`; coarser ones are left out."""
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
            row["code"]: row["title"] + ("" if row["in_wipo_scheme"] == "1" else " (EUIPO only)")
            for row in csv.DictReader(file)
        }


def title(code: str) -> str:
    """The title of a category or division; a section has its division's; empty when unknown."""
    titles = _titles()
    return titles.get(code) or titles.get(code[:5], "")


def rarity(codes_per_mark: Sequence[Iterable[str]]) -> dict[str, float]:
    """Inverse document frequency of each code, log(marks / marks with it)."""
    counts = Counter(code for codes in codes_per_mark for code in set(codes))
    return {code: math.log(len(codes_per_mark) / count) for code, count in counts.items()}
