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
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.distributed as dist
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tmssl.errors import ConfigError, TrainingError
from tmssl.text import count, safe
from tmssl.training.signals import EXIT_CODES, SignalFlags
from tmssl.training.trainer_journal import write_stderr

_RANK_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")
_UNSET = "start it by torchrun, or unset TORCHELASTIC_RUN_ID to train alone"
_STORE_PATIENCE_S = 5.0  # torchrun serves its store before it starts a process
_SAID_AFTER_S = 5.0


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

    def share(self, value: Any) -> Any:
        """The value that the first rank has; it must be picklable."""
        if self.control is None:
            return value
        shared = [value]
        dist.broadcast_object_list(shared, src=0, group=self.control)
        return shared[0]

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
        ConfigError: this machine has fewer GPUs than processes, or torchrun's variables are inherited.
        RankLostError: another process ended meanwhile.
    """
    size = check_torchrun(os.environ) if dist.is_torchelastic_launched() else 1
    if size == 1:
        yield ALONE
        return
    if device.type == "cuda":
        wanted, present = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if wanted > present:
            raise ConfigError(
                f"{wanted} processes were started on this machine, which has {count(present, 'GPU')}; give "
                f"--gpus {present}, or torchrun --nproc-per-node {present}"
            )
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    with rank_lost_errors():
        with _ending_at_signals(), _waiting_said(size):
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
            control = dist.new_group(backend="gloo")
        try:
            assert isinstance(control, dist.ProcessGroup)  # every rank is in it
            yield Ranks(dist.get_rank(), size, control)
        finally:
            dist.destroy_process_group()


def check_torchrun(environment: Mapping[str, str]) -> int:
    """How many processes torchrun has started.

    Its variables are inherited by shells and children; without its processes a rank would wait for ever.

    Raises:
        ConfigError: some of its variables are missing or wrong, or no torchrun answers.
    """
    number = {name: environment.get(name, "") for name in _RANK_VARIABLES}
    bad = [name for name, value in number.items() if not value.isdecimal()]
    if not bad and int(number["WORLD_SIZE"]) == 1:
        return 1
    if not environment.get("MASTER_ADDR"):
        bad.append("MASTER_ADDR")
    if not bad:
        places = [("RANK", "WORLD_SIZE"), ("LOCAL_RANK", "LOCAL_WORLD_SIZE")]
        bad = [rank for rank, size in places if int(number[rank]) >= int(number[size])]
        bad += ["MASTER_PORT"] if not 0 < int(number["MASTER_PORT"]) < 1 << 16 else []
    if bad:
        raise ConfigError(
            f"TORCHELASTIC_RUN_ID is set, as by torchrun, and {', '.join(bad)} missing or wrong; {_UNSET}"
        )
    address = environment["MASTER_ADDR"], int(number["MASTER_PORT"])
    store = environment.get("TORCHELASTIC_USE_AGENT_STORE")
    if store is None or (store == "True" and not _answers(*address)):
        raise ConfigError(
            f"the variables of torchrun are set (process {number['RANK']} of {number['WORLD_SIZE']}), and "
            f"no torchrun answers at {safe(address[0], 60)}:{address[1]}; {_UNSET}"
        )
    return int(number["WORLD_SIZE"])


def _answers(host: str, port: int) -> bool:
    """Whether something takes connections at an address; tried for a few seconds."""
    deadline = time.monotonic() + _STORE_PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, UnicodeError):
            socket.create_connection((host, port), _STORE_PATIENCE_S).close()
            return True
        time.sleep(0.2)
    return False


@contextlib.contextmanager
def _ending_at_signals() -> Iterator[None]:
    """Let a signal to stop end the process at once, while it waits for others outside of Python."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in EXIT_CODES}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _waiting_said(size: int) -> Iterator[None]:
    """Say on stderr that the other processes are waited for, if that takes a while."""
    words = (
        f"tmssl: waiting for {size - 1} more of the {size} processes that torchrun says it started"
    )
    timer = threading.Timer(_SAID_AFTER_S, write_stderr, [words])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


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
