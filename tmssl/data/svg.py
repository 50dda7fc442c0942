"""Drawing an SVG by resvg, in a process of its own with limits, since a few lines can ask for hours.

Nothing outside the file is read: references to other files and addresses are removed, and entities
that could hide one are refused.
"""

import functools
import importlib.util
import io
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tmssl.data.mending import unpacked
from tmssl.system import limits_address_space

SIDE = 1024  # pixels of the longer side of a drawing

_MAX_BYTES = 1 << 24  # of the text
_CPU_S = 10
_MEMORY = 2 << 30  # bytes of address space, of which the interpreter maps a part
_WAIT_S = 60  # a busy machine gives a process little of its time

_OUTER_REFERENCE = re.compile(r"""(href\s*=\s*)(["'])(?!\s*#|\s*data:)[^"']*\2""", re.IGNORECASE)
_HIDING_ENTITY = re.compile(r"<!ENTITY[^>]*?(?:[&<%]|\bSYSTEM\b|\bPUBLIC\b)", re.IGNORECASE)
_DRAW = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[3]),) * 2)
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[4]),) * 2)
sys.path.append(sys.argv[1])
import resvg_py
side = int(sys.argv[2])
text = sys.stdin.buffer.read().decode()
sys.stdout.buffer.write(bytes(resvg_py.svg_to_bytes(
    svg_string=text, width=side, height=side, font_dirs=[sys.argv[5]], font_family="DejaVu Serif",
    serif_family="DejaVu Serif", sans_serif_family="DejaVu Sans", monospace_family="DejaVu Sans Mono",
)))
"""


def draw_svg(data: bytes) -> Image.Image:
    """An SVG, gzipped or not, as RGBA; its longer side is 1024 pixels.

    Raises:
        ValueError: it is damaged, too large, shows nothing or takes too long.
        ImportError: resvg is not installed.
    """
    found = importlib.util.find_spec("resvg_py")
    if found is None or found.origin is None:
        raise ImportError("resvg_py")
    text = _text(unpacked(data, _MAX_BYTES))
    if _HIDING_ENTITY.search(text):
        raise ValueError("an SVG whose entities hold markup or name files")
    text = _OUTER_REFERENCE.sub(r"\1\2\2", text)
    folder = Path(found.origin).parent.parent
    command = [sys.executable, "-I", "-S", "-c", _DRAW, str(folder)]
    memory = _MEMORY if limits_address_space() else -1  # which is no limit
    settings = [str(SIDE), str(_CPU_S), str(memory), _fonts()]
    try:
        done = subprocess.run(
            [*command, *settings],
            input=text.encode(),
            capture_output=True,
            timeout=_WAIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError("an SVG that takes too long to draw") from error
    if done.returncode < 0:
        raise ValueError("an SVG that takes too long or too much memory to draw")
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise ValueError(f"an SVG that cannot be drawn: {last.partition(': ')[2] or last}")
    image = Image.open(io.BytesIO(done.stdout), formats=("PNG",))
    if image.getchannel("A").getbbox() is None:
        raise ValueError("an SVG that shows nothing")
    return image


@functools.cache
def _fonts() -> str:
    """The folder of matplotlib's fonts, which stand in for those that a machine lacks."""
    found = importlib.util.find_spec("matplotlib")
    return str(Path(found.origin).parent / "mpl-data/fonts/ttf") if found and found.origin else ""


def _text(data: bytes) -> str:
    """The text of an SVG, which is UTF-8 or begins with the mark of UTF-16."""
    if len(data) > _MAX_BYTES:
        raise ValueError(f"an SVG above the limit of {_MAX_BYTES:,} bytes")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError("an SVG that is not UTF-8") from error
    return re.sub(r"^\s*<\?xml.*?\?>", "", text, count=1, flags=re.DOTALL)
