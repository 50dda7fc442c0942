"""What is computed in which precision, and what decays."""

import torch
from torch import nn

from tmssl.training.loss import contrast
from tmssl.training.machine import numerics_of_its_own, set_numerics
from tmssl.training.optimizer import parameter_groups


def test_neither_norms_nor_biases_decay() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    decaying, others = parameter_groups([model], 0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert isinstance(decaying["params"], list)
    assert [names[id(p)] for p in decaying["params"]] == ["0.weight", "3.weight"]


def test_logits_stay_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(8, 16), torch.randn(8, 16)
    plain = contrast(query, key, 0.2)
    with torch.autocast("cpu", torch.bfloat16):
        assert float(contrast(query, key, 0.2).ce) == float(plain.ce)


def test_tf32_is_allowed_on_cuda_unless_bitwise_sameness_is_asked_for() -> None:
    with numerics_of_its_own():
        set_numerics(torch.device("cuda"), deterministic=False)
        assert torch.get_float32_matmul_precision() == "high"
    with numerics_of_its_own():
        set_numerics(torch.device("cuda"), deterministic=True)
        assert torch.get_float32_matmul_precision() == "highest"
