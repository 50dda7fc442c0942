"""Invented names and the letters they are written in; the colours of the toy marks."""

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tmssl.toy.colour import contrast, mix, shade, turn_hue
from tmssl.toy.lettering import choose_pen, invent_word, write_word
from tmssl.toy.openmoji import render


@given(st.integers())
def test_invented_words_are_short_and_plain(seed: int) -> None:
    word = invent_word(random.Random(seed))
    assert word.isascii()
    assert word.isalpha()
    assert 3 <= len(word) <= 8


def test_letters_stay_inside_the_width_and_height_they_claim() -> None:
    rng = random.Random(0)
    for word in ("Hamburgefonstiv", "JQUICKLY", "awoxen", "jpzd", "TRVWXYZ", "ilk"):
        markup, width, top, bottom = write_word(word, choose_pen(rng), "#000000", "#ffffff")
        side = max(width, bottom - top) + 8
        placed = f'<g transform="translate(4 {4 - top})">{markup}</g>'
        with Image.open(io.BytesIO(render(placed, side, 512))) as image:
            box = image.getchannel("A").getbbox()
        assert box is not None
        left, upper, right, lower = (value * side / 512 - 4 for value in box)
        assert left > -1.2
        assert right < width + 1.2
        assert upper > -1.2
        assert lower < bottom - top + 1.2
        assert right - left > 0.8 * width


def test_contrast_and_mixing_follow_their_definitions() -> None:
    assert contrast("#000000", "#fff") == pytest.approx(21)
    assert contrast("#777777", "#777777") == 1
    assert mix("#000000", "#ffffff", 0.5) == "#808080"


@given(st.integers(0, 0xFFFFFF), st.floats(0, 1))
def test_colours_stay_colours(value: int, share: float) -> None:
    colour = f"#{value:06x}"
    assert mix(colour, colour, share) == colour
    for changed in (turn_hue(colour, share), shade(colour, "#1f5fbf"), mix(colour, "#fff", share)):
        assert len(changed) == 7
        assert 1 <= contrast(changed, colour) <= 21


def test_shades_of_an_ink_keep_the_order_of_lightness() -> None:
    greys = [f"#{value:02x}{value:02x}{value:02x}" for value in range(0, 256, 15)]
    ratios = [contrast(shade(grey, "#c8201f"), "#000000") for grey in greys]
    assert ratios == sorted(ratios)
    assert shade("#ffffff", "#c8201f") == "#ffffff"
