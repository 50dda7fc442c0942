"""Descriptors that an evaluation compares with: an untrained encoder, a hash, HOG, and those of --compare."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from tmssl.data.pack.reader import Pack
from tmssl.data.phash import l2_normalize
from tmssl.errors import CheckpointError, ConfigError, InputError
from tmssl.retrieval.vectors.descriptor import (
    Descriptor,
    encoder_descriptor,
    whitened_descriptor,
)
from tmssl.retrieval.vectors.embed import (
    describe_pack,
    hash_images,
    hash_pack,
    trained_encoder,
    untrained_encoder,
)
from tmssl.runs.checkpoints import digest, find_checkpoint
from tmssl.runs.folder import open_run
from tmssl.text import safe
from tmssl.training.checkpoints.store import load_with_digest
from tmssl.training.encoder.axes import affordable_features
from tmssl.training.encoder.normalization import Normalization
from tmssl.training.encoder.weights import create_trunk
from tmssl.types import Progress, Vectors

# Of a few settings the one that found most group mates among the toy marks for the least numbers: 324.
_HOG_SIDE, _HOG_CELL, _HOG_BLOCK = 64, 16, 2
_HOG_WHITENED = 256  # features kept; see tests/bench/trained.md
HOG, HOG_WHITENED = "HOG", "HOG whitened"
"""names of their rows"""
TIMM = "timm:"
"""what a source of `--compare` begins with that is a model of timm"""


def untrained_descriptor(
    model: str, seed: int, image_size: int, device: torch.device
) -> Descriptor:
    """The encoder of a run before its first step."""
    encoder = untrained_encoder(model, seed)
    return encoder_descriptor("untrained", f"untrained {model} {seed}", encoder, image_size, device)


def hash_descriptor() -> Descriptor:
    """The perceptual hash."""

    def embed_pack(pack: Pack, progress: Progress | None) -> Vectors:
        return hash_pack(pack, progress=progress)

    return Descriptor("perceptual hash", "phash", embed_pack, hash_images, has_ties=True)


def hog_descriptors(marks: int) -> tuple[Descriptor, Descriptor]:
    """HOG as it is, and PCA-whitened, which finds more; a pack is embedded once for both.

    Args:
        marks: in the pack, which allow a whitened feature for every four of them, up to 256.

    Raises:
        InputError: scikit-image is not installed.
    """
    hog = hog_descriptor()
    kept: dict[str, Vectors] = {}

    def embed_pack(pack: Pack, progress: Progress | None) -> Vectors:
        """The vectors that the other of the two has left, which are then let go."""
        vectors = kept.pop(pack.identity, None)
        if vectors is None:
            vectors = kept[pack.identity] = hog.embed_pack(pack, progress)
        return vectors

    shared = dataclasses.replace(hog, embed_pack=embed_pack)
    whitened = whitened_descriptor(shared, affordable_features(_HOG_WHITENED, marks))
    return shared, dataclasses.replace(whitened, name=HOG_WHITENED)


def hog_descriptor() -> Descriptor:
    """Histograms of oriented gradients (Dalal and Triggs 2005), by scikit-image.

    Raises:
        InputError: scikit-image is not installed.
    """
    try:
        from skimage.feature import hog
    except ImportError as error:
        raise InputError(
            "there is no HOG row, since scikit-image is not installed; `pip install scikit-image`"
        ) from error

    cell, block = (_HOG_CELL, _HOG_CELL), (_HOG_BLOCK, _HOG_BLOCK)

    def embed_images(images: Tensor) -> Vectors:
        grey = functional.interpolate(
            images.float().mean(3)[:, None], (_HOG_SIDE, _HOG_SIDE), mode="bilinear", antialias=True
        )[:, 0].numpy()
        histograms = [
            hog(image / 255, orientations=9, pixels_per_cell=cell, cells_per_block=block)
            for image in grey
        ]
        return l2_normalize(np.stack(histograms))

    def embed_pack(pack: Pack, progress: Progress | None) -> Vectors:
        return describe_pack(pack, embed_images, progress=progress)

    key = f"hog {_HOG_SIDE} {_HOG_CELL} {_HOG_BLOCK}"
    return Descriptor(HOG, key, embed_pack, embed_images)


def compared_descriptors(
    sources: Sequence[str], model: str, image_size: int, device: torch.device
) -> list[Descriptor]:
    """The encoders that `--compare` names; a repeated name gets a number.

    Args:
        sources: each a run, a file of weights, or `timm:NAME`.
        model: timm's name of the run's encoder, which a file of timm's weights must fit.
        image_size: of the run, at which such weights are compared.
        device: where they run.

    Raises:
        InputError: a run or a checkpoint is none.
        ConfigError: there is no such model or file, or weights cannot be fetched, read or fitted.
    """
    descriptors: list[Descriptor] = []
    for source in dict.fromkeys(sources):
        descriptor = _compared_descriptor(source, model, image_size, device)
        same_name = sum(other.name.split(" #")[0] == descriptor.name for other in descriptors)
        if same_name:
            descriptor = dataclasses.replace(descriptor, name=f"{descriptor.name} #{same_name + 1}")
        descriptors.append(descriptor)
    return descriptors


def _compared_descriptor(
    source: str, model: str, image_size: int, device: torch.device
) -> Descriptor:
    """One encoder that `--compare` names."""
    if source.startswith(TIMM):
        return _timm_descriptor(source, device)
    path = Path(source)
    if not path.exists():
        raise ConfigError(
            f"--compare is '{safe(source, 100)}', which is neither a run nor a file; "
            "give a run's folder, a file of weights, or timm:NAME"
        )
    name = safe(path.resolve().name if path.is_dir() else path.name, 40)
    if path.is_dir():
        path = find_checkpoint(open_run(path), "best")
    try:
        key, weights = load_with_digest(path)
        encoder, image_size = trained_encoder(weights), weights.config.data.image_size
    except CheckpointError:  # not a checkpoint of ours, so it must be timm's
        key, encoder = f"{digest(path)} {model}", create_trunk(model, str(path))
    return encoder_descriptor(name, key, encoder, image_size, device)


def _timm_descriptor(source: str, device: torch.device) -> Descriptor:
    """A model with timm's own weights, at the image size and channel scale of their training."""
    model = source.removeprefix(TIMM)
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # our error is one line
    encoder = create_trunk(model, "imagenet")
    pretrained = timm.get_pretrained_cfg(model)
    rescaled = nn.Sequential(Normalization(pretrained.mean, pretrained.std), encoder)
    key = f"{source} {pretrained.tag} {timm.__version__}"
    return encoder_descriptor(safe(model, 40), key, rescaled, pretrained.input_size[-1], device)
