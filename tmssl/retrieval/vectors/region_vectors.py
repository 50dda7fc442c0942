"""The vectors of the regions of every mark of a pack, beside those of the whole marks."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import nn

from tmssl.data.pack.reader import Pack
from tmssl.data.views.augment import plain_view
from tmssl.errors import CheckpointError
from tmssl.retrieval.vectors.embed import embed_views, inference_copy
from tmssl.retrieval.vectors.regions import Box, cut_regions
from tmssl.retrieval.vectors.word_lines import mark_lines
from tmssl.training.encoder.backbone import feature_count
from tmssl.types import Indices, Pixels, Progress, Vectors

_MARKS = 16  # whose regions are cut together
_AT_ONCE = {"cuda": 256, "cpu": 32}  # images through the encoder, as for whole marks
_CUTTERS, _AHEAD = 2, 4  # threads, and their batches that wait


def embed_regions(
    encoder: nn.Module,
    pack: Pack,
    ranges: Sequence[range],
    count: int,
    *,
    image_size: int,
    device: torch.device,
    lettered: bool = False,
    progress: Progress | None = None,
) -> Iterator[tuple[Indices, Vectors]]:
    """Unit vectors of the regions of each mark of some ranges of rows but its whole, in order.

    While the encoder works on some marks, threads cut the regions of the next. Marks are taken some at a time,
    the first of each range first, so those of a range that begins at a chunk of the pack have the same vectors
    to the bits whichever ranges are embedded beside it.

    Args:
        encoder: from (n, 3, s, s) to (n, f).
        pack: the marks.
        ranges: of rows.
        count: regions of a mark, with the whole, 2 or more.
        image_size: s, the side the encoder was trained at.
        device: where to run it.
        lettered: whether lines of words are taken from the lettering of the pack too, all of which was read.
        progress: called with (marks done, marks that are embedded).

    Yields:
        Rows (m,) of one range, and float32 (m, count - 1, f), zeros for regions that a mark lacks.

    Raises:
        CheckpointError: the encoder's features are not finite.
        PackError: the pack or its lettering is damaged.
    """
    width, done, total = feature_count(encoder), 0, sum(map(len, ranges))
    encoder = inference_copy(encoder, device)
    batches = [
        np.arange(begin, min(begin + _MARKS, rows.stop))
        for rows in ranges
        for begin in range(rows.start, rows.stop, _MARKS)
    ]

    def cut(rows: Indices) -> tuple[list[int], Pixels]:
        lines: list[list[Box]] = mark_lines(pack, rows.tolist()) if lettered else [[] for _ in rows]
        parts = [
            cut_regions(square, square, count, of_mark)[1][1:]
            for square, of_mark in zip(pack.read(rows), lines, strict=True)
        ]
        return [len(part) for part in parts], np.concatenate(parts)

    with ThreadPoolExecutor(_CUTTERS, thread_name_prefix="regions") as cutters:
        ahead = deque(cutters.submit(cut, rows) for rows in batches[:_AHEAD])
        for number, rows in enumerate(batches):
            found, images = ahead.popleft().result()
            if number + _AHEAD < len(batches):
                ahead.append(cutters.submit(cut, batches[number + _AHEAD]))
            vectors = np.zeros((len(rows), count - 1, width), np.float32)
            if len(images):  # marks without ink have no regions
                there = np.arange(count - 1) < np.array(found)[:, None]
                vectors[there] = describe_images(encoder, images, image_size, device)
            done += len(rows)
            if progress:
                progress(done, total)
            yield rows, vectors


def describe_images(
    encoder: nn.Module, images: Pixels, image_size: int, device: torch.device
) -> Vectors:
    """Unit vectors (n, f) of images, uint8 (n, h, w, 3), by an `inference_copy` of an encoder.

    The last batch is filled up, so that a vector does not depend on how many images there are.

    Raises:
        CheckpointError: the encoder's features are not finite.
    """
    at_once = _AT_ONCE[device.type]
    parts = []
    for begin in range(0, len(images), at_once):
        part = images[begin : begin + at_once]
        views = plain_view(torch.from_numpy(part).to(device), image_size)
        filling = views[-1:].expand(at_once - len(part), -1, -1, -1)
        parts.append(embed_views(encoder, torch.cat([views, filling]))[: len(part)])
    vectors = np.concatenate(parts)
    if not np.isfinite(vectors).all():
        raise CheckpointError(
            "the encoder's features are not finite numbers; evaluate an earlier checkpoint"
        )
    return vectors
