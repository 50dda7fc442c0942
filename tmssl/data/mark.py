"""One image and what is known of it."""

import msgspec

from tmssl.data.table import Record, text_of
from tmssl.data.vienna import parse_codes

_KNOWN = ("path", "id", "vienna", "group", "split", "title", "url")
_HELD_OUT = frozenset(
    [
        "val",
        "valid",
        "validation",
        "dev",
        "eval",
        "evaluation",
        "test",
        "testing",
        "query",
        "queries",
        "holdout",
    ]
)


# Half a million of them are read when a pack is opened: a struct that the garbage collector need
# not follow decodes in a third of a dataclass's time, and defaults need not be written.
class Mark(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One image and what is known of it."""

    path: str
    """relative to the catalogue's root"""
    id: str = ""
    vienna: tuple[str, ...] = ()
    group: str = ""
    split: str = ""
    """`validation` for whatever a table holds out of training (val, dev, test, query), else as it was"""
    title: str = ""
    url: str = ""
    extra: dict[str, str] = msgspec.field(default_factory=dict)
    """further columns, as they were"""


def mark_of(record: Record) -> tuple[Mark, tuple[str, ...]]:
    """A labelled row as a mark, and its codes that do not parse."""
    codes, bad = parse_codes(record.get("vienna"))
    known = {name: text_of(record.get(name)) for name in ("id", "group", "split", "title", "url")}
    if known["split"].lower() in _HELD_OUT:
        known["split"] = "validation"
    further = {
        name: text for name, value in record.items()
        if name not in _KNOWN and (text := text_of(value))
    }  # fmt: skip
    return Mark(path=record["path"], vienna=codes, extra=further, **known), bad
