"""Features of every stage are compared as an evaluation would measure them, and printed side by side."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cli.output.features import feature_lines
from tests.helpers.in_process import tmssl_in_process
from tests.helpers.marks import draw_marks
from tests.helpers.tiny_run import tiny_run, train_on
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.reader import open_pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.views.augment import plain_view
from tmssl.errors import InputError
from tmssl.retrieval.evaluation.evaluate import evaluate
from tmssl.retrieval.evaluation.stage_features import FeatureTable, compare_features
from tmssl.retrieval.vectors.stages import trained_source
from tmssl.runs.folder import Run
from tmssl.training.checkpoints.store import load_weights

POOLED = {"model.features": "pooled", "model.train": "all"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("features")
    tiny = tiny_run(folder)
    return train_on(open_pack_of(tiny), folder / "pooled", **POOLED)


def open_pack_of(run: Run) -> Path:
    return run.path.parents[1] / "pack"


@pytest.fixture(scope="module")
def table(run: Run) -> FeatureTable:
    return compare_features(run)


def test_pooled_features_have_the_figures_of_an_evaluation(run: Run, table: FeatureTable) -> None:
    event = evaluate(run, topk=[10])
    assert (table.queries, table.gallery, table.split) == (8, 40, "validation")
    pooled = next(row for row in table.rows if (row.name, row.whitened) == ("pooled", False))
    hog = next(row for row in table.rows if (row.name, row.whitened) == ("HOG", False))
    phash = next(row for row in table.rows if row.name == "perceptual hash")
    told = {(s.metric, s.level, s.codes, s.k): s for s in event.scores}
    assert pooled.scores
    for row, name in ((pooled, None), (hog, "HOG"), (phash, "perceptual hash")):
        for score in row.scores:
            evaluated = told[score.metric, score.level, score.codes, score.k]
            value = evaluated.references[name] if name else evaluated.value
            # Half precision on the way may swap two marks that are nearly as near.
            assert score.value == pytest.approx(value, abs=0.02)
            assert score.chance == evaluated.chance


def test_every_stage_is_a_row_as_it_is_and_whitened(table: FeatureTable) -> None:
    kinds = [(row.name, row.whitened) for row in table.rows if row.encoder]
    single = [(name, whitened) for name, whitened in kinds if " + " not in name]
    names = [name for name, _ in single[::2]]
    assert names == ["pooled", *(f"stage {stage}" for stage in range(len(names) - 1))]
    assert single == [(name, whitened) for name in names for whitened in (False, True)]
    joined = [name.split(" + ") for name, _ in kinds if " + " in name]
    assert joined
    assert all(set(parts) <= set(names) and len(parts) == 2 for parts in joined)
    assert all(
        row.features <= 32 // 4 for row in table.rows if row.whitened and " + " not in row.name
    )


def test_a_stage_is_described_as_its_network_gives_it(run: Run) -> None:
    weights = load_weights(run.checkpoints / "last.pt")
    source = trained_source("r", weights, None)
    images = torch.from_numpy(open_pack(open_pack_of(run)).read(range(3)))
    found = source.to(torch.device("cpu")).describe(plain_view(images, 32))
    assert source.width == sum(features.shape[1] for features in found[1:])
    for features in found:
        assert np.allclose(np.linalg.norm(features.numpy(), axis=1), 1, atol=1e-5)


def test_a_model_of_timm_can_be_asked_for_and_nothing_else(run: Run) -> None:
    with pytest.raises(InputError, match="give timm:NAME"):
        compare_features(run, compare=["elsewhere"])


def test_without_labels_copies_are_searched_for(tmp_path: Path) -> None:
    folder = draw_marks(tmp_path / "m", 24)
    (folder / "labels.csv").unlink()
    pack = build_pack(read_catalogue(folder), tmp_path / "p", pack_size(32))
    table = compare_features(train_on(pack.folder, tmp_path / "runs", **POOLED))
    for row in table.rows:
        assert [(s.metric, s.k) for s in row.scores] == [("invariance", 1)]
        assert row.scores[0].chance == pytest.approx(1 / 24)
    assert "invariance@1" in "\n".join(feature_lines(table))


def test_the_command_prints_a_table_or_json(run: Run) -> None:
    text, words = tmssl_in_process("eval", str(run.path), "--features", "--robustness")
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("8 queries (validation) against 40 marks at 32 px")
    assert any(line.startswith("stage 1, whitened") for line in lines)
    assert lines[-2].startswith("most by same-group mAP: stage ")
    assert "--features makes no use of --robustness" in words
    told = json.loads(tmssl_in_process("eval", str(run.path), "--features", "--json")[0])
    assert {"encoder", "name", "whitened", "features", "scores"} == set(told["rows"][0])
