"""Rows of label tables: the columns with a meaning, and what counts as an empty cell.

Files in `sources` yield rows, and `sources/marks.py` turns rows into marks.
"""

import functools
import math
from typing import Any

Row = dict[str, Any]
"""Column name to cell, as a file holds it."""

NUMBERS = "\0numbers"
"""The cell of a register's row that maps the kinds of a mark's numbers to these; no column of a table."""

COLUMNS = ("path", "id", "vienna", "group", "split", "title", "url")
"""Columns with a meaning; all others are kept as they are and shown."""
_MISSING = frozenset(
    """- -- --- \u2013 \u2014 n/a na n.a. #n/a #na nan -nan <nan> nat none null <na> <null> [null] (null) \\n
    1.#ind -1.#ind 1.#qnan -1.#qnan #null! #value! #ref! #name? #div/0! #num! (blank)""".split()
)
"""What pandas, SQL and spreadsheets write, in any case, where there is nothing."""


def is_missing(text: str) -> bool:
    """Whether a cell's text is blank or a word for nothing, such as `nan`, `NULL` or `#N/A`."""
    bare = text.strip()
    return not bare or bare.casefold() in _MISSING or bare.casefold() == "#n/a n/a"


def cell_text(value: object) -> str:
    """A cell as text: empty where it is missing, without surrounding blanks, encodable as UTF-8."""
    text = whole_text(value).strip()
    return "" if is_missing(text) else text


def whole_text(value: object) -> str:
    """A cell as text with its blanks and words for nothing, encodable as UTF-8; bytes that are no text are none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bytes):
        value = _decoded(value)
    text = value if isinstance(value, str) else str(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _decoded(data: bytes) -> str:
    """Bytes of a string whose column lacks the mark of UTF-8; nothing for other bytes."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return ""


@functools.lru_cache(maxsize=1024)
def column_name(name: str) -> str:
    """A column's name; those with a meaning are recognized in any case and between blanks."""
    text = whole_text(name).strip().strip("\ufeff")
    return text.lower() if text.lower() in COLUMNS else text
