"""Files of every kind become the same logo; what cannot be read says why."""

import io
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tmssl.data.preprocess import (
    UnreadableError,
    fit_square,
    ink_box,
    load_image,
    load_square,
    to_rgb,
)

RED = (200, 30, 30)


def encoded(image: Image.Image, kind: str, **how: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **how)
    file.seek(0)
    return file


def on_clear(colour: tuple[int, int, int], opacity: int = 255) -> Image.Image:
    image = Image.new("RGBA", (40, 40), (*colour, 0))
    ImageDraw.Draw(image).rectangle((10, 15, 29, 24), fill=(*colour, opacity))
    return image


def test_a_white_drawing_on_a_transparent_ground_goes_on_black() -> None:
    square = fit_square(load_image(encoded(on_clear((255, 255, 255)), "PNG")), 32)
    assert square[0, 0].max() == 0
    assert square[16, 16].min() == 255


def test_a_dark_or_coloured_drawing_on_a_transparent_ground_goes_on_white() -> None:
    for colour in ((0, 0, 0), RED, (250, 250, 0)):
        pixels = np.asarray(load_image(encoded(on_clear(colour), "PNG")))
        assert pixels[0, 0].min() == 255
        assert tuple(pixels[20, 20]) == colour


@pytest.mark.parametrize("alpha", [0, 255])
def test_an_image_that_shows_nothing_stays_white(alpha: int) -> None:
    clear = Image.new("RGBA", (9, 9), (255, 255, 255, alpha))
    assert np.asarray(load_image(encoded(clear, "PNG"))).min() == 255
    assert np.asarray(to_rgb(Image.new("RGBA", (9, 9), (0, 0, 0, 0)))).min() == 255


def test_half_transparent_ink_is_half_way_to_white() -> None:
    pixels = np.asarray(load_image(encoded(on_clear((0, 0, 0), opacity=128), "PNG")))
    assert abs(int(pixels[20, 20, 0]) - 127) <= 1


def test_sixteen_bit_greys_are_scaled_by_their_depth_not_by_their_brightest() -> None:
    values = np.full((20, 20), 65535, np.uint16)
    values[5:15, 5:15] = 32768
    for kind in ("PNG", "TIFF"):
        assert np.asarray(load_image(encoded(Image.fromarray(values), kind)))[10, 10, 0] == 128
        dark = Image.fromarray(np.full((20, 20), 250, np.uint16))
        assert np.asarray(load_image(encoded(dark, kind))).max() == 1


def test_floating_point_tiffs_are_read_by_the_range_they_use() -> None:
    ramp = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    for scale in (1, 255, 65535):
        pixels = np.asarray(load_image(encoded(Image.fromarray(ramp * scale), "TIFF")))
        assert (pixels.min(), pixels.max()) == (0, 255)
    ramp[3, 3] = np.nan
    assert load_image(encoded(Image.fromarray(ramp), "TIFF")).size == (20, 20)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_once(kind: str, orientation: int) -> None:
    image = Image.new("RGB", (64, 32), "white")
    image.paste(RED, (0, 0, 32, 16))  # the top left quarter
    exif = Image.Exif()  # type: ignore[no-untyped-call]  # Pillow leaves it so
    exif[0x0112] = orientation
    stored = image.transpose(UNDO[orientation]) if orientation > 1 else image
    pixels = np.asarray(load_image(encoded(stored, kind, exif=exif)))
    assert pixels.shape == (32, 64, 3)
    assert pixels[8, 16, 1] < 80
    assert pixels[24, 48, 1] > 200


UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    image = Image.new("RGB", (20, 20), RED)
    (tmp_path / "logo.png").write_bytes(encoded(image, "BMP").getvalue())
    assert np.asarray(load_image(tmp_path / "logo.png"))[5, 5].tolist() == list(RED)


@pytest.mark.parametrize("kind", ["ICO", "PPM", "PDF"])
def test_other_formats_are_not_opened(kind: str) -> None:
    with pytest.raises(UnreadableError, match="not an image of a known format"):
        load_image(encoded(Image.new("RGB", (32, 32)), kind))


def test_a_reason_names_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="No such file") as caught:
        load_image(tmp_path / "gone.png")
    assert str(tmp_path) not in str(caught.value)


def test_a_large_scan_is_read_at_a_fraction_and_warns_nobody() -> None:
    scan = Image.new("L", (7000, 7000), "white")
    scan.paste(0, (3000, 3300, 4000, 3700))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = load_image(encoded(scan, "PNG"))
    assert image.size == (2334, 2334)
    square = fit_square(image, 64)
    assert square[32, 32].max() == 0
    assert square[0, 0].min() == 255


def test_one_pixel_and_a_thin_strip_are_images() -> None:
    assert (fit_square(load_image(encoded(Image.new("RGB", (1, 1), RED), "PNG")), 16) == RED).all()
    strip = fit_square(load_image(encoded(Image.new("RGB", (400, 8), RED), "PNG")), 64)
    assert (strip[32] == RED).all()


def test_ink_that_touches_the_edge_is_kept_whole() -> None:
    image = Image.new("RGB", (100, 50), "white")
    image.paste(RED, (0, 20, 100, 22))
    assert ink_box(np.asarray(image))[::2] == (0, 100)


def test_the_fit_neither_moves_nor_stretches_what_the_margins_were() -> None:
    def drawn(width: int, height: int, left: int, top: int) -> Image.Image:
        image = Image.new("RGB", (width, height), "white")
        ImageDraw.Draw(image).ellipse((left, top, left + 59, top + 29), fill=RED)
        return image

    first = fit_square(drawn(100, 100, 20, 30), 48)
    for other in (drawn(300, 90, 11, 40), drawn(90, 400, 15, 301)):
        assert np.array_equal(fit_square(other, 48), first)


MODES: dict[str, Callable[[Image.Image], Image.Image]] = {
    mode: (lambda image, mode=mode: image.convert(mode))  # type: ignore[misc]  # bound by default
    for mode in ("1", "L", "P", "CMYK", "YCbCr", "RGBA", "LA", "I", "F")
}


@pytest.mark.parametrize("mode", list(MODES))
def test_every_mode_becomes_the_same_square(mode: str) -> None:
    image = Image.new("RGB", (60, 40), "white")
    image.paste((0, 0, 0), (20, 10, 40, 30))
    expected = fit_square(image, 32)
    got = fit_square(to_rgb(MODES[mode](image)), 32)
    assert np.abs(got.astype(int) - expected).max() <= 2


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    code = "import sys, tmssl.data.pack.parts; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    with pytest.raises(UnreadableError):
        load_square(tmp_path, 16)
