"""The text of a mark in a form that two registrations of it share: no case, accents, punctuation or legal form."""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from tmssl.data.positives.legal_forms import legal_forms

_LEAST_LETTERS = 3
_MOST_MARKS, _MOST_SHARE = 20, 1000  # of a text: so many, or one in so many of all marks
# What registers write where a mark has no text.
_NO_TEXT = frozenset(
    "figurative figurativemark figurativetrademark figurativetrademarkwithouttext trademarkwithouttext nowordelements "
    "device devicemark devicemarkonly logo logomark fig figmark notext none null unknown untitled imagemark "
    "marquefigurative bildmarke wortbildmarke marcafigurativa marcafigurativasintexto beeldmerk figurmarke "
    "znakgraficzny obrazovaochrannaznamka 图形 图形商标".split()
)
_SIGNS = re.compile(r"[®™℠©]")
_QUOTES = re.compile("['\"`\u00b4\u2018-\u201f\u02bc\u05f3\u05f4]")
_ACCENTS = re.compile("[\u0300-\u036f]")
# Initials such as S.p.A. and A/S, or a word: letters and digits, and the vowel signs of Indian and Thai scripts.
_WORD = re.compile(
    r"(?<!\w)(?P<initials>[^\W\d_](?:[./]\s?[^\W\d_](?!\w))+\.?)"
    "|[^\\W_](?:[^\\W_]|[\u0900-\u0dff\u0e31-\u0e4e\u0f71-\u0f84])*"
)
_DOTS = re.compile(r"[./\s]")
_LETTERS = str.maketrans(
    {
        "ø": "o",
        "đ": "d",
        "ł": "l",
        "æ": "ae",
        "œ": "oe",
        "ð": "d",
        "þ": "th",
        "\u0131": "i",
        "ħ": "h",
    }
)

Words = tuple[str, ...]


def plain_text(text: str) -> str:
    """A text without what its registrations differ in; a legal form goes unless hardly anything is left.

    Words are joined, so that Coca-Cola, COCA COLA and CocaCola are one, and `&` is `and`. A text without a
    letter or digit is empty.
    """
    return "".join(plain_words(text))


def plain_words(text: str) -> Words:
    """The words of a text in the form in which `plain_text` joins them."""
    words = _words(_without_glued(_spelled(text)))
    short = _without_forms(words)
    kept = short if _letters(short) >= _LEAST_LETTERS else words
    return tuple(word.replace(".", "") for word in kept)


def is_placeholder(plain: str) -> bool:
    """Whether a plain text is what registers write where a mark has no text, such as `figurative mark`."""
    return plain in _NO_TEXT


def shared_texts(texts: Sequence[str]) -> tuple[list[str], dict[str, int]]:
    """The plain text of each mark, empty where it says too little to make two marks one.

    Left out are texts of one or two letters, those that registers write where there is no text, and those
    on more than 20 marks and more than one mark in a thousand: a generic word, or a placeholder.

    Returns:
        The texts, and those that are too frequent, to the marks that have them, most frequent first.
    """
    known = {text: plain_text(text) for text in set(texts)}
    plain = [known[text] for text in texts]
    counts = Counter(plain)
    few = {text for text in counts if _letters((text,)) < _LEAST_LETTERS or text in _NO_TEXT}
    most = max(_MOST_MARKS, len(texts) // _MOST_SHARE)
    often = {
        text: marks for text, marks in counts.most_common() if marks > most and text not in few
    }
    return ["" if text in few or text in often else text for text in plain], often


def _letters(words: Words) -> int:
    """Letters and digits; an ideograph or a Korean syllable counts as two, since two of them make a word."""
    return sum(
        1 + ("㐀" <= sign <= "鿿" or "가" <= sign <= "힣" or sign >= "\U00020000")
        for word in words
        for sign in word
        if sign != "."
    )


def _spelled(text: str) -> str:
    """A text in one case, without accents and signs of registration."""
    if text.isascii():
        return _QUOTES.sub("", text.lower()).replace("&", " and ")
    wide = unicodedata.normalize("NFKC", _SIGNS.sub(" ", text)).casefold()
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", wide))
    spelled = unicodedata.normalize("NFC", bare).translate(_LETTERS)
    return _QUOTES.sub("", spelled).replace("&", " and ")


def _words(spelled: str) -> Words:
    """The words of a text; initials such as S.p.A. are one word, with a dot at its end."""
    return tuple(
        _DOTS.sub("", found[0]) + "." if found["initials"] else found[0]
        for found in _WORD.finditer(spelled)
    )


def _without_glued(spelled: str) -> str:
    """A text without the Chinese, Japanese and Korean forms at its ends."""
    if spelled.isascii():
        return spelled
    bare = spelled.strip()
    for form in _glued():
        bare = bare.removeprefix(form).removesuffix(form).strip()
    return bare


def _without_forms(words: Words) -> Words:
    """Words without the legal forms before and behind them."""
    behind, most_behind = _forms("behind")
    while found := _form_length(words[::-1], behind, most_behind, backwards=True):
        words = words[:-found]
    before, most_before = _forms("before")
    return words[_form_length(words, before, most_before) :]


def _form_length(
    words: Words, forms: frozenset[Words], most: int, *, backwards: bool = False
) -> int:
    """Words of the longest form at the beginning; 0 for none, or where nothing else is left."""
    for length in range(min(most, len(words) - 1), 0, -1):
        form = words[:length][::-1] if backwards else words[:length]
        if form in forms or tuple(word.rstrip(".") for word in form) in forms:
            return length
    return 0


@functools.cache
def _forms(place: str) -> tuple[frozenset[Words], int]:
    """The forms of a place, as words, and the most words of one."""
    forms = frozenset(_words(_spelled(form)) for form in legal_forms(place))
    return forms, max(map(len, forms))


@functools.cache
def _glued() -> tuple[str, ...]:
    """The forms that are written without a space, the longest first."""
    return tuple(sorted(map(_spelled, legal_forms("glued")), key=len, reverse=True))
