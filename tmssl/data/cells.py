"""Rows of label tables: the columns with a meaning, and what counts as an empty cell.

Files in `sources` yield rows, and `sources/marks.py` turns rows into marks.
"""

import functools
import math
from typing import Any

Row = dict[str, Any]
"""Column name to cell, as a file holds it."""

COLUMNS = ("path", "id", "vienna", "group", "split", "title", "url")
"""Columns with a meaning; all others are kept as they are and shown."""
EMPTY_WORDS = frozenset({"", "-", "none", "null", "nan", "n/a", "na"})
"""What tables write, in any case, where a mark has no codes."""


def cell_text(value: object) -> str:
    """A cell as text: empty for null and NaN, without surrounding blanks, encodable as UTF-8."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = str(value).strip()
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@functools.lru_cache(maxsize=1024)
def column_name(name: str) -> str:
    """A column's name; those with a meaning are recognized in any case and between blanks."""
    text = cell_text(name)
    return text.lower() if text.lower() in COLUMNS else text
