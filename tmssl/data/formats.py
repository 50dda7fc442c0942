"""The formats of pictures: told by their first bytes, and which of them can be read on this machine."""

import functools
import importlib
import importlib.util
import re
from collections.abc import Callable

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF", "SVG")
PILLOW_FORMATS = FORMATS[:6]
"""read by Pillow alone"""
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"})
OTHER_SUFFIXES = {
    ".svg": "SVG",
    ".svgz": "SVG",
    ".avif": "AVIF",
    ".heic": "HEIF",
    ".heif": "HEIF",
}
HEAD_BYTES = 1024  # of a file that tell its format; an SVG may begin with comments

# Files beside images by the hundred thousand, which are not opened to see whether they are images.
_TEXTS = frozenset({".cls", ".csv", ".html", ".json", ".jsonl", ".md", ".tsv", ".txt", ".xml"})
_MODULES = {"AVIF": "pillow_avif", "HEIF": "pillow_heif", "SVG": "resvg_py"}
_PACKAGES = {"AVIF": "pillow-avif-plugin", "HEIF": "pillow-heif", "SVG": "resvg-py"}
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"})
_SVG = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:svg|\?xml|!--|!DOCTYPE svg)[\s>]?")
_SVG_ELEMENT = re.compile(rb"<svg[\s>]")


def sniff(head: bytes) -> str:
    """The format of a picture by its first bytes, one of FORMATS; empty for anything else.

    Args:
        head: the first HEAD_BYTES of a file, or all of a shorter one.
    """
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and len(head) >= 18 and head[15:18] == bytes(3):
        return "BMP"  # two letters are few; the size of its second header is below 256 bytes
    if head[4:8] == b"ftyp":
        brands = {head[i : i + 4] for i in range(8, min(len(head), head[3]), 4)}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        return "HEIF" if brands & _HEIF_BRANDS else ""
    return "SVG" if _SVG.match(head) and _SVG_ELEMENT.search(head) else ""


@functools.cache
def missing(name: str) -> str:
    """What to install before a format can be read, in a few words; empty where it can be read."""
    module = _MODULES.get(name)
    if module is None or importlib.util.find_spec(module):
        return ""
    if name == "AVIF" and _pillow_reads_avif():
        return ""
    return f"{name} needs {_PACKAGES[name]}: pip install 'tmssl[formats]'"


@functools.cache
def _pillow_reads_avif() -> bool:
    """Whether Pillow was built with AVIF, as its wheels are from 11.3 on."""
    try:
        plugin = importlib.import_module("PIL.AvifImagePlugin")
    except ImportError:
        return False
    return bool(plugin.SUPPORTED)


def load_avif() -> None:
    """Make Pillow know AVIF.

    Raises:
        ImportError: nothing here reads it.
    """
    if not _pillow_reads_avif():
        importlib.import_module("pillow_avif")


def suffix_of(name: str) -> str:
    """The suffix of a file's name or path, in lower case, with its dot; empty where there is none."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot > name.rfind("/") + 1 else ""


def why_no_image(name: str, head: Callable[[], bytes]) -> str:
    """Why a file is no picture that can be read here: its suffix, or what it needs; empty if it is one.

    Args:
        name: of the file; its suffix spares a look inside.
        head: gives the first HEAD_BYTES of the file.
    """
    suffix = suffix_of(name)
    if suffix in SUFFIXES:
        return ""
    if suffix in OTHER_SUFFIXES:
        return missing(OTHER_SUFFIXES[suffix])
    found = sniff(head()) if suffix not in _TEXTS else ""
    if found:
        return missing(found)
    return suffix or "no suffix"


def is_image(name: str) -> bool:
    """Whether a file has the suffix of a picture that can be read here."""
    return not why_no_image(name, bytes)
