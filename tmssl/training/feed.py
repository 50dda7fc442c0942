"""Pixels for the next step, read while this one computes."""

import dataclasses
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tmssl.data.sampler import Batch, Sampler
from tmssl.data.views import VIEW_SETS, augmented_view


class Pixels(Protocol):
    """Reads images by row, as `tmssl.data.pack.Pack` does."""

    def read(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """uint8 (n, s, s, 3)."""
        ...


@dataclasses.dataclass(frozen=True)
class Views:
    """The two views of one step, (n, 3, s, s), and how long the step waited for its pixels."""

    first: Tensor
    second: Tensor
    data_s: float


class Feed:
    """Batches of views in order of step, with one batch of pixels read ahead in a thread.

    Of every batch it gives the `share` that this process trains on.
    """

    def __init__(
        self, pixels: Pixels, sampler: Sampler, *, views: str, size: int, device: torch.device,
        end: int, share: slice = slice(None),
    ) -> None:  # fmt: skip
        self.sampler = sampler
        self._share = share
        self._pixels = pixels
        self._recipes = VIEW_SETS[views]
        self._size = size
        self._device = device
        self._end = end
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="pixels")
        self._ahead: tuple[int, Future[tuple[Batch, Tensor, Tensor]]] | None = None

    def views(self, step: int) -> Views:
        """The views of a step; the pixels of the next are asked for before this returns."""
        begun = time.perf_counter()
        if self._ahead is None or self._ahead[0] != step:
            self._ahead = (step, self._reader.submit(self._read, step))
        batch, anchors, positives = self._ahead[1].result()
        data_s = time.perf_counter() - begun
        if step + 1 < self._end:
            self._ahead = (step + 1, self._reader.submit(self._read, step + 1))
        return Views(
            self._view(anchors, batch.anchors, batch.epoch, 0),
            self._view(positives, batch.positives, batch.epoch, 1),
            data_s,
        )

    def close(self) -> None:
        """Let the reader thread end."""
        self._reader.shutdown(wait=True, cancel_futures=True)

    def _read(self, step: int) -> tuple[Batch, Tensor, Tensor]:
        """The pixels of both views of a step, in pinned memory when they go to a GPU."""
        whole = self.sampler.batch(step)
        anchors, positives = whole.anchors[self._share], whole.positives[self._share]
        batch = Batch(whole.epoch, anchors, positives)
        first = self._tensor(anchors)
        same = np.array_equal(positives, anchors)
        return batch, first, first if same else self._tensor(positives)

    def _tensor(self, rows: npt.NDArray[np.int64]) -> Tensor:
        images = torch.from_numpy(self._pixels.read(rows))
        return images.pin_memory() if self._device.type == "cuda" else images

    def _view(self, images: Tensor, rows: npt.NDArray[np.int64], epoch: int, view: int) -> Tensor:
        """One augmented view on the device, laid out as convolutions like it."""
        return augmented_view(
            images.to(self._device, non_blocking=True), rows, seed=self.sampler.seed,
            epoch=epoch, view=view, recipe=self._recipes[view], size=self._size,
        ).contiguous(memory_format=torch.channels_last)  # fmt: skip
