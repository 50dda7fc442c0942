"""Histories of runs, made of events."""

from tmssl.config import Config, to_dict
from tmssl.runs.events import Epoch, Segment, Step
from tmssl.runs.history import History, read_history


def run(count: int = 300, spike_at: int = 0, second: int = 0) -> History:
    """A run of steps, ten to an epoch."""
    events: list[Segment | Step | Epoch] = [
        Segment(
            chance=5.5,
            chance_ce=6.9,
            steps_per_epoch=10,
            epochs=count // 10 + 10,
            config=dict(to_dict(Config())),
        )
    ]
    for i in range(1, count + 1):
        if i == second:
            events.append(
                Segment(
                    step=i - 1,
                    epoch=(i - 1) / 10,
                    chance=4.0,
                    steps_per_epoch=10,
                    epochs=99,
                    t=float(i),
                )
            )
        loss = 90.0 if i == spike_at else 5.0 - 3 * i / count
        events.append(
            Step(
                step=i,
                epoch=i / 10,
                loss=loss,
                top1=i / count,
                lr=0.1,
                momentum=0.99,
                grad_norm=1.0,
                feature_std=1.0,
                step_s=1.0,
                t=1000.0 + 60 * i,
            )
        )
    return read_history(list(events))
