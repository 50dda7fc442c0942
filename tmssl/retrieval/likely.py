"""Which Vienna codes two marks share, and which the nearest marks of a logo speak for."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from tmssl.data.vienna import at_level, title
from tmssl.retrieval.record import Likely

_TOLD = 5  # likely codes that are told
_LEAST = 2  # marks that must agree


def rarity_of(code: str, holders: Mapping[str, int], gallery: int) -> float:
    """Inverse document frequency of a code, log(marks / marks with it)."""
    return math.log(gallery / holders[code]) if code in holders else math.log(max(1, gallery))


def likely_codes(
    codes_per_mark: Sequence[Sequence[str]], holders: Mapping[str, int], gallery: int
) -> list[Likely]:
    """Vienna divisions that the nearest marks speak for, most likely first.

    A division scores the share of the marks that have it times its rarity, log(gallery / holders),
    so that 27.05, which a third of all marks have, does not win everywhere.

    Args:
        codes_per_mark: of the nearest marks.
        holders: division to the number of marks of the gallery that have it.
        gallery: number of marks.
    """
    votes: Counter[str] = Counter()
    for vienna in codes_per_mark:
        votes.update(at_level(vienna, "division"))
    scored = [
        Likely(code=code, title=title(code), share=number / len(codes_per_mark),
               score=number / len(codes_per_mark) * rarity_of(code, holders, gallery))
        for code, number in votes.items()
        if number >= _LEAST
    ]  # fmt: skip
    scored.sort(key=lambda one: (-one.score, one.code))
    return scored[:_TOLD]


def shared_codes(
    mine: Sequence[str], other: Sequence[str], holders: Mapping[str, int], gallery: int
) -> list[str]:
    """Divisions that two code lists share, rare before frequent."""
    common = at_level(mine, "division") & at_level(other, "division")
    return sorted(common, key=lambda code: (-rarity_of(code, holders, gallery), code))
