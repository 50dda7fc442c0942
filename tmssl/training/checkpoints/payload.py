"""What a checkpoint holds, checked by type, range and shape: a foreign or damaged one is a sentence."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from tmssl.errors import CheckpointError
from tmssl.runs.ranges import AboveZero, Count, EpochsDone, Finite
from tmssl.text import safe

FORMAT = 1
# What torch raises on a state of another form; it goes by the attributes that it finds.
MISFITS = (RuntimeError, ValueError, LookupError, TypeError, AttributeError, OverflowError)
_State = dict[str, Any]
"""name to tensor, or of an optimizer's own making"""


class EncoderPart(msgspec.Struct, kw_only=True):
    """What of a checkpoint embeds images."""

    format: Literal[1]
    step: Count
    epoch: EpochsDone
    config: dict[str, Any]
    encoder: _State


class MeterPart(msgspec.Struct, kw_only=True):
    """The sums of an epoch that a checkpoint interrupts."""

    epoch: Any
    seconds: Annotated[float, Meta(ge=0, le=1e12)]


class TrainingPart(EncoderPart, kw_only=True):
    """What of a checkpoint training needs to go on."""

    steps_per_epoch: AboveZero
    segment: Count
    best: Finite | None
    data_fingerprint: str
    chunk_size: Annotated[int, Meta(ge=1, le=1 << 20)]
    meter: MeterPart
    projector: _State
    predictor: _State
    momentum_encoder: _State
    momentum_projector: _State
    optimizer: _State
    scaler: _State
    teacher: str = ""
    """the digest of a teacher's weights; none in older checkpoints"""
    to_teacher: _State = {}
    """the linear layer of a run with a teacher"""


Part = TypeVar("Part", EncoderPart, TrainingPart)
_ADAM, _MOMENTUM = {"step", "exp_avg", "exp_avg_sq"}, {"momentum_buffer"}  # kept of a parameter
_NETWORKS = (
    *("encoder", "projector", "predictor", "momentum_encoder", "momentum_projector"),
    "to_teacher",
)


def is_ours(payload: Mapping[str, Any]) -> bool:
    """Whether a file of torch has the mark of our checkpoints; another's may hold a tensor there."""
    stated = payload.get("format")
    return type(stated) is int and stated == FORMAT


def checked(payload: Mapping[str, Any], part: type[Part], path: Path) -> Part:
    """A part of what a checkpoint holds, each field of the right type and range.

    Raises:
        CheckpointError: one is not; the message names it.
    """
    try:
        found = msgspec.convert(dict(payload), part)
    except (
        MISFITS
    ) as error:  # msgspec's errors are ValueErrors; a tensor in place of a dict has its own
        raise _foreign(path, safe(error, 120)) from error
    for name in _NETWORKS:
        for key, value in getattr(found, name, {}).items():
            if not isinstance(value, Tensor):
                raise _foreign(path, f"{safe(key, 60)} of {name} is no tensor")
    if isinstance(found, TrainingPart) and not isinstance(found.meter.epoch, Tensor):
        raise _foreign(path, "the sums of its epoch are no tensor")
    return found


def _foreign(path: Path, reason: str) -> CheckpointError:
    """The error of a checkpoint that is not as ours are."""
    return CheckpointError(f"{safe(path)} is no checkpoint of ours, or is damaged: {reason}")


def load_state(network: nn.Module, state: Mapping[str, Any], name: str) -> None:
    """Load the weights of a network.

    Raises:
        CheckpointError: they are of another network.
    """
    try:
        network.load_state_dict(state)
    except MISFITS as error:
        raise CheckpointError(
            f"the {name} of the checkpoint does not fit the settings: {safe(error, 200)}; give the "
            "settings that it was trained under, or another checkpoint"
        ) from error


def load_optimizer(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Load the averages of an optimizer, and check that each is of its parameter's shape.

    Raises:
        CheckpointError: they are of another optimizer or of other weights.
    """
    due = _ADAM if isinstance(optimizer, torch.optim.AdamW) else _MOMENTUM
    try:
        optimizer.load_state_dict(dict(state))
        for parameter, own in optimizer.state.items():
            if set(own) != due:
                raise ValueError(f"it keeps {', '.join(map(str, own)) or 'nothing'} of a parameter")
            for name, value in own.items():
                _check_average(parameter, name, value)
    except MISFITS as error:
        raise CheckpointError(
            f"the optimizer of the checkpoint does not fit: {safe(error, 200)}; give another checkpoint"
        ) from error


def _check_average(parameter: Any, name: str, value: object) -> None:
    """Refuse an average that is no tensor, or of another shape than its parameter."""
    if not isinstance(value, Tensor) or (name != "step" and value.shape != parameter.shape):
        raise ValueError(f"{name} of a parameter of shape {tuple(parameter.shape)} is of another")
    if name == "step" and value.numel() != 1:
        raise ValueError("the count of steps is no number")


def load_scaler(scaler: GradScaler, state: Mapping[str, Any]) -> None:
    """Load the scale of a float16 loss.

    Raises:
        CheckpointError: it is of another form, or no scale.
    """
    try:
        scaler.load_state_dict(dict(state))
        whole = all(math.isfinite(value) and value >= 0 for value in state.values())
    except MISFITS as error:
        raise CheckpointError(
            f"the scale of the checkpoint does not fit: {safe(error, 200)}"
        ) from error
    if not whole:
        raise CheckpointError("the scale of the checkpoint is not finite; give another checkpoint")
