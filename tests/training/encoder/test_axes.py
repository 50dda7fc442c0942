from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.training import draw_pack
from tmssl.config import ModelConfig
from tmssl.data.pack.reader import Pack, open_pack
from tmssl.data.views.augment import plain_view
from tmssl.training.encoder.axes import affordable_features, axes_rows, fit_axes
from tmssl.training.encoder.backbone import create_encoder
from tmssl.training.encoder.grid import GridEncoder

MODEL = ModelConfig(
    name="test_resnet", init="none", features="grid", stages=(1, 2), whiten=10, grid=2
)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return open_pack(draw_pack(tmp_path_factory.mktemp("marks"), 60, validation=12))


def fitted(pack: Pack, seed: int = 0) -> GridEncoder:
    torch.manual_seed(0)
    encoder = create_encoder(MODEL)
    assert isinstance(encoder, GridEncoder)
    assert not encoder.has_axes
    fit_axes(encoder, pack, image_size=32, seed=seed)
    assert encoder.has_axes
    return encoder


def test_fitted_features_are_uncorrelated_and_of_one_variance(pack: Pack) -> None:
    encoder = fitted(pack)
    images = torch.from_numpy(pack.read(axes_rows(pack, 0)))
    with torch.inference_mode():
        maps = encoder.maps(plain_view(images, 32))
        for grid, features in zip(encoder.grids, maps, strict=True):
            assert grid.centre is not None
            assert grid.axes is not None
            projected = (grid.cells(features) - grid.centre) @ grid.axes
            spread = np.cov(projected.numpy(), rowvar=False, bias=True)
            assert np.allclose(spread, np.eye(10), atol=1e-3)


def test_axes_are_the_same_for_the_same_seed(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tmssl.training.encoder.axes.SAMPLE", 30)
    first, again, other = (fitted(pack, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["stages.0.axes"], other["stages.0.axes"])


def test_axes_are_the_same_for_any_number_of_threads(pack: Pack) -> None:
    before, states = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            states.append(fitted(pack).state_dict())
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_the_fit_tells_how_far_it_is(pack: Pack) -> None:
    encoder, told = create_encoder(MODEL), list[tuple[int, int]]()
    assert isinstance(encoder, GridEncoder)
    fit_axes(encoder, pack, image_size=32, seed=0, progress=lambda *each: told.append(each))
    assert told == [(0, 48), (32, 48), (48, 48)]


def test_validation_marks_decide_no_axes(pack: Pack) -> None:
    splits = pack.marks.column("split", str, "")
    rows = axes_rows(pack, 0)
    assert len(rows) == 48
    assert "validation" not in {splits[row] for row in rows}


@pytest.mark.parametrize(
    ("wanted", "marks", "kept"),
    [(512, 538_771, 512), (512, 2700, 512), (512, 900, 225), (512, 3, 1), (0, 900, 0)],
)
def test_a_feature_needs_four_marks(wanted: int, marks: int, kept: int) -> None:
    assert affordable_features(wanted, marks) == kept


def test_the_weights_can_still_be_trained_after_axes_are_fitted(pack: Pack, tmp_path: Path) -> None:
    encoder = fitted(pack).train()
    encoder(torch.rand(4, 3, 32, 32)).sum(0).var().backward()
    assert encoder.head.weight.grad is not None
