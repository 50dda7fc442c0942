"""Which regions of a mark are compared on their own, and how they are cut."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from tmssl.data.preprocess import fit_square
from tmssl.retrieval.vectors.regions import WHOLE, Box, Region, cut_regions, find_regions
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


def word_on_disc(top: int, colour: str) -> tuple[Pixels, Pixels, Box]:
    """A disc with a word over it at a height, the disc alone, and the box of the word."""
    image = Image.new("RGB", (SIZE, SIZE), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(18)
    draw.ellipse((16, 4, 96, 84), "navy")
    alone = np.asarray(image)
    draw.text((56, top), "Velmora", colour, font, anchor="ma")
    left, upper, right, lower = draw.textbbox((56, top), "Velmora", font, anchor="ma")
    box = Box(*(length / SIZE for length in (left - 1, upper - 1, right + 1, lower + 1)))
    return np.asarray(image), alone, box


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


@pytest.mark.parametrize(("top", "colour"), [(76, "black"), (30, "white")])
def test_a_line_that_was_read_is_a_region_and_hidden_where_it_touches_the_figure(
    top: int, colour: str
) -> None:
    mark, alone, line = word_on_disc(top, colour)
    assert "figure" not in kinds(find_regions(mark, 4))
    regions, images = cut_regions(mark, mark, 10, [line])
    assert kinds(regions)[:2] == ["whole", "figure"]
    left, upper, right, lower = (round(length * SIZE) for length in regions[1].box)
    figure = Image.fromarray(alone).crop((left - 2, upper - 2, right + 2, lower))
    assert np.abs(images[1].astype(int) - fit_square(figure, SIZE)).mean() < 8
    words = [region.box for region in regions if region.kind == "block"][-1]
    assert np.allclose(words, line, atol=4 / SIZE)


def test_a_wordmark_that_was_read_has_no_figure() -> None:
    image = Image.new("RGB", (SIZE, SIZE), "white")
    ImageDraw.Draw(image).text((6, 40), "Velmora", "black", ImageFont.load_default(26))
    line = Box(0.03, 0.3, 0.99, 0.65)
    assert "figure" not in kinds(find_regions(np.asarray(image), 10, [line]))


def test_boxes_that_are_high_or_empty_are_no_lines() -> None:
    mark = disc_and_word("Velmora")
    boxes = [Box(0.1, 0.1, 0.9, 0.8), Box(0.0, 0.0, 0.05, 0.05), Box(1.0, 1.0, 1.0, 1.0)]
    assert find_regions(mark, 10, boxes) == find_regions(mark, 10)


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
        corners = np.sort(dice.random((3, 2, 2)), axis=1).reshape(3, 4).tolist()
        lines = [Box(*corner) for corner in corners]
        cut_regions(noise, noise, 10, lines)
        for region in find_regions(noise, 10) + find_regions(noise, 10, lines):
            left, top, right, bottom = region.box
            assert 0 <= left < right <= 1
            assert 0 <= top < bottom <= 1
