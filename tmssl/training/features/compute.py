"""Features of the views of some marks, as a frozen encoder describes them."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from tmssl.data.pack.reader import Pack
from tmssl.data.threads import lone_threads
from tmssl.data.views.augment import augmented_view
from tmssl.data.views.recipe import VIEW_SETS
from tmssl.training.features.store import BLOCK, Features
from tmssl.types import Indices

Describe = Callable[[Tensor], Tensor]
"""From views (n, 3, s, s) to features (n, f)."""
_AT_ONCE = 32  # images through the encoder on a CPU; more do not fit its last cache
_PIXELS_GPU = 1024 * 96 * 96  # at once on a GPU, so that a kernel outlasts its launch
_MOST_THREADS = 16  # more wait for Python's lock


class ViewDescriber:
    """Computes the features of cached views: view v of a mark is decided by the seed, v and the mark."""

    def __init__(
        self,
        describe: Describe,
        pack: Pack,
        *,
        views: str,
        count: int,
        size: int,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """A describer of `count` views of each mark.

        Args:
            describe: the frozen encoder; it is called by several threads.
            pack: the marks.
            views: a name of `VIEW_SETS`; even views are of its first recipe, odd ones of the second.
            count: views of each mark.
            size: side of a view in pixels.
            seed: seed of the run.
            device: where to compute.
            dtype: of the views.
        """
        self._describe = describe
        self._pack = pack
        self._recipes = VIEW_SETS[views]
        self._count = count
        self._size = size
        self._seed = seed
        self._device = device
        self._dtype = dtype
        on_cpu = device.type == "cpu"
        self._at_once = _AT_ONCE if on_cpu else max(1, _PIXELS_GPU // size**2)
        # On a CPU one thread takes one block, which keeps the cores busier than all of them in turn on
        # each operation, and gives the same bits for any number of cores.
        threads = min(_MOST_THREADS, torch.get_num_threads()) if on_cpu else 1
        self.blocks_at_once = threads if on_cpu else -(-self._at_once // BLOCK)
        self._pool = lone_threads(threads, "views")

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def features(
        self, blocks: Sequence[Indices], stop: Callable[[], bool]
    ) -> list[Features | None]:
        """The features (n, views, f) of each block of rows; None for one that `stop` interrupted.

        `stop` is asked every second or so, by several threads.
        """
        if self._device.type == "cpu":
            return list(self._pool.map(lambda rows: self._block(rows, stop), blocks))
        if not blocks:
            return []
        together = self._block(np.concatenate(blocks), stop)
        if together is None:
            return [None] * len(blocks)
        ends = np.cumsum([len(rows) for rows in blocks])[:-1]
        return list(np.split(together, ends))

    @torch.inference_mode()
    def _block(self, rows: Indices, stop: Callable[[], bool]) -> Features | None:
        """The features (n, views, f) of some rows."""
        images = torch.from_numpy(self._pack.read(rows)).to(self._device)
        described = []
        for view in range(self._count):
            if stop():
                return None
            augmented = augmented_view(
                images,
                rows,
                seed=self._seed,
                epoch=view // 2,
                view=view % 2,
                recipe=self._recipes[view % 2],
                size=self._size,
                dtype=self._dtype,
            )
            parts = [self._describe(part) for part in torch.split(augmented, self._at_once)]
            described.append(torch.cat(parts).to(torch.float16))
        features: Features = torch.stack(described, 1).cpu().numpy()
        return features
