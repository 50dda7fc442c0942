"""What is computed in which precision, and what decays."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from tests.helpers.training import SMALL_MODEL
from tmssl.config import Config, changed
from tmssl.training.learner import choose_precision, create_learner, update, views_dtype
from tmssl.training.loader import Views
from tmssl.training.loss import contrast
from tmssl.training.numerics import restored_numerics, set_numerics
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
    with restored_numerics():
        set_numerics(torch.device("cuda"), deterministic=False)
        assert torch.get_float32_matmul_precision() == "high"
    with restored_numerics():
        set_numerics(torch.device("cuda"), deterministic=True)
        assert torch.get_float32_matmul_precision() == "highest"


def loss_of_a_step(precision: str, device: str, *, rounded: bool) -> float:
    settings = {**SMALL_MODEL, "precision": precision, "device": device}
    learner = create_learner(changed(Config(), settings), torch.device(device))
    views = torch.randn(2, 8, 3, 32, 32, generator=torch.Generator().manual_seed(0)).to(device)
    kept = views.to(torch.bfloat16 if rounded else torch.float32)
    return float(update(learner, Views(kept[0], kept[1], 0.0), 0.99, 1).result.figures[0])


def test_a_step_in_bfloat16_sees_nothing_of_a_view_beyond_bfloat16() -> None:
    whole = loss_of_a_step("bfloat16", "cpu", rounded=False)
    assert loss_of_a_step("bfloat16", "cpu", rounded=True) == whole


@pytest.mark.gpu
def test_a_step_on_a_gpu_sees_nothing_of_a_view_beyond_bfloat16() -> None:
    whole = loss_of_a_step("auto", "cuda", rounded=False)
    assert loss_of_a_step("auto", "cuda", rounded=True) == pytest.approx(whole, rel=1e-2)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_cpu_makes_its_views_in_float32(precision: str) -> None:
    config = changed(Config(), {**SMALL_MODEL, "precision": precision})
    assert views_dtype(create_learner(config, torch.device("cpu"))) == torch.float32


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("precision", "expected"),
    [("auto", torch.bfloat16), ("float32", torch.float32), ("float16", torch.float16)],
)
def test_a_gpu_makes_its_views_in_the_type_it_trains_in(
    precision: str, expected: torch.dtype
) -> None:
    config = changed(Config(), {**SMALL_MODEL, "precision": precision})
    assert views_dtype(create_learner(config, torch.device("cuda"))) == expected


@pytest.mark.slow
def test_denormals_are_flushed_on_every_thread_that_computes() -> None:
    # A process of its own, as a trainer is: its threads begin after the trainer has asked for it.
    words = (
        "import torch\n"
        "from tmssl.training.numerics import set_numerics\n"
        "set_numerics(torch.device('cpu'), deterministic=False)\n"
        "told = torch.full((1 << 22,), 1e-38).mul(1e-2)\n"
        "print(int(told.view(torch.int32).count_nonzero()))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )
    assert told.stdout == "0\n"


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc")
def test_a_trainer_on_a_cpu_does_not_fault_in_the_same_memory_at_every_step() -> None:
    words = (
        "import resource, torch\n"
        "from tmssl.system import keep_freed_memory\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(10): torch.ones(1 << 24)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "free = faults()\n"
        "keep_freed_memory()\n"
        "faults()\n"
        "print(free, faults())\n"
    )
    told = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    free, kept = map(int, told.stdout.split())
    assert free > 10 * kept


def test_a_gpu_without_bfloat16_takes_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert choose_precision("auto", cuda) == "float16"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert choose_precision("auto", cuda) == "bfloat16"
    assert choose_precision("float32", cuda) == "float32"
    assert choose_precision("auto", torch.device("cpu")) == "float32"
