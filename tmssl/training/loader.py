"""The views of each step; the pixels of the next are read and copied while this one computes."""

import dataclasses
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tmssl.data.sampler import Batch, Sampler
from tmssl.data.views.augment import augmented_view
from tmssl.data.views.recipe import VIEW_SETS
from tmssl.types import Indices, Pixels


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
    """The two views of one step, (n, 3, s, s), and how long the step waited for its pixels."""

    first: Tensor
    second: Tensor
    data_s: float
    """seconds that this process waited; a GPU may have computed earlier steps meanwhile"""
    idle: IdleTime | None = None
    """how long a GPU itself had nothing to do; None on a CPU"""


@dataclasses.dataclass(frozen=True)
class _Batch:
    """The pixels of one step, uint8 (n, h, w, 3), on the device."""

    batch: Batch
    anchors: Tensor
    positives: Tensor
    copied: torch.cuda.Event | None
    """passed when a GPU has them; None on a CPU"""


class ViewLoader:
    """Makes the views of each step; a thread reads the pixels of one batch ahead.

    A GPU has the pixels before their step begins: they are copied from pinned memory on a stream of
    their own. On a CPU views are made on demand, since the cores that train have no time to spare.
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
    ) -> None:
        """A loader for the `part` of each batch that this process trains on, up to step `end`.

        `views` is a name of `VIEW_SETS`, `size` the side of a view in pixels, `dtype` its type.
        """
        self.sampler = sampler
        self._part = part
        self._pixels = pixels
        self._recipes = VIEW_SETS[views]
        self._size = size
        self._device = device
        self._dtype = dtype
        self._end = end
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="pixels")
        self._copies: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's
        self._ahead: tuple[int, Future[_Batch]] | None = None

    def views(self, step: int) -> Views:
        """The views of a step; starts reading the pixels of the next."""
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
        batch = ready.batch
        return Views(
            self._view(ready.anchors, batch.anchors, batch.epoch, 0),
            self._view(ready.positives, batch.positives, batch.epoch, 1),
            data_s,
            idle,
        )

    def close(self) -> None:
        """Let the reader thread end."""
        self._reader.shutdown(wait=True, cancel_futures=True)

    def _read(self, step: int) -> _Batch:
        """The pixels of both views of a step, on the device or on their way to it."""
        whole = self.sampler.batch(step)
        anchors, positives = whole.anchors[self._part], whole.positives[self._part]
        first = self._tensor(anchors)
        same = np.array_equal(positives, anchors)
        second = first if same else self._tensor(positives)
        copied = self._copies.record_event() if self._copies is not None else None
        return _Batch(Batch(whole.epoch, anchors, positives), first, second, copied)

    def _tensor(self, rows: Indices) -> Tensor:
        """Pixels on the device, or on their way to it."""
        images = torch.from_numpy(self._pixels.read(rows))
        if self._copies is None:
            return images.to(self._device)
        with torch.cuda.stream(self._copies):
            return images.pin_memory().to(self._device, non_blocking=True)

    def _record_event(self) -> torch.cuda.Event | None:
        """A timed event behind the work that a GPU has been given so far."""
        if self._copies is None:
            return None
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's
        event.record(torch.cuda.current_stream(self._device))
        return event

    def _await_copies(self, ready: _Batch) -> None:
        """Let the GPU wait for the pixels of a step, without a wait of the host."""
        if ready.copied is None:
            return
        training = torch.cuda.current_stream(self._device)
        training.wait_event(ready.copied)
        for images in (ready.anchors, ready.positives):
            images.record_stream(training)  # keeps their memory until the views are made

    def _view(self, images: Tensor, rows: Indices, epoch: int, view: int) -> Tensor:
        """One augmented view on the device, in channels-last layout."""
        return augmented_view(
            images,
            rows,
            seed=self.sampler.seed,
            epoch=epoch,
            view=view,
            recipe=self._recipes[view],
            size=self._size,
            dtype=self._dtype,
        )
