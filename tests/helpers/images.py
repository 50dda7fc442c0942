"""Images of every kind that must be read or refused."""

import io

import numpy as np
from PIL import Image, ImageDraw


def encoded(image: Image.Image, kind: str, **how: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **how)
    file.seek(0)
    return file


def logo(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).rectangle((20, 10, 39, 29), fill=(200, 30, 30))
    return image.convert(mode)


def transparent_palette() -> io.BytesIO:
    image = Image.new("P", (30, 30), 0)
    image.putpalette([0, 0, 0, 200, 30, 30] + [0] * 750)
    image.paste(1, (10, 10, 20, 20))
    return encoded(image, "PNG", transparency=0)


def rgba() -> Image.Image:
    image = Image.new("RGBA", (30, 30), (0, 0, 0, 0))
    image.paste((200, 30, 30, 255), (10, 10, 20, 20))
    return image


def sixteen_bit() -> Image.Image:
    values = np.full((30, 30), 65535, np.uint16)
    values[10:20, 10:20] = 20_000
    return Image.fromarray(values)


def animated() -> io.BytesIO:
    second = Image.new("RGB", (60, 40), "black")
    return encoded(logo(), "GIF", save_all=True, append_images=[second])


def turned() -> io.BytesIO:
    exif = Image.Exif()  # type: ignore[no-untyped-call]  # Pillow leaves it untyped
    exif[0x0112] = 6
    return encoded(logo(), "JPEG", exif=exif, quality=95)


KINDS = {
    "rgba": encoded(rgba(), "PNG"),
    "la": encoded(rgba().convert("LA"), "PNG"),
    "palette": transparent_palette(),
    "cmyk": encoded(logo("CMYK"), "JPEG", quality=95),
    "16-bit": encoded(sixteen_bit(), "PNG"),
    "animated": animated(),
    "1-bit": encoded(logo("1"), "PNG"),
    "grey": encoded(logo("L"), "BMP"),
    "webp": encoded(logo(), "WEBP"),
    "tiff": encoded(logo(), "TIFF"),
}


BAD = {
    "empty": b"",
    "text": b"hello",
    "truncated": encoded(logo(size=(600, 400)), "JPEG").getvalue()[:900],
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "hairline": encoded(Image.new("RGB", (20000, 10)), "PNG").getvalue(),
    "bomb": encoded(Image.new("1", (20000, 20000)), "PNG").getvalue(),
    "cut png": encoded(logo(), "PNG").getvalue()[:60],
}
