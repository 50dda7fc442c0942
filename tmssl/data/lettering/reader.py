"""Reading the lettering of a picture by rapidocr, whose models (PP-OCRv6, Apache 2.0) come in its wheel.

The files of the models are named to it, so that it never asks the network for any.
"""

import functools
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from tmssl.data.lettering.line import LONGEST, MOST_LINES, Line
from tmssl.errors import InputError
from tmssl.types import Pixels

# Of 29 wordmarks of toy marks 0.79 are read exactly with a side of 256, 0.90 with 480 and with 736; a mark takes 0.03, 0.07
# and 0.17 s of a core. Every one is read nearly.
_LEAST_SIDE = 480  # pixels to which a smaller picture is enlarged
_LEAST_SCORE = 0.8
_LEAST_LETTERS = 2  # figures such as rings and crosses are read as one letter

Reader = Callable[[Pixels], list[Line]]
"""From a picture, uint8 (h, w, 3), to its lines from top to bottom."""


def reader_installed() -> bool:
    """Whether the packages that read lettering are installed."""
    return find_spec("rapidocr") is not None and find_spec("onnxruntime") is not None


def check_reader() -> None:
    """Refuse to read lettering without the packages that do it.

    Raises:
        InputError: they are not installed, or the models are missing.
    """
    if not reader_installed():
        raise InputError("to read lettering needs the extra text: pip install 'tmssl[text]'")
    _model("det")
    _model("rec")


def _model(task: str) -> str:
    """The file of the model that comes with rapidocr for a task, `det` or `rec`."""
    import rapidocr

    found = sorted((Path(rapidocr.__file__).parent / "models").glob(f"*_{task}_*.onnx"))
    if not found:
        raise InputError(
            "this rapidocr came without its models; pip install --force-reinstall 'tmssl[text]'"
        )
    return str(found[0])


@functools.cache
def open_reader() -> Reader:
    """The reader of this process, in one thread.

    Raises:
        InputError: the packages or the models are missing.
    """
    check_reader()
    from rapidocr import RapidOCR

    recognize = RapidOCR(
        params={
            "Global.use_cls": False,  # which only turns lines that stand on their head
            "Global.text_score": _LEAST_SCORE,
            "Global.log_level": "critical",
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "Det.limit_side_len": _LEAST_SIDE,
            "Det.model_path": _model("det"),
            "Rec.model_path": _model("rec"),
        }
    )
    return lambda pixels: _lines(recognize(pixels[:, :, ::-1].copy()), pixels.shape)


def _lines(found: Any, shape: tuple[int, ...]) -> list[Line]:
    """What rapidocr found in a picture of a shape (h, w, 3), without what is hardly lettering."""
    if found.boxes is None or found.txts is None:
        return []
    height, width = shape[:2]
    lines = []
    for quad, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
        if sum(map(str.isalnum, text)) < _LEAST_LETTERS:
            continue
        corners = np.clip(quad, 0, (width, height))
        left, top = np.floor(corners.min(axis=0)).astype(int).tolist()
        right, bottom = np.ceil(corners.max(axis=0)).astype(int).tolist()
        if right > left and bottom > top:
            sure = min(1.0, round(float(score), 3))
            lines.append(Line(text.strip()[:LONGEST], left, top, right, bottom, sure))
    return lines[:MOST_LINES]
