"""How fast this machine computes views and steps, measured in a few seconds, to fit a run into a time."""

import dataclasses
import math
import statistics
import time

import torch

from tmssl.config import Config
from tmssl.data.pack.reader import Pack
from tmssl.training.encoder.backbone import feature_count
from tmssl.training.learner import choose_device, create_learner, update
from tmssl.training.loader import Views
from tmssl.training.numerics import restored_numerics, set_numerics
from tmssl.training.ranks.distributed import ALONE
from tmssl.training.view_caching import create_describer

_BLOCK = 32  # marks that each thread describes
_STEPS = 3  # of which the first is not counted


@dataclasses.dataclass(frozen=True)
class Pace:
    """Seconds of this machine, with all of its cores."""

    view_s: float
    """for the features of a view"""
    step_s: float
    """for a step on cached views"""


@dataclasses.dataclass(frozen=True)
class FittedRun:
    """A run that fits into a time."""

    views: int
    """cached views of each mark"""
    epochs: int
    seconds: float
    """for the views and the steps"""


def measure_pace(config: Config, pack: Pack) -> Pace:
    """Measure a run that trains the head alone, with its own model, size and batches.

    Raises:
        ConfigError: an unknown model, or weights that cannot be had.
    """
    device = choose_device(config.train.device)
    with restored_numerics():
        set_numerics(device, deterministic=False)
        learner = create_learner(config, device, ALONE)
        describer = create_describer(learner, config, pack)
        try:
            rows = torch.arange(min(_BLOCK, pack.count)).numpy()
            blocks = [rows] * describer.blocks_at_once
            describer.features(
                [rows[:2]], lambda: False
            )  # loads and warms what the first call needs
            begun = time.perf_counter()
            done = describer.features(blocks, lambda: False)
            view_s = (time.perf_counter() - begun) / sum(
                len(each) for each in done if each is not None
            )
        finally:
            describer.close()
        features = torch.randn(
            config.train.batch_size, feature_count(learner.encoder), device=device
        )
        seconds = []
        for step in range(_STEPS):
            begun = time.perf_counter()
            float(update(learner, Views(features, features, 0.0), 0.9, step + 1).grad_norm)
            seconds.append(time.perf_counter() - begun)
    return Pace(view_s / config.data.cached_views, statistics.median(seconds[1:]))


def fit_run(
    pace: Pace, *, marks: int, seconds: float, views: int, epochs: int, steps_per_epoch: int
) -> FittedRun:
    """The longest run that fits into `seconds`, at most with so many views and epochs.

    Epochs are worth more than views: they are shortened only once two views are left, and never below a
    third, since what is learnt by then is hardly worth the evaluation.

    Args:
        pace: of this machine.
        marks: that are trained on.
        seconds: for views and steps.
        views: of each mark, where there is time.
        epochs: to train, where there is time.
        steps_per_epoch: their length.
    """
    step_s = pace.step_s * steps_per_epoch
    for fewer in range(views, 1, -1):
        needed = fewer * marks * pace.view_s + epochs * step_s
        if needed <= seconds:
            return FittedRun(fewer, epochs, needed)
    views_s = 2 * marks * pace.view_s
    fitting = math.floor((seconds - views_s) / step_s)
    least = -(-epochs // 3)
    shortened = max(least, min(epochs, fitting))
    return FittedRun(2, shortened, views_s + shortened * step_s)
