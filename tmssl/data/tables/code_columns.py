"""Which columns of a table hold Vienna codes, by their names and cells, and how their numbers were written."""

import re
from collections.abc import Mapping, Sequence

from tmssl.data.cells import COLUMNS, Row, cell_text
from tmssl.data.vienna import is_lossy_number, is_us_column, names_vienna, parse_codes, title
from tmssl.text import safe

_SURE_SHARE = 0.95  # of cells; a column under a foreign name holds codes from here on
_NUMBER = re.compile(r"\d{1,6}(\.\d{1,2})?", re.ASCII)
_SOLID_DOUBLE = re.compile(r"\d{4,6}\.0", re.ASCII)
_PART = re.compile(r"\d{1,2}", re.ASCII)
_LEVEL = re.compile(r"categor|division|section", re.IGNORECASE)


def columns_of_codes(head: Sequence[Row], meant: Mapping[str, str], notes: list[str]) -> list[str]:
    """The columns that are read as codes without being called `vienna`.

    Args:
        head: the first rows of the table.
        meant: column to meaning.
        notes: takes a sentence on each column that is read, or that is not and looks like codes.
    """
    others = _others(meant)
    named = [column for column in others if names_vienna(column)]
    has_codes = any(_share_of_codes(head, c) for c, meaning in meant.items() if meaning == "vienna")
    if "vienna" not in meant.values():
        used = [
            column
            for column in named
            if _share_of_codes(head, column) > 0.5 or _is_empty(head, column)
        ]
        if used:
            notes += [
                f"its column '{safe(column, 60)}' is read as Vienna codes, by its name and cells"
                for column in used
            ]
            return used
        notes += [_question(column, "is named like Vienna codes") for column in named]
    for column in others:
        share = _share_of_codes(head, column, known=column not in named)
        if share >= _SURE_SHARE and (column in named or not has_codes):
            notes.append(_question(column, "holds what looks like Vienna codes"))
    return []


def _others(meant: Mapping[str, str]) -> list[str]:
    """The columns without a meaning that may hold Vienna codes."""
    return [
        column
        for column, meaning in meant.items()
        if meaning and meaning not in COLUMNS and not is_us_column(column)
    ]


def _question(column: str, reason: str) -> str:
    """The sentence on a column that is not read as codes and might be some."""
    shown = safe(column, 60)
    return (
        f"its column '{shown}' {reason} and is not read as such; "
        f"--columns 'vienna={shown}' reads it"
    )


def _is_empty(head: Sequence[Row], column: str) -> bool:
    return not any(cell_text(row.get(column)) for row in head)


def _share_of_codes(head: Sequence[Row], column: str, *, known: bool = False) -> float:
    """Share of a column's cells that are codes with a division; 0 for an empty column.

    Args:
        head: the first rows.
        column: its name.
        known: whether Vienna must have the divisions, which most dates and prices fail.
    """
    cells, codes = 0, 0
    for row in head:
        found, bad = parse_codes(row.get(column))
        if found or bad:
            cells += 1
            whole = all(map(is_lossy_number, bad)) and not (known and bad)
            codes += whole and all(len(code) > 2 and (not known or title(code)) for code in found)
    return codes / cells if cells else 0.0


def columns_of_parts(head: Sequence[Row], meant: Mapping[str, str], notes: list[str]) -> list[str]:
    """The columns of category, division and section whose numbers make up a code; none otherwise.

    USPTO's codes have such parts too, so one of the columns must be named after Vienna.
    """
    if "vienna" in meant.values():
        return []
    parts: dict[str, str] = {}
    for column in _others(meant):
        level = _LEVEL.search(column)
        if level and _holds_parts(head, column):
            parts.setdefault(level[0].lower(), column)
    columns = [parts[level] for level in ("categor", "division", "section") if level in parts]
    joined: list[Row] = [{"code": code_of_parts(row, columns)} for row in head]
    if len(columns) < 3 or _share_of_codes(joined, "code", known=True) < _SURE_SHARE:
        return []
    shown = ", ".join(f"'{safe(column, 40)}'" for column in columns)
    if any(map(names_vienna, columns)):
        notes.append(f"its columns {shown} are read as the parts of a Vienna code")
        return columns
    notes.append(
        f"its columns {shown} look like the parts of a Vienna code and are not read as such; "
        "rename the first to vienna_category if they are"
    )
    return []


def _holds_parts(head: Sequence[Row], column: str) -> bool:
    """Whether a column holds nothing but numbers of one or two digits."""
    texts = {_part(row, column) for row in head} - {""}
    return bool(texts) and all(_PART.fullmatch(text) for text in texts)


def _part(row: Row, column: str) -> str:
    """A part of a code as text; a column of integers with gaps has become doubles."""
    return cell_text(row.get(column)).removesuffix(".0")


def code_of_parts(row: Row, columns: Sequence[str]) -> str:
    """The code of a row by its category, division and section, up to the first that is missing."""
    texts = [_part(row, column) for column in columns]
    return ".".join(texts[: texts.index("")] if "" in texts else texts)


def is_number(text: str) -> bool:
    """Whether a cell is a number as a program writes one."""
    return _NUMBER.fullmatch(text.strip()) is not None


def written_by_doubles(head: Sequence[Row], column: str) -> bool:
    """Whether a column's text was written from a column of doubles, which turn 26.10 into 26.1.

    Then each cell is one number, and there is 260103.0; or 26.01 stands beside 26.1, and no digit is
    followed by a zero at the end.
    """
    texts = {cell_text(row[column]) for row in head if isinstance(row.get(column), str)} - {""}
    if not texts or not all(map(is_number, texts)):
        return False
    decimals = [text.partition(".")[2] for text in texts if "." in text]
    return any(map(_SOLID_DOUBLE.fullmatch, texts)) or (
        any(len(part) == 1 and part != "0" for part in decimals)
        and any(len(part) == 2 and part.startswith("0") for part in decimals)
        and not any(len(part) == 2 and part.endswith("0") for part in decimals)
    )
