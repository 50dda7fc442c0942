import copy
import math

import pytest
import timm
import torch

from tests.helpers.models import small_moco
from tests.helpers.training import SMALL_MODEL
from tmssl.config import Config, changed
from tmssl.errors import ConfigError
from tmssl.training.chunking import (
    activation_bytes,
    fitting_chunk,
    halved,
    largest_fitting,
    memory_bytes,
    out_of_memory,
)
from tmssl.training.learner import autocast, create_learner
from tmssl.training.moco import MoCo

CPU = torch.device("cpu")
TINY = {**SMALL_MODEL, "batch_size": 12}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 31, 64, 1000])
def test_the_largest_that_fits_is_found_by_halving(limit: int) -> None:
    tried: list[int] = []

    def fits(chunk: int) -> bool:
        tried.append(chunk)
        return chunk <= limit

    found = largest_fitting(64, fits)
    assert found == max(2, 64 if limit >= 64 else 2 ** int(math.log2(limit)))
    assert tried == sorted(tried, reverse=True)


def test_halving_ends_at_two() -> None:
    assert (halved(7), halved(3), halved(2)) == (3, 2, None)


def test_what_runs_out_of_memory_is_told_from_other_errors() -> None:
    assert out_of_memory(torch.OutOfMemoryError("x"))
    assert out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))
    assert out_of_memory(
        RuntimeError("FIND was unable to find an engine to execute this computation")
    )
    assert out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_activations_of_an_image_grow_with_its_area_and_the_model() -> None:
    small = small_moco().train()
    one, four = activation_bytes(small, 32), activation_bytes(small, 64)
    assert 3.5 < four / one < 4.5
    large = MoCo(timm.create_model("resnet10t", num_classes=0), 32, 16).train()
    assert activation_bytes(large, 64) > 1.5 * four


def test_a_cpus_chunk_follows_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_moco().train()
    before = copy.deepcopy(model.state_dict())
    per_image = activation_bytes(copy.deepcopy(model), 32)
    assert fitting_chunk(model, 12, 32, lambda: autocast(CPU, "float32")) == 12
    monkeypatch.setattr("tmssl.training.chunking.memory_bytes", lambda _: 2 * 5 * per_image)
    assert fitting_chunk(model, 12, 32, lambda: autocast(CPU, "float32")) == 5
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_memory_is_what_the_machine_has() -> None:
    assert 2**28 < memory_bytes(CPU) < 2**50


def test_auto_is_a_chunk_size_and_other_words_are_not() -> None:
    config = changed(Config(), {**TINY, "chunk_size": "auto"})
    assert create_learner(config, CPU).chunk_size == 12
    assert create_learner(changed(config, {"chunk_size": 0}), CPU).chunk_size == 12
    with pytest.raises(ConfigError, match="chunk_size"):
        changed(config, {"chunk_size": "some"})
    with pytest.raises(ConfigError, match="above batch_size"):
        changed(config, {"chunk_size": 13})
