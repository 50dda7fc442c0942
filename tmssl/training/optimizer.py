"""Optimizers by name, from torch and timm, with weight decay where it belongs."""

from typing import Any

import torch
from timm.optim import Lars
from torch import Tensor, nn


def parameter_groups(
    modules: list[nn.Module], weight_decay: float, lr_scale: float = 1.0
) -> list[dict[str, object]]:
    """Parameters in two groups: matrices and filters decay; BN, biases and other vectors do not.

    Args:
        modules: those that learn.
        weight_decay: of the first group.
        lr_scale: their share of the learning rate.
    """
    trained = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, object]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [{**group, "lr_scale": lr_scale} for group in groups]


def create_optimizer(
    name: str,
    modules: list[nn.Module],
    *,
    lr: float,
    weight_decay: float,
    trunk: nn.Module | None = None,
    trunk_lr_scale: float = 1.0,
) -> torch.optim.Optimizer:
    """`sgd` with Nesterov momentum 0.9, `lars` (You et al. 2017) with 0.9, or fused `adamw`.

    Args:
        name: which of them.
        modules: those that learn at the full rate.
        lr: the highest learning rate.
        weight_decay: for matrices and filters.
        trunk: a further module, which learns at another rate.
        trunk_lr_scale: that rate, in shares of the full one.
    """
    groups = parameter_groups(modules, weight_decay)
    if trunk is not None:
        groups += parameter_groups([trunk], weight_decay, trunk_lr_scale)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), fused=True)
    optimizer: torch.optim.Optimizer = (
        torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True, fused=True)
        if name == "sgd"
        else Lars(groups, lr=lr, momentum=0.9)
    )
    # The first step would create them; fused SGD leaves them uninitialised when that step is masked.
    for parameter in trained_parameters(optimizer):
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def trained_parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Every parameter that an optimizer changes."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


@torch.no_grad()
def step_where(optimizer: torch.optim.Optimizer, finite: Tensor) -> None:
    """Step if `finite`, a bool on the device, is true, else change nothing; never waits for it.

    Fused optimizers take a mask, as `GradScaler` passes it to them; for others the state before the
    step is restored.
    """
    if getattr(optimizer, "_step_supports_amp_scaling", False):
        masked: Any = optimizer
        masked.grad_scale, masked.found_inf = None, (~finite).float()
        optimizer.step()
        return
    tensors = trained_parameters(optimizer)
    tensors += [value for p in tensors for value in optimizer.state[p].values()]
    before = [tensor.clone() for tensor in tensors]
    optimizer.step()
    for tensor, old in zip(tensors, before, strict=True):
        tensor.copy_(torch.where(finite, tensor, old))


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group to its share of this one."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]
