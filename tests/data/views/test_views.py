import dataclasses

import numpy as np
import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from tmssl.data.views.augment import augmented_view, normalize, plain_view
from tmssl.data.views.crop import crop, crop_matrices, turned
from tmssl.data.views.recipe import VIEW_SETS, ViewRecipe


@pytest.mark.slow
def test_crops_are_distributed_as_torchvisions() -> None:
    recipe = ViewRecipe(scale=(0.2, 1.0))
    draws = np.random.default_rng(0).random((20_000, 24))
    matrices = crop_matrices(draws, recipe)
    area = matrices[:, 0, 0] * matrices[:, 1, 1]
    torch.manual_seed(0)
    boxes = [
        v2.RandomResizedCrop.make_params(
            v2.RandomResizedCrop(32, scale=(0.2, 1.0)), [torch.zeros(3, 1000, 1000)]
        )
        for _ in range(4000)
    ]
    theirs = np.array([box["height"] * box["width"] / 1e6 for box in boxes])
    ratio = matrices[:, 0, 0] / matrices[:, 1, 1]
    shapes = np.array([box["width"] / box["height"] for box in boxes])
    for quantile in (0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95):
        assert abs(np.quantile(area, quantile) - np.quantile(theirs, quantile)) < 0.02
        assert abs(np.quantile(ratio, quantile) - np.quantile(shapes, quantile)) < 0.02


def test_a_crop_that_never_fits_is_the_largest_central_one() -> None:
    recipe = ViewRecipe(scale=(1.0, 1.0), ratio=(1.2, 1.3))
    matrices = crop_matrices(np.random.default_rng(0).random((50, 24)), recipe)
    assert matrices[:, 0, 0] == pytest.approx(1.0)
    assert matrices[:, 1, 1] == pytest.approx(1 / 1.2)
    assert matrices[:, :, 2] == pytest.approx(0.0)


def test_an_identity_recipe_only_normalises() -> None:
    images = torch.randint(0, 255, (3, 32, 32, 3), dtype=torch.uint8)
    whole = dataclasses.replace(ViewRecipe(), ratio=(1.0, 1.0))
    view = augmented_view(images, np.arange(3), seed=0, epoch=0, view=0, recipe=whole, size=32)
    expected = normalize(images.permute(0, 3, 1, 2).float() / 255)
    assert torch.allclose(view, expected, atol=1e-4)


@pytest.mark.parametrize("name", list(VIEW_SETS))
def test_a_view_depends_on_nothing_but_its_counters(name: str) -> None:
    images = torch.randint(0, 255, (8, 40, 40, 3), dtype=torch.uint8)
    rows = np.arange(8) * 1000

    def view(some: slice, epoch: int = 2, number: int = 0) -> torch.Tensor:
        return augmented_view(
            images[some],
            rows[some],
            seed=5,
            epoch=epoch,
            view=number,
            recipe=VIEW_SETS[name][number],
            size=32,
        )

    together = view(slice(0, 8))
    assert together.shape == (8, 3, 32, 32)
    assert torch.isfinite(together).all()
    assert torch.allclose(view(slice(3, 5)), together[3:5], atol=1e-5)
    assert not torch.allclose(view(slice(0, 8), epoch=3), together)
    assert not torch.allclose(view(slice(0, 8), number=1), together)


def test_outside_the_image_is_white() -> None:
    black = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    recipe = dataclasses.replace(ViewRecipe(), rotation=45.0, ratio=(1.0, 1.0))
    views = torch.cat(
        [
            augmented_view(black, np.array([row]), seed=0, epoch=0, view=0, recipe=recipe, size=32)
            for row in range(8)
        ]
    )
    white = normalize(torch.ones(1, 3, 1, 1)).flatten()
    assert any(torch.allclose(view[:, 0, 0], white, atol=1e-4) for view in views)


def test_the_evaluation_input_keeps_the_whole_image() -> None:
    images = torch.randint(0, 255, (2, 80, 80, 3), dtype=torch.uint8)
    plain = plain_view(images, 64)
    assert plain.shape == (2, 3, 64, 64)
    resized = reference.resize(images.permute(0, 3, 1, 2).float() / 255, [64, 64], antialias=True)
    assert torch.allclose(plain, normalize(resized), atol=1e-4)


def test_threads_change_neither_views_nor_the_number_of_threads() -> None:
    images = torch.randint(0, 255, (40, 80, 80, 3), dtype=torch.uint8)
    recipe = VIEW_SETS["logo"][0]
    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(
                augmented_view(
                    images, np.arange(40), seed=1, epoch=0, view=0, recipe=recipe, size=64
                )
            )
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


def test_turned_views_are_those_of_images_that_were_turned_by_quarters_alike() -> None:
    recipe = dataclasses.replace(VIEW_SETS["turned"][0], turn=0.6)
    dice = np.random.default_rng(0)
    images = torch.randint(0, 255, (200, 16, 16, 3), dtype=torch.uint8)
    matrices, draws = crop_matrices(dice.random((200, 24)), recipe), dice.random(200)
    found = crop(images, torch.from_numpy(turned(matrices, draws, recipe.turn)), 24)
    quarters = np.where(draws < 0.6, 1 + draws // 0.2, 0).astype(int)
    assert (np.bincount(quarters) > 20).all()
    turned_first = torch.stack(
        [image.rot90(int(number), (0, 1)) for image, number in zip(images, quarters, strict=True)]
    )
    assert torch.allclose(found, crop(turned_first, torch.from_numpy(matrices), 24), atol=1e-4)


def test_no_other_views_are_turned() -> None:
    assert [name for name, recipes in VIEW_SETS.items() if recipes[0].turn] == ["turned"]
    matrices = crop_matrices(np.random.default_rng(0).random((50, 24)), VIEW_SETS["logo"][0])
    assert np.array_equal(turned(matrices, np.zeros(50), 0.0), matrices)
