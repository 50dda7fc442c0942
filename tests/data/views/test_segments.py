"""Connected pieces against scipy's labels, and their colours against a loop over pixels."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy import ndimage

from tests.helpers.marks import draw_marks
from tmssl.data.pack.builder import build_pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.views.augment import augmented_view, normalize
from tmssl.data.views.recipe import ViewRecipe
from tmssl.data.views.segments import (
    COLOURS,
    colour_classes,
    connected_components,
    recolour_components,
)


def labelled(kind: np.ndarray) -> np.ndarray:
    """scipy's labels of each kind of one image, distinct over kinds."""
    labels, count = np.zeros(kind.shape, np.int64), 0
    for each in np.unique(kind):
        found, some = ndimage.label(kind == each)
        labels[found > 0] = found[found > 0] + count
        count += some
    return labels


def same_pieces(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether two labellings part an image in the same way."""
    pairs = np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1).shape[1]
    return len(np.unique(found)) == len(np.unique(expected)) == pairs


@settings(deadline=None, max_examples=200)
@given(
    st_numpy.arrays(
        np.int64, st.tuples(st.just(2), *[st.integers(1, 24)] * 2), elements=st.integers(0, 2)
    )
)
def test_pieces_are_scipys_labels(kind: np.ndarray) -> None:
    for found, image in zip(
        connected_components(torch.from_numpy(kind)).numpy(), kind, strict=True
    ):
        assert same_pieces(found, labelled(image))


def spiral(side: int) -> torch.Tensor:
    """A line of one pixel that winds to the middle, the longest way round there is."""
    image = np.zeros((side, side), np.int64)
    (row, column), (down, right) = (0, -1), (0, 1)
    for length in [side, *(left for left in range(side - 1, 0, -2) for _ in range(2))]:
        for _ in range(length):
            row, column = row + down, column + right
            image[row, column] = 1
        down, right = right, -down
    return torch.from_numpy(image)[None]


def test_a_long_way_round_is_one_piece_given_the_rounds() -> None:
    image = spiral(48)
    assert same_pieces(connected_components(image).numpy()[0], labelled(image.numpy()[0]))
    assert not same_pieces(
        connected_components(image, rounds=2).numpy()[0], labelled(image.numpy()[0])
    )


def test_pieces_of_drawn_marks_are_scipys(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("marks")
    draw_marks(folder / "marks", 24)
    pack = build_pack(read_catalogue(folder / "marks"), folder / "pack", 64)
    images = torch.from_numpy(pack.read(np.arange(24)))
    kind = colour_classes(images.permute(0, 3, 1, 2).float() / 255)
    for found, image in zip(connected_components(kind).numpy(), kind.numpy(), strict=True):
        assert same_pieces(found, labelled(image))


def two_squares() -> torch.Tensor:
    """White, with a red square, a blue one that touches it, and another red one; (1, 3, 24, 24)."""
    image = torch.ones(1, 3, 24, 24)
    for rows, columns, colour in (
        (slice(2, 10), slice(2, 10), (0.9, 0.1, 0.1)),
        (slice(2, 10), slice(10, 18), (0.1, 0.1, 0.9)),
        (slice(14, 22), slice(4, 12), (0.8, 0.2, 0.2)),
    ):
        image[0, :, rows, columns] = torch.tensor(colour)[:, None, None]
    return image


def test_each_piece_gets_one_of_the_colours_and_white_stays() -> None:
    image = two_squares()
    colours = torch.rand(1, COLOURS, 3, generator=torch.Generator().manual_seed(0))
    found = recolour_components(image, colours, torch.tensor([0.3]))
    expected = labelled(colour_classes(image).numpy()[0])
    white = (image == 1).all(1)[0].numpy()
    assert (found[0].permute(1, 2, 0).numpy()[white] == 1).all()
    for label in np.unique(expected[~white]):
        (shade,) = np.unique(found[0].permute(1, 2, 0).numpy()[expected == label], axis=0)
        assert any(np.array_equal(shade, colour) for colour in colours[0].numpy())


def test_neighbouring_pieces_share_a_colour_as_often_as_by_chance() -> None:
    draws = torch.rand(100, generator=torch.Generator().manual_seed(0))
    dots = torch.ones(100, 3, 64, 64)
    dots[:, :, 1::4, 1::4] = 0
    colours = torch.arange(COLOURS).float().div(COLOURS).view(1, -1, 1).expand(100, -1, 3)
    shades = (recolour_components(dots, colours, draws)[:, 0, 1::4, 1::4] * COLOURS).round().long()
    counts = torch.bincount(shades.flatten(), minlength=COLOURS) / shades.numel()
    assert counts.numpy() == pytest.approx(np.full(COLOURS, 1 / 8), abs=0.02)
    for far in (1, 2, 5):
        for alike in (
            shades[:, far:] == shades[:, :-far],
            shades[:, :, far:] == shades[:, :, :-far],
        ):
            assert float(alike.float().mean()) == pytest.approx(1 / 8, abs=0.05)


def test_an_image_has_the_same_pieces_alone_and_in_a_batch() -> None:
    kind = torch.randint(0, 3, (5, 20, 30), generator=torch.Generator().manual_seed(0))
    assert torch.equal(connected_components(kind)[3:4], connected_components(kind[3:4]))


def test_a_recipe_recolours_pieces_as_often_as_it_says() -> None:
    images = (two_squares() * 255).byte().permute(0, 2, 3, 1).expand(2000, -1, -1, -1).contiguous()
    recipe = dataclasses.replace(ViewRecipe(), ratio=(1.0, 1.0), pieces=0.2)
    view = augmented_view(images, np.arange(2000), seed=0, epoch=0, view=0, recipe=recipe, size=24)
    plain = normalize(images[:1].permute(0, 3, 1, 2).float() / 255)
    changed = (view - plain).abs().amax((1, 2, 3)) > 0.02
    assert float(changed.float().mean()) == pytest.approx(0.2, abs=0.03)
    # Two pieces of one red are coloured apart, and each image by its own draws.
    apart = (view[changed][:, :, 5, 5] - view[changed][:, :, 18, 8]).abs().amax(1) > 0.02
    assert float(apart.float().mean()) > 0.7
    assert len(np.unique(view[changed][:, :, 5, 5].numpy(), axis=0)) > 100
