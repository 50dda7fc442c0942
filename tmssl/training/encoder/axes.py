"""The whitening of a grid, fitted on plain views of a pack before training begins."""

import numpy as np
import torch

from tmssl.data.pack.reader import Pack
from tmssl.data.threads import lone_threads
from tmssl.data.views.augment import plain_view
from tmssl.data.whitening import fit_whitening
from tmssl.training.encoder.grid import GridEncoder
from tmssl.types import Indices, Progress, Vectors

SAMPLE = 4096
"""marks that axes are fitted on, 8 for each of the 512 features that a stage keeps by default"""
MARKS_PER_FEATURE = 4
"""marks that a whitened feature needs"""
_BATCH = 32  # images through the encoder; more do not fit a CPU's last cache
_MOST_THREADS = 16  # more wait for Python's lock


def affordable_features(wanted: int, marks: int) -> int:
    """How many whitened features so many marks allow: one for every four of them.

    Of n samples in m directions of equal variance, the least sample variance is (1 - sqrt(m / n))^2 of
    the true one (Marchenko and Pastur 1967). Whitening divides by its root, so at a quarter noise grows
    at most twofold; at 512 of 900 marks it would fourfold.
    """
    return min(wanted, max(1, marks // MARKS_PER_FEATURE))


def axes_rows(pack: Pack, seed: int) -> Indices:
    """The rows of a pack that axes are fitted on: a sample by the seed, without validation marks."""
    splits = pack.marks.column("split", str, "")
    rows: Indices = np.array([i for i, s in enumerate(splits) if s != "validation"], np.int64)
    if len(rows) > SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(rows, SAMPLE, replace=False))
    return rows


def fit_axes(
    encoder: GridEncoder,
    pack: Pack,
    *,
    image_size: int,
    seed: int,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> None:
    """Fit the whitening of every stage of a grid on plain views of a pack.

    On a CPU the axes are the same to the bits for the same seed, whatever the number of cores: cached views
    are kept by a digest of them.

    Args:
        encoder: it is changed: its axes, its device, and its mode to evaluation.
        pack: the marks.
        image_size: side of the views.
        seed: of the sample, see `axes_rows`.
        device: where to compute; the CPU by default.
        progress: called with (marks described, all of the sample).
    """
    device = device or torch.device("cpu")
    encoder.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]  # nn.Module.to's stub lacks this form
    rows = axes_rows(pack, seed)
    cells: list[list[Vectors]] = [[] for _ in encoder.grids]

    @torch.no_grad()  # inference mode would mark the weights for good
    def describe(batch: Indices) -> list[Vectors]:
        images = torch.from_numpy(pack.read(batch)).to(device)
        maps = encoder.maps(plain_view(images, image_size))
        pairs = zip(encoder.grids, maps, strict=True)
        return [grid.cells(features).cpu().numpy() for grid, features in pairs]

    threads = min(_MOST_THREADS, torch.get_num_threads()) if device.type == "cpu" else 1
    if progress:
        progress(0, len(rows))
    batches = [rows[begin : begin + _BATCH] for begin in range(0, len(rows), _BATCH)]
    with lone_threads(threads, "axes") as pool:
        for number, described in enumerate(pool.map(describe, batches)):
            for found, part in zip(cells, described, strict=True):
                found.append(part)
            if progress:
                progress(min(len(rows), (number + 1) * _BATCH), len(rows))
    for found, grid in zip(cells, encoder.grids, strict=True):
        if grid.axes is not None:
            grid.set_axes(fit_whitening(np.concatenate(found), grid.features))
