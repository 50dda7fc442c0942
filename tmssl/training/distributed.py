"""Several processes that train one model, started by `torchrun`; a process alone passes through here.

Each process (a rank) takes its slice of every global batch, compares its queries with the keys of all,
and DDP averages the gradients: with N marks in the global batch and n on each of W ranks, the mean over
ranks of a mean over n queries is the mean over N, so the step is the one that a single process would
take. Rank 0 alone writes.
"""

import contextlib
import dataclasses
import os
import signal
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tmssl.errors import ConfigError, TrainingError
from tmssl.training.signals import SignalFlags


class RankLostError(TrainingError):
    """Another process of the same training is gone, so no step can be completed."""


@dataclasses.dataclass(frozen=True)
class Ranks:
    """The processes that train together, and which of them this is."""

    rank: int = 0
    size: int = 1
    control: dist.ProcessGroup | None = None
    """carries small host values, so that agreeing on them never waits for a GPU"""

    @property
    def first(self) -> bool:
        """Whether this process writes what the run keeps."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """The part of a global batch that this rank trains on.

        Raises:
            ConfigError: it cannot be divided evenly, or leaves one mark to a rank.
        """
        own = count // self.size
        if own * self.size != count or (self.size > 1 and own < 2):
            raise ConfigError(
                f"batch_size is {count}, which {self.size} processes cannot share evenly; "
                f"give a multiple of {self.size}, at least {2 * self.size}"
            )
        return slice(self.rank * own, (self.rank + 1) * own)

    def gathered(self, keys: Tensor) -> Tensor:
        """The keys (n, d) of every rank in order of rank, (size * n, d), without gradient."""
        if self.size == 1:
            return keys
        everyone = [torch.empty_like(keys) for _ in range(self.size)]
        dist.all_gather(everyone, keys.contiguous())
        return torch.cat(everyone)

    def mean(self, figures: Tensor) -> Tensor:
        """The mean over ranks, which replaces `figures`."""
        if self.size > 1:
            dist.all_reduce(figures)
            figures /= self.size
        return figures

    def agreed(self, flags: SignalFlags, *, late: bool) -> tuple[signal.Signals | None, bool, bool]:
        """What any rank was asked for before this step: to stop, to write a checkpoint, and that one is due.

        Every rank gets the same answer, whatever arrives at one of them meanwhile.
        """
        stop, checkpoint = flags.stop, flags.checkpoint
        if checkpoint:  # a signal that comes just now keeps its flag
            flags.checkpoint = False
        if self.control is None:
            return stop, checkpoint, late
        asked = torch.tensor([stop or 0, int(checkpoint), int(late)])
        dist.all_reduce(asked, op=dist.ReduceOp.MAX, group=self.control)
        number, checkpoints, lates = asked.tolist()
        return signal.Signals(number) if number else None, bool(checkpoints), bool(lates)

    def least(self, value: int) -> int:
        """The smallest of what the ranks hold."""
        if self.control is None:
            return value
        least = torch.tensor(value)
        dist.all_reduce(least, op=dist.ReduceOp.MIN, group=self.control)
        return int(least)

    def wait(self) -> None:
        """Wait until every rank is here."""
        if self.control is not None:
            dist.barrier(group=self.control)

    def check_same(self, facts: dict[str, Any]) -> None:
        """Refuse to train on different things.

        Raises:
            TrainingError: the ranks hold different facts.
        """
        if self.control is None:
            return
        told: list[dict[str, Any]] = [{} for _ in range(self.size)]
        dist.all_gather_object(told, facts, group=self.control)
        differing = [name for name in facts if any(other[name] != told[0][name] for other in told)]
        if differing:
            raise TrainingError(
                f"the processes see a different {', '.join(differing)}; "
                "the run's folder and the pack must be the same on every machine"
            )


ALONE = Ranks()


@contextlib.contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that `torchrun` started with this one; alone without it.

    Args:
        device: where this run trains; each rank takes the GPU of its local number.

    Raises:
        ConfigError: this machine has fewer GPUs than processes.
        RankLostError: another process ended meanwhile.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if not dist.is_torchelastic_launched() or size == 1:
        yield ALONE
        return
    if device.type == "cuda":
        here, there = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if here > there:
            raise ConfigError(f"gpus is {here} and this machine has {there}; give --gpus {there}")
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    with named_losses():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        try:
            control = dist.new_group(backend="gloo")
            assert isinstance(control, dist.ProcessGroup)  # every rank is in it
            yield Ranks(dist.get_rank(), size, control)
        finally:
            dist.destroy_process_group()


@contextlib.contextmanager
def named_losses() -> Iterator[None]:
    """Turn what the collectives say when their peer vanishes into a `RankLostError`."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise RankLostError(
            "one of the processes that train together ended; train.log says which and why"
        ) from error


def with_synchronised_norms(module: nn.Module, ranks: Ranks, device: torch.device) -> nn.Module:
    """BN over the global batch, on CUDA; torch has none for CPUs, where each rank normalises alone.

    timm's conversion, since torch's own drops the activation of timm's BN layers.
    """
    if ranks.size == 1 or device.type != "cuda":
        return module
    converted: nn.Module = convert_sync_batchnorm(module)
    return converted


def averaging(module: nn.Module, ranks: Ranks) -> nn.Module:
    """A module whose backward pass averages the gradient over ranks; alone the module itself."""
    return module if ranks.size == 1 else DistributedDataParallel(module)


def accumulating(module: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Add to this rank's gradient only; a later pass outside averages all of it at once."""
    if isinstance(module, DistributedDataParallel):
        return module.no_sync()
    return contextlib.nullcontext()
