"""A model before any head: its pooled features, and each of its stages on a grid, none of them whitened."""

import copy
import dataclasses
from collections.abc import Callable, Sequence

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from tmssl.config import ModelConfig
from tmssl.errors import ConfigError, InputError
from tmssl.retrieval.vectors.baselines import TIMM
from tmssl.retrieval.vectors.embed import trained_encoder
from tmssl.text import safe
from tmssl.training.checkpoints.store import Weights
from tmssl.training.encoder.backbone import pixel_statistics
from tmssl.training.encoder.grid import GridEncoder, stage_channels
from tmssl.training.encoder.normalization import Normalization
from tmssl.training.encoder.weights import create_trunk


@dataclasses.dataclass(frozen=True)
class StageSource:
    """A model whose features are compared."""

    name: str
    grid: GridEncoder
    """of every stage; its axes and its head are not used"""
    pooled: nn.Module | None
    """None where only the stages up to the last one trained are there"""
    width: int
    """features of all stages together"""

    @property
    def names(self) -> list[str]:
        """Of the features that `describe` gives: `pooled`, `stage 0` and so on."""
        stages = [f"stage {stage}" for stage in range(len(self.grid.grids))]
        return ["pooled", *stages] if self.pooled is not None else stages

    def to(self, device: torch.device) -> "StageSource":
        """The same on a device, for evaluation."""
        pooled = self.pooled.to(device).eval() if self.pooled is not None else None
        return dataclasses.replace(self, grid=self.grid.to(device).eval(), pooled=pooled)

    def describe(self, view: Tensor) -> list[Tensor]:
        """Unit vectors (n, f) of views (n, 3, s, s), as `names` lists them, in float32."""
        with torch.inference_mode():
            maps = self.grid.maps(view)
            found = [
                stage.cells(features) for stage, features in zip(self.grid.grids, maps, strict=True)
            ]
            if self.pooled is not None:
                found.insert(0, functional.normalize(self.pooled(view).float(), dim=1))
        return found


def trained_source(name: str, weights: Weights, warn: Callable[[str], None] | None) -> StageSource:
    """The model of a checkpoint.

    A grid keeps its model up to its last stage only. Where the model was frozen, the rest is that of the
    initial weights.

    Raises:
        ConfigError: the model gives no features of its stages.
    """
    model, encoder = weights.config.model, trained_encoder(weights)
    if not isinstance(encoder, GridEncoder):
        trunk = encoder[-1] if isinstance(encoder, nn.Sequential) else encoder
        return _source(name, trunk, model, pooled=True)
    if model.train == "head":
        try:
            whole = create_trunk(model.name, model.init)
        except ConfigError as error:
            if warn:
                warn(f"pooled features and later stages are left out: {safe(error, 200)}")
        else:
            whole.load_state_dict(encoder.trunk.state_dict(), strict=False)
            return _source(name, whole, model, pooled=True)
    elif warn:
        warn(
            f"pooled features and stages behind {model.stages[-1]} are left out: "
            "they were not trained, so the checkpoint has none"
        )
    return _source(name, encoder.trunk, model, pooled=False)


def compared_sources(compare: Sequence[str], model: ModelConfig) -> list[StageSource]:
    """Models of timm with timm's own weights, on the grid of the settings.

    Raises:
        InputError: something else than `timm:NAME` is asked for.
        ConfigError: there is no such model, or its weights cannot be had.
    """
    sources = []
    for source in dict.fromkeys(compare):
        if not source.startswith(TIMM):
            raise InputError(
                f"--compare is '{safe(source, 100)}'; with --features give timm:NAME, or evaluate the "
                "other run by itself"
            )
        name = source.removeprefix(TIMM)
        settings = msgspec.structs.replace(model, name=name, init="imagenet", normalization="model")
        trunk = create_trunk(name, "imagenet")
        sources.append(_source(safe(name, 40), trunk, settings, pooled=True))
    return sources


def _source(name: str, trunk: nn.Module, model: ModelConfig, *, pooled: bool) -> StageSource:
    """All stages of a timm model."""
    normalization = Normalization(*pixel_statistics(model))
    channels = stage_channels(trunk, model.name)
    grid = GridEncoder(
        copy.deepcopy(trunk),
        model.name,
        stages=range(len(channels)),
        grid=model.grid,
        kept=[1] * len(channels),  # so that the unused head is small
        normalization=normalization,
    )
    whole = nn.Sequential(normalization, trunk) if pooled else None
    return StageSource(name, grid, whole, sum(channels) * model.grid**2)
