"""The mean and deviation of pixels that a model was trained with, applied inside the encoder.

Views are normalised by ImageNet's mean and deviation everywhere, so that no reader of an encoder, an
export or an index has to know another; a model with its own gets them here.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tmssl.data.views.augment import MEAN, STD


class Normalization(nn.Module):
    """From a view normalised by ImageNet's mean and deviation to one normalised by others."""

    mean: Tensor
    std: Tensor
    seen_mean: Tensor
    seen_std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1))
        for name, values in (("seen_mean", MEAN), ("seen_std", STD)):  # constants, so not saved
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, view: Tensor) -> Tensor:
        """The view, (n, 3, s, s)."""
        return view * (self.seen_std / self.std) + (self.seen_mean - self.mean) / self.std
