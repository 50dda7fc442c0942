"""Exact search for many queries at once on a CPU: bounds of all products, and the products that may count."""

from collections.abc import Callable

import faiss
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tmssl.retrieval.blocked import blocked_search, full_precision, half_vectors, merged
from tmssl.retrieval.principal import Principal

Progress = Callable[[int, int], None]
Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

_GROUP = 64  # marks of which only the largest bound is looked at first
_QUERIES_AT_ONCE = 1 << 8
_GALLERY_AT_ONCE = 1 << 15  # a multiple of _GROUP; with those queries 32 MiB of bounds
_PAIRS_AT_ONCE = 1 << 11  # with 1280 features 10 MiB
_MOST = 1 / 32  # of a block's products; where more may count, computing all is quicker


def bounded_search(
    index: faiss.Index, principal: Principal, queries: Vectors, k: int,
    progress: Progress | None = None,
) -> tuple[Vectors, Rows]:  # fmt: skip
    """What `blocked_search` finds on a CPU, mostly from a tenth of the numbers.

    Where the bounds leave too much open, as of vectors without leading directions, that does it all.

    Args:
        index: of n vectors in half precision.
        principal: the same along their leading directions.
        queries: unit vectors, float32 (q, d).
        k: at most n.
        progress: called with (queries done, q).

    Returns:
        Similarities (q, k), falling, and rows (q, k).
    """
    best = np.full((len(queries), k), -np.inf, np.float32)
    rows = np.full((len(queries), k), -1, np.int64)
    leading, at_once = half_vectors(principal.index), min(_GALLERY_AT_ONCE, _filled(index.ntotal))
    # Memory that is asked for anew costs more time than the products that it is to hold.
    block, bounds = torch.zeros(at_once, leading.shape[1]), torch.empty(at_once * _QUERIES_AT_ONCE)
    for first in range(0, len(queries), _QUERIES_AT_ONCE):
        some = slice(first, first + _QUERIES_AT_ONCE)
        wanted = torch.from_numpy(queries[some])
        bounding = torch.from_numpy(principal.bounding(queries[some])).T
        known = bounds[: at_once * len(wanted)].view(at_once, len(wanted))
        for begin in range(0, index.ntotal, at_once):
            held = half_vectors(index)[begin : begin + at_once]
            block[: len(held)] = leading[begin : begin + at_once]
            with full_precision():
                torch.mm(block, bounding, out=known)
            known[len(held) :] = -torch.inf  # nothing bounds what fills up the last group
            groups = known[: _filled(len(held))].view(-1, _GROUP, len(wanted))
            found = _candidates(wanted, held, groups, best[some, -1], k, principal.off)
            if found is None:
                return blocked_search(index, queries, k, torch.device("cpu"), progress)
            best[some], rows[some] = merged(best[some], rows[some], *found, begin)
        if progress:
            progress(min(first + _QUERIES_AT_ONCE, len(queries)), len(queries))
    return best, rows


def _filled(count: int) -> int:
    """The next multiple of a group."""
    return -(-count // _GROUP) * _GROUP


def _candidates(
    wanted: Tensor, held: Tensor, bounds: Tensor, limit: Vectors, k: int, off: float
) -> tuple[Rows, Rows, Vectors] | None:
    """Query, place and similarity of all in a block that may be among a query's best; None if too many.

    `bounds` is (groups, _GROUP, queries).
    """
    peaks = bounds.amax(1)
    least = torch.from_numpy(limit)
    if len(peaks) >= k:
        # The largest of the k groups that promise most: k products that the k best are not below.
        groups = peaks.topk(k, dim=0).indices.flatten()
        owners = torch.arange(len(wanted)).repeat(k)
        places = groups * _GROUP + bounds[groups, :, owners].argmax(1)
        promised = products(wanted, held, owners, places).view(k, -1)
        least = torch.maximum(least, promised.amin(0))
    least = least - off
    groups, owners = (peaks >= least).nonzero(as_tuple=True)
    if len(owners) > peaks.numel() / 2:
        return None
    inside, offsets = (bounds[groups, :, owners] >= least[owners, None]).nonzero(as_tuple=True)
    owners, places = owners[inside], groups[inside] * _GROUP + offsets
    if len(owners) > _MOST * len(wanted) * len(held):
        return None
    return owners.numpy(), places.numpy(), products(wanted, held, owners, places).numpy()


def products(wanted: Tensor, held: Tensor, owners: Tensor, places: Tensor) -> Tensor:
    """Inner products of some pairs of a query and a mark, each by the same sum whatever is beside it.

    Args:
        wanted: queries, float32 (q, d).
        held: marks, float16 (n, d).
        owners: row of `wanted` in each pair, (pairs,).
        places: its row of `held`.

    Returns:
        float32 (pairs,).
    """
    found = torch.empty(len(owners))
    for begin in range(0, len(owners), _PAIRS_AT_ONCE):
        some = slice(begin, begin + _PAIRS_AT_ONCE)
        found[some] = held[places[some]].float().mul_(wanted[owners[some]]).sum(1)
    return found
