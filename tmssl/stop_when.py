"""The setting `stop_when`: which figure of the evaluations ends training, and after how many without a gain."""

import dataclasses
from typing import get_args

from tmssl.errors import ConfigError
from tmssl.settings import BestBy, TrainConfig
from tmssl.text import nearest, safe

FIGURES = tuple(name for name in get_args(BestBy) if name not in ("auto", "loss"))
_NEVER = ("", "none")
_MOST = 10_000


@dataclasses.dataclass(frozen=True)
class StopWhen:
    """Training ends when a figure has not improved for so many evaluations."""

    figure: str
    evaluations: int


def parse_stop_when(text: str) -> StopWhen | None:
    """`group-recall:3` as a figure and a number; None for `none`, or an empty text.

    Raises:
        ConfigError: another form, an unknown figure, or a number out of range.
    """
    if text in _NEVER:
        return None
    name, colon, number = text.partition(":")
    if name not in FIGURES:
        raise ConfigError(
            f"stop_when is '{safe(text, 60)}', whose figure is unknown{nearest(name, list(FIGURES))}; "
            f"give one of {', '.join(FIGURES)} and a number, such as {FIGURES[0]}:3"
        )
    if not colon or not number.isascii() or not number.isdecimal() or not 1 <= int(number) <= _MOST:
        raise ConfigError(
            f"stop_when is '{safe(text, 60)}'; give the number of evaluations without a gain, such as {name}:3"
        )
    return StopWhen(name, int(number))


def chosen_by(train: TrainConfig) -> str:
    """The figure that chooses `best`: that of `best_by`, or of `stop_when` where `best_by` is `auto`."""
    stop = parse_stop_when(train.stop_when)
    return stop.figure if stop and train.best_by == "auto" else train.best_by


def check_stop_when(train: TrainConfig) -> None:
    """Refuse to wait for evaluations that are not planned.

    Raises:
        ConfigError: there are none, or the setting is wrong.
    """
    if parse_stop_when(train.stop_when) and not train.eval_every:
        raise ConfigError(
            f"stop_when is '{train.stop_when}' and no evaluations are planned; give --eval-every too, "
            "or --stop-when none"
        )
