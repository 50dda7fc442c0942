"""The grid: stages of a model, each pooled onto g x g cells and whitened, then one linear layer.

A mark is layout and contour, and pooling over the whole image throws both away. The linear layer begins
as the identity, so that an encoder before its first step gives the whitened grid itself.
"""

import inspect
import itertools
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tmssl.data.whitening import Whitening
from tmssl.errors import CheckpointError, ConfigError
from tmssl.text import safe
from tmssl.training.encoder.normalization import Normalization


class GridEncoder(nn.Module):
    """From views (n, 3, s, s) to one vector each, (n, f)."""

    trunk: Any  # timm publishes no types

    def __init__(
        self,
        trunk: Any,
        name: str,
        *,
        stages: Sequence[int],
        grid: int,
        kept: Sequence[int],
        normalization: Normalization,
    ) -> None:
        """Cut a model behind its last stage.

        Args:
            trunk: a timm model; it is changed.
            name: timm's name of it.
            stages: which of its stages, ascending.
            grid: g, cells along a side.
            kept: whitened features of each stage; 0 for a stage that is not whitened.
            normalization: from ImageNet's mean and deviation of pixels to the model's own.

        Raises:
            ConfigError: the model gives no intermediate features, or has no such stage.
        """
        super().__init__()
        self.normalization = normalization
        self._options = _options(trunk, name)
        self._indices = [stage + len(self._options) for stage in stages]
        channels = stage_channels(trunk, name)
        if stages[-1] >= len(channels):
            raise ConfigError(
                f"{safe(name)} has no stage {stages[-1]}; give --stages from 0 to {len(channels) - 1}"
            )
        trunk.prune_intermediate_layers(
            self._indices, prune_norm=True, prune_head=True, **self._options
        )
        self.trunk = trunk
        self.stages = nn.ModuleList(
            StageGrid(width, grid, features)
            for width, features in zip((channels[stage] for stage in stages), kept, strict=True)
        )
        width = sum(stage.features for stage in self.grids)
        self.head = nn.Linear(width, width, bias=False)
        nn.init.eye_(self.head.weight)

    @property
    def grids(self) -> list["StageGrid"]:
        """The grid of each stage."""
        return cast("list[StageGrid]", list(self.stages))

    @property
    def has_axes(self) -> bool:
        """Whether every whitening has been fitted, or none is wanted."""
        return all(each.axes is None or bool(each.axes.any()) for each in self.grids)

    def maps(self, view: Tensor) -> list[Tensor]:
        """The feature map (n, c, h, w) of each stage."""
        found: list[Tensor] = self.trunk.forward_intermediates(
            self.normalization(view), self._indices, intermediates_only=True, **self._options
        )
        return found

    def describe(self, view: Tensor) -> Tensor:
        """The whitened grids of a view, (n, f): all but the linear layer."""
        maps = self.maps(view)
        return torch.cat([grid(each) for grid, each in zip(self.stages, maps, strict=True)], 1)

    def forward(self, view: Tensor) -> Tensor:
        """Features (n, f) of a view (n, 3, s, s)."""
        features: Tensor = self.head(self.describe(view))
        return features


class StageGrid(nn.Module):
    """A stage's feature map on a grid, whitened, as a unit vector."""

    centre: Tensor | None
    axes: Tensor | None

    def __init__(self, channels: int, grid: int, kept: int) -> None:
        """A grid without whitening for `kept` 0, else with axes of zero until they are fitted."""
        super().__init__()
        self.grid = grid
        width = channels * grid * grid
        kept = min(kept, width)
        self.features = kept or width
        self.register_buffer("centre", torch.zeros(width) if kept else None)
        self.register_buffer("axes", torch.zeros(width, kept) if kept else None)

    def cells(self, features: Tensor) -> Tensor:
        """The means over g x g cells of a map (n, c, h, w), as unit vectors (n, c g g) in float32.

        Cells are those of adaptive average pooling. They are cut by slices, whose gradient, unlike that of
        torch's adaptive pooling, is the same on every run on a GPU too.
        """
        features = features.float()
        for axis in (2, 3):
            length = features.shape[axis]
            bounds = [
                (length * cell // self.grid, -(-length * (cell + 1) // self.grid))
                for cell in range(self.grid)
            ]
            parts = [features.narrow(axis, a, b - a).mean(axis) for a, b in bounds]
            features = torch.stack(parts, axis)
        return functional.normalize(features.flatten(1), dim=1)

    def set_axes(self, whitening: Whitening) -> None:
        """Take a whitening over; where it has fewer features than wanted the others stay zero."""
        assert self.axes is not None
        assert self.centre is not None
        with torch.no_grad():
            self.centre.copy_(torch.from_numpy(whitening.centre))
            self.axes.zero_()[:, : whitening.axes.shape[1]] = torch.from_numpy(whitening.axes)

    def forward(self, features: Tensor) -> Tensor:
        """Unit vectors (n, m) of a map (n, c, h, w), always in float32: whitening enlarges rounding."""
        device = features.device.type
        if not torch.is_autocast_enabled(device):  # a trace for the search holds no context
            return self.whiten(self.cells(features))
        with torch.autocast(device, enabled=False):
            return self.whiten(self.cells(features))

    def whiten(self, cells: Tensor) -> Tensor:
        """Unit vectors (n, m) of the cells (n, c g g) of maps; the cells themselves where there are no axes."""
        if self.axes is None or self.centre is None:
            return cells
        return functional.normalize((cells - self.centre) @ self.axes, dim=1)


def kept_features(state: dict[str, Tensor]) -> list[int]:
    """The whitened features of each stage of a grid, by its state dict; empty for other encoders."""
    kept: list[int] = []
    for stage in itertools.count():
        if f"stages.{stage}.axes" not in state:
            return kept
        axes = state[f"stages.{stage}.axes"]
        if axes.ndim != 2:
            raise CheckpointError(
                f"the axes of stage {stage} have {axes.ndim} dimensions, not 2; give another checkpoint"
            )
        kept.append(axes.shape[1])
    return kept


def stage_channels(trunk: Any, name: str) -> list[int]:
    """The channels of each stage of a timm model, by a pass of one blank image.

    Raises:
        ConfigError: the model gives no intermediate features.
    """
    options = _options(trunk, name)
    config = trunk.pretrained_cfg
    size = config["input_size"][-1] if config.get("fixed_input_size") else 64
    training = trunk.training
    with torch.inference_mode():
        maps = trunk.eval().forward_intermediates(
            torch.zeros(1, 3, size, size), intermediates_only=True, **options
        )
    trunk.train(training)
    return [features.shape[1] for features in maps[len(options) :]]


def _options(trunk: Any, name: str) -> dict[str, bool]:
    """What makes a timm model number its stages from 0.

    EfficientNets number ends of resolutions, unless asked for all blocks: then 0 is the stem.

    Raises:
        ConfigError: the model gives no intermediate features.
    """
    if not hasattr(trunk, "forward_intermediates"):
        raise ConfigError(
            f"timm's {safe(name)} gives no features of its stages; give --features pooled --train all, "
            "or another --model"
        )
    takes_all = "extra_blocks" in inspect.signature(trunk.forward_intermediates).parameters
    return {"extra_blocks": True} if takes_all else {}
