"""No regular expression looks at the same text again and again: its time is linear in its input."""

import time
from typing import Any

import pytest

from tests.helpers.patterns import Used, hostile, used_patterns

_SHORT = {
    ("tmssl/data/vienna.py", "_GLUED"): "blanks are one by then",
    ("tmssl/unfinished.py", "_OLD_NAME"): "a file name has 255 bytes at most",
}
"""patterns that see only short texts, and why"""
_LINEAR = 9.0  # times the time for four times the text: 4 is linear, 16 is quadratic
_SLOW_S = 1e-3  # below it, a clock tells little


def seconds(used: Used, text: str) -> float:
    """CPU time of one use."""
    pattern: Any = used.pattern
    given: Any = text.encode("utf-8", "replace") if isinstance(pattern.pattern, bytes) else text
    begin = time.thread_time()
    if used.way in ("sub", "subn"):
        getattr(pattern, used.way)(given[:0], given)
    elif used.way == "finditer":
        for _ in pattern.finditer(given):
            pass
    else:
        getattr(pattern, used.way)(given)
    return time.thread_time() - begin


def is_superlinear(used: Used, begin: str, middle: str, end: str) -> bool:
    """Whether four times the text takes far more than four times as long."""
    for size in (128, 2048):
        if seconds(used, begin + middle * size + end) > _SLOW_S:
            least = min(seconds(used, begin + middle * size + end) for _ in range(3))
            more = min(seconds(used, begin + middle * 4 * size + end) for _ in range(2))
            return more > _LINEAR * max(least, _SLOW_S / 4)
    return False


@pytest.mark.slow
def test_every_pattern_is_linear() -> None:
    patterns = [used for used in used_patterns() if (used.file, used.name) not in _SHORT]
    assert len(patterns) > 80
    slow = [
        (used, text)
        for used in patterns
        for text in hostile(used.pattern)
        if is_superlinear(used, *text)
    ]
    assert not slow


@pytest.mark.slow
def test_a_pattern_that_goes_back_and_forth_is_found() -> None:
    import re

    for text, way in (
        (r"\s+$", "search"),
        (r"\s*[^=]+?\s*=", "fullmatch"),
        (r"(\w+)=", "findall"),
        (r"x.*y.*z", "match"),
    ):
        used = Used("", "", re.compile(text), way)
        assert any(is_superlinear(used, *one) for one in hostile(used.pattern)), text
    for text, way in (
        (r"(?<!\w)\w++=", "findall"),
        (r"\d{1,9}", "search"),
        (r"[^=]*+=.*", "match"),
    ):
        used = Used("", "", re.compile(text), way)
        assert not any(is_superlinear(used, *one) for one in hostile(used.pattern)), text
