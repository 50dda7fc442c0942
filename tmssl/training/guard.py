"""Steps whose loss or gradient is not finite: counted on the device, looked at when it is cheap."""

import dataclasses

import torch
from torch import Tensor, nn


@dataclasses.dataclass(frozen=True)
class Damage:
    """What went wrong since the last look."""

    count: int
    """steps that were not finite, and skipped"""
    longest: int
    """most of them in a row; a row may have begun before the last look"""
    streak: int
    """those in a row up to now"""
    last: int
    """the last such step, counted from 1 over the run; 0 for none ever"""


class Guard:
    """Counts without waiting for the device, and keeps BN's averages free of what it counts.

    A masked step leaves weights alone, but its forward pass has averaged NaN into the running
    statistics, where it would stay for good; so they go back to what they were at the last look.
    """

    def __init__(self, model: nn.Module) -> None:
        self._averages = [kept for kept in model.buffers() if kept.is_floating_point()]
        self._whole = [kept.clone() for kept in self._averages]
        device = next(model.parameters()).device
        self._tally = torch.zeros(4, dtype=torch.int64, device=device)

    @torch.no_grad()
    def add(self, finite: Tensor, step: int) -> None:
        """Take in step `step`, which was applied if `finite`, a bool on the device, holds."""
        count, longest, streak, last = self._tally.unbind()
        streak = (streak + 1) * ~finite
        self._tally = torch.stack(
            [
                count + ~finite,
                torch.maximum(longest, streak),
                streak,
                last.masked_fill(~finite, step),
            ]
        )

    @torch.no_grad()
    def look(self) -> Damage:
        """What was counted since the last look; waits for the device."""
        damage = Damage(*self._tally.tolist())
        kept, source = (
            (self._averages, self._whole) if damage.count else (self._whole, self._averages)
        )
        if kept:
            torch._foreach_copy_(kept, source)
        if damage.count or damage.longest:
            begun = [0, damage.streak, damage.streak, damage.last]
            self._tally = torch.tensor(begun, device=self._tally.device)
        return damage
