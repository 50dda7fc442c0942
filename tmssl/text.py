"""Text for a person: foreign strings made safe, numbers made readable."""

import math
import re
import shlex
import unicodedata

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_REPLACEMENT = "\ufffd"
_NEGATIVE = re.compile(r"-[\d.]+(e[+-]?\d+)?")  # a negative number is no formula


def _safe_character(character: str) -> str:
    """One character as it may be shown."""
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if 0x7F <= code <= 0x9F or 0xD800 <= code <= 0xDFFF or character in _BIDI:
        return _REPLACEMENT
    if unicodedata.category(character) in ("Zl", "Zp"):
        return _REPLACEMENT
    return character


def safe(text: object, limit: int = 500) -> str:
    """A foreign string made safe for a terminal.

    C0 controls become their Unicode pictures; DEL, C1, bidi controls, line separators and lone
    surrogates become U+FFFD; more than `limit` characters are cut with an ellipsis.
    """
    string = str(text)
    cut = string if len(string) <= limit else string[: limit - 1] + "\u2026"
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(map(_safe_character, cut))


def pasted(text: object) -> str:
    """A path or name for a printed command, quoted if a shell needs it."""
    return shlex.quote(safe(text))


def spreadsheet_cell(text: object, limit: int = 10_000) -> str:
    """A foreign string as a CSV cell: safe to show, and never a formula in a spreadsheet."""
    shown = safe(text, limit)
    formula = shown.startswith(("=", "+", "-", "@")) and not _NEGATIVE.fullmatch(shown)
    return f"'{shown}" if formula else shown


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
