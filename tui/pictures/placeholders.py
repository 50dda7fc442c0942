"""Cells that stand for parts of a picture in pixels, as kitty's graphics protocol has them.

A widget holds one private character for each cell, so that whatever measures, crops, scrolls or compares text
treats it as text. Its code says which picture, row and column it stands for. Just before it is sent, the driver
replaces it by what the protocol asks for: U+10EEEE, with a diacritic each for row, column and the highest byte of
the picture's id; the lowest byte is the foreground, one of 256 colours, which tmux passes on as it is.
"""

import re

ROWS, COLUMNS = 21, 48
"""most cells of a picture"""
SLOTS = 56
"""pictures that can be told apart at a time"""
_FIRST = 0x100000  # of the private characters; the last one is below U+10EEEE
_EACH = 1024  # characters of a slot
_COLOUR = 16  # of the first slot; those below have names, and themes change them
RUN = re.compile(f"[{chr(_FIRST)}-{chr(_FIRST + SLOTS * _EACH - 1)}]+")
"""private characters side by side"""
_PLACEHOLDER = "\U0010eeee"
_DIACRITICS = [
    *(0x305, 0x30D, 0x30E, 0x310, 0x312, 0x33D, 0x33E, 0x33F, 0x346, 0x34A, 0x34B, 0x34C),
    *(0x350, 0x351, 0x352, 0x357, 0x35B, *range(0x363, 0x370), *range(0x483, 0x488)),
    *(0x592, 0x593, 0x594, 0x595, 0x597, 0x598, 0x599, 0x59C, 0x59D, 0x59E, 0x59F, 0x5A0, 0x5A1),
    *(0x5A8, 0x5A9, 0x5AB, 0x5AC, 0x5AF, 0x5C4, *range(0x610, 0x616)),
]
"""the first of kitty's rowcolumn-diacritics.txt, by the number that each stands for"""
NAMESPACES = len(_DIACRITICS)
"""highest bytes of an id to choose from; 0 would be ids that other programs use"""


def cells(slot: int, columns: int, rows: int) -> list[str]:
    """The lines of private characters of a picture.

    Args:
        slot: which picture, from 0 to SLOTS - 1.
        columns: its width, at most COLUMNS.
        rows: its height, at most ROWS.
    """
    begin = _FIRST + slot * _EACH
    return [
        "".join(chr(begin + row * COLUMNS + column) for column in range(columns))
        for row in range(rows)
    ]


def slot_of(character: str) -> int:
    """Which picture a private character is of."""
    return (ord(character) - _FIRST) // _EACH


def picture_id(slot: int, namespace: int) -> int:
    """The id of a picture at the terminal, which several monitors may share; namespace is its highest byte."""
    return namespace << 24 | slot + _COLOUR


def pen(slot: int) -> tuple[frozenset[str], str, str]:
    """Attributes, foreground and background of a picture's cells; the paper around it is white."""
    return frozenset(), f"38;5;{slot + _COLOUR}", "48;5;231"


def expanded(characters: str, namespace: int) -> str:
    """What the terminal gets for private characters."""
    highest = chr(_DIACRITICS[namespace])
    return "".join(_PLACEHOLDER + _place(character) + highest for character in characters)


def _place(character: str) -> str:
    """The diacritics of row and column."""
    row, column = divmod((ord(character) - _FIRST) % _EACH, COLUMNS)
    return chr(_DIACRITICS[row]) + chr(_DIACRITICS[column])
