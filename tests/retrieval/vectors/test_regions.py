"""Which regions of a mark are compared on their own, and how they are cut."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from tmssl.data.preprocess import fit_square
from tmssl.retrieval.vectors.regions import WHOLE, Region, cut_regions, find_regions
from tmssl.types import Pixels

SIZE = 112


def disc_and_word(word: str, beside: bool = False) -> Pixels:
    """A disc with a word below it, or at its right."""
    image = Image.new("RGB", (360, 160) if beside else (160, 220), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(40)
    draw.ellipse((20, 10, 140, 130), "navy")
    if word:
        draw.text((170, 50) if beside else (14, 160), word, "black", font)
    return fit_square(image, SIZE)


def kinds(regions: list[Region]) -> list[str]:
    return [region.kind for region in regions]


@pytest.mark.parametrize("beside", [False, True])
def test_a_figure_is_a_region_without_the_word_that_stands_by_it(beside: bool) -> None:
    regions, images = cut_regions(
        disc_and_word("Velmora", beside), disc_and_word("Velmora", beside), 4
    )
    assert kinds(regions)[:2] == ["whole", "figure"]
    alone = disc_and_word("")
    assert np.abs(images[1].astype(int) - alone).mean() < 8
    assert np.abs(images[0].astype(int) - alone).mean() > 16


def test_figures_that_stand_apart_are_regions() -> None:
    image = Image.new("RGB", (300, 120), "white")
    for left, colour in ((10, "red"), (110, "green"), (210, "blue")):
        ImageDraw.Draw(image).rectangle((left, 20, left + 70, 90), colour)
    blocks = [
        region.box for region in find_regions(fit_square(image, SIZE), 8) if region.kind == "block"
    ]
    assert len(blocks) == 3
    assert max(box.right - box.left for box in blocks) < 0.35


def test_a_mark_in_one_piece_has_overlapping_parts() -> None:
    regions = find_regions(disc_and_word(""), 10)
    assert kinds(regions) == ["whole"] + ["part"] * 9
    assert len({region.box for region in regions}) == 10


@pytest.mark.parametrize("count", [1, 2, 5, 10])
def test_there_are_at_most_so_many_the_whole_first(count: int) -> None:
    mark = disc_and_word("Velmora")
    regions, images = cut_regions(mark, mark, count)
    assert len(regions) == len(images) <= count
    assert regions[0] == WHOLE
    assert np.array_equal(images[0], mark)
    assert regions == find_regions(mark, 10)[: len(regions)]


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_even_picture_is_whole_alone(level: int) -> None:
    assert find_regions(np.full((SIZE, SIZE, 3), level, np.uint8), 10) == [WHOLE]


def test_noise_has_regions_within_the_square() -> None:
    for seed in range(20):
        dice = np.random.default_rng(seed)
        noise = dice.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
        noise[dice.random((SIZE, SIZE)) < dice.random()] = 255
        for region in find_regions(noise, 10):
            left, top, right, bottom = region.box
            assert 0 <= left < right <= 1
            assert 0 <= top < bottom <= 1
