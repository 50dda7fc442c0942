import time

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.helpers.waiting import wait_for
from tmssl.data.sampler import Sampler
from tmssl.training.loader import ViewLoader, Views
from tmssl.training.meter import Meter
from tmssl.training.moco import StepResult

CPU = torch.device("cpu")


class Slow:
    """Images that are known by their row, and take their time."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.reads = 0

    def read(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        time.sleep(self.seconds)
        self.reads += 1
        return np.stack(
            [
                np.random.default_rng(row).integers(0, 255, (40, 40, 3), np.uint8)
                for row in indices.tolist()
            ]
        )


def feed(
    pixels: Slow | None = None, device: torch.device = CPU, dtype: torch.dtype = torch.float32
) -> ViewLoader:
    sampler = Sampler(np.arange(20), 4, 7)
    return ViewLoader(
        pixels or Slow(), sampler, views="logo", size=32, device=device, end=100, dtype=dtype
    )


def equal(first: Views, second: Views) -> bool:
    return torch.equal(first.first, second.first) and torch.equal(first.second, second.second)


def test_a_step_sees_the_same_views_whatever_was_asked_before() -> None:
    straight, jumping = feed(), feed()
    seen = [straight.views(step) for step in range(8)]
    assert all(equal(jumping.views(step), seen[step]) for step in (6, 7, 2, 3, 3, 0))
    straight.close()
    jumping.close()


def test_the_wait_is_what_reading_takes_beyond_the_step() -> None:
    pixels = Slow(0.3)
    slow = feed(pixels)
    waited = slow.views(0).data_s
    assert waited >= 0.3
    wait_for(lambda: pixels.reads >= 2)  # a step that computes for longer than reading takes
    assert slow.views(1).data_s < waited
    slow.close()


def test_views_are_of_the_type_that_was_asked_for() -> None:
    low, whole = feed(dtype=torch.bfloat16), feed()
    found, expected = low.views(3), whole.views(3)
    assert found.first.dtype == found.second.dtype == torch.bfloat16
    assert float((found.first - expected.first).abs().mean()) < 2 / 255 / 0.225
    low.close()
    whole.close()


def test_pixels_for_which_a_step_left_no_memory_are_read_when_it_is_over() -> None:
    class Full(Slow):
        """A GPU that is full while the second step's pixels are read ahead."""

        def read(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
            if self.reads == 1:
                self.reads += 1
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().read(indices)

    plain, full = feed(), feed(Full())
    assert all(equal(full.views(step), plain.views(step)) for step in range(4))
    plain.close()
    full.close()


@pytest.mark.gpu
def test_a_gpu_sees_the_views_of_a_cpu() -> None:
    here, there = feed(), feed(device=torch.device("cuda"))
    for step in range(4):
        expected, found = here.views(step), there.views(step)
        assert float((expected.first - found.first.cpu()).abs().mean()) < 1 / 255
        assert float((expected.second - found.second.cpu()).abs().mean()) < 1 / 255
    here.close()
    there.close()


@pytest.mark.gpu
def test_a_gpu_that_is_at_work_does_not_wait_for_pixels() -> None:
    pixels = Slow(0.2)
    slow = feed(pixels, device=torch.device("cuda"))
    first = slow.views(0)
    torch.cuda._sleep(1 << 30)  # type: ignore[no-untyped-call]  # torch's; half a second of cycles
    second = slow.views(1)
    torch.cuda.synchronize()
    assert first.idle is not None
    assert second.idle is not None
    assert first.idle.seconds() >= 0.2
    assert second.data_s > 0.1  # the host did
    assert second.idle.seconds() < 0.05
    slow.close()


@pytest.mark.gpu
def test_a_meter_tells_what_the_gpu_waited() -> None:
    pixels = Slow(0.2)
    slow, meter = feed(pixels, device=torch.device("cuda")), Meter(torch.device("cuda"))
    views = slow.views(0)
    result = StepResult(torch.zeros(5).cuda(), *(torch.zeros(4, 2).cuda() for _ in range(3)))
    meter.add(result, views.idle or views.data_s)
    assert views.idle is not None
    assert meter.read_steps()[2] == pytest.approx(views.idle.seconds())
    assert meter.read_steps()[2] == 0  # it starts anew
    slow.close()
