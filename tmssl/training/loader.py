"""The views of each step; the pixels of the next are read and copied while this one computes."""

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tmssl.data.sampler import Batch, Sampler
from tmssl.data.views.augment import augmented_view
from tmssl.data.views.recipe import VIEW_SETS
from tmssl.types import Indices, Pixels

Content = TypeVar("Content")


class PixelSource(Protocol):
    """Reads images by row, as `tmssl.data.pack.reader.Pack` does."""

    def read(self, indices: Indices) -> Pixels:
        """uint8 (n, s, s, 3)."""
        ...


@dataclasses.dataclass(frozen=True)
class IdleTime:
    """The time between two events on a GPU: the end of the previous step, and the arrival of pixels."""

    before: torch.cuda.Event
    after: torch.cuda.Event

    def seconds(self) -> float:
        """Its length.

        Raises:
            RuntimeError: the device has not passed both events yet.
        """
        return self.before.elapsed_time(self.after) / 1000


@dataclasses.dataclass(frozen=True)
class Views:
    """The two views of one step, (n, 3, s, s), or their cached features (n, f), and the wait for them."""

    first: Tensor
    second: Tensor
    data_s: float
    """seconds that this process waited; a GPU may have computed earlier steps meanwhile"""
    idle: IdleTime | None = None
    """how long a GPU itself had nothing to do; None on a CPU"""
    teacher: tuple[Tensor, Tensor] | None = None
    """the same two views at a teacher's size (n, 3, t, t), or its cached features of them (n, f)"""


@dataclasses.dataclass(frozen=True)
class _Ready(Generic[Content]):
    """What a step needs."""

    content: Content
    tensors: tuple[Tensor, ...]
    """on the device, or on their way to it"""
    copied: torch.cuda.Event | None
    """passed when a GPU has them; None on a CPU"""


class ReadAhead(Generic[Content]):
    """Reads what each step needs while the step before it computes.

    A GPU has it before its step begins: it is copied from pinned memory on a stream of its own.
    """

    def __init__(
        self,
        read: Callable[[int], tuple[Content, tuple[npt.NDArray[Any], ...]]],
        device: torch.device,
        end: int,
    ) -> None:
        """`read` gives what a step needs and its arrays for the device; steps end at `end`."""
        self._read_arrays = read
        self._device = device
        self._end = end
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._copies: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's
        self._ahead: tuple[int, Future[_Ready[Content]]] | None = None

    def take(self, step: int) -> tuple[Content, tuple[Tensor, ...], float, IdleTime | None]:
        """What a step needs, its tensors, and how long this process and a GPU waited for them."""
        begun, done = time.perf_counter(), self._record_event()
        if self._ahead is None or self._ahead[0] != step:
            self._ahead = (step, self._reader.submit(self._read, step))
        try:
            ready = self._ahead[1].result()
        except torch.OutOfMemoryError:  # the previous step filled the GPU; now it is free
            ready = self._read(step)
        data_s = time.perf_counter() - begun
        if step + 1 < self._end:
            self._ahead = (step + 1, self._reader.submit(self._read, step + 1))
        self._await_copies(ready)
        arrived = self._record_event()
        idle = IdleTime(done, arrived) if done is not None and arrived is not None else None
        return ready.content, ready.tensors, data_s, idle

    def close(self) -> None:
        """Let the reader thread end."""
        self._reader.shutdown(wait=True, cancel_futures=True)

    def _read(self, step: int) -> _Ready[Content]:
        """What a step needs, on the device or on its way to it."""
        content, arrays = self._read_arrays(step)
        tensors = tuple(map(self._tensor, arrays))
        copied = self._copies.record_event() if self._copies is not None else None
        return _Ready(content, tensors, copied)

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        """An array on the device, or on its way to it."""
        tensor = torch.from_numpy(array)
        if self._copies is None:
            return tensor.to(self._device)
        with torch.cuda.stream(self._copies):
            return tensor.pin_memory().to(self._device, non_blocking=True)

    def _record_event(self) -> torch.cuda.Event | None:
        """A timed event behind the work that a GPU has been given so far."""
        if self._copies is None:
            return None
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's
        event.record(torch.cuda.current_stream(self._device))
        return event

    def _await_copies(self, ready: _Ready[Content]) -> None:
        """Let the GPU wait for what a step needs, without a wait of the host."""
        if ready.copied is None:
            return
        training = torch.cuda.current_stream(self._device)
        training.wait_event(ready.copied)
        for tensor in ready.tensors:
            tensor.record_stream(training)  # keeps their memory until the views are made


class ViewLoader:
    """Makes the views of each step; a thread reads the pixels of one batch ahead.

    On a CPU views are made on demand, since the cores that train have no time to spare.
    """

    def __init__(
        self,
        pixels: PixelSource,
        sampler: Sampler,
        *,
        views: str,
        size: int,
        device: torch.device,
        end: int,
        part: slice = slice(None),
        dtype: torch.dtype = torch.float32,
        teacher_size: int = 0,
    ) -> None:
        """A loader for the `part` of each batch that this process trains on, up to step `end`.

        `views` is a name of `VIEW_SETS`, `size` the side of a view in pixels, `dtype` its type; a teacher
        sees them `teacher_size` pixels wide, if there is one.
        """
        self.sampler = sampler
        self._part = part
        self._pixels = pixels
        self._recipes = VIEW_SETS[views]
        self._size = size
        self._dtype = dtype
        self._teacher_size = teacher_size
        self._ahead = ReadAhead(self._read, device, end)

    def views(self, step: int) -> Views:
        """The views of a step; starts reading the pixels of the next."""
        batch, images, data_s, idle = self._ahead.take(step)
        first, second = self._pair(batch, images, self._size)
        taught = None
        if self._teacher_size:
            same = self._teacher_size == self._size
            taught = (first, second) if same else self._pair(batch, images, self._teacher_size)
        return Views(first, second, data_s, idle, taught)

    def close(self) -> None:
        """Let the reader thread end."""
        self._ahead.close()

    def _read(self, step: int) -> tuple[Batch, tuple[Pixels, ...]]:
        """The marks of a step, and the pixels of both views, or of one where both are of the same marks."""
        whole = self.sampler.batch(step)
        batch = Batch(whole.epoch, whole.anchors[self._part], whole.positives[self._part])
        pixels = (self._pixels.read(batch.anchors),)
        if np.array_equal(batch.positives, batch.anchors):
            return batch, pixels
        return batch, (*pixels, self._pixels.read(batch.positives))

    def _pair(self, batch: Batch, images: tuple[Tensor, ...], size: int) -> tuple[Tensor, Tensor]:
        """Both views of a step; the counters decide each of them at any size."""
        return (
            self._view(images[0], batch.anchors, batch.epoch, 0, size),
            self._view(images[-1], batch.positives, batch.epoch, 1, size),
        )

    def _view(self, images: Tensor, rows: Indices, epoch: int, view: int, size: int) -> Tensor:
        """One augmented view on the device, in channels-last layout."""
        return augmented_view(
            images,
            rows,
            seed=self.sampler.seed,
            epoch=epoch,
            view=view,
            recipe=self._recipes[view],
            size=size,
            dtype=self._dtype,
        )
