"""What each group of stylings is worth to the `logo` views: `python -m tests.bench.views toy|logos [EPOCHS [GROUP ...]]`.

A `resnet10t` at 64 px is trained from nothing for equal steps under the set with and without groups of
operations. Toy marks are judged by same-group recall@10, the PNGs of `diagrams` by how many copies made
by the published views find their own original first. A row takes about a minute on one quiet core.
"""

import dataclasses
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from tests.bench.ablation import sources
from tmssl.config import changed, read_config, write_config
from tmssl.data.catalogue import read_catalogue
from tmssl.data.pack import Pack, build_pack, pack_size
from tmssl.data.views import VIEW_SETS
from tmssl.recipes import recipe_path
from tmssl.retrieval.evaluate import choose_queries, evaluate
from tmssl.retrieval.invariance import invariance
from tmssl.runs.folder import Run, create_run
from tmssl.training.checkpoint import find_checkpoint, load_weights
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

_NONE: dict[str, Any] = dict.fromkeys(
    ("silhouette", "outline", "threshold", "recolour", "pieces", "thicker", "thinner", "wordless"),
    0.0,
)
_TONES = {"silhouette": 0.12, "outline": 0.12, "threshold": 0.12, "recolour": 0.12}
_STROKES = {"thicker": 0.12, "thinner": 0.12}

GROUPS: dict[str, dict[str, Any]] = {
    "no stylings": {},
    "tones 0.12": _TONES,
    "strokes 0.12": _STROKES,
    "tones, strokes and words 0.12": {**_TONES, **_STROKES, "wordless": 0.12},
    "tones 0.06": dict.fromkeys(_TONES, 0.06),
}


def figure(run: Run, pack: Pack, *, labelled: bool) -> tuple[float | None, float | None]:
    """The figure that judges a row, and that of the untrained encoder."""
    if labelled:
        for score in evaluate(run, checkpoint="last", topk=[10]).scores:
            if (score.metric, score.codes) == ("group_recall", "all"):
                return score.value, score.references["untrained"]
    weights = load_weights(find_checkpoint(run, "last"))
    weights = dataclasses.replace(weights, config=changed(weights.config, {"views": "published"}))
    queries = choose_queries(pack, 1000, 0)[0]
    score = invariance(weights, pack, queries, torch.device("cpu"))[0]
    return score.value, score.references["untrained"]


def main() -> None:
    """Train and judge every group, a line of a Markdown table each."""
    data, epochs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    base = VIEW_SETS["logo"][0]
    config = changed(
        read_config(recipe_path("toy")),
        {"image_size": 64, "epochs": epochs, "keep_every": 0, "device": "cpu"},
    )
    with tempfile.TemporaryDirectory() as scratch:
        pack = build_pack(
            read_catalogue(sources(data, Path(scratch))), Path(scratch) / "pack", pack_size(64)
        )
        for name in sys.argv[3:] or GROUPS:
            recipe = dataclasses.replace(base, **{**_NONE, **GROUPS[name]})
            VIEW_SETS["logo"] = (recipe, recipe)
            run = create_run(Path(scratch) / "runs", str(time.monotonic_ns()))
            write_config(changed(config, {"data.pack": str(pack.folder)}), run.config)
            train(run, SignalFlags())
            found, untrained = figure(run, pack, labelled=data == "toy")
            print(
                f"| {data} | {name} | {epochs} | {found or 0:.3f} | {untrained or 0:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
