"""Text for a person: foreign strings made safe, numbers made readable."""

import math
import re
import shlex
import unicodedata

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_PICTURES = range(
    0x100000, 0x110000
)  # private use: the monitor's cells of pictures, and kitty's placeholder
_REPLACEMENT = "\ufffd"
_LOOKALIKES = {
    **dict.fromkeys(
        "\u2500\u2504\u2505\u2508\u2509\u254c\u254d\u2550\u2574\u2576\u257a\u257c\u257e",
        "-",
    ),
    **dict.fromkeys("\u2501\u2578", "="),  # of a bar, whose rest is thin
    **dict.fromkeys(
        "\u2502\u2503\u2506\u2507\u250a\u250b\u254e\u254f\u2551\u2575\u2577\u2579\u257b\u257d\u257f",
        "|",
    ),
    **dict.fromkeys("\u2580\u2581\u2582\u2584\u2594", "-"),  # parts of a cell: flat ones, ...
    **dict.fromkeys(
        "\u2589\u258a\u258b\u258c\u258d\u258e\u258f\u2590\u2595", "|"
    ),  # ... thin ones, ...
    **dict.fromkeys("\u2591\u2592\u2593", ":"),  # ... and shaded ones
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    **dict.fromkeys("\u2022\u00b7\u2219\u25e6\u25cf\u25cb", "."),
    **dict.fromkeys("\u25b6\u25ba\u25b8\u276f\u203a", ">"),
    **dict.fromkeys("\u25c0\u25c4\u25c2\u276e\u2039", "<"),
    **dict.fromkeys("\u2018\u2019", "'"),
    **dict.fromkeys("\u201c\u201d", '"'),
    "\u00a0": " ",
    "\u00d7": "x",
    "\u2026": ".",
    "\u25b2": "^",
    "\u25bc": "v",
    "\u2571": "/",
    "\u2572": "\\",
    "\u2573": "X",
    "\u2800": " ",
}
_LOOKALIKE_RANGES = (
    ("\u2500", "\u257f", "+"),  # corners and crossings of lines
    ("\u2580", "\u259f", "#"),  # parts of a cell
    ("\u2801", "\u28ff", "."),  # dots
    ("\U0001cd00", "\U0001cdff", "#"),  # cells cut into eight ...
    ("\U0001fb00", "\U0001fbaf", "#"),  # ... and six parts
)
_LONGEST = 1e15  # a number with more digits than these is no figure that anyone reads
_NEGATIVE = re.compile(r"-\d+(\.\d+)?(e[-+]?\d+)?", re.IGNORECASE | re.ASCII)  # no formula
# With which a spreadsheet lets a formula begin, also in the full width of East Asian input.
_FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_HIDDEN = re.compile(f"[\x7f-\x9f\u2028\u2029{''.join(sorted(_BIDI))}]")


def _safe_character(character: str) -> str:
    """One character as it may be shown."""
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if 0x7F <= code <= 0x9F or 0xD800 <= code <= 0xDFFF or character in _BIDI or code in _PICTURES:
        return _REPLACEMENT
    if unicodedata.category(character) in ("Zl", "Zp"):
        return _REPLACEMENT
    return character


def safe(text: object, limit: int = 500) -> str:
    """A foreign string made safe for a terminal.

    C0 controls become their Unicode pictures; DEL, C1, bidi controls, line separators, lone surrogates and
    the private characters that stand for pictures become U+FFFD; more than `limit` characters are cut with an ellipsis.
    """
    try:
        string = str(text)
    except ValueError:  # Python writes no number of more than 4,300 digits
        string = "a number of thousands of digits"
    cut = string if len(string) <= limit else string[: limit - 1] + "\u2026"
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(map(_safe_character, cut))


def lookalike(character: str) -> str:
    """The ASCII character that looks most like a sign of lines, bars, dots or quotation; empty without one."""
    for first, last, like in _LOOKALIKE_RANGES:
        if first <= character <= last:
            return _LOOKALIKES.get(character, like)
    return _LOOKALIKES.get(character, "")


def pasted(text: object) -> str:
    """A path or name for a printed command, quoted if a shell needs it."""
    return shlex.quote(safe(text))


def spreadsheet_cell(text: object, limit: int = 10_000) -> str:
    """A foreign string as a CSV cell: safe to show, and never a formula in a spreadsheet.

    Blanks before a sign count for nothing, as some programs leave them out.
    """
    shown = safe(text, limit)
    formula = shown.lstrip().startswith(_FORMULA_STARTS) and not _NEGATIVE.fullmatch(shown)
    return f"'{shown}" if formula else shown


def shown_json(text: str) -> str:
    """JSON without a character that a terminal obeys: those that JSON allows in a string are escaped.

    It says the same to a program: DEL, C1, bidi controls and line separators become `\\u009b` and the like.

    Args:
        text: JSON whose C0 controls are escaped already, as JSON asks for.
    """
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def duration(seconds: float | None) -> str:
    """Seconds as `42s`, `3m 05s`, `2h 07m` or `4d 03h`; a dash when unknown."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def number(value: float | None, digits: int = 4) -> str:
    """A number with `digits` significant digits; a dash if it is missing or not finite."""
    if value is None or not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= _LONGEST:
        return f"{value:.{digits - 1}e}"
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    text = f"{value:#.{digits}g}"
    return text if "e" in text else text.rstrip(".")


def rate(value: float | None) -> str:
    """A share between 0 and 1 as a percentage with one decimal, or a dash."""
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def learning_rate(value: float | None) -> str:
    """A learning rate in scientific notation, `3.00e-04`, or a dash."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.2e}"


def count(number_of: int, noun: str, plural: str | None = None) -> str:
    """`1 mark`, `3,000 marks`."""
    return f"{number_of:,} {noun if number_of == 1 else plural or noun + 's'}"


def nearest(word: str, choices: list[str]) -> str:
    """The hint ` (did you mean 'lr'?)` for a mistyped word; empty if no choice is close."""
    import difflib

    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f" (did you mean '{safe(close[0], 60)}'?)" if close else ""
