"""A run whose encoder is a grid, trained whole: to the rest of the product it is an encoder like any other."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import tmssl
from tests.helpers.in_process import tmssl_in_process
from tests.helpers.tiny_run import tiny_run
from tests.helpers.training import history_of, losses, new_run
from tmssl.config import changed, read_config
from tmssl.errors import InputError
from tmssl.retrieval.export.encoder import load_export
from tmssl.retrieval.vectors.embed import trained_encoder
from tmssl.runs.folder import Run
from tmssl.training.checkpoints.store import load_payload, load_weights
from tmssl.training.encoder.grid import GridEncoder
from tmssl.training.learner import create_learner
from tmssl.training.loop import train
from tmssl.training.optimizer import set_learning_rate
from tmssl.training.signals import SignalFlags

GRID: dict[str, object] = {
    "model.name": "test_resnet",
    "model.features": "grid",
    "model.stages": [1, 2],
    "grid": 2,
    "whiten": 32,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return tiny_run(tmp_path_factory.mktemp("grid"), settings=GRID)


def test_a_resume_is_bitwise_that_of_an_unbroken_run(pack: Path, tmp_path: Path) -> None:
    settings = {**GRID, "epochs": 2, "keep_every": 1}
    whole, parted = (new_run(tmp_path, pack, name, **settings) for name in ("whole", "parted"))
    train(whole, SignalFlags())
    for suffix in ("json", "pt"):
        shutil.copy(
            whole.checkpoints / f"epoch-0001.{suffix}", parted.checkpoints / f"last.{suffix}"
        )
    train(parted, SignalFlags())
    assert losses(parted) == losses(whole)[-len(losses(parted)) :]
    assert len(losses(parted)) == 5


def test_axes_are_fitted_once_and_every_network_has_them(run: Run) -> None:
    payload = load_payload(run.checkpoints / "last.pt")
    for name in ("stages.0.centre", "stages.1.axes"):
        assert payload["encoder"][name].any()
        assert torch.equal(payload["encoder"][name], payload["momentum_encoder"][name])
    assert payload["encoder"]["stages.0.axes"].shape[1] == 8  # a quarter of 32 marks


def test_fewer_features_for_want_of_marks_are_told_once(run: Run) -> None:
    (told,) = [f for f in history_of(run).findings if f.code == "whitening-narrow"]
    assert told.text == (
        "each stage keeps 8 whitened features, not 32: one for every 4 of the 32 marks that they are "
        "fitted on"
    )


def test_trunk_and_head_learn_at_rates_of_their_own(run: Run) -> None:
    config = changed(read_config(run.config), {"trunk_lr_scale": 0.25})
    learner = create_learner(config, torch.device("cpu"))
    set_learning_rate(learner.optimizer, 0.8)
    encoder = learner.model.encoder
    assert isinstance(encoder, GridEncoder)
    rates = {p: group["lr"] for group in learner.optimizer.param_groups for p in group["params"]}
    assert {rates[p] for p in encoder.trunk.parameters()} == {0.2}
    assert rates[encoder.head.weight] == 0.8
    assert {rates[p] for p in learner.model.predictor.parameters()} == {0.8}


@pytest.mark.parametrize(
    "form", ["safetensors", "torchscript", pytest.param("onnx", marks=pytest.mark.slow)]
)
def test_an_export_gives_the_same_features(run: Run, form: str) -> None:
    told = json.loads(tmssl_in_process("export", str(run.path), "--to", form, "--json")[0])
    assert told["lowest_cosine"] >= 0.9999
    assert told["preprocessing"]["features"] == 16
    read = load_export(form, Path(told["path"]))
    assert read is not None
    encoder = trained_encoder(load_weights(run.checkpoints / "best.pt")).eval()
    view = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(read(view), encoder(view), atol=1e-5)


def test_timm_has_no_place_for_a_grid_and_that_is_a_sentence(run: Run) -> None:
    with pytest.raises(InputError, match="timm holds whole models, and this encoder is a grid"):
        tmssl_in_process("export", str(run.path), "--to", "timm")
    assert not (run.path / "export" / "best-timm").exists()


def test_evaluation_search_and_python_see_an_encoder_like_any_other(run: Run) -> None:
    told = json.loads(tmssl_in_process("eval", str(run.path), "--robustness", "--json")[0])
    assert told["scores"]
    assert told["robustness"]
    logo = run.path.parents[1] / "marks" / "images" / "0007.png"
    found = tmssl_in_process("search", str(logo), "--run", str(run.path), "--json")[0]
    assert json.loads(found)["answers"][0]["matches"][0]["row"] == 7
    encoder = tmssl.load_encoder(run.path, device="cpu")
    vectors = tmssl.embed(encoder, [logo])
    assert vectors.shape == (1, 16)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_grid_is_compared_by_its_run(run: Run) -> None:
    told = json.loads(
        tmssl_in_process("eval", str(run.path), "--compare", str(run.path), "--json")[0]
    )
    score = told["scores"][0]
    assert score["references"][run.path.name] == score["value"]


def test_a_run_of_version_0_2_0_is_read_as_it_was_meant(run: Run) -> None:
    config = read_config(run.config)
    text = run.config.read_text()
    early = run.path / "early.toml"
    kept = [
        line
        for line in text.splitlines()
        if line.split(" ")[0]
        not in (
            "features",
            "grid",
            "whiten",
            "train",
            "heads",
            "normalization",
            "cached_views",
            "trunk_lr_scale",
        )
    ]
    body = "\n".join(kept)
    begin, end = body.index("stages = ["), body.index("]", body.index("stages = [")) + 1
    early.write_text(body[:begin] + body[end:])
    read = read_config(early)
    assert (read.model.features, read.model.train, read.model.heads) == ("pooled", "all", "mlp")
    assert read.model.normalization == "imagenet"
    assert read.optim.lr == config.optim.lr
