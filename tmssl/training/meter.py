"""Running means on the device, read only when a step is logged."""

import dataclasses
import resource
import time
from typing import Any

import torch
from torch import Tensor

from tmssl.training.loader import Idle
from tmssl.training.loss import alignment, rank_me, uniformity
from tmssl.training.moco import StepResult

_SAMPLE = 1024  # marks that the epoch's RankMe, alignment and uniformity are taken over


@dataclasses.dataclass
class Meter:
    """What has been measured since the last logged step and since the epoch began."""

    device: torch.device
    logged_at: float = dataclasses.field(default_factory=time.perf_counter)
    epoch_at: float = dataclasses.field(default_factory=time.perf_counter)
    steps: int = 0
    waited: list[float | Idle] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        """Start from nothing."""
        # Five figures and how many steps they are of.
        self._recent = torch.zeros(6, device=self.device)
        self._epoch = torch.zeros(6, device=self.device)
        self._kept: list[tuple[Tensor, Tensor, Tensor]] = []

    def restart(self) -> None:
        """Forget what was measured; the steps are about to be done again."""
        self.__init__(self.device)  # type: ignore[misc]  # a fresh meter in the same place

    def state(self) -> dict[str, object]:
        """What the epoch has come to, so that one that is interrupted has the mean of all its steps."""
        return {
            "epoch": self._epoch.to("cpu", copy=True),
            "seconds": time.perf_counter() - self.epoch_at,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with the epoch where `state` was taken."""
        self._epoch = state["epoch"].to(self.device)
        self.epoch_at = time.perf_counter() - state["seconds"]

    def add(self, result: StepResult, waited: float | Idle) -> None:
        """Take in a step without waiting for the device; figures that are not finite don't count.

        Those of a step whose gradient alone overflowed do, as under a scaler that looks for its scale.
        `waited` is how long the step waited for its data: seconds, or what a GPU will tell.
        """
        figures = torch.cat([result.figures, result.figures.new_ones(1)])
        figures = figures.masked_fill(~figures.isfinite().all(), 0.0)
        self._recent += figures
        self._epoch += figures
        self.steps += 1
        self.waited.append(waited)
        self._kept.append((result.features, result.queries, result.keys))
        while sum(len(kept[0]) for kept in self._kept[1:]) >= _SAMPLE:
            self._kept.pop(0)

    def recent(self) -> tuple[list[float], float, float]:
        """Mean figures (NaN when no step was finite), seconds a step took and waited for data; starts anew."""
        figures = (self._recent[:5] / self._recent[5]).tolist()  # the one sync of a logged step
        now = time.perf_counter()
        step_s = (now - self.logged_at) / max(1, self.steps)
        waited = [one.seconds() if isinstance(one, Idle) else one for one in self.waited]
        data_s = sum(waited) / max(1, self.steps)
        self._recent = torch.zeros(6, device=self.device)
        self.steps, self.waited, self.logged_at = 0, [], now
        return figures, step_s, data_s

    def epoch(self) -> tuple[list[float], float, dict[str, float]]:
        """Mean figures of the epoch, its seconds, and the shape of its features; starts anew."""
        figures = (self._epoch[:5] / self._epoch[5]).tolist()
        features, queries, keys = (
            torch.cat(parts)[-_SAMPLE:].float().cpu() for parts in zip(*self._kept, strict=True)
        )
        shape = {}
        if bool(features.isfinite().all()):
            shape = {
                "rank_me": rank_me(features),
                "alignment": alignment(queries, keys),
                "uniformity": uniformity(features),
            }
        now = time.perf_counter()
        seconds = now - self.epoch_at
        self._epoch = torch.zeros(6, device=self.device)
        self._kept, self.epoch_at = [], now
        return figures, seconds, shape


def memory_gib(device: torch.device) -> float:
    """Most memory in use so far: of the GPU, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
