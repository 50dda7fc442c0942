"""How alike the texts of marks are: edits of the whole, the best part, and the words that both have."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tmssl.data.positives.titles import is_placeholder, plain_words
from tmssl.data.sources.marks import MarkTable
from tmssl.errors import InputError
from tmssl.types import Vectors

_LONGEST = 200  # characters of a text that are compared


def check_text_extra() -> None:
    """Refuse to compare texts without the package that does it.

    Raises:
        InputError: it is not installed.
    """
    try:
        import rapidfuzz  # noqa: F401 - looked for, and loaded where it is used
    except ImportError as error:
        raise InputError(
            "to compare texts needs the extra text: pip install 'tmssl[text]'"
        ) from error


class MarkTexts:
    """The texts of a gallery's marks, to compare them with a text."""

    def __init__(self, columns: Sequence[Sequence[str]]) -> None:
        """Bring every text into its plain form once; equal forms are compared once.

        Args:
            columns: for each kind of text (that of the register, the lettering) one of every mark, (n,); an empty
                one, or a placeholder of registers, is no text.
        """
        known: dict[str, int] = {}
        forms: dict[str, int] = {"": 0}

        def form_of(text: str) -> int:
            if text not in known:
                known[text] = forms.setdefault(plain_form(text), len(forms))
            return known[text]

        self._of_mark = np.array([[form_of(text) for text in texts] for texts in columns], np.int32)
        self._forms = list(forms)

    def similarity(self, text: str) -> Vectors:
        """How alike a text is to that text of each mark which is most so, 0 to 1, (n,); NaN without one.

        It is the mean of three figures of rapidfuzz: the ratio of edits of the whole (joined, or with the words
        sorted, whichever is more), that of the best part, and that of the words apart from those which one has alone.

        Raises:
            InputError: the text has no letter or digit, or the extra is not installed.
        """
        check_text_extra()
        wanted = plain_form(text)
        if not wanted:
            raise InputError("--text has no letter or digit to compare; give a word")
        alike = _alike(wanted, self._forms)[self._of_mark].max(axis=0)
        return np.where((self._of_mark > 0).any(axis=0), alike, np.float32(np.nan))


def mark_texts(marks: MarkTable, lettering: Sequence[str] = ()) -> MarkTexts:
    """The texts of the marks of a gallery: that of the register and that in the picture.

    Args:
        marks: the marks.
        lettering: of each mark, (n,); empty where none was read.

    Raises:
        InputError: no mark has a text.
    """
    columns = [texts for texts in (marks.column("title", str, ""), lettering) if any(texts)]
    if not columns:
        raise InputError(
            "no mark has a text to compare; give the source a column title (--columns names it), or read the "
            "lettering of its pictures by `tmssl pack SOURCE --lettering`"
        )
    return MarkTexts(columns)


def plain_form(text: str) -> str:
    """The plain words of a text with a blank between; empty where it says nothing."""
    words = plain_words(text[: 4 * _LONGEST])
    return "" if is_placeholder("".join(words)) else " ".join(words)[:_LONGEST]


def _alike(wanted: str, forms: Sequence[str]) -> Vectors:
    """The similarity of a plain form to others, (m,); 0 to an empty one."""
    from rapidfuzz import fuzz, process

    joined, all_joined = wanted.replace(" ", ""), [form.replace(" ", "") for form in forms]

    def compare(one: str, others: Sequence[str], scorer: Any) -> Vectors:
        return process.cdist([one], others, scorer=scorer, dtype=np.float32)[0]

    whole = np.maximum(
        compare(joined, all_joined, fuzz.ratio), compare(wanted, forms, fuzz.token_sort_ratio)
    )
    part = compare(joined, all_joined, fuzz.partial_ratio)
    alike = (whole + part + compare(wanted, forms, fuzz.token_set_ratio)) / np.float32(300)
    alike[[not form for form in forms]] = 0  # two empty texts would be equal
    return alike
