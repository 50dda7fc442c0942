"""Several processes that train one model, started by `torchrun`; also serves a single process.

Each process (a rank) takes its slice of every global batch and compares its queries with the keys of all
ranks; DDP averages the gradients. With N marks in the global batch and n on each rank, the mean over
ranks of the mean over n queries is the mean over N, so the step is that of a single process. Only rank 0
writes.
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
class Requests:
    """What was requested before a step, of any rank."""

    stop: signal.Signals | None
    """the signal that requested a stop"""
    checkpoint: bool
    """whether a signal requested a checkpoint"""
    due: bool
    """whether the last checkpoint is too old"""


@dataclasses.dataclass(frozen=True)
class Ranks:
    """The processes that train together, and the number of this one."""

    rank: int = 0
    size: int = 1
    control: dist.ProcessGroup | None = None
    """exchanges small host values, without a wait for a GPU"""

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files of the run."""
        return self.rank == 0

    def batch_slice(self, count: int) -> slice:
        """The part of a global batch of `count` that this rank trains on.

        Raises:
            ConfigError: the ranks cannot share it evenly, or get one mark each.
        """
        own = count // self.size
        if own * self.size != count or (self.size > 1 and own < 2):
            raise ConfigError(
                f"batch_size is {count}, which {self.size} processes cannot share evenly; "
                f"give a multiple of {self.size}, at least {2 * self.size}"
            )
        return slice(self.rank * own, (self.rank + 1) * own)

    def gather(self, keys: Tensor) -> Tensor:
        """The keys (n, d) of every rank in order of rank, (size * n, d), without gradient."""
        if self.size == 1:
            return keys
        gathered = [torch.empty_like(keys) for _ in range(self.size)]
        dist.all_gather(gathered, keys.contiguous())
        return torch.cat(gathered)

    def mean(self, figures: Tensor) -> Tensor:
        """The mean over ranks, in place."""
        if self.size > 1:
            dist.all_reduce(figures)
            figures /= self.size
        return figures

    def agree(self, flags: SignalFlags, *, due: bool) -> Requests:
        """The requests to any rank, the same for all, whatever signal comes meanwhile.

        Clears the flag of a requested checkpoint.
        """
        stop, checkpoint = flags.stop, flags.checkpoint
        if checkpoint:  # a signal that comes just now keeps its flag
            flags.checkpoint = False
        if self.control is None:
            return Requests(stop, checkpoint, due)
        values = torch.tensor([stop or 0, int(checkpoint), int(due)])
        dist.all_reduce(values, op=dist.ReduceOp.MAX, group=self.control)
        number, any_checkpoint, any_due = values.tolist()
        return Requests(
            signal.Signals(number) if number else None, bool(any_checkpoint), bool(any_due)
        )

    def min(self, value: int) -> int:
        """The smallest value of any rank."""
        if self.control is None:
            return value
        smallest = torch.tensor(value)
        dist.all_reduce(smallest, op=dist.ReduceOp.MIN, group=self.control)
        return int(smallest)

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.control is not None:
            dist.barrier(group=self.control)

    def check_same(self, facts: dict[str, Any]) -> None:
        """Refuse to train on different data or settings.

        Raises:
            TrainingError: the ranks have different values.
        """
        if self.control is None:
            return
        every: list[dict[str, Any]] = [{} for _ in range(self.size)]
        dist.all_gather_object(every, facts, group=self.control)
        differing = [name for name in facts if any(f[name] != every[0][name] for f in every)]
        if differing:
            raise TrainingError(
                f"the processes see a different {', '.join(differing)}; "
                "the run's folder and the pack must be the same on every machine"
            )


ALONE = Ranks()


@contextlib.contextmanager
def join_ranks(device: torch.device) -> Iterator[Ranks]:
    """Join the other processes that `torchrun` started; without it this process is alone.

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
        wanted, present = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if wanted > present:
            raise ConfigError(
                f"gpus is {wanted} and this machine has {present}; give --gpus {present}"
            )
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    with rank_lost_errors():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        try:
            control = dist.new_group(backend="gloo")
            assert isinstance(control, dist.ProcessGroup)  # every rank is in it
            yield Ranks(dist.get_rank(), size, control)
        finally:
            dist.destroy_process_group()


@contextlib.contextmanager
def rank_lost_errors() -> Iterator[None]:
    """Raise a `RankLostError` instead of the error of a collective whose peer is gone."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise RankLostError(
            "one of the processes that train together ended; train.log says which and why"
        ) from error


def sync_batch_norms(module: nn.Module, ranks: Ranks, device: torch.device) -> nn.Module:
    """Let BN layers normalise over the global batch; on a CPU, for which torch has none, over the rank's.

    By timm's conversion, since torch's drops the activation of timm's BN layers.
    """
    if ranks.size == 1 or device.type != "cuda":
        return module
    converted: nn.Module = convert_sync_batchnorm(module)
    return converted


def average_gradients(module: nn.Module, ranks: Ranks) -> nn.Module:
    """The module wrapped so that its backward pass averages the gradient over ranks, if several."""
    return module if ranks.size == 1 else DistributedDataParallel(module)


def without_averaging(module: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Accumulate the gradient of this rank alone; a later pass outside averages all of it at once."""
    if isinstance(module, DistributedDataParallel):
        return module.no_sync()
    return contextlib.nullcontext()
