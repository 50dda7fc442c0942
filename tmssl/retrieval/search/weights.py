"""What the likeness of pictures, of texts and of Vienna codes counts for in one ranking."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from tmssl.errors import InputError
from tmssl.text import nearest, safe
from tmssl.types import Vectors

_MOST = 1000.0
_FORM = "give such as picture=1,text=0.5,codes=0.2"


class Weights(NamedTuple):
    """The weight of each kind of likeness; 0 leaves it out."""

    picture: float = 0.0
    text: float = 0.0
    codes: float = 0.0


def choose_weights(given: str, *, picture: bool, text: bool, codes: bool) -> Weights | None:
    """The weights that are given, or else those for what is; None compares pictures alone.

    The latter found the marks of a group best among toy marks whose owners share words: docs/words.md.

    Raises:
        InputError: as `parse_weights`.
    """
    if given:
        return parse_weights(given)
    if not text and not codes:
        return None
    if not picture:
        return Weights(text=1.0, codes=0.2 if codes else 0.0)
    return Weights(picture=1.0, text=0.3 if text else 0.0, codes=0.5 if codes else 0.2)


def parse_weights(text: str) -> Weights:
    """`picture=1,text=0.5` as weights; a kind that is not named weighs 0.

    Raises:
        InputError: an unknown kind, one given twice, a weight that is no number from 0 to 1000, or all are 0.
    """
    weights: dict[str, float] = {}
    for part in text[:200].split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        if name not in Weights._fields:
            raise InputError(
                f"--weights name '{safe(name, 60)}'{nearest(name, list(Weights._fields))}; {_FORM}"
            )
        if name in weights:
            raise InputError(f"--weights name {name} twice; {_FORM}")
        weights[name] = _weight(name, value)
    if not any(weights.values()):
        raise InputError(f"--weights are all 0, so that nothing is compared; {_FORM}")
    return Weights(**weights)


def _weight(name: str, value: str) -> float:
    """A weight from 0 to 1000."""
    try:
        weight = float(value)
    except ValueError:
        weight = math.nan
    if not 0 <= weight <= _MOST:
        raise InputError(
            f"the weight of {name} is '{safe(value, 60)}'; give a number from 0 to {_MOST:g}"
        )
    return weight


def weighted_mean(parts: Mapping[str, Vectors], weights: Weights) -> Vectors:
    """One similarity of each mark, (n,): the mean of its likenesses, each by its weight.

    A mark that lacks one, having no text or no codes, counts there as the average mark does: what is unknown
    neither raises nor lowers it. Where nothing else is compared, it counts 0.

    Args:
        parts: kind of likeness to the similarity of each mark, (n,), at most 1; NaN where it is unknown.
        weights: of the kinds; at least one of those in `parts` is above 0.
    """
    of_kind = {name: getattr(weights, name) for name in parts}
    total = math.fsum(of_kind.values())
    alone = len(parts) == 1
    shares = [
        np.float32(of_kind[name] / total) * _known(part, alone) for name, part in parts.items()
    ]
    return np.sum(shares, axis=0, dtype=np.float32)


def _known(part: Vectors, alone: bool) -> Vectors:
    """A likeness with what is unknown filled in."""
    unknown = np.isnan(part)
    if not unknown.any():
        return part
    filled = np.float32(0) if alone or unknown.all() else np.nanmean(part, dtype=np.float64)
    return np.where(unknown, np.float32(filled), part)
