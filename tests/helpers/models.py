"""Small models."""

import timm
import torch

from tmssl.training.moco import MoCo


def small_moco(seed: int = 0) -> MoCo:
    torch.manual_seed(seed)
    return MoCo(timm.create_model("test_efficientnet", num_classes=0), 32, 16)
