"""Each styling against the slow, obvious way to do it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from tmssl.data.views import stylings
from tmssl.data.views.augment import augmented_view, normalize
from tmssl.data.views.recipe import VIEW_SETS, ViewRecipe


@pytest.fixture
def pixels() -> torch.Tensor:
    """White images with soft blobs of colour, so that there are edges and every tone."""
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(3, 3, 5, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(rough, (24, 24), mode="bicubic").clamp(0, 1)
    smooth[:, :, :4] = 1
    return smooth


def inked(pixels: torch.Tensor) -> np.ndarray:
    return np.array(
        [
            [[min(p) < 0.85 for p in row] for row in image.permute(1, 2, 0).tolist()]
            for image in pixels
        ]
    )


def black(there: np.ndarray) -> torch.Tensor:
    """Black where `there` holds, on white."""
    return torch.from_numpy(1.0 - there.astype(np.float32))[:, None].expand(-1, 3, -1, -1)


def test_a_silhouette_is_black_wherever_ink_is(pixels: torch.Tensor) -> None:
    assert torch.equal(stylings.silhouette(pixels), black(inked(pixels)))


@pytest.mark.parametrize("radius", [1, 2])
def test_an_outline_is_where_ink_and_white_are_neighbours(
    pixels: torch.Tensor, radius: int
) -> None:
    side = np.ones((2 * radius + 1,) * 2)
    edge = [
        ndimage.binary_dilation(image, side) & ~ndimage.binary_erosion(image, side, border_value=1)
        for image in inked(pixels)
    ]
    assert torch.equal(stylings.outline(pixels, radius), black(np.array(edge)))


def test_a_threshold_makes_black_and_white(pixels: torch.Tensor) -> None:
    levels = torch.tensor([0.3, 0.5, 0.7])
    found = stylings.threshold(pixels, levels)
    for image, level, result in zip(pixels, levels, found, strict=True):
        luma = 0.2989 * image[0] + 0.587 * image[1] + 0.114 * image[2]
        assert torch.equal(result, (luma >= level).float().expand(3, -1, -1))


def test_each_tone_gets_its_colour_and_the_lightest_white(pixels: torch.Tensor) -> None:
    colours = torch.rand(3, 3, 3, generator=torch.Generator().manual_seed(1))
    found = stylings.recolour_tones(pixels, colours)
    for i, image in enumerate(pixels.permute(0, 2, 3, 1).double().numpy()):
        for y, x in np.ndindex(24, 24):
            tone = int(4 * float(image[y, x] @ (0.2989, 0.587, 0.114)))
            expected = torch.ones(3) if tone >= 3 else colours[i, tone]
            assert torch.allclose(found[i, :, y, x], expected)


@pytest.mark.parametrize(
    ("ours", "reference"),
    [(stylings.thicken, ndimage.minimum_filter), (stylings.thin, ndimage.maximum_filter)],
)
def test_strokes_grow_and_shrink_as_scipys_filters(
    pixels: torch.Tensor, ours: Callable[..., torch.Tensor], reference: Callable[..., np.ndarray]
) -> None:
    found = reference(pixels.numpy(), size=(1, 1, 5, 5), mode="nearest")
    assert torch.equal(ours(pixels, 2), torch.from_numpy(found))


def mark_with_words(figure: slice, words: slice) -> torch.Tensor:
    image = torch.full((1, 40, 40, 3), 255, dtype=torch.uint8)
    image[:, figure, 10:30], image[:, words, 5:35:2] = 40, 90
    return image


def test_words_under_a_figure_are_lost() -> None:
    mark = mark_with_words(slice(4, 26), slice(30, 36))
    alone = mark_with_words(slice(4, 26), slice(0, 0))
    assert torch.equal(stylings.remove_words(mark), alone)


@pytest.mark.parametrize(
    "mark",
    [
        mark_with_words(slice(4, 30), slice(30, 36)),  # no gap
        mark_with_words(slice(4, 12), slice(16, 36)),  # too high for words
        mark_with_words(slice(0, 0), slice(30, 36)),  # nothing but words
        mark_with_words(slice(0, 0), slice(0, 0)),  # nothing at all
    ],
)
def test_what_is_not_words_under_a_figure_stays(mark: torch.Tensor) -> None:
    assert torch.equal(stylings.remove_words(mark), mark)


def test_a_batch_loses_words_image_by_image() -> None:
    marks = [
        mark_with_words(slice(4, 26), slice(30, 36)),
        mark_with_words(slice(4, 30), slice(30, 36)),
        mark_with_words(slice(10, 20), slice(23, 25)),
    ]
    together = stylings.remove_words(torch.cat(marks))
    assert torch.equal(together, torch.cat([stylings.remove_words(mark) for mark in marks]))


def test_stylings_leave_the_pack_s_pixels_alone() -> None:
    images = torch.randint(0, 255, (40, 40, 40, 3), dtype=torch.uint8)
    images[:, 20:24] = 255
    kept = images.clone()
    recipe = dataclasses.replace(VIEW_SETS["logo"][0], wordless=0.5)
    augmented_view(images, np.arange(40), seed=0, epoch=0, view=0, recipe=recipe, size=32)
    assert torch.equal(images, kept)


@pytest.mark.parametrize(
    ("name", "styling"),
    [
        ("silhouette", stylings.silhouette),
        ("outline", lambda pixels: stylings.outline(pixels, 1)),
        ("thicker", lambda pixels: stylings.thicken(pixels, 1)),
        ("thinner", lambda pixels: stylings.thin(pixels, 1)),
    ],
)
def test_a_recipe_does_what_it_names(
    pixels: torch.Tensor, name: str, styling: Callable[..., torch.Tensor]
) -> None:
    images = (pixels.permute(0, 2, 3, 1) * 255).byte()
    settings: dict[str, Any] = {name: 1.0, "ratio": (1.0, 1.0)}
    recipe = ViewRecipe(**settings)
    view = augmented_view(images, np.arange(3), seed=0, epoch=0, view=0, recipe=recipe, size=24)
    expected = normalize(styling(images.permute(0, 3, 1, 2).float() / 255))
    assert float((view - expected).abs().mean()) < 1 / 255


def test_at_most_one_style_is_drawn_and_as_often_as_the_recipe_says() -> None:
    images = torch.full((4000, 8, 8, 3), 255, dtype=torch.uint8)
    images[:, 2:6, 2:6] = torch.tensor([255, 60, 60], dtype=torch.uint8)
    recipe = ViewRecipe(ratio=(1.0, 1.0), silhouette=0.2)
    view = augmented_view(images, np.arange(4000), seed=0, epoch=0, view=0, recipe=recipe, size=8)
    dark = normalize(torch.zeros(1, 3, 1, 1)).flatten()
    share = torch.isclose(view[:, :, 4, 4], dark, atol=1e-4).all(1).float().mean()
    assert float(share) == pytest.approx(0.2, abs=0.03)
