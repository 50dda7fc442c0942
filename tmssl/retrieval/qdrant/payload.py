"""What Qdrant keeps beside a mark's vector.

Each column is kept as it was, folded, in pieces of three characters, and as a number or a day where it is
one, so that a condition can mean what it means for `tmssl search`.
"""

import datetime as dt
import hashlib
import re
import uuid
from collections.abc import Mapping

from tmssl.data.sources.marks import Mark
from tmssl.data.vienna import LEVELS, at_level
from tmssl.retrieval.search.filters import COLUMNS, number_in

_NAMESPACE = uuid.UUID("6f0d3f1e-54a2-5b43-9c58-0b8e7f1f2a55")  # of points that are marks
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_LARGEST_INTEGER = 1 << 63
PIECE = 3
"""characters of a piece of text; what is shorter cannot be looked for within text"""


def point_id(name: str) -> str:
    """The id of a mark's point, the same whenever the mark is uploaded.

    Args:
        name: what identifies the mark: its id, or its path where ids are missing or shared.
    """
    return str(uuid.uuid5(_NAMESPACE, name))


def payload_of(mark: Mark, row: int, identity: str) -> dict[str, object]:
    """The payload of a mark.

    Args:
        mark: of the catalogue.
        row: of the pack.
        identity: of the index that the vector is of, by which a search knows its own gallery.
    """
    plain = {name: getattr(mark, name) for name in COLUMNS}
    texts = {**mark.extra, **plain, "vienna": ";".join(mark.vienna)}
    told = {key_of(name): text for name, text in texts.items() if text}
    levels = {level: sorted(at_level(mark.vienna, level)) for level in LEVELS}
    return {
        **plain,
        "row": row,
        "index": identity,
        "vienna": list(mark.vienna),
        **levels,
        "extra": dict(mark.extra),
        "folded": {name: text.casefold() for name, text in told.items()},
        "pieces": {name: pieces(text.casefold()) for name, text in told.items()},
        "number": _known({name: _storable(text) for name, text in told.items()}),
        "day": _known({name: day_of(text) for name, text in told.items()}),
    }


def pieces(text: str) -> list[str]:
    """Every three characters of a text that follow each other, each once."""
    return sorted({text[at : at + PIECE] for at in range(len(text) - PIECE + 1)})


def _known(values: Mapping[str, float | int | None]) -> dict[str, float | int]:
    """Those that are there."""
    return {name: value for name, value in values.items() if value is not None}


def _storable(text: str) -> float | int | None:
    """The number that a text is, as Qdrant can hold it."""
    number = number_in(text)
    if isinstance(number, int) and not -_LARGEST_INTEGER <= number < _LARGEST_INTEGER:
        return float(number) if number < 10**300 else None
    return number


def day_of(text: str) -> int | None:
    """The day of an ISO date as a number."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return dt.date.fromisoformat(text).toordinal()
    except ValueError:  # such as February 30
        return None


def key_of(column: str) -> str:
    """A column's name as a key of the payload: dots and quotes would be read as a path."""
    if re.fullmatch(r"[A-Za-z0-9_]+", column):
        return column
    checksum = hashlib.sha256(column.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{re.sub('[^A-Za-z0-9_]+', '_', column)[:40]}_{checksum}"
