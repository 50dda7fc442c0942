"""Files of every kind become the same logo; what cannot be read says why."""

import gzip
import io
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, PngImagePlugin

from tests.helpers.images import encoded, logo
from tmssl.data.flatten import _touched, to_rgb
from tmssl.data.picture import UnreadableError, load_image, load_image_and_shape, picture_square
from tmssl.data.preprocess import fit_square, ink_box

RED = (200, 30, 30)


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
        picture_square(tmp_path, 16)


def beside_white(device: tuple[int, int, int], size: tuple[int, int] = (400, 160)) -> Image.Image:
    """White lettering beside a device of some colour, on transparency."""
    image = Image.new("RGBA", size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for i in range(6):
        draw.rectangle((150 + i * 38, 50, 174 + i * 38, 110), fill=(255, 255, 255, 255))
    draw.ellipse((30, 40, 110, 120), fill=(*device, 255))
    return image


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF", "palette", "resized", "animated"])
def test_white_lettering_beside_a_coloured_device_goes_on_black(kind: str) -> None:
    image = beside_white((220, 30, 30))
    if kind == "palette":
        file = encoded(image.quantize(), "PNG")
    elif kind == "animated":
        file = encoded(image, "WEBP", save_all=True, append_images=[image.rotate(9)], lossless=True)
    elif kind == "resized":  # its edges are mixed with the black under the transparency
        file = encoded(image.resize((331, 133), Image.Resampling.BICUBIC), "PNG")
    else:
        file = encoded(image, kind, **({"lossless": True} if kind == "WEBP" else {}))
    square = picture_square(file, 256).astype(int)
    assert square[0, 0].max() < 30
    assert (square.min(-1) > 220).mean() > 0.05
    assert 0 < ((square[..., 0] > 150) & (square[..., 1] < 90)).mean() < 0.2


@pytest.mark.parametrize("depth", [8, 16])
def test_greys_with_alpha_of_any_depth_keep_their_white_part(depth: int) -> None:
    grey, alpha = np.zeros((2, 60, 220), np.uint8)
    grey[10:50, 10:60], grey[10:50, 80:210] = 100, 255
    alpha[10:50, 10:60] = alpha[10:50, 80:210] = 255
    samples = np.stack([grey, alpha], -1)
    if depth == 16:
        samples = np.repeat(samples, 2, -1)  # both bytes of a sample alike
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 220, 60, depth, 4, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    pixels = np.asarray(load_image(io.BytesIO(data)))
    assert pixels[0, 0].max() == 0
    assert (pixels[30, 30].max(), pixels[30, 100].min()) == (100, 255)


def test_the_ground_that_shows_more_is_taken() -> None:
    draws: list[tuple[int, tuple[int, int, int], tuple[int, int, int], int]] = [
        # width of the left part, its colour, the colour of the right part, level of the ground
        (100, (0, 0, 0), (255, 255, 255), 255),
        (40, (0, 0, 0), (255, 255, 255), 0),
        (40, RED, (255, 255, 255), 0),
        (170, RED, (245, 245, 240), 0),
        (40, RED, (0, 0, 0), 255),
        (100, (250, 250, 0), RED, 255),
    ]
    for width, left, right, ground in draws:
        image = Image.new("RGBA", (220, 60), (0, 0, 0, 0))
        ImageDraw.Draw(image).rectangle((10, 10, 10 + width, 50), fill=(*left, 255))
        ImageDraw.Draw(image).rectangle((20 + width, 10, 209, 50), fill=(*right, 255))
        flat = np.asarray(to_rgb(image))
        assert set(flat[0, 0].tolist()) == {ground}, (width, left, right)


def test_white_inside_or_around_a_coloured_drawing_stays_on_white() -> None:
    badge = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
    ImageDraw.Draw(badge).ellipse((10, 10, 190, 190), fill="white", outline=RED, width=3)
    sticker = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
    ImageDraw.Draw(sticker).rounded_rectangle((10, 10, 190, 190), 30, fill="white")
    ImageDraw.Draw(sticker).line((50, 100, 150, 100), fill=RED, width=4)
    for image in (badge, sticker):
        assert np.asarray(to_rgb(image))[0, 0].min() == 255


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_alpha_of_nothing_everywhere_with_colours_under_it_is_no_alpha(kind: str) -> None:
    image = Image.new("RGB", (40, 40), "white")
    image.paste(RED, (10, 10, 30, 30))
    image.putalpha(0)
    how = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    pixels = np.asarray(load_image(encoded(image, kind, **how)))
    assert tuple(pixels[20, 20]) == RED
    assert pixels[0, 0].min() == 255


def test_parts_wind_through_many_turns() -> None:
    parts = np.zeros((40, 40), bool)
    parts[::2] = True
    parts[1::4, -1] = parts[3::4, 0] = True  # one line to and fro
    end = np.zeros_like(parts)
    end[0, 0] = True
    assert np.array_equal(_touched(end, parts), parts)
    parts[21] = False
    assert _touched(end, parts).sum() == parts[:21].sum()


@pytest.mark.parametrize(
    ("white", "device", "ground"),
    [
        ((100, 20, 190, 80), RED, 0),  # a white half beside a red one, without a gap
        ((30, 70, 190, 90), RED, 0),  # a ribbon that runs out of a disc
        ((100, 20, 186, 80), (0, 0, 0), 255),  # the black part is larger
        ((100, 20, 105, 80), RED, 255),  # a highlight at the outline
    ],
)
def test_white_that_runs_into_the_ground_counts_as_lost(
    white: tuple[int, int, int, int], device: tuple[int, int, int], ground: int
) -> None:
    image = Image.new("RGBA", (200, 100), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rectangle((10, 20, 99, 80), fill=(*device, 255))
    draw.rectangle(white, fill=(255, 255, 255, 255))
    assert set(np.asarray(to_rgb(image))[0, 0].tolist()) == {ground}


def with_long_text(kind: str) -> io.BytesIO:
    """A sound PNG whose metadata of some kind is above the limits of Pillow."""
    text = PngImagePlugin.PngInfo()
    long = "x" * 1_200_000
    if kind == "compressed text":
        text.add_text("Software", long, zip=True)
    elif kind == "compressed XMP":
        text.add_itxt("XML:com.adobe.xmp", long, zip=True)
    elif kind == "plain text":
        text.add_text("Comment", "x" * 70_000_000)
    elif kind == "many texts":
        for i in range(70):
            text.add_text(f"c{i}", "x" * 1_000_000, zip=True)
    image = logo()
    profile = bytes(range(256)) * 5000 if kind == "colour profile" else None
    return encoded(image, "PNG", pnginfo=text, icc_profile=profile)


@pytest.mark.parametrize(
    "kind", ["compressed text", "compressed XMP", "plain text", "many texts", "colour profile"]
)
def test_large_metadata_does_no_harm(kind: str) -> None:
    expected = picture_square(encoded(logo(), "PNG"), 32)
    assert np.array_equal(picture_square(with_long_text(kind), 32), expected)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_damaged_exif_does_no_harm(kind: str) -> None:
    assert load_image(encoded(logo(), kind, exif=b"Exif\0\0garbage")).size == (60, 40)


def test_a_png_keeps_its_orientation_and_transparency_without_its_texts() -> None:
    image = Image.new("P", (40, 20), 0)
    image.putpalette([0, 0, 0, *RED])
    image.paste(1, (0, 0, 10, 20))
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", "x" * 1_200_000, zip=True)
    exif = Image.Exif()  # type: ignore[no-untyped-call]  # Pillow leaves it so
    exif[0x0112] = 6
    pixels = np.asarray(load_image(encoded(image, "PNG", pnginfo=text, transparency=1, exif=exif)))
    assert pixels.shape == (40, 20, 3)
    assert pixels[:10].min() == 255
    assert pixels[10:].max() == 0


def cut(by: int, **how: object) -> tuple[io.BytesIO, io.BytesIO]:
    """A JPEG, and the same without its last bytes."""
    data = encoded(logo(size=(203, 99)), "JPEG", **how).getvalue()
    return io.BytesIO(data), io.BytesIO(data[:-by])


WAYS: list[dict[str, object]] = [
    {},
    {"progressive": True},
    {"quality": 95, "subsampling": 0},
    {"restart_marker_blocks": 4},
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("by", [1, 2])
def test_a_jpeg_that_lacks_only_its_end_marker_is_read_and_said(
    way: dict[str, object], by: int
) -> None:
    whole, without = cut(by, **way)
    image, shape = load_image_and_shape(without)
    assert shape.unfinished
    assert image.tobytes() == load_image(whole).tobytes()
    assert not load_image_and_shape(whole)[1].unfinished


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("by", [8, 40, 200, 900])
def test_a_jpeg_that_lacks_image_data_is_refused(way: dict[str, object], by: int) -> None:
    _, without = cut(by, **way)
    with pytest.raises(UnreadableError):
        load_image(without)


def test_a_progressive_jpeg_that_ends_between_two_scans_is_refused() -> None:
    data = encoded(logo(size=(203, 99)), "JPEG", progressive=True).getvalue()
    scans = [i for i in range(len(data)) if data[i : i + 2] == b"\xff\xda"]
    assert len(scans) > 4
    with pytest.raises(UnreadableError, match="truncated"):
        load_image(io.BytesIO(data[: scans[-1]]))


@pytest.mark.parametrize(
    ("name", "kind", "how"),
    [("AVIF", "AVIF", {"quality": 95}), ("HEIF", "HEIF", {"quality": 95})],
)
def test_avif_and_heic_are_read(name: str, kind: str, how: dict[str, object]) -> None:
    if name == "AVIF":
        pytest.importorskip("pillow_avif")
        file = encoded(logo(), kind, **how)
    else:
        file = io.BytesIO()
        pytest.importorskip("pillow_heif").from_pillow(logo()).save(file, format="HEIF", **how)
        file.seek(0)
    image, shape = load_image_and_shape(file)
    assert (shape.width, shape.height, shape.format) == (60, 40, name)
    expected = np.asarray(logo()).astype(int)
    assert np.abs(np.asarray(image) - expected).mean() < 8


SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'viewBox="0 0 60 40">{}</svg>'
)

DOT = '<circle cx="30" cy="20" r="9"/>'


def svg(inside: str) -> io.BytesIO:
    return io.BytesIO(SVG.format(inside).encode())


@pytest.mark.parametrize("packed", [False, True])
def test_an_svg_is_drawn(packed: bool) -> None:
    data = svg('<rect x="20" y="10" width="20" height="20" fill="#c81e1e"/>').getvalue()
    image, shape = load_image_and_shape(io.BytesIO(gzip.compress(data) if packed else data))
    assert (shape.format, image.size) == ("SVG", (1024, 683))
    expected = fit_square(logo(), 64).astype(int)
    assert np.abs(fit_square(image, 64) - expected).mean() < 8


@pytest.mark.parametrize("font", ["serif", "No Such Font", "Helvetica Neue"])
def test_lettering_of_an_svg_is_drawn_in_some_font(font: str) -> None:
    text = f'<text x="2" y="30" font-size="20" font-family="{font}">ABC</text>'
    assert (np.asarray(load_image(svg(text))) < 128).mean() > 0.02


@pytest.mark.parametrize(
    "reference", ["{}", "file://{}", "../../../../../../../..{}", " {}", "&#47;{}"]
)
@pytest.mark.parametrize("attribute", ["href", "xlink:href", "HREF"])
def test_an_svg_shows_no_other_file(tmp_path: Path, reference: str, attribute: str) -> None:
    Image.new("RGB", (40, 40), "blue").save(tmp_path / "secret.png")
    path = reference.format(tmp_path / "secret.png")
    drawing = svg(f'<image {attribute}="{path}" width="60" height="40"/>')
    with pytest.raises(UnreadableError, match="shows nothing"):
        load_image(drawing)


def test_an_svg_that_hides_a_reference_in_an_entity_is_refused() -> None:
    entity = "<!DOCTYPE svg [<!ENTITY i \"&#60;image href='/x.png'/>\">]>"
    with pytest.raises(UnreadableError, match="entities"):
        load_image(io.BytesIO((entity + SVG.format("&i;")).encode()))
    harmless = '<!DOCTYPE svg [<!ENTITY ns "http://www.w3.org/2000/svg">]>'  # Illustrator's
    assert load_image(io.BytesIO((harmless + SVG.format(DOT)).encode())).size == (1024, 683)


def test_an_svg_that_would_take_hours_is_refused() -> None:
    tenfold = "".join(
        f'<g id="a{i}">' + f'<use xlink:href="#a{i - 1}"/>' * 10 + "</g>" for i in range(1, 9)
    )
    group = '<g id="a0"><rect width="4" height="4"/></g>'
    with pytest.raises(UnreadableError, match="SVG"):
        load_image(svg(f'<defs>{group}{tenfold}</defs><use xlink:href="#a8"/>'))


def test_a_format_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tmssl.data.picture.missing", lambda name: f"{name} needs an extra")
    with pytest.raises(UnreadableError, match="SVG needs an extra"):
        load_image(svg(""))
