"""Running means on the device, read only when a step or an epoch is journaled."""

import time
from typing import Any

import torch
from torch import Tensor

from tmssl.errors import CheckpointError
from tmssl.system import peak_memory_gib
from tmssl.training.loader import IdleTime
from tmssl.training.loss import alignment, rank_me, uniformity
from tmssl.training.moco import FIGURES, StepResult

_SAMPLE = 1024  # marks over which the epoch's RankMe, alignment and uniformity are taken

_BEFORE_TEACHERS = 6  # sums in a checkpoint of an earlier version, whose steps had no teacher


class Meter:
    """What was measured since the last logged step, and since the epoch began."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._steps_at = self._epoch_at = time.perf_counter()
        self._waits: list[float | IdleTime] = []  # one for each step since the last logged one
        self._steps_sum = self._zeros()
        self._epoch_sum = self._zeros()
        self._samples: list[tuple[Tensor, Tensor, Tensor]] = []

    def _zeros(self) -> Tensor:
        """Sums of the figures, and the number of steps in them."""
        return torch.zeros(len(FIGURES) + 1, device=self._device)

    def state(self) -> dict[str, object]:
        """The sums of the epoch, so that an interrupted one has the mean of all its steps."""
        return {
            "epoch": self._epoch_sum.to("cpu", copy=True),
            "seconds": time.perf_counter() - self._epoch_at,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with the epoch where `state` was taken.

        Raises:
            CheckpointError: the sums are of another shape.
        """
        sums, zeros = state["epoch"], self._zeros()
        if sums.shape not in (zeros.shape, (_BEFORE_TEACHERS,)):
            raise CheckpointError(
                f"the checkpoint holds {tuple(sums.shape)} sums of its epoch, not "
                f"{tuple(zeros.shape)}; give another checkpoint"
            )
        zeros[: len(sums) - 1], zeros[-1] = sums[:-1], sums[-1]
        self._epoch_sum = zeros
        self._epoch_at = time.perf_counter() - state["seconds"]

    def leave_out(self, seconds: float) -> None:
        """Leave time that was no training out of the present step and epoch."""
        self._steps_at += seconds
        self._epoch_at += seconds

    def add(self, result: StepResult, wait: float | IdleTime) -> None:
        """Add a step; one that is not finite counts in no mean.

        `wait` is how long it waited for its data: seconds, or what a GPU will tell later.
        """
        figures = torch.cat([result.figures, result.figures.new_ones(1)])
        figures = figures.masked_fill(~figures.isfinite().all(), 0.0)
        self._steps_sum += figures
        self._epoch_sum += figures
        self._waits.append(wait)
        self._samples.append((result.features, result.queries, result.keys))
        while sum(len(features) for features, _, _ in self._samples[1:]) >= _SAMPLE:
            self._samples.pop(0)

    def read_steps(self) -> tuple[dict[str, float], float, float]:
        """Mean figures (NaN if no step was finite), and the seconds that a step took and waited.

        The means of the steps start anew. Waits for the device.
        """
        means = _means(self._steps_sum)  # the one wait for the device of a logged step
        now, steps = time.perf_counter(), max(1, len(self._waits))
        step_s = (now - self._steps_at) / steps
        waits = [wait.seconds() if isinstance(wait, IdleTime) else wait for wait in self._waits]
        self._steps_sum, self._waits, self._steps_at = self._zeros(), [], now
        return means, step_s, sum(waits) / steps

    def read_epoch(self) -> dict[str, float]:
        """Mean loss, ce, top1 and teacher loss of the epoch, its seconds and the shape of its features.

        The epoch starts anew. Waits for the device.
        """
        means = _means(self._epoch_sum)
        figures = {name: means[name] for name in ("loss", "ce", "top1", "teacher_loss")}
        features, queries, keys = (
            torch.cat(parts)[-_SAMPLE:].float().cpu() for parts in zip(*self._samples, strict=True)
        )
        if bool(features.isfinite().all()):
            figures["rank_me"] = rank_me(features)
            figures["alignment"] = alignment(queries, keys)
            figures["uniformity"] = uniformity(features)
        now = time.perf_counter()
        figures["seconds"] = now - self._epoch_at
        self._epoch_sum, self._samples, self._epoch_at = self._zeros(), [], now
        return figures


def _means(sums: Tensor) -> dict[str, float]:
    """Name of each figure to its mean; waits for the device."""
    return dict(zip(FIGURES, (sums[:-1] / sums[-1]).tolist(), strict=True))


def memory_gib(device: torch.device) -> float:
    """Peak memory use so far: of the GPU, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return peak_memory_gib()
