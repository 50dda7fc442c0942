"""Weights, optimizer and precision: everything a step changes, and how it is saved and restored."""

import contextlib
import dataclasses
import functools
from typing import Any

import torch
from torch import Tensor, nn

from tmssl.config import Config
from tmssl.errors import ConfigError, TrainingError
from tmssl.text import safe
from tmssl.training.backbone import create_encoder, image_size_error
from tmssl.training.chunking import fitting_chunk, halved, out_of_memory
from tmssl.training.distributed import ALONE, Ranks, averaging, with_synchronised_norms
from tmssl.training.guard import Guard
from tmssl.training.loader import Views
from tmssl.training.moco import MoCo, StepResult, moco_step
from tmssl.training.optimizer import create_optimizer, step_where

_AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclasses.dataclass
class Learner:
    """What learns, on its device."""

    model: MoCo
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    device: torch.device
    precision: str
    temperature: float
    chunk_size: int
    """images that go through the encoder at once; running out of memory halves it"""
    guard: Guard
    passes: torch.nn.Module
    """the model as the gradient goes through it: averaged over ranks where there are several"""
    ranks: Ranks = ALONE

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Lower precision where the settings ask for it."""
        return autocast(self.device, self.precision)


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Matrix products and convolutions in a lower precision; nothing for float32."""
    kind = _AUTOCAST.get(precision)
    return torch.autocast(device.type, dtype=kind) if kind else contextlib.nullcontext()


def choose_device(wanted: str) -> torch.device:
    """The device of `auto`, `cpu` or `cuda`.

    Raises:
        ConfigError: CUDA is asked for and is not there.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda and torch sees no GPU; check the driver, or --device cpu")
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(wanted)


def choose_precision(wanted: str, device: torch.device) -> str:
    """What `auto` means on a device: bfloat16 on CUDA, float16 on cards without it, else float32."""
    if wanted != "auto":
        return wanted
    if device.type != "cuda":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"


def views_dtype(learner: Learner) -> torch.dtype:
    """The type of its views: bfloat16 or float16 on a GPU that trains in it, else float32.

    The first layer would round them to it anyway; a CPU is slower in either.
    """
    on_gpu = learner.device.type == "cuda"
    return _AUTOCAST.get(learner.precision, torch.float32) if on_gpu else torch.float32


def check_settings(config: Config) -> None:
    """Refuse settings that no images could make trainable.

    Raises:
        ConfigError: an unknown model or weights, a size that the model refuses, or no such device.
    """
    choose_device(config.train.device)
    with torch.random.fork_rng(devices=[]):
        encoder = create_encoder(config.model.name, config.model.init)
    _probe(encoder, config)


def create_learner(config: Config, device: torch.device, ranks: Ranks = ALONE) -> Learner:
    """Fresh weights from the run's seed, and their optimizer; the same on every rank.

    Raises:
        ConfigError: an unknown model, or one that refuses the image size.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        encoder = create_encoder(config.model.name, config.model.init)
        model = MoCo(encoder, config.model.hidden, config.model.dimensions)
    _probe(model.encoder, config)
    model = model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]  # nn.Module.to's stub lacks this form
    precision = choose_precision(config.train.precision, device)
    chunk_size = _chunk_size(
        model, config, precision, ranks
    )  # before anything hangs on other ranks
    with_synchronised_norms(model, ranks, device)
    if config.train.compile:
        model.encoder.compile()
        model.momentum_encoder.compile()
    optimizer = create_optimizer(
        config.optim.optimizer,
        [model.encoder, model.projector, model.predictor],
        lr=config.optim.lr,
        weight_decay=config.optim.weight_decay,
    )
    return Learner(
        model,
        optimizer,
        torch.amp.GradScaler(device.type, enabled=precision == "float16"),
        device,
        precision,
        config.optim.temperature,
        chunk_size,
        Guard(model),
        averaging(model, ranks),
        ranks,
    )


def _chunk_size(model: MoCo, config: Config, precision: str, ranks: Ranks) -> int:
    """The chunk that the settings ask for; `auto` measures or tries, and all ranks take the smallest."""
    wanted, own = config.train.chunk_size, config.train.batch_size // ranks.size
    if wanted != "auto":
        return wanted or own
    device = next(model.parameters()).device
    cast = functools.partial(autocast, device, precision)
    return ranks.least(fitting_chunk(model, own, config.data.image_size, cast))


def _probe(encoder: nn.Module, config: Config) -> None:
    """Let the encoder refuse the image size before any data is read."""
    size = config.data.image_size
    try:
        with torch.inference_mode():
            encoder.eval()(torch.zeros(1, 3, size, size))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise image_size_error(config.model.name, size, error) from error


@dataclasses.dataclass(frozen=True)
class Update:
    """What a step did, still on the device."""

    result: StepResult
    grad_norm: Tensor
    """L2 norm of the gradient"""
    finite: Tensor
    """a bool: loss and gradient were finite, so the weights were changed"""


def update(learner: Learner, views: Views, momentum: float, step: int) -> Update:
    """One step: momentum encoder, keys, gradient, and the optimizer unless something is not finite.

    Nothing here waits for the device; `learner.guard` counts what was skipped.

    Raises:
        TrainingError: not even the smallest chunk fits the memory.
    """
    learner.model.update_momentum(momentum)
    result = _gradient(learner, views)
    learner.scaler.unscale_(learner.optimizer)
    gradients = [p.grad for p in learner.model.parameters() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    finite = norm.isfinite() & result.figures[0].isfinite()
    step_where(learner.optimizer, finite)
    learner.scaler.update()
    learner.guard.add(finite, step)
    return Update(result, norm, finite)


def _gradient(learner: Learner, views: Views) -> StepResult:
    """The gradient of a step, in chunks half as large for as long as memory runs out."""
    while True:
        try:
            return _try_gradient(learner, views)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            # Other ranks are half-way through this step and cannot begin it again.
            smaller = halved(learner.chunk_size) if learner.ranks.size == 1 else None
            if smaller is None:
                raise TrainingError(
                    f"out of memory with chunks of {learner.chunk_size}: {safe(error, 200)}; "
                    "give a smaller --chunk-size (or auto), --batch-size, --image-size or --model"
                ) from error
        learner.chunk_size = smaller  # here, where the failed step's tensors are gone
        if learner.device.type == "cuda":
            torch.cuda.empty_cache()


def _try_gradient(learner: Learner, views: Views) -> StepResult:
    """The gradient of a step in chunks of the present size."""
    learner.optimizer.zero_grad(set_to_none=True)

    def backward(loss: Tensor) -> None:
        learner.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    with learner.autocast():
        return moco_step(
            learner.model,
            views.first,
            views.second,
            temperature=learner.temperature,
            chunk_size=learner.chunk_size,
            backward=backward,
            passes=learner.passes,
            ranks=learner.ranks,
        )


def learner_state(learner: Learner) -> dict[str, Any]:
    """Everything `restore_learner` needs, copied to the CPU so that training can go on meanwhile."""
    model = learner.model
    parts = {
        "encoder": model.encoder,
        "projector": model.projector,
        "predictor": model.predictor,
        "momentum_encoder": model.momentum_encoder,
        "momentum_projector": model.momentum_projector,
    }
    state: dict[str, Any] = {name: part.state_dict() for name, part in parts.items()}
    state["optimizer"] = learner.optimizer.state_dict()
    state["scaler"] = learner.scaler.state_dict()
    state["chunk_size"] = learner.chunk_size
    copied: dict[str, Any] = _copied(state)
    return copied


def _copied(value: Any) -> Any:
    """A deep copy with every tensor on the CPU."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return value


def restore_learner(learner: Learner, state: dict[str, Any], *, same_optimizer: bool) -> None:
    """Put the learner where `learner_state` was taken.

    Settings such as weight decay come from the configuration in force, not from the checkpoint;
    an optimizer of another name starts with fresh averages.
    """
    model = learner.model
    for name in ("encoder", "projector", "predictor", "momentum_encoder", "momentum_projector"):
        getattr(model, name).load_state_dict(state[name])
    settings = [
        {name: value for name, value in group.items() if name != "params"}
        for group in learner.optimizer.param_groups
    ]
    if same_optimizer:
        learner.optimizer.load_state_dict(state["optimizer"])
    for group, kept in zip(learner.optimizer.param_groups, settings, strict=True):
        group.update(kept)
    if state["scaler"]:  # empty where no scaler was needed; one begins anew at a change to float16
        learner.scaler.load_state_dict(state["scaler"])
    learner.guard.look()  # BN's averages are whole now
