"""A teacher: a frozen network whose features the encoder learns to predict, beside what it learns by contrast.

A linear layer takes the encoder's features to the teacher's (the regressor of FitNets, Romero et al. 2015,
arXiv:1412.6550, which is a convolution there), and the loss is one minus the cosine of the two (as AM-RADIO does for
summary features, Ranzinger et al. 2024, arXiv:2312.06709), which needs no scale of the teacher's features.
lightly-train's default since 0.15 has such layers too, and compares similarities by the Kullback-Leibler divergence.
"""

import dataclasses
import hashlib
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from tmssl.config import ModelConfig
from tmssl.errors import ConfigError, InputError
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.folder import open_run
from tmssl.text import safe
from tmssl.training.checkpoints.store import load_weights
from tmssl.training.encoder.backbone import create_encoder, restored_encoder

TIMM = "timm:"


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A frozen network with the views that it wants."""

    network: nn.Module
    """from views (n, 3, s, s), normalised by ImageNet's mean and deviation, to features (n, t)"""
    size: int
    """side of its views in pixels: that of its own training"""
    width: int
    """features that it gives"""
    digest: str
    """of its weights"""

    @torch.no_grad()
    def features(self, view: Tensor) -> Tensor:
        """Its features (n, t) of a view (n, 3, size, size)."""
        features: Tensor = self.network(view)
        return features


def create_teacher(name: str, device: torch.device) -> Teacher:
    """The teacher that a setting names.

    Args:
        name: `timm:NAME` for a timm model with its published weights, else the path of a run or of a
            checkpoint of one.
        device: where it works.

    Raises:
        ConfigError: no such model or path, or weights that cannot be fetched or read.
    """
    with torch.random.fork_rng(devices=[]):
        network, size = _of_timm(name) if name.startswith(TIMM) else _of_run(name)
    network.eval().requires_grad_(requires_grad=False)
    try:
        with torch.inference_mode():
            width = network(torch.zeros(1, 3, size, size)).shape[1]
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ConfigError(
            f"the teacher {safe(name, 60)} cannot take views of {size} px: {safe(error, 200)}; give another"
        ) from error
    digest = weights_digest(network)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # nn.Module.to's stub lacks this form
    return Teacher(network, size, width, digest)


def _of_timm(name: str) -> tuple[nn.Module, int]:
    """A timm model with its published weights, behind its own mean and deviation, and its view's side."""
    plain = name.removeprefix(TIMM)
    model = ModelConfig(
        name=plain,
        init="imagenet",
        features="pooled",
        train="all",
        heads="mlp",
        normalization="model",
    )
    try:
        network = create_encoder(model)
    except ConfigError as error:
        raise ConfigError(f"the teacher cannot be had: {error}") from error
    return network, int(timm.get_pretrained_cfg(plain).input_size[1])


def _of_run(name: str) -> tuple[nn.Module, int]:
    """The encoder of a run or of a checkpoint, and the side of the views that it was trained on."""
    path = Path(name)
    if not path.exists():
        raise ConfigError(
            f"teacher is '{safe(name, 100)}', and nothing is there; give timm:NAME, such as "
            "timm:tf_efficientnet_lite0, or the path of a run or checkpoint"
        )
    try:
        weights = load_weights(find_checkpoint(open_run(path), "best") if path.is_dir() else path)
        return restored_encoder(
            weights.config.model, weights.encoder
        ), weights.config.data.image_size
    except InputError as error:
        raise ConfigError(
            f"teacher is '{safe(name, 100)}', which is no run or checkpoint of tmssl ({error}); give one, "
            "or timm:NAME"
        ) from error


def weights_digest(network: nn.Module, without: str = "") -> str:
    """A digest of a network's weights, without those whose names begin with `without`, if that is given."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        if not without or not name.startswith(without):
            digest.update(f"{name} {tuple(tensor.shape)} ".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
