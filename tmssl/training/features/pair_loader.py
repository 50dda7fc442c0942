"""The cached features of each step's pairs; those of the next are read while this one computes."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tmssl.data.sampler import Sampler, view_pairs
from tmssl.data.views.recipe import VIEW_SETS
from tmssl.training.features.store import Features, FeatureStore
from tmssl.training.loader import ReadAhead, Views
from tmssl.types import Indices


class PairLoader:
    """Draws two cached views of each mark of a step, by the counters."""

    def __init__(
        self,
        stores: Sequence[FeatureStore],
        sampler: Sampler,
        *,
        views: str,
        device: torch.device,
        end: int,
        part: slice = slice(None),
    ) -> None:
        """A loader for the `part` of each batch that this process trains on, up to step `end`.

        The first of `stores` holds the features of the sampler's rows, in their order, a second one a
        teacher's; they are complete at the first step. `views` is a name of `VIEW_SETS`.
        """
        self.sampler = sampler
        self._stores = stores
        self._part = part
        first, second = VIEW_SETS[views]
        self._alike = first == second
        self._ahead = ReadAhead(self._read, device, end)

    def views(self, step: int) -> Views:
        """The features of a step's pairs in float32; starts reading those of the next."""
        _, features, data_s, idle = self._ahead.take(step)
        first, second, *taught = map(_widened, features)
        return Views(first, second, data_s, idle, (taught[0], taught[1]) if taught else None)

    def close(self) -> None:
        """Let the reader thread end."""
        self._ahead.close()

    def _read(self, step: int) -> tuple[None, tuple[Features, ...]]:
        """The features of both views of a step, as they are stored, and the teacher's."""
        batch, seed = self.sampler.batch(step), self.sampler.seed
        views = self._stores[0].shape.views
        anchors, positives = batch.anchors[self._part], batch.positives[self._part]
        first, second = view_pairs(anchors, views, seed, batch.epoch, alike=self._alike)
        sides = ((self._places(anchors), first), (self._places(positives), second))
        return None, tuple(store.read(*side) for store in self._stores for side in sides)

    def _places(self, rows: Indices) -> Indices:
        """Where the features of some rows of the pack are in the store."""
        return np.searchsorted(self.sampler.rows, rows)


def _widened(features: Tensor) -> Tensor:
    """Stored features in the type that trains."""
    return features.to(torch.float32)
