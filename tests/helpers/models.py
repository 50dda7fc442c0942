"""Small models, their checkpoints, and gradients that break."""

from typing import Any

import pytest
import timm
import torch

from tmssl.config import Config, to_dict
from tmssl.training import learner, moco
from tmssl.training.moco import MoCo


def small_moco(seed: int = 0) -> MoCo:
    torch.manual_seed(seed)
    return MoCo(timm.create_model("test_efficientnet", num_classes=0), 32, 16)


def checkpoint_payload(step: int, count: int = 100) -> dict[str, Any]:
    """A checkpoint with one weight of so many numbers, each its step."""
    return {
        "format": 1,
        "step": step,
        "epoch": step / 10,
        "steps_per_epoch": 10,
        "segment": 0,
        "best": None,
        "config": to_dict(Config()),
        "data_fingerprint": "f",
        "encoder": {"weight": torch.full((count,), float(step))},
    }


def poison_gradients(monkeypatch: pytest.MonkeyPatch, steps: range) -> None:
    """Let the gradients of some steps be NaN, counted from 1 in this process."""
    real, calls = moco.moco_step, [0]

    def poisoned(*arguments: Any, backward: Any, **named: Any) -> Any:
        calls[0] += 1
        factor = float("nan") if calls[0] in steps else 1
        return real(*arguments, backward=lambda loss: backward(loss * factor), **named)

    monkeypatch.setattr(learner, "moco_step", poisoned)
