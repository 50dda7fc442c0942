"""NVIDIA's own Python library, over a stand-in for the driver's shared object where there is none."""

import types

import pynvml
import pytest
import torch

from tmssl.training import machine as gpu

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")


def device_called(uuid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = types.SimpleNamespace(uuid=uuid)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: told)


def test_a_cpu_has_no_use_to_tell() -> None:
    assert gpu.gpu_use(CPU) is None


def test_without_the_library_or_a_driver_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    device_called("abc", monkeypatch)

    def missing() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    with monkeypatch.context() as patch:
        patch.setattr(pynvml, "nvmlInit", missing)
        assert gpu.gpu_use(CUDA) is None
    monkeypatch.setattr(gpu, "pynvml", None)
    assert gpu.gpu_use(CUDA) is None


@pytest.mark.parametrize("uuid", ["1111-22", "GPU-1111-22"])
def test_the_device_is_found_by_its_own_name(uuid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device_called(uuid, monkeypatch)
    asked, closed = [], []

    def handle(name: bytes) -> int:
        asked.append(name)
        return 7

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: closed.append(True))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", handle)
    monkeypatch.setattr(
        pynvml, "nvmlDeviceGetUtilizationRates", lambda _: types.SimpleNamespace(gpu=87)
    )
    assert gpu.gpu_use(CUDA) == 0.87
    assert asked == [b"GPU-1111-22"]

    def unknown(_: bytes) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", unknown)
    assert gpu.gpu_use(CUDA) is None
    assert closed == [True, True]
