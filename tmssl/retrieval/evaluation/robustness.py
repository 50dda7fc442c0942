"""Robustness: whether a changed query (inverted, rotated, cut) still finds its own original."""

import io
from collections.abc import Callable, Mapping

import faiss
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps

from tmssl.data.preprocess import fit_square, ground_colour
from tmssl.retrieval.evaluation.scoring import ScoreKey, mean_score
from tmssl.retrieval.evaluation.task import EvaluationTask
from tmssl.retrieval.index.exact import search_many
from tmssl.retrieval.index.regional import RegionalIndex
from tmssl.retrieval.index.regional_search import search_regions
from tmssl.retrieval.vectors.descriptor import Descriptor
from tmssl.retrieval.vectors.regions import DETAIL, QUERY_REGIONS, cut_regions
from tmssl.retrieval.vectors.word_lines import logo_lines
from tmssl.runs.events import Score
from tmssl.types import Indices

_LIMIT = 300  # queries; each is changed in every way
_AT_ONCE = 64


def _background(image: Image.Image) -> tuple[int, ...]:
    """The background colour of a mark."""
    return tuple(int(value) for value in ground_colour(np.asarray(image)))


def _compressed(image: Image.Image) -> Image.Image:
    """Compressed as a JPEG of quality 20."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=20)
    return Image.open(file).convert("RGB")


def _with_word(image: Image.Image) -> Image.Image:
    """With a word below it."""
    width, height = image.size
    canvas = Image.new("RGB", (width, height + height // 3), _background(image))
    canvas.paste(image, (0, 0))
    ink = (0, 0, 0) if sum(_background(image)) > 382 else (255, 255, 255)
    font = ImageFont.load_default(height / 4)
    ImageDraw.Draw(canvas).text((width / 2, height), "Velmora", ink, font, anchor="ma")
    return canvas


def _rotated(degrees: float) -> Callable[[Image.Image], Image.Image]:
    """A rotation that fills the corners with the background colour."""

    def turn(image: Image.Image) -> Image.Image:
        return image.rotate(
            degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=_background(image)
        )

    return turn


def _cropped(image: Image.Image) -> Image.Image:
    """The upper left two thirds of each side."""
    return image.crop((0, 0, image.width * 2 // 3, image.height * 2 // 3))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "inverted": ImageOps.invert,
    "grey": lambda image: image.convert("L").convert("RGB"),
    "mirrored": ImageOps.mirror,
    "rotated by 15": _rotated(15),
    "rotated by 90": _rotated(90),
    "JPEG": _compressed,
    "with a wordmark": _with_word,
    "a part of it": _cropped,
}

Ranks = Mapping[str, Indices]  # by change


def changed_rows(task: EvaluationTask, seed: int) -> Indices:
    """The queries that are changed: all, or a seeded sample of 300."""
    rows = task.queries
    if len(rows) > _LIMIT:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _LIMIT, replace=False))
    return rows


def changed_ranks(
    task: EvaluationTask,
    descriptor: Descriptor,
    index: faiss.Index,
    rows: Indices,
    regional: RegionalIndex | None = None,
) -> Ranks:
    """Ranks from 0 of the originals of changed queries, at most the longest list length.

    A changed query is cropped to its ink and fitted again, as a user's image is.

    Args:
        task: pack, list lengths and device.
        descriptor: embeds the changed queries.
        index: of its vectors of the pack.
        rows: of the queries.
        regional: searched in place of `index`, by several vectors of each query.
    """
    longest, size = max(task.topk), task.pack.size
    excluded = dict(zip(task.queries.tolist(), task.excluded, strict=True))
    length = min(task.pack.count, longest + max(map(len, excluded.values()), default=0))
    progress = task.start_phase(f"changed queries, {descriptor.name}")
    ranks = {}
    for done, (name, change) in enumerate(CHANGES.items()):
        parts = []
        for begin in range(0, len(rows), _AT_ONCE):
            images = map(Image.fromarray, task.pack.read(rows[begin : begin + _AT_ONCE]))
            changed = [change(image) for image in images]
            if regional is None:
                squares = np.stack([fit_square(image, size) for image in changed])
                vectors = descriptor.embed_images(torch.from_numpy(squares))
                parts.append(search_many(index, vectors, length, device=task.device)[1])
            else:
                parts += [
                    _found_by_regions(image, size, descriptor, regional, length)
                    for image in changed
                ]
            if progress:
                progress(done * len(rows) + begin + len(changed), len(CHANGES) * len(rows))
        listed = np.concatenate(parts)
        of_rows = [
            _rank(of_query, row, excluded[row], longest)
            for of_query, row in zip(listed, rows.tolist(), strict=True)
        ]
        ranks[name] = np.array(of_rows, np.int64)
    return ranks


def _found_by_regions(
    image: Image.Image, size: int, descriptor: Descriptor, regional: RegionalIndex, length: int
) -> Indices:
    """The rows that the regions of an image find, (1, length)."""
    square, detail = fit_square(image, size), fit_square(image, DETAIL * size)
    lines = logo_lines(square) if regional.lettered else []
    images = cut_regions(square, detail, QUERY_REGIONS * regional.regions, lines)[1]
    vectors = descriptor.embed_images(torch.from_numpy(images))
    return search_regions(regional, vectors, length)[1][None]


def _rank(listed: Indices, row: int, excluded: Indices, longest: int) -> int:
    """The rank of a row in a list, from 0, not counting excluded rows; at most `longest`."""
    if row not in listed:
        return longest
    before = listed[: np.flatnonzero(listed == row)[0]]
    return min(longest, int((~np.isin(before, excluded)).sum()))


def robustness(
    task: EvaluationTask, ranks: Ranks, references: Mapping[str, Ranks], *, seed: int = 0
) -> list[Score]:
    """Known-item recall@k of changed queries: the share whose original is among the first k marks.

    The chance level is k / marks.

    Args:
        task: list lengths and pack.
        ranks: of the evaluated encoder.
        references: of those it is compared with, by name.
        seed: of the bootstrap.
    """
    return [
        mean_score(
            ScoreKey("known_item", "copy", change, k),
            (ranks[change] < k).astype(np.float64),
            min(1.0, k / task.pack.count),
            {name: float((of[change] < k).mean()) for name, of in references.items()},
            seed=seed,
        )
        for change in CHANGES
        for k in task.topk
    ]
