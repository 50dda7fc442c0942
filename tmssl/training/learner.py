"""Weights, optimizer and precision: all that a step changes, and its state in a checkpoint."""

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
from tmssl.training.distributed import ALONE, Ranks, average_gradients, sync_batch_norms
from tmssl.training.loader import Views
from tmssl.training.moco import MoCo, StepResult, moco_step
from tmssl.training.nonfinite import NonfiniteCounter
from tmssl.training.optimizer import create_optimizer, step_where

_AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_NETWORKS = "encoder projector predictor momentum_encoder momentum_projector".split()


@dataclasses.dataclass
class Learner:
    """A model in training, on its device."""

    model: MoCo
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    device: torch.device
    precision: str
    temperature: float
    chunk_size: int
    """images that go through the encoder at once; halved when memory runs out"""
    nonfinite: NonfiniteCounter
    wrapped: nn.Module
    """the model, wrapped where gradients are averaged over ranks"""
    ranks: Ranks = ALONE

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """The context that computes in the precision of the settings."""
        return autocast(self.device, self.precision)


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """A context with matrix products and convolutions in a lower precision; none for float32."""
    kind = _AUTOCAST.get(precision)
    return torch.autocast(device.type, dtype=kind) if kind else contextlib.nullcontext()


def choose_device(wanted: str) -> torch.device:
    """The device of `auto`, `cpu` or `cuda`.

    Raises:
        ConfigError: CUDA is wanted and absent.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda and torch sees no GPU; check the driver, or --device cpu")
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(wanted)


def choose_precision(wanted: str, device: torch.device) -> str:
    """The precision of `auto` on a device: bfloat16 on CUDA, float16 on cards without it, else float32."""
    if wanted != "auto":
        return wanted
    if device.type != "cuda":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"


def views_dtype(learner: Learner) -> torch.dtype:
    """The type of views: bfloat16 or float16 on a GPU that trains in it, else float32.

    The first layer rounds them to it anyway; a CPU is slower in either.
    """
    on_gpu = learner.device.type == "cuda"
    return _AUTOCAST.get(learner.precision, torch.float32) if on_gpu else torch.float32


def check_settings(config: Config) -> None:
    """Refuse settings that cannot be trained, whatever the images.

    Raises:
        ConfigError: an unknown model, weights or device, or an image size that the model refuses.
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
    # Before the BN layers depend on other ranks.
    chunk_size = _choose_chunk_size(model, config, precision, ranks)
    sync_batch_norms(model, ranks, device)
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
        model=model,
        optimizer=optimizer,
        scaler=torch.amp.GradScaler(device.type, enabled=precision == "float16"),
        device=device,
        precision=precision,
        temperature=config.optim.temperature,
        chunk_size=chunk_size,
        nonfinite=NonfiniteCounter(model),
        wrapped=average_gradients(model, ranks),
        ranks=ranks,
    )


def _choose_chunk_size(model: MoCo, config: Config, precision: str, ranks: Ranks) -> int:
    """The chunk size of the settings; for `auto` what fits the memory of every rank."""
    wanted, own = config.train.chunk_size, config.train.batch_size // ranks.size
    if wanted != "auto":
        return wanted or own
    device = next(model.parameters()).device
    cast = functools.partial(autocast, device, precision)
    return ranks.min(fitting_chunk(model, own, config.data.image_size, cast))


def _probe(encoder: nn.Module, config: Config) -> None:
    """Refuse an image size that the encoder cannot take, before any data is read."""
    size = config.data.image_size
    try:
        with torch.inference_mode():
            encoder.eval()(torch.zeros(1, 3, size, size))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise image_size_error(config.model.name, size, error) from error


@dataclasses.dataclass(frozen=True)
class Update:
    """The result of a step, still on the device."""

    result: StepResult
    grad_norm: Tensor
    """L2 norm of the gradient"""
    finite: Tensor
    """a bool: loss and gradient were finite, so the weights have changed"""


def update(learner: Learner, views: Views, momentum: float, step: int) -> Update:
    """Train step number `step`, counted from 1; one that is not finite leaves the weights alone.

    Never waits for the device; `learner.nonfinite` counts the skipped steps.

    Raises:
        TrainingError: the smallest chunk does not fit the memory.
    """
    learner.model.update_momentum(momentum)
    result = _gradient(learner, views)
    learner.scaler.unscale_(learner.optimizer)
    gradients = [p.grad for p in learner.model.parameters() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    finite = norm.isfinite() & result.figures[0].isfinite()
    step_where(learner.optimizer, finite)
    learner.scaler.update()
    learner.nonfinite.add(finite, step)
    return Update(result, norm, finite)


def _gradient(learner: Learner, views: Views) -> StepResult:
    """Compute the gradient of a step; halves the chunk size while memory runs out."""
    while True:
        try:
            return _try_gradient(learner, views)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            # Other ranks are in the middle of this step and cannot repeat it.
            smaller = halved(learner.chunk_size) if learner.ranks.size == 1 else None
            if smaller is None:
                raise TrainingError(
                    f"out of memory with chunks of {learner.chunk_size}: {safe(error, 200)}; "
                    "give a smaller --chunk-size (or auto), --batch-size, --image-size or --model"
                ) from error
        learner.chunk_size = smaller  # here, after the tensors of the failed step are freed
        if learner.device.type == "cuda":
            torch.cuda.empty_cache()


def _try_gradient(learner: Learner, views: Views) -> StepResult:
    """Compute the gradient of a step in chunks of the present size."""
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
            wrapped=learner.wrapped,
            ranks=learner.ranks,
        )


def learner_state(learner: Learner) -> dict[str, Any]:
    """The state for `restore_learner`, copied to the CPU so that training can go on."""
    state: dict[str, Any] = {name: getattr(learner.model, name).state_dict() for name in _NETWORKS}
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
    """Restore the state that `learner_state` returned.

    Settings such as weight decay stay those of the learner; another optimizer starts with fresh
    averages.
    """
    for name in _NETWORKS:
        getattr(learner.model, name).load_state_dict(state[name])
    settings = [
        {name: value for name, value in group.items() if name != "params"}
        for group in learner.optimizer.param_groups
    ]
    if same_optimizer:
        learner.optimizer.load_state_dict(state["optimizer"])
    for group, own in zip(learner.optimizer.param_groups, settings, strict=True):
        group.update(own)
    if state["scaler"]:  # empty without float16, where a new scaler starts
        learner.scaler.load_state_dict(state["scaler"])
    learner.nonfinite.read()  # takes the restored BN statistics as its backup
