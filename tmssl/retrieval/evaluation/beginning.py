"""The encoder that a run began with, as a reference: the line that its training has to beat."""

import dataclasses
import hashlib
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from tmssl.config import RANDOM
from tmssl.data.pack.reader import Pack
from tmssl.data.phash import l2_normalize
from tmssl.errors import ConfigError
from tmssl.retrieval.evaluation.encoder_index import EncoderIndex
from tmssl.retrieval.evaluation.task import EvaluationTask
from tmssl.retrieval.vectors.descriptor import Descriptor, encoder_descriptor
from tmssl.retrieval.vectors.embed import trained_encoder
from tmssl.runs.main_figure import BEFORE
from tmssl.text import safe
from tmssl.training.checkpoints.store import Weights
from tmssl.training.encoder.backbone import create_encoder
from tmssl.training.encoder.grid import GridEncoder, kept_features
from tmssl.types import Floats, Progress, Vectors

_UNDOABLE = 100.0  # condition number of a head up to which half precision tells what went into it


def beginning_descriptor(
    task: EvaluationTask, index: EncoderIndex, warn: Callable[[str], None] | None
) -> Descriptor | None:
    """The encoder before the first step of its run; None where that is the untrained one.

    Where only a head was trained, the marks are not embedded again: their vectors before it are those of the
    index with the head undone.

    Args:
        task: the evaluated weights, and where to compute.
        index: of those weights.
        warn: called with a line if the initial weights cannot be had.
    """
    weights, model = task.weights, task.weights.config.model
    if model.train == "head":
        encoder = trained_encoder(weights)
        assert isinstance(encoder, GridEncoder)
        head = encoder.head.weight.detach().numpy().astype(np.float64)
        nn.init.eye_(encoder.head.weight)
        descriptor = _descriptor(encoder, task)
        return _undone(descriptor, index, head) if _is_undoable(head) else descriptor
    # Runs of 0.2.0 and before, which normalised by ImageNet's statistics, keep the references they had.
    if model.features == "pooled" and (model.init in RANDOM or model.normalization == "imagenet"):
        return None
    try:
        return _descriptor(initial_encoder(weights), task)
    except ConfigError as error:
        if warn:
            warn(f"there is no row `{BEFORE}`: {safe(error, 200)}")
        return None


def _is_undoable(head: Floats) -> bool:
    """Whether a head's inverse keeps what rounding left."""
    return bool(np.linalg.cond(head) < _UNDOABLE)


def _undone(descriptor: Descriptor, index: EncoderIndex, head: Floats) -> Descriptor:
    """A descriptor of an encoder without its head, which reads the vectors of the pack from its index."""
    inverse = np.linalg.inv(head).astype(np.float32)

    def embed_pack(pack: Pack, _progress: Progress | None) -> Vectors:
        return l2_normalize(index.as_embedded.reconstruct_n(0, pack.count) @ inverse.T)

    return dataclasses.replace(descriptor, embed_pack=embed_pack)


def initial_encoder(weights: Weights) -> nn.Module:
    """The encoder of a run whose model was trained too, with its initial weights and its own whitening.

    Raises:
        ConfigError: the initial weights cannot be had any more.
    """
    encoder = trained_encoder(weights)
    fitted = {name: value for name, value in encoder.state_dict().items() if "stages." in name}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights.config.train.seed)
        initial = create_encoder(weights.config.model, kept_features(weights.encoder) or None)
    initial.load_state_dict(fitted, strict=False)
    return initial


def _descriptor(encoder: nn.Module, task: EvaluationTask) -> Descriptor:
    """An encoder as a reference, known by all of its weights."""
    digest = hashlib.sha256()
    for name, value in encoder.state_dict().items():
        digest.update(name.encode() + value.cpu().numpy().tobytes())
    size = task.weights.config.data.image_size
    key = f"before {digest.hexdigest()}"
    return encoder_descriptor(BEFORE, key, encoder, size, task.device)
