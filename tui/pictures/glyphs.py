"""The characters that show a cell cut into parts: half blocks, quadrants, sextants and octants.

A pattern is a number whose bit i stands for part i of the cell, counted row by row from the upper left.
The complement of each pattern exists, so that the two colours of a cell may change places.
"""

import dataclasses
import functools

_SEXTANTS = 0x1FB00  # BLOCK SEXTANT-1 and those after it, by pattern
_OCTANTS = 0x1CD00  # BLOCK OCTANT-3 and those after it, by pattern
_QUADRANTS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
# Octants that Unicode had under another name before it took in the rest.
_QUARTERS = {
    0b00000001: 0x1CEA8,  # LEFT HALF UPPER ONE QUARTER BLOCK
    0b00000010: 0x1CEAB,  # RIGHT HALF UPPER ONE QUARTER BLOCK
    0b00000011: 0x1FB82,  # UPPER ONE QUARTER BLOCK
    0b00010100: 0x1FBE6,  # MIDDLE LEFT ONE QUARTER BLOCK
    0b00101000: 0x1FBE7,  # MIDDLE RIGHT ONE QUARTER BLOCK
    0b00111111: 0x1FB85,  # UPPER THREE QUARTERS BLOCK
    0b01000000: 0x1CEA3,  # LEFT HALF LOWER ONE QUARTER BLOCK
    0b10000000: 0x1CEA0,  # RIGHT HALF LOWER ONE QUARTER BLOCK
    0b11000000: 0x2582,  # LOWER ONE QUARTER BLOCK
    0b11111100: 0x2586,  # LOWER THREE QUARTERS BLOCK
}


@dataclasses.dataclass(frozen=True)
class Glyphs:
    """How a cell is cut, and the character of each pattern."""

    across: int
    """parts side by side"""
    down: int
    """parts one above the other"""
    characters: str
    """by pattern, from 0 for none to all"""

    @property
    def parts(self) -> int:
        """Parts of a cell."""
        return self.across * self.down


@functools.cache
def glyphs(way: str) -> Glyphs:
    """The characters of a way to draw: `half`, `quadrant`, `sextant` or `octant`."""
    return {
        "half": lambda: Glyphs(1, 2, " ▀▄█"),
        "quadrant": lambda: Glyphs(2, 2, _QUADRANTS),
        "sextant": lambda: Glyphs(2, 3, _sextants()),
        "octant": lambda: Glyphs(2, 4, _octants()),
    }[way]()


def _sextants() -> str:
    """The 64 sextants: U+1FB00 on, but for the blank, both halves and the full block."""
    older = {0: " ", 0b010101: "▌", 0b101010: "▐", 0b111111: "█"}
    return _in_order(64, older, _SEXTANTS)


def _octants() -> str:
    """The 256 octants: U+1CD00 on, but for the 26 that Unicode had before."""
    older = {pattern: chr(code) for pattern, code in _QUARTERS.items()}
    for quadrant, character in enumerate(_QUADRANTS):
        upper, lower = quadrant & 0b11, quadrant >> 2
        older[upper * 0b0101 | lower * 0b0101 << 4] = character
    return _in_order(256, older, _OCTANTS)


def _in_order(count: int, older: dict[int, str], first: int) -> str:
    """Older characters at their patterns, and code points in order from `first` between them."""
    new = iter(range(first, first + count))
    return "".join(older[p] if p in older else chr(next(new)) for p in range(count))
