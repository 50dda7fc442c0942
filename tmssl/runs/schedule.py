"""Learning rate, momentum and chance levels as pure functions of the step; no state is ever restored.

Restoring a scheduler's state also restores the old end, after which the LR climbs again; setting the
end afterwards keeps the LR at its minimum. A closed form of the step has neither fault.
"""

import math

from tmssl.config import DecayShape, OptimConfig

DECAY_SHARE = 0.2
"""share of the epochs that a decay takes unless its length is given; Hu et al. 2024 find a tenth enough for
their long runs, and a fifth gives short ones more steps of it"""


RANGE_TEST_STEPS = 100
"""steps over which `range-test` raises the rate"""


def learning_rate(
    step: int,
    *,
    steps_per_epoch: int,
    epochs: int,
    lr: float,
    min_lr: float = 0.0,
    schedule: str = "cosine",
    warmup_epochs: float = 0.0,
    anchor: float = 0.0,
    decay_epochs: float = 0.0,
    decay_shape: DecayShape = "1-sqrt",
) -> float:
    """The learning rate of step `step`, counted from 0.

    The warm-up is linear over the first `warmup_epochs` of the run. The `cosine` falls from `lr` at
    epoch `anchor`, or at the end of the warm-up if that is later, to `min_lr` at epoch `epochs`
    (Loshchilov and Hutter 2017, eq. 5, without restarts). `wsd` (warm-up, stable, decay; Hu et al. 2024,
    MiniCPM, section 4) stays at `lr` until `decay_begin`, and falls to `min_lr` from there, so a later
    end moves the decay and nothing before it. `range-test` rises from `min_lr` to `lr` by equal factors, one
    a step, over the first `RANGE_TEST_STEPS` (Smith 2017, arXiv 1506.01186, section 3.3, where the rise is
    linear).
    """
    if schedule == "range-test":
        return min_lr * (lr / min_lr) ** min(1.0, step / (RANGE_TEST_STEPS - 1))
    warmup_steps = warmup_epochs * steps_per_epoch
    if step < warmup_steps:
        return lr * (step + 1) / (math.floor(warmup_steps) + 1)
    if schedule == "constant":
        return lr
    begin, shape = max(anchor * steps_per_epoch, warmup_steps), "cosine"
    if schedule == "wsd":
        shape = decay_shape
        begin = decay_begin(
            steps_per_epoch=steps_per_epoch,
            epochs=epochs,
            warmup_epochs=warmup_epochs,
            anchor=anchor,
            decay_epochs=decay_epochs,
        )
    return min_lr + (lr - min_lr) * decay_factor(
        _progress(step, begin, epochs * steps_per_epoch), shape
    )


def decay_begin(
    *,
    steps_per_epoch: int,
    epochs: int,
    warmup_epochs: float = 0.0,
    anchor: float = 0.0,
    decay_epochs: float = 0.0,
) -> int:
    """Steps done when the decay of `wsd` begins; the step of that number still has the stable rate.

    The decay takes whole steps and is shortened where it would reach into the warm-up, or before the
    epoch `anchor`. 0 for `decay_epochs` is `DECAY_SHARE` of all epochs.
    """
    decay_steps = round((decay_epochs or DECAY_SHARE * epochs) * steps_per_epoch)
    warmup_steps = math.ceil(warmup_epochs * steps_per_epoch)
    end = epochs * steps_per_epoch
    return min(end, max(end - decay_steps, warmup_steps, round(anchor * steps_per_epoch)))


def decay_factor(progress: float, shape: str) -> float:
    """What is left of a decay, from 1 at progress 0 to 0 at progress 1.

    `linear` is 1 - p, and `1-sqrt` 1 - sqrt(p), both of Hägele et al. 2024 (arXiv 2405.18392), section 3,
    where the latter gives the lower loss; `cosine` is (1 + cos(pi p)) / 2, as in Loshchilov and Hutter.
    """
    if shape == "linear":
        return 1 - progress
    if shape == "1-sqrt":
        return 1 - math.sqrt(progress)
    return 0.5 * (1 + math.cos(math.pi * progress))


def _progress(step: int, begin: float, end: int) -> float:
    """How far a step is between two others, 0 to 1."""
    return min(1.0, max(0.0, (step - begin) / max(1.0, end - begin)))


def planned_decay_begin(optim: OptimConfig, *, steps_per_epoch: int, epochs: int) -> int | None:
    """`decay_begin` under the settings of a run; None for a schedule without a decay of its own."""
    if optim.schedule != "wsd":
        return None
    return decay_begin(
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        warmup_epochs=optim.warmup_epochs,
        anchor=optim.anchor,
        decay_epochs=optim.decay_epochs,
    )


def planned_learning_rate(
    step: int, optim: OptimConfig, *, steps_per_epoch: int, epochs: int
) -> float:
    """`learning_rate` under the settings of a run, with the jump of a resume spread over `rewarm_steps`."""
    planned = learning_rate(
        step,
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        lr=optim.lr,
        min_lr=optim.min_lr,
        schedule=optim.schedule,
        warmup_epochs=optim.warmup_epochs,
        anchor=optim.anchor,
        decay_epochs=optim.decay_epochs,
        decay_shape=optim.decay_shape,
    )
    since = step - optim.rewarm_step
    if not 0 <= since < optim.rewarm_steps:
        return planned
    share = (since + 1) / (optim.rewarm_steps + 1)
    return optim.rewarm_lr + (planned - optim.rewarm_lr) * share


def momentum(step: int, *, total_steps: int, start: float, begin: int = 0) -> float:
    """Momentum of the momentum encoder, 1 - (1 - start)(1 + cos(pi step / total)) / 2, as in MoCo v3.

    Grill et al. 2020 (BYOL), section 3.2. It stays at `start` up to step `begin`, and rises from there.
    """
    progress = _progress(step, begin, total_steps)
    return 1 - (1 - start) * (1 + math.cos(math.pi * progress)) / 2


def planned_momentum(step: int, optim: OptimConfig, *, steps_per_epoch: int, epochs: int) -> float:
    """`momentum` under the settings of a run.

    Under `wsd` it rises along the decay alone, so that a later end changes nothing before it; in a range test
    it stays.
    """
    begin = planned_decay_begin(optim, steps_per_epoch=steps_per_epoch, epochs=epochs) or 0
    total = epochs * steps_per_epoch
    begin = total if optim.schedule == "range-test" else begin
    return momentum(step, total_steps=total, start=optim.momentum, begin=begin)


def chance_ce(keys: int) -> float:
    """Cross-entropy of a model that has learned nothing, ln N nats."""
    return math.log(keys)


def chance_loss(keys: int, temperature: float) -> float:
    """Loss of a model that has learned nothing, 4 tau ln N: two directions of 2 tau ln N each."""
    return 4 * temperature * math.log(keys)


def solved_loss(keys: int, temperature: float) -> float:
    """Loss where positives coincide and negatives are orthogonal: 4 tau ln(1 + (N-1) e^(-1/tau))."""
    return 4 * temperature * math.log1p((keys - 1) * math.exp(-1 / temperature))
