"""Pixels for the next step, read and sent to the GPU while this one computes."""

import dataclasses
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tmssl.data.sampler import Batch, Sampler
from tmssl.data.views.recipe import VIEW_SETS
from tmssl.data.views.views import augmented_view


class Pixels(Protocol):
    """Reads images by row, as `tmssl.data.pack.pack.Pack` does."""

    def read(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """uint8 (n, s, s, 3)."""
        ...


@dataclasses.dataclass(frozen=True)
class Idle:
    """The time between two points that a GPU passes: the end of the step before, and its pixels' arrival."""

    before: torch.cuda.Event
    after: torch.cuda.Event

    def seconds(self) -> float:
        """How long it was, once the device has passed both.

        Raises:
            RuntimeError: it has not.
        """
        return self.before.elapsed_time(self.after) / 1000


@dataclasses.dataclass(frozen=True)
class Views:
    """The two views of one step, (n, 3, s, s), and how long the step waited for its pixels."""

    first: Tensor
    second: Tensor
    data_s: float
    """seconds that this process waited; a GPU may have been at work on earlier steps all the while"""
    idle: Idle | None = None
    """how long a GPU itself had nothing to do; None on a CPU"""


@dataclasses.dataclass(frozen=True)
class _Ready:
    """The pixels of one step, uint8 (n, h, w, 3), on the device."""

    batch: Batch
    anchors: Tensor
    positives: Tensor
    copied: torch.cuda.Event | None
    """when a GPU has them; None on a CPU"""


class Feed:
    """Batches of views in order of step, with one batch of pixels read ahead in a thread.

    On a GPU they are there before their step begins: copied from pinned memory on a stream of their
    own. On a CPU views are made when they are asked for, since cores that train have no time to spare.
    Of every batch it gives the `share` that this process trains on, in `dtype`.
    """

    def __init__(
        self,
        pixels: Pixels,
        sampler: Sampler,
        *,
        views: str,
        size: int,
        device: torch.device,
        end: int,
        share: slice = slice(None),
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.sampler = sampler
        self._share = share
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
        self._ahead: tuple[int, Future[_Ready]] | None = None

    def views(self, step: int) -> Views:
        """The views of a step; the pixels of the next are asked for before this returns."""
        begun, done = time.perf_counter(), self._point()
        if self._ahead is None or self._ahead[0] != step:
            self._ahead = (step, self._reader.submit(self._read, step))
        try:
            ready = self._ahead[1].result()
        except torch.OutOfMemoryError:  # read while the step before filled the GPU; now it is free
            ready = self._read(step)
        data_s = time.perf_counter() - begun
        if step + 1 < self._end:
            self._ahead = (step + 1, self._reader.submit(self._read, step + 1))
        self._await_copies(ready)
        arrived = self._point()
        idle = Idle(done, arrived) if done is not None and arrived is not None else None
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

    def _read(self, step: int) -> _Ready:
        """The pixels of both views of a step, on the device or on their way to it."""
        whole = self.sampler.batch(step)
        anchors, positives = whole.anchors[self._share], whole.positives[self._share]
        first = self._tensor(anchors)
        same = np.array_equal(positives, anchors)
        second = first if same else self._tensor(positives)
        copied = self._copies.record_event() if self._copies is not None else None
        return _Ready(Batch(whole.epoch, anchors, positives), first, second, copied)

    def _tensor(self, rows: npt.NDArray[np.int64]) -> Tensor:
        images = torch.from_numpy(self._pixels.read(rows))
        if self._copies is None:
            return images.to(self._device)
        with torch.cuda.stream(self._copies):
            return images.pin_memory().to(self._device, non_blocking=True)

    def _point(self) -> torch.cuda.Event | None:
        """A point in what a GPU has been given to do, which keeps the time when it gets there."""
        if self._copies is None:
            return None
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's
        event.record(torch.cuda.current_stream(self._device))
        return event

    def _await_copies(self, ready: _Ready) -> None:
        """Let the GPU begin with the views of a step once it has the pixels; the host goes on."""
        if ready.copied is None:
            return
        training = torch.cuda.current_stream(self._device)
        training.wait_event(ready.copied)
        for images in (ready.anchors, ready.positives):
            images.record_stream(training)  # their memory is free only when the views are made

    def _view(self, images: Tensor, rows: npt.NDArray[np.int64], epoch: int, view: int) -> Tensor:
        """One augmented view on the device, laid out as convolutions like it."""
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
