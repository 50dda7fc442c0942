"""Weights, optimizer and precision: all that a step changes, and its state in a checkpoint."""

import contextlib
import dataclasses
import functools
from typing import Any

import torch
from torch import Tensor, nn

from tmssl.config import Config, OptimConfig, resolved
from tmssl.data.pack.reader import Pack
from tmssl.errors import CheckpointError, ConfigError, TrainingError
from tmssl.text import safe
from tmssl.training.checkpoints.payload import load_optimizer, load_scaler, load_state
from tmssl.training.chunking import fitting_chunk, halved, out_of_memory
from tmssl.training.encoder.axes import affordable_features, axes_rows, fit_axes
from tmssl.training.encoder.backbone import create_encoder, image_size_error
from tmssl.training.encoder.foreign_weights import Tell
from tmssl.training.encoder.grid import GridEncoder, kept_features
from tmssl.training.encoder.teacher import Teacher, create_teacher
from tmssl.training.loader import Views
from tmssl.training.moco import Lesson, MoCo, StepResult, moco_step
from tmssl.training.nonfinite import NonfiniteCounter
from tmssl.training.optimizer import create_optimizer, step_where
from tmssl.training.ranks.distributed import ALONE, Ranks, average_gradients, sync_batch_norms
from tmssl.types import Progress

_AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}


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
    encoder: nn.Module
    """from views to features; the model has its head alone where the rest is frozen"""
    ranks: Ranks = ALONE
    teacher: Teacher | None = None
    teacher_share: float = 0.0
    """of the loss"""

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
    config = resolved(config)
    choose_device(config.train.device)
    with torch.random.fork_rng(devices=[]):
        encoder = create_encoder(config.model)
    _probe(encoder, config)
    _teacher_of(config, torch.device("cpu"))


def create_learner(
    config: Config,
    device: torch.device,
    ranks: Ranks = ALONE,
    *,
    pack: Pack | None = None,
    state: dict[str, Tensor] | None = None,
    tell: Tell = lambda _: None,
    fitting: Progress | None = None,
) -> Learner:
    """Fresh weights from the run's seed, and their optimizer; the same on every rank.

    Args:
        config: the settings of a run.
        device: where to train.
        ranks: the processes that train together.
        pack: marks to fit the whitening of a grid on, at a run's first start.
        state: weights of the encoder that are to be restored afterwards, which decide its shape.
        tell: is told what is to be said of initial weights from a file.
        fitting: called with (marks described, all of the sample) while the whitening is fitted.

    Raises:
        ConfigError: an unknown model, or one that refuses the image size.
    """
    config = resolved(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        encoder = create_encoder(config.model, _kept(config, pack, state), tell)
        if pack is not None:
            _whiten(encoder, pack, config, device, fitting)
        teacher = _teacher_of(config, device)
        model = MoCo(
            _learning_part(encoder, config.model.train),
            config.model.hidden,
            config.model.dimensions,
            config.model.heads,
            teacher.width if teacher else 0,
        )
    _probe(encoder, config)
    encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # nn.Module.to's stub lacks this form
    model = model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]  # nn.Module.to's stub lacks this form
    precision = choose_precision(config.train.precision, device)
    # Before the BN layers depend on other ranks.
    chunk_size = _choose_chunk_size(model, config, precision, ranks)
    sync_batch_norms(model, ranks, device)
    if config.train.compile:
        model.encoder.compile()
        model.momentum_encoder.compile()
    return Learner(
        model=model,
        optimizer=_optimizer(model, config.optim),
        scaler=torch.amp.GradScaler(device.type, enabled=precision == "float16"),
        device=device,
        precision=precision,
        temperature=config.optim.temperature,
        chunk_size=chunk_size,
        nonfinite=NonfiniteCounter(model),
        wrapped=average_gradients(model, ranks),
        encoder=encoder,
        ranks=ranks,
        teacher=teacher,
        teacher_share=config.optim.teacher_share,
    )


def _teacher_of(config: Config, device: torch.device) -> Teacher | None:
    """The teacher of some settings, if they name one."""
    return create_teacher(config.model.teacher, device) if config.model.teacher else None


def _whiten(
    encoder: nn.Module, pack: Pack, config: Config, device: torch.device, fitting: Progress | None
) -> None:
    """Fit the whitening of a grid that has none yet."""
    if isinstance(encoder, GridEncoder) and not encoder.has_axes:
        size, seed = config.data.image_size, config.train.seed
        fit_axes(encoder, pack, image_size=size, seed=seed, device=device, progress=fitting)


def _optimizer(model: MoCo, optim: OptimConfig) -> torch.optim.Optimizer:
    """The optimizer of all that learns; the network under a grid has a rate of its own."""
    trunk: nn.Module | None = None
    learning: nn.Module = model.encoder
    if isinstance(learning, GridEncoder):
        trunk, learning = learning.trunk, learning.head
    learners = [learning, model.projector, model.predictor]
    return create_optimizer(
        optim.optimizer,
        learners if model.to_teacher is None else [*learners, model.to_teacher],
        lr=optim.lr,
        weight_decay=optim.weight_decay,
        trunk=trunk,
        trunk_lr_scale=optim.trunk_lr_scale,
    )


def _kept(config: Config, pack: Pack | None, state: dict[str, Tensor] | None) -> list[int] | None:
    """The whitened features of each stage: those of a checkpoint, or as many as the marks allow."""
    model = config.model
    if state is not None:
        return kept_features(state) or None
    if pack is None or model.features == "pooled" or not model.whiten:
        return None
    marks = len(axes_rows(pack, config.train.seed))
    return [affordable_features(model.whiten, marks)] * len(model.stages)


def _learning_part(encoder: nn.Module, train: str) -> nn.Module:
    """What of an encoder learns: all of it, or under `head` its last layer; the rest is frozen."""
    if train == "all":
        return encoder
    assert isinstance(encoder, GridEncoder)  # the settings refuse others
    encoder.requires_grad_(requires_grad=False)
    return encoder.head.requires_grad_(requires_grad=True)


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
            lesson=_lesson(learner, views),
        )


def _lesson(learner: Learner, views: Views) -> Lesson | None:
    """What the teacher says of the views of a step: it looks at them, or their features are known."""
    teacher, seen = learner.teacher, views.teacher
    if teacher is None or seen is None:
        return None

    def target(view: int, chunk: slice) -> Tensor:
        part = seen[view][chunk]
        return part if part.ndim == 2 else teacher.features(part)

    return Lesson(target, learner.teacher_share)


def _networks(learner: Learner) -> dict[str, Any]:
    """The networks of a checkpoint; of the encoder all, though its head alone may learn."""
    model = learner.model
    names = ["projector", "predictor", "momentum_encoder", "momentum_projector"]
    names += ["to_teacher"] * (model.to_teacher is not None)
    return {"encoder": learner.encoder, **{name: getattr(model, name) for name in names}}


def learner_state(learner: Learner) -> dict[str, Any]:
    """The state for `restore_learner`, copied to the CPU so that training can go on."""
    state = {name: network.state_dict() for name, network in _networks(learner).items()}
    state["optimizer"] = learner.optimizer.state_dict()
    state["scaler"] = learner.scaler.state_dict()
    state["chunk_size"] = learner.chunk_size
    state["teacher"] = learner.teacher.digest if learner.teacher else ""
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

    Raises:
        CheckpointError: it was trained by another teacher.
    """
    if state.get("teacher", "") != (learner.teacher.digest if learner.teacher else ""):
        raise CheckpointError(
            "the checkpoint was trained with another teacher, or other weights of it, and that is fixed for "
            "a run; put the teacher of this run back, or start a new run"
        )
    for name, network in _networks(learner).items():
        load_state(network, state[name], name)
    settings = [
        {name: value for name, value in group.items() if name != "params"}
        for group in learner.optimizer.param_groups
    ]
    if same_optimizer:
        load_optimizer(learner.optimizer, state["optimizer"])
    for group, own in zip(learner.optimizer.param_groups, settings, strict=True):
        group.update(own)
    if state["scaler"]:  # empty without float16, where a new scaler starts
        load_scaler(learner.scaler, state["scaler"])
    learner.nonfinite.read()  # takes the restored BN statistics as its backup
