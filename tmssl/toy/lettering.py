"""Wordmarks: invented names, and letters drawn as pen strokes.

The letters are our own skeletons, so a wordmark needs no font and looks the same on every machine.
A style is what a pen does with a skeleton: its weight, its ends, its slant, how wide it writes, how
much thinner it writes across than down (contrast) and whether it adds serifs.
"""

import random
import re
from dataclasses import dataclass

CAP = 10.0  # height of a capital, in units of the skeletons below; the baseline is y = 10
_BOWL = "M6 6.7A3 3.3 0 1 1 0 6.7A3 3.3 0 1 1 6 6.7"

_LETTERS: dict[str, tuple[float, str]] = {  # letter -> (width, path); absolute M L H V A C only
    "A": (8.0, "M0 10L4 0L8 10M1.4 6.6H6.6"),
    "B": (6.4, "M0 10V0H3.2A2.35 2.35 0 0 1 3.2 4.7H0M3.2 4.7H3.7A2.65 2.65 0 0 1 3.7 10H0"),
    "C": (7.7, "M7.7 2.2A4.2 5 0 1 0 7.7 7.8"),
    "D": (7.4, "M0 0V10H2.6A4.8 5 0 0 0 2.6 0H0"),
    "E": (5.6, "M5.6 0H0V10H5.6M0 5H4.8"),
    "F": (5.4, "M5.4 0H0V10M0 5H4.6"),
    "G": (8.4, "M7.7 2.2A4.2 5 0 1 0 8.4 5.6H4.8"),
    "H": (7.0, "M0 0V10M7 0V10M0 5H7"),
    "I": (0.0, "M0 0V10"),
    "J": (4.4, "M4.4 0V7.4A2.2 2.6 0 0 1 0 7.8"),
    "K": (6.6, "M0 0V10M6.4 0L0 6M2.4 3.8L6.6 10"),
    "L": (5.2, "M0 0V10H5.2"),
    "M": (8.6, "M0 10V0L4.3 7L8.6 0V10"),
    "N": (7.0, "M0 10V0L7 10V0"),
    "O": (8.8, "M4.4 0A4.4 5 0 1 0 4.4 10A4.4 5 0 1 0 4.4 0"),
    "P": (6.2, "M0 10V0H3.4A2.8 2.8 0 0 1 3.4 5.6H0"),
    "Q": (8.8, "M4.4 0A4.4 5 0 1 0 4.4 10A4.4 5 0 1 0 4.4 0M5.4 7.2L8.6 10.8"),
    "R": (6.4, "M0 10V0H3.4A2.8 2.8 0 0 1 3.4 5.6H0M3.2 5.6L6.4 10"),
    "S": (
        6.0,
        "M5.7 1.8C5 .4 3.8 0 2.9 0C1.4 0 .2 1 .2 2.5C.2 5.6 6 4.2 6 7.4C6 9 4.6 10 3 10C1.6 10 .5 9.4 0 8",
    ),
    "T": (7.0, "M0 0H7M3.5 0V10"),
    "U": (7.0, "M0 0V6.6A3.5 3.4 0 0 0 7 6.6V0"),
    "V": (7.6, "M0 0L3.8 10L7.6 0"),
    "W": (11.0, "M0 0L2.8 10L5.5 1.5L8.2 10L11 0"),
    "X": (7.0, "M0 0L7 10M7 0L0 10"),
    "Y": (7.0, "M0 0L3.5 5L7 0M3.5 5V10"),
    "Z": (6.8, "M0 0H6.8L0 10H6.8"),
    "a": (6.0, _BOWL + "M6 3.4V10"),
    "b": (6.0, _BOWL + "M0 0V10"),
    "c": (5.3, "M5.3 4.6A3 3.3 0 1 0 5.3 8.8"),
    "d": (6.0, _BOWL + "M6 0V10"),
    "e": (6.0, "M0.05 6.7H6A3 3.3 0 1 0 5.1 9"),
    "f": (3.6, "M1.3 10V2.4A2 2.2 0 0 1 3.6 0.2M0 3.4H3.3"),
    "g": (6.0, _BOWL + "M6 3.4L6 10.4A3 2.6 0 0 1 0.5 11.6"),
    "h": (5.4, "M0 0V10M0 6A2.7 2.6 0 0 1 5.4 6V10"),
    "i": (0.0, "M0 3.4V10M0 -0.6L0 0.3"),
    "j": (1.6, "M1.6 3.4L1.6 10.6A1.9 2 0 0 1 0 12.4M1.6 -0.6L1.6 0.3"),
    "k": (5.0, "M0 0V10M4.8 3.4L0 7.6M1.9 6L5 10"),
    "l": (0.0, "M0 0V10"),
    "m": (9.0, "M0 3.4V10M0 5.8A2.25 2.4 0 0 1 4.5 5.8V10M4.5 5.8A2.25 2.4 0 0 1 9 5.8V10"),
    "n": (5.4, "M0 3.4V10M0 6A2.7 2.6 0 0 1 5.4 6V10"),
    "o": (6.0, _BOWL),
    "p": (6.0, _BOWL + "M0 3.4V13"),
    "q": (6.0, _BOWL + "M6 3.4V13"),
    "r": (3.4, "M0 3.4V10M0 6A3 2.6 0 0 1 3.4 3.5"),
    "s": (
        4.8,
        "M4.5 4.7C4 3.8 3.2 3.4 2.4 3.4C1.1 3.4 .2 4.1 .2 5.1C.2 7.3 4.8 6.1 4.8 8.3C4.8 9.4 3.7 10 2.4 10C1.3 10 .4 9.6 0 8.6",
    ),
    "t": (3.4, "M1.2 1V8A2 2 0 0 0 3.4 9.9M0 3.4H3.2"),
    "u": (5.4, "M0 3.4V7.4A2.7 2.6 0 0 0 5.4 7.4M5.4 3.4V10"),
    "v": (5.4, "M0 3.4L2.7 10L5.4 3.4"),
    "w": (8.4, "M0 3.4L2.1 10L4.2 4.4L6.3 10L8.4 3.4"),
    "x": (5.0, "M0 3.4L5 10M5 3.4L0 10"),
    "y": (5.4, "M0 3.4L2.7 10M5.4 3.4L2 12C1.6 12.8 1 13 0.2 13"),
    "z": (4.8, "M0 3.4H4.8L0 10H4.8"),
}
_TOKEN = re.compile(r"[A-Z]|-?\d*\.?\d+")
_X_PARAMETERS = {"M": (0,), "L": (0,), "H": (0,), "V": (), "A": (0, 5), "C": (0, 2, 4)}
_ARITY = {"M": 2, "L": 2, "H": 1, "V": 1, "A": 7, "C": 6}
_SERIF_HEIGHTS = (0.0, 3.4, 10.0, 13.0)

_STARTS = (
    "a al be bra ce cor del do e fen flo glo ha ja jo ka kel la lu ma mi mo no o pla qua qui "
    "re ro sa sol ste ta tri u vel vi wo xe ya za zo"
).split()
_MIDDLES = ("", "", "da", "li", "lo", "me", "ni", "ra", "ri", "so", "ta", "ve", "vo")
_ENDS = (
    "bex dio dra fy dor ka lia lux max mio nda nia nor quo ra rex ria sto ta tek tis va via "
    "wen xo zen"
).split()


@dataclass(frozen=True, slots=True)
class Pen:
    """How a word is written; lengths in tenths of a capital's height.

    `weight` is the width of a down stroke, `contrast` how many times thinner a cross stroke is,
    `stretch` widens the letters, `slant` is in degrees, `spacing` is added between letters.
    """

    weight: float
    contrast: float = 1.0
    stretch: float = 1.0
    slant: float = 0.0
    spacing: float = 0.0
    round_ends: bool = False
    serif: bool = False
    hollow: bool = False


def invent_word(rng: random.Random) -> str:
    """A pronounceable name of 3 to 8 letters, capitalised."""
    while True:
        word = rng.choice(_STARTS) + rng.choice(_MIDDLES) + rng.choice(_ENDS)
        if 3 <= len(word) <= 8:
            return word.capitalize()


def choose_pen(rng: random.Random) -> Pen:
    """One of eight families of lettering, with its own weight, width and spacing."""
    weight, spacing = rng.uniform(1.3, 2.4), rng.choice((0.0, 0.3, 1.2, 2.4))
    return rng.choice(
        (
            Pen(weight, spacing=spacing, round_ends=True),
            Pen(weight, spacing=spacing),
            Pen(weight * 0.8, spacing=spacing + 1.6, serif=True),
            Pen(1.3 + weight / 3, contrast=2.2, spacing=spacing + 1.4, serif=True),
            Pen(weight, stretch=1.35, spacing=spacing),
            Pen(weight * 0.8, stretch=0.66, spacing=spacing / 2),
            Pen(weight, slant=8 + 4 * weight, spacing=spacing, round_ends=True),
            Pen(2 + weight / 3, spacing=spacing + 0.8, hollow=True),
        )
    )


def _commands(path: str) -> list[tuple[str, list[float]]]:
    """A path as (command, parameters)."""
    tokens = _TOKEN.findall(path)
    found = []
    while tokens:
        letter = tokens.pop(0)
        taken = _ARITY[letter]
        found.append((letter, [float(token) for token in tokens[:taken]]))
        del tokens[:taken]
    return found


def _serifs(commands: list[tuple[str, list[float]]], half: float) -> str:
    """Short cross strokes at the open ends of upright stems."""
    x = y = 0.0
    marks = []
    for letter, values in commands:
        if letter == "V":
            marks += [
                f"M{x - half:.2f} {end:g}H{x + half:.2f}"
                for end in (y, values[0])
                if end in _SERIF_HEIGHTS
            ]
            y = values[0]
        elif letter == "H":
            x = values[0]
        else:
            x, y = values[-2:]
    return "".join(marks)


def _letter_path(letter: str, pen: Pen, stretch: float, offset: float) -> str:
    """A letter's skeleton, stretched and moved along the line."""
    commands = _commands(_LETTERS[letter][1])
    placed = []
    for name, values in commands:
        moved = list(values)
        for i in _X_PARAMETERS[name]:
            shift = 0.0 if name == "A" and i == 0 else offset  # a radius is scaled, not moved
            moved[i] = values[i] * stretch + shift
        placed.append((name, moved))
    path = "".join(name + " ".join(f"{value:.3g}" for value in moved) for name, moved in placed)
    return path + (_serifs(placed, (1.3 + pen.weight / 4) / pen.contrast) if pen.serif else "")


def write_word(word: str, pen: Pen, ink: str, ground: str) -> tuple[str, float, float, float]:
    """A word as SVG markup: (markup, width, top, bottom) in tenths of a capital's height.

    The markup begins at x = 0. Contrast comes from writing in a narrowed space that is widened
    afterwards, strokes and all. `ground` fills the inside of hollow letters.
    """
    thin = pen.weight / pen.contrast
    narrow = pen.stretch / pen.contrast
    cursor = thin / 2
    paths = []
    for letter in word:
        paths.append(_letter_path(letter, pen, narrow, cursor))
        cursor += _LETTERS[letter][0] * narrow + thin + (1.1 + pen.spacing) / pen.contrast
    lean = f" skewX({-pen.slant:.3g})" if pen.slant else ""
    ends = ("round", "round") if pen.round_ends else ("butt" if pen.serif else "square", "miter")
    body = f'<path d="{"".join(paths)}"/>'
    strokes = f'<g stroke="{ink}" stroke-width="{thin:.3g}">{body}</g>'
    if pen.hollow:
        strokes += f'<g stroke="{ground}" stroke-width="{thin * 0.42:.3g}">{body}</g>'
    skew = 0.1763 * pen.slant / 10 * CAP  # close to tan() for the slants in use
    markup = (
        f'<g transform="translate({skew:.3g} 0){lean} scale({pen.contrast:g} 1)" fill="none" '
        f'stroke-linecap="{ends[0]}" stroke-linejoin="{ends[1]}" stroke-miterlimit="2">'
        f"{strokes}</g>"
    )
    low = 13.0 if set(word) & set("gjpqyQ") else CAP
    high = 3.4 if word.islower() and not set(word) & set("bdfhijklt") else 0.0
    high = -0.6 if set(word) & set("ij") else high
    width = (cursor - thin / 2 - (1.1 + pen.spacing) / pen.contrast) * pen.contrast + skew
    return markup, width, high - thin / 2, low + thin / 2
