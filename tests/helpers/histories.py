"""Histories of runs, made of events; no files."""

from collections.abc import Iterator

from tmssl.config import Config, changed, to_dict
from tmssl.runs.events import Segment, Step
from tmssl.runs.history import History, read_history


def step(number: int) -> Step:
    """A step of a run whose loss falls, ten steps to an epoch."""
    return Step(
        step=number,
        epoch=number / 10,
        loss=5.5 - number / 40,
        ce=6.8,
        top1=number / 100,
        lr=0.1 - number / 1000,
        momentum=0.99,
        grad_norm=1.0 + number % 7 / 10,
        feature_std=0.9,
        img_s=100.0,
        data_s=0.01,
        step_s=1.0,
        mem_gib=2.0,
        t=1000.0 + number,
    )


def two_segments(config: Config) -> Iterator[Segment | Step]:
    """60 `step`s of a run that was resumed after 30 of them."""
    for number, begin in ((0, 0), (1, 30)):
        yield Segment(
            number=number,
            step=begin,
            epoch=begin / 10,
            reason="resume" if number else "start",
            config=dict(to_dict(config)),
            changed={"train.epochs": [5, 10]} if number else {},
            steps_per_epoch=10,
            epochs=10,
            t=1000.0 + begin,
            chance=5.55,
            solved=1.65,
            chance_ce=6.93,
            batch_size=1024,
        )
        yield from map(step, range(begin + 1, begin + 31))


def short_history(count: int = 60, epochs: int = 10) -> History:
    """A run of `step`s on a cosine schedule without warm-up."""
    config = changed(Config(), {"epochs": epochs, "lr": 0.1, "warmup_epochs": 0.0})
    segment = Segment(
        config=dict(to_dict(config)),
        chance=5.55,
        solved=1.65,
        chance_ce=6.93,
        batch_size=1024,
        steps_per_epoch=10,
        epochs=epochs,
    )
    return read_history([segment, *map(step, range(1, count + 1))])


def history_of(count: int = 300, *, spike_at: int = 0, resumed_at: int = 0) -> History:
    """A run of so many steps, ten to an epoch and one a minute, whose loss falls from 5 to 2.

    Args:
        count: of steps.
        spike_at: step at which the loss is 90; none when 0.
        resumed_at: first step of a second segment with another chance level; none when 0.
    """
    config: dict[str, object] = dict(to_dict(Config()))
    epochs = count // 10 + 10
    first = Segment(chance=5.5, chance_ce=6.9, steps_per_epoch=10, epochs=epochs, config=config)
    events: list[Segment | Step] = [first]
    for i in range(1, count + 1):
        if i == resumed_at:
            epoch, t = (i - 1) / 10, float(i)
            second = Segment(
                step=i - 1, epoch=epoch, chance=4.0, steps_per_epoch=10, epochs=99, t=t
            )
            events.append(second)
        values = {"lr": 0.1, "momentum": 0.99, "grad_norm": 1.0, "feature_std": 1.0, "step_s": 1.0}
        loss = 90.0 if i == spike_at else 5.0 - 3 * i / count
        t = 1000.0 + 60 * i
        events.append(Step(step=i, epoch=i / 10, loss=loss, top1=i / count, t=t, **values))
    return read_history(list(events))
