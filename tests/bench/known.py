"""Whether a logo finds the same brand's logo as other hands drew it.

    python -m tests.bench.known                    fetch the icons with npm, train, and print the table
    python -m tests.bench.known --icons FOLDER     the same with the icons that npm has installed there
    python -m tests.bench.known ICONS FOLDER       only draw all icons into a folder, with labels

A query is right where the nearest of all marks that another hand drew is of its brand: hit@1. mAP is over
the whole ranking. One core does it in less than ten minutes. For hard queries whatever is the same outline in other colours is left out, see
`tests.bench.known_items.same_outline`; a query with nothing else to find is not among them. Intervals are by
a bootstrap over brands. `tests.bench.views` learns from a folder of all icons.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor

from tests.bench.known_icons import draw, drawings, fetch_icons, known_to_others
from tests.bench.known_items import Bools, Found, find, known_items, lead, same_outline
from tests.bench.trained import of_steps, trained_run
from tmssl.config import Config, ModelConfig, changed, resolved_model
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.reader import Pack
from tmssl.data.phash import l2_normalize
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.views.augment import plain_view
from tmssl.data.whitening import fit_whitening
from tmssl.retrieval.vectors.baselines import hog_descriptors
from tmssl.retrieval.vectors.embed import (
    embed_pack,
    embed_views,
    hash_pack,
    inference_copy,
    trained_encoder,
)
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.history import read_history
from tmssl.runs.journal import read_journal
from tmssl.training.checkpoints.store import load_weights
from tmssl.training.encoder.axes import axes_rows
from tmssl.training.encoder.backbone import create_encoder
from tmssl.training.encoder.grid import GridEncoder
from tmssl.types import Vectors

_CPU, _LAST = torch.device("cpu"), torch.channels_last
_BATCH = 32
_LITE0 = resolved_model(ModelConfig())
_POOLED = msgspec.structs.replace(_LITE0, features="pooled", train="all", heads="mlp")


class Grids:
    """Each stage's cells of every mark, computed once for every row and seed that whitens them."""

    def __init__(self, pack: Pack, size: int) -> None:
        self.pack, self.size = pack, size
        found: list[list[Tensor]] = [[] for _ in _LITE0.stages]
        encoder = inference_copy(_grid_encoder(_LITE0), _CPU)
        assert isinstance(encoder, GridEncoder)
        with torch.inference_mode():
            for begin in range(0, pack.count, _BATCH):
                images = torch.from_numpy(pack.read(range(begin, min(begin + _BATCH, pack.count))))
                maps = encoder.maps(plain_view(images, size).contiguous(memory_format=_LAST))
                for kept, grid, features in zip(found, encoder.grids, maps, strict=True):
                    kept.append(grid.cells(features))
        self._cells = [torch.cat(kept) for kept in found]

    def untrained(self, stages: tuple[int, ...], seed: int = 0) -> Vectors:
        """Every mark on the whitened grid of some stages, as a training with a seed begins."""
        return self.described(self.untrained_encoder(stages, seed), stages)

    def untrained_encoder(self, stages: tuple[int, ...], seed: int = 0) -> GridEncoder:
        """The whitened grid of some stages, as a training with a seed begins."""
        encoder = _grid_encoder(msgspec.structs.replace(_LITE0, stages=stages))
        rows = torch.from_numpy(axes_rows(self.pack, seed))
        for grid, stage in zip(encoder.grids, stages, strict=True):
            cells = self._cells[_LITE0.stages.index(stage)][rows]
            grid.set_axes(fit_whitening(cells.numpy(), grid.features))
        return encoder

    def described(self, encoder: GridEncoder, stages: tuple[int, ...] = _LITE0.stages) -> Vectors:
        """Every mark as an encoder describes it whose frozen network is that of ImageNet."""
        cells = [self._cells[_LITE0.stages.index(stage)] for stage in stages]
        with torch.inference_mode():
            whitened = [grid.whiten(of) for grid, of in zip(encoder.grids, cells, strict=True)]
            return l2_normalize(encoder.head(torch.cat(whitened, 1)).numpy())


def _grid_encoder(model: ModelConfig) -> GridEncoder:
    """A grid with ImageNet's weights, whose axes are to be fitted."""
    encoder = create_encoder(model)
    assert isinstance(encoder, GridEncoder)
    return encoder.eval()


def untrained_rows(grids: Grids, size: int) -> Iterator[tuple[str, Vectors]]:
    """Names and vectors of what needs no training."""
    pack = grids.pack
    yield "perceptual hash", hash_pack(pack)
    hog, whitened = hog_descriptors(pack.count)
    yield "HOG on the ink crop", hog.embed_pack(pack, None)
    yield WHITENED_HOG, whitened.embed_pack(pack, None)
    from_nothing = msgspec.structs.replace(_POOLED, init="none")
    yield "Lite0, ImageNet, 64 px, pooled", pooled(_POOLED, pack, 64)
    yield "the same from nothing", pooled(from_nothing, pack, 64)
    yield f"grid of block 3, whitened, {size} px", grids.untrained((3,))
    yield f"grid of blocks 3 and 4, whitened, {size} px", grids.untrained(_LITE0.stages)


WHITENED_HOG = "HOG, PCA-whitened to 256"


def pooled(model: ModelConfig, pack: Pack, size: int) -> Vectors:
    """Every mark as a pooled model sees it before any training."""
    torch.manual_seed(0)
    return embed_pack(create_encoder(model), pack, image_size=size, device=_CPU)


def trained(config: Config, grids: Grids, folder: Path) -> tuple[str, Vectors]:
    """What the real trainer makes of the marks, and a name that tells steps, seconds and loss.

    The network is frozen, so the cells of every mark are those that are known already; some marks are
    embedded as `tmssl index` does, to be sure of it.
    """
    used = core_seconds()
    run, seconds = trained_run(config, folder)
    used = core_seconds() - used
    history = read_history(read_journal(run.journal))
    last, segment = history.epochs[-1], history.segments[-1]
    encoder = trained_encoder(load_weights(find_checkpoint(run, "last")))
    assert isinstance(encoder, GridEncoder)
    vectors = grids.described(encoder)
    images = torch.from_numpy(grids.pack.read(range(_BATCH)))
    view = plain_view(images, config.data.image_size)
    embedded = embed_views(inference_copy(encoder, _CPU), view)
    assert np.allclose(embedded, vectors[:_BATCH], atol=1e-3)
    name = (
        f"head trained, seed {config.train.seed} ({last.step} steps of {config.train.batch_size}, "
        f"{seconds:.0f} s, {used:.0f} s of a core, "
        f"loss {last.ce or 0:.2f} of {segment.chance_ce or 0:.2f} nats)"
    )
    return name, vectors


def core_seconds() -> float:
    """Seconds that cores have worked for this process and for its children that have ended."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


class Table:
    """Rows of figures as they become known."""

    def __init__(self, pack: Pack) -> None:
        self._marks = list(pack.marks)
        self._brands = known_items(self._marks)[0]
        self._left_out: tuple[Bools | None, Bools] = (None, same_outline(pack))
        queries = [len(each.rows) for each in self._found(hash_pack(pack))]
        brands = len(np.unique(self._brands))
        hands = len(np.unique(known_items(self._marks)[1]))
        print(
            f"{pack.count:,} logos that {hands} hands drew of {brands:,} brands; {queries[0]:,} queries, "
            f"{queries[1]:,} of them hard\n\n| | hit@1 all / hard | mAP all / hard |\n|---|---|---|"
        )

    def _found(self, vectors: Vectors) -> list[Found]:
        """What all queries and what hard ones find."""
        return [find(vectors, self._marks, left_out) for left_out in self._left_out]

    def row(self, name: str, vectors: Vectors) -> list[Found]:
        """Print a row, and return what its queries found."""
        both = self._found(vectors)
        hits = " / ".join(f"{found.hits.mean():.3f}" for found in both)
        precisions = " / ".join(f"{found.precision.mean():.3f}" for found in both)
        print(f"| {name} | {hits} | {precisions} |", flush=True)
        return both

    def leads(self, name: str, ours: list[Found], theirs: list[Found]) -> None:
        """Print by how much a row leads another, with intervals."""
        told = []
        for kind, one, other in zip(("all", "hard"), ours, theirs, strict=True):
            brands = self._brands[one.rows]
            hit = lead(one.hits, other.hits, brands)
            precision = lead(one.precision, other.precision, brands)
            for figure, (mean, low, high) in (("hit@1", hit), ("mAP", precision)):
                told.append(f"{figure} {kind} {mean:+.3f} ({low:+.3f} to {high:+.3f})")
        print(f"{name}: {', '.join(told)}", flush=True)


def measure(pack: Pack, asked: argparse.Namespace, folder: Path) -> None:
    """Print the whole table."""
    table, size = Table(pack), asked.image_size
    grids, found = Grids(pack, size), {}
    for name, vectors in untrained_rows(grids, size):
        found[name] = table.row(name, vectors)
        if name == WHITENED_HOG:
            hog = vectors
    grid = list(found)[-1]
    settings: dict[str, object] = {
        "data.pack": str(pack.folder),
        "image_size": size,
        **of_steps(asked.steps, pack.count, Config().train.batch_size),
        "cached_views": asked.cached_views,
        "heads": "none",
        "keep_every": 0,
        "device": "cpu",
    }
    leads = []
    for seed in asked.seeds:
        config = changed(Config(), {**settings, "seed": seed})
        name, vectors = trained(config, grids, folder)
        leads.append((seed, table.row(name, vectors)))
        table.row("- whitened HOG beside it", l2_normalize(np.hstack([vectors, hog])))
    print()
    table.leads("lead of the grid over whitened HOG", found[grid], found[WHITENED_HOG])
    for seed, ours in leads:
        table.leads(f"lead of seed {seed} over whitened HOG", ours, found[WHITENED_HOG])
        table.leads(f"lead of seed {seed} over the grid", ours, found[grid])


def _arguments() -> argparse.Namespace:
    """What to do, and with which icons."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("folders", nargs="*", type=Path, help="ICONS and FOLDER: only draw them")
    words.add_argument("--icons", type=Path, help="where npm has installed them")
    words.add_argument("--image-size", type=int, default=96)
    words.add_argument("--steps", type=int, default=300, help="of each training, to the next epoch")
    words.add_argument("--cached-views", type=int, default=2)
    words.add_argument("--seeds", type=int, nargs="*", default=[0, 1])
    return words.parse_args()


def main() -> None:
    """Draw the icons, and print the table unless drawing is all that is asked."""
    asked = _arguments()
    if asked.folders:
        icons, folder = asked.folders
        print(f"{draw(drawings(icons), folder):,} logos")
        return
    begun = time.monotonic()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        icons = asked.icons or fetch_icons(Path(scratch) / "icons")
        draw(known_to_others(drawings(icons)), Path(scratch) / "logos")
        pack = build_pack(
            read_catalogue(Path(scratch) / "logos"),
            Path(scratch) / "pack",
            pack_size(asked.image_size),
            workers=1,
        )
        measure(pack, asked, Path(scratch))
    print(f"\n{time.monotonic() - begun:.0f} s in all, {core_seconds():.0f} s of a core")


if __name__ == "__main__":
    main()
