"""A rectangle of a logo: how it is written, and which pixels it takes."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tmssl.data.picture import LARGE
from tmssl.errors import InputError
from tmssl.retrieval.search.crop import cut, parse_crop
from tmssl.retrieval.search.logos import decode_crops


def gradient(width: int, height: int) -> Image.Image:
    """Each pixel tells its place."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x, y, 0 * x], axis=-1).astype(np.uint8))


@given(x=st.integers(0, 30), y=st.integers(0, 20), w=st.integers(1, 10), h=st.integers(1, 10))
def test_a_rectangle_in_pixels_takes_those_pixels(x: int, y: int, w: int, h: int) -> None:
    image = gradient(40, 30)
    part = np.asarray(cut(image, parse_crop(f"{x},{y},{w},{h}"), 40, 30))
    assert np.array_equal(part, np.asarray(image)[y : y + h, x : x + w])


def test_percent_are_of_each_side() -> None:
    part = cut(gradient(40, 30), parse_crop("50%, 0%, 50%, 10%"), 40, 30)
    assert part.size == (20, 3)
    assert part.getpixel((0, 0)) == (20, 0, 0)


def test_pixels_are_those_of_the_file_also_where_it_is_loaded_smaller() -> None:
    side = 2 * LARGE
    picture = Image.new("RGB", (side, side), "white")
    picture.paste((200, 0, 0), (side // 2, 0, side, side // 2))
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    (logo,) = decode_crops(
        "a", file.getvalue(), 32, [parse_crop(f"{side // 2},0,{side // 2},{side // 2}")]
    )
    assert (logo.pixels == (200, 0, 0)).all()


@given(st.text(max_size=40))
def test_any_text_is_a_rectangle_or_refused(text: str) -> None:
    try:
        crop = parse_crop(text)
    except InputError:
        return
    assert crop.width > 0
    assert crop.height > 0


@pytest.mark.parametrize(
    "text",
    ["", "1,2,3", "1,2,3,4,5", "1,2,0,4", "-1,0,2,2", "1%,2,3,4", "0%,0%,101%,1%", "nan,0,1,1"],
)
def test_what_is_no_rectangle_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--crop is"):
        parse_crop(text)


def test_a_rectangle_that_leaves_the_image_names_its_size() -> None:
    with pytest.raises(InputError, match="40 x 30 pixels"):
        cut(gradient(40, 30), parse_crop("30,0,11,5"), 40, 30)
