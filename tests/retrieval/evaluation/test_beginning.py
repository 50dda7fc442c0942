"""The encoder that a run began with is a reference, and its figures are those of the encoder itself."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers.marks import draw_marks
from tests.helpers.tiny_run import train_on
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.reader import Pack, open_pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.retrieval.evaluation.beginning import beginning_descriptor, initial_encoder
from tmssl.retrieval.evaluation.encoder_index import encoder_index
from tmssl.retrieval.evaluation.evaluate import evaluate
from tmssl.retrieval.evaluation.task import EvaluationTask, prepare_task
from tmssl.retrieval.vectors.embed import embed_pack, trained_encoder
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.folder import Run
from tmssl.runs.main_figure import BEFORE
from tmssl.training.checkpoints.store import load_weights
from tmssl.training.encoder.grid import GridEncoder

GRID = {"model.features": "grid", "model.stages": (0, 1), "model.init": "none"}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    marks = draw_marks(tmp_path_factory.mktemp("m"), 40, validation=8)
    return build_pack(read_catalogue(marks), tmp_path_factory.mktemp("p") / "pack", pack_size(32))


@pytest.fixture(scope="module")
def head_run(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = {**GRID, "model.train": "head", "epochs": 20, "lr": 0.01}
    return train_on(pack.folder, tmp_path_factory.mktemp("r"), **settings)


def task_of(run: Run, pack: Pack) -> EvaluationTask:
    weights = load_weights(find_checkpoint(run, "last"))
    return prepare_task(
        run,
        weights,
        pack,
        [10],
        queries=0,
        seed=0,
        device=CPU,
        start_phase=lambda _: None,
        exclude_duplicates=False,
    )


def test_a_head_undone_gives_the_vectors_that_went_into_it(head_run: Run, pack: Pack) -> None:
    task = task_of(head_run, pack)
    encoder = trained_encoder(task.weights)
    assert isinstance(encoder, GridEncoder)
    identity = torch.eye(encoder.head.out_features)
    assert (encoder.head.weight - identity).abs().max() > 0.01
    descriptor = beginning_descriptor(task, encoder_index(head_run, task), None)
    assert descriptor is not None
    undone = descriptor.embed_pack(pack, None)
    nn.init.eye_(encoder.head.weight)
    direct = embed_pack(encoder, pack, image_size=32, device=CPU)
    assert np.allclose(undone, direct, atol=5e-3)
    images = torch.from_numpy(open_pack(pack.folder).read(range(4)))
    assert np.allclose(descriptor.embed_images(images), direct[:4], atol=1e-4)


def test_a_run_of_a_head_has_the_row_first_and_embeds_nothing_for_it(head_run: Run) -> None:
    phases: list[str] = []
    event = evaluate(head_run, topk=[10], phase=phases.append)
    assert list(event.scores[0].references) == [
        BEFORE,
        "HOG whitened",
        "untrained",
        "perceptual hash",
        "HOG",
    ]
    again: list[str] = []
    assert evaluate(head_run, topk=[10], phase=again.append).scores == event.scores
    assert not [phase for phase in again if "before" in phase]


def test_a_run_of_all_is_compared_with_its_initial_weights(pack: Pack, tmp_path: Path) -> None:
    run = train_on(pack.folder, tmp_path / "runs", **GRID, **{"model.train": "all"})
    told: list[str] = []
    event = evaluate(run, topk=[10], warn=told.append)
    assert BEFORE in event.scores[0].references
    assert not told


def test_initial_weights_are_had_again_from_the_seed(pack: Pack, tmp_path: Path) -> None:
    settings = {**GRID, "model.train": "all", "lr": 1e-12, "min_lr": 0.0}
    weights = load_weights(find_checkpoint(train_on(pack.folder, tmp_path, **settings), "last"))
    initial, still = initial_encoder(weights), trained_encoder(weights)
    parameters = dict(still.named_parameters())
    for name, value in initial.named_parameters():
        assert torch.allclose(value, parameters[name], atol=1e-10), name
    assert isinstance(initial, GridEncoder)
    assert isinstance(still, GridEncoder)
    for mine, theirs in zip(initial.grids, still.grids, strict=True):
        assert mine.axes is not None
        assert theirs.axes is not None
        assert mine.axes.any()
        assert torch.equal(mine.axes, theirs.axes)


def test_a_run_from_a_file_that_is_gone_says_that_the_row_is_missing(
    pack: Pack, tmp_path: Path
) -> None:
    first = train_on(pack.folder, tmp_path / "first", **GRID, **{"model.train": "all"})
    checkpoint = find_checkpoint(first, "last")
    settings = {**GRID, "model.train": "all", "model.init": str(checkpoint)}
    run = train_on(pack.folder, tmp_path / "second", **settings)
    assert BEFORE in evaluate(run, topk=[5]).scores[0].references
    checkpoint.unlink()
    told: list[str] = []
    event = evaluate(run, topk=[5], warn=told.append)
    assert BEFORE not in event.scores[0].references
    assert len(told) == 1
    assert "no row `before training`" in told[0]


def test_a_pooled_run_from_nothing_has_its_untrained_row_only(pack: Pack, tmp_path: Path) -> None:
    settings = {"model.features": "pooled", "model.train": "all", "model.init": "none"}
    event = evaluate(train_on(pack.folder, tmp_path / "runs", **settings), topk=[5])
    assert BEFORE not in event.scores[0].references
