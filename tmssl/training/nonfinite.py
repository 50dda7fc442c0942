"""Steps whose loss or gradient is not finite: counted on the device, without waiting for it."""

import dataclasses

import torch
from torch import Tensor, nn


@dataclasses.dataclass(frozen=True)
class NonfiniteSteps:
    """The steps since the previous read that were not finite, and therefore skipped."""

    count: int
    longest: int
    """most of them in a row; the row may have begun before the previous read"""
    streak: int
    """length of the row that goes on until now"""
    last: int
    """the last such step of the run, counted from 1; 0 for none"""


class NonfiniteCounter:
    """Counts skipped steps, and keeps BN's running statistics free of what those steps averaged in.

    A masked step leaves the weights alone, but its forward pass has averaged NaN into the running
    statistics, where it would stay for good; `read` restores them from the previous read.
    """

    def __init__(self, model: nn.Module) -> None:
        self._statistics = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        self._backup = [buffer.clone() for buffer in self._statistics]
        device = next(model.parameters()).device
        self._counts = torch.zeros(4, dtype=torch.int64, device=device)

    @torch.no_grad()
    def add(self, finite: Tensor, step: int) -> None:
        """Count step `step`; `finite`, a bool on the device, says whether it was applied."""
        count, longest, streak, last = self._counts.unbind()
        streak = (streak + 1) * ~finite
        last = last.masked_fill(~finite, step)
        self._counts = torch.stack([count + ~finite, torch.maximum(longest, streak), streak, last])

    @torch.no_grad()
    def read(self) -> NonfiniteSteps:
        """The counts since the previous read; waits for the device."""
        steps = NonfiniteSteps(*self._counts.tolist())
        target, source = self._backup, self._statistics
        if steps.count:
            target, source = source, target
        if target:
            torch._foreach_copy_(target, source)
        if steps.count or steps.longest:
            restart = [0, steps.streak, steps.streak, steps.last]
            self._counts = torch.tensor(restart, device=self._counts.device)
        return steps
