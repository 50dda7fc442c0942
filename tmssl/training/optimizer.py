"""Optimizers by name, from torch and timm, with weight decay where it belongs."""

import torch
from timm.optim import Lars
from torch import nn


def parameter_groups(modules: list[nn.Module], weight_decay: float) -> list[dict[str, object]]:
    """Parameters in two groups: matrices and filters decay; BN, biases and other vectors do not."""
    learning = [p for module in modules for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]


def create_optimizer(
    name: str, modules: list[nn.Module], *, lr: float, weight_decay: float
) -> torch.optim.Optimizer:
    """`sgd` with Nesterov momentum 0.9, `lars` (You et al. 2017) with 0.9, or fused `adamw`."""
    groups = parameter_groups(modules, weight_decay)
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True)
    if name == "lars":
        return Lars(groups, lr=lr, momentum=0.9)
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """The learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr
