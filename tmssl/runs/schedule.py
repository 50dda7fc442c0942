"""Learning rate, momentum and chance levels as pure functions of the step; no state is ever restored.

Restoring a scheduler's state also restores the old end, after which the LR climbs again; setting the
end afterwards keeps the LR at its minimum. A closed form of the step has neither fault.
"""

import math

from tmssl.config import OptimConfig


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
) -> float:
    """The learning rate of step `step`, counted from 0.

    The warm-up is linear over the first `warmup_epochs` of the run. The cosine falls from `lr` at epoch
    `anchor`, or at the end of the warm-up if that is later, to `min_lr` at epoch `epochs` (Loshchilov
    and Hutter 2017, eq. 5, without restarts).
    """
    warmup_steps = warmup_epochs * steps_per_epoch
    if step < warmup_steps:
        return lr * (step + 1) / (math.floor(warmup_steps) + 1)
    if schedule == "constant":
        return lr
    begin = max(anchor * steps_per_epoch, warmup_steps)
    end = epochs * steps_per_epoch
    progress = min(1.0, max(0.0, (step - begin) / max(1.0, end - begin)))
    return min_lr + (lr - min_lr) * 0.5 * (1 + math.cos(math.pi * progress))


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
    )
    since = step - optim.rewarm_step
    if not 0 <= since < optim.rewarm_steps:
        return planned
    share = (since + 1) / (optim.rewarm_steps + 1)
    return optim.rewarm_lr + (planned - optim.rewarm_lr) * share


def momentum(step: int, *, total_steps: int, start: float) -> float:
    """Momentum of the momentum encoder, 1 - (1 - start)(1 + cos(pi step / total)) / 2, as in MoCo v3.

    Grill et al. 2020 (BYOL), section 3.2.
    """
    progress = min(1.0, step / max(1, total_steps))
    return 1 - (1 - start) * (1 + math.cos(math.pi * progress)) / 2


def chance_ce(keys: int) -> float:
    """Cross-entropy of a model that has learned nothing, ln N nats."""
    return math.log(keys)


def chance_loss(keys: int, temperature: float) -> float:
    """Loss of a model that has learned nothing, 4 tau ln N: two directions of 2 tau ln N each."""
    return 4 * temperature * math.log(keys)


def solved_loss(keys: int, temperature: float) -> float:
    """Loss where positives coincide and negatives are orthogonal: 4 tau ln(1 + (N-1) e^(-1/tau))."""
    return 4 * temperature * math.log1p((keys - 1) * math.exp(-1 / temperature))
