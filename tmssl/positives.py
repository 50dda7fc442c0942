"""Kinds of positives, and mixtures of them by shares, as the setting `positives` writes them."""

import math
from collections.abc import Mapping

from tmssl.errors import ConfigError
from tmssl.text import nearest, safe

INSTANCE = "instance"
LABELLED = ("vienna", "group", "title")
"""kinds whose two views are of two marks, in the order in which shares are drawn"""
_MIXED = (
    "mixed"  # of instance and vienna by the setting `vienna_share`, as earlier versions wrote it
)
_ROUNDING = 1e-6
_FORM = "instance, vienna, group, title, mixed, or shares such as instance=0.6,group=0.4"


def parse_positives(text: str, vienna_share: float = 0.5) -> dict[str, float]:
    """`instance=0.6,group=0.4` as {"instance": 0.6, "group": 0.4}: kinds with a share above 0, which add up to 1.

    Args:
        text: a kind, `mixed`, or kinds with their shares.
        vienna_share: share of Vienna positives in `mixed`.

    Raises:
        ConfigError: an unknown kind, one given twice, or shares that do not add up to 1.
    """
    if text == _MIXED:
        return _above_zero({INSTANCE: 1 - vienna_share, "vienna": vienna_share})
    if "=" not in text:
        return {_kind(text): 1.0}
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        kind = _kind(name.strip())
        if kind in shares:
            raise ConfigError(f"positives name {kind} twice; give each kind once")
        shares[kind] = _share(kind, value.strip())
    total = math.fsum(shares.values())
    if abs(total - 1) > _ROUNDING:
        raise ConfigError(
            f"the shares of positives '{safe(text, 60)}' add up to {total:g}; make them add up to 1"
        )
    return _above_zero(shares)


def _above_zero(shares: Mapping[str, float]) -> dict[str, float]:
    """The kinds that are drawn at all."""
    return {kind: share for kind, share in shares.items() if share}


def _kind(name: str) -> str:
    """A kind of positives by its name."""
    kinds = (INSTANCE, *LABELLED)
    if name not in kinds:
        raise ConfigError(
            f"positives are '{safe(name, 60)}'{nearest(name, [*kinds, _MIXED])}; give {_FORM}"
        )
    return name


def _share(kind: str, text: str) -> float:
    """A share from 0 to 1."""
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise ConfigError(
            f"the share of {kind} positives is '{safe(text, 60)}'; give a number from 0 to 1"
        )
    return share
