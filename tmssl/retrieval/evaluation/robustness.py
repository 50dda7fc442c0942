"""Whether a query that was changed still finds its own original."""

import io
from collections.abc import Callable, Mapping

import faiss
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps

from tmssl.data.preprocess import fit, ground_colour
from tmssl.retrieval.evaluation.metrics import interval
from tmssl.retrieval.evaluation.references import Question
from tmssl.retrieval.index.exact import search_many
from tmssl.retrieval.vectors.baselines import Descriptor
from tmssl.runs.events import Score
from tmssl.types import Indices

_MOST = 300  # queries; each is changed in every way
_AT_ONCE = 64


def _ground(image: Image.Image) -> tuple[int, ...]:
    """The colour around a mark."""
    return tuple(int(value) for value in ground_colour(np.asarray(image)))


def _compressed(image: Image.Image) -> Image.Image:
    """As a JPEG of quality 20."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=20)
    return Image.open(file).convert("RGB")


def _with_word(image: Image.Image) -> Image.Image:
    """With a name below it."""
    width, height = image.size
    canvas = Image.new("RGB", (width, height + height // 3), _ground(image))
    canvas.paste(image, (0, 0))
    ink = (0, 0, 0) if sum(_ground(image)) > 382 else (255, 255, 255)
    font = ImageFont.load_default(height / 4)
    ImageDraw.Draw(canvas).text((width / 2, height), "Velmora", ink, font, anchor="ma")
    return canvas


def _rotated(degrees: float) -> Callable[[Image.Image], Image.Image]:
    """A rotation whose corners are filled with the ground."""

    def turn(image: Image.Image) -> Image.Image:
        return image.rotate(
            degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=_ground(image)
        )

    return turn


def _part(image: Image.Image) -> Image.Image:
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
    "a part of it": _part,
}


Ranks = Mapping[str, Indices]  # by change


def changed_rows(question: Question, seed: int) -> Indices:
    """The queries that are changed: all, or of more than 300 a seeded sample."""
    rows = question.queries
    if len(rows) > _MOST:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _MOST, replace=False))
    return rows


def changed_ranks(question: Question, one: Descriptor, index: faiss.Index, rows: Indices) -> Ranks:
    """Ranks from 0 of the originals of changed queries; those past the longest list have its length.

    A changed query is cropped to its ink and fitted anew, as a picture of a user is.

    Args:
        question: whose pack, list lengths and device.
        one: describes the changed queries.
        index: of its vectors of the pack.
        rows: of the queries.
    """
    longest, found = max(question.topk), {}
    away = dict(zip(question.queries.tolist(), question.away, strict=True))
    reach = min(question.pack.count, longest + max(map(len, away.values()), default=0))
    progress = question.begin(f"changed queries, {one.name}")
    for done, (name, change) in enumerate(CHANGES.items()):
        parts = []
        for begin in range(0, len(rows), _AT_ONCE):
            pictures = map(Image.fromarray, question.pack.read(rows[begin : begin + _AT_ONCE]))
            changed = [fit(change(picture), question.pack.size) for picture in pictures]
            parts.append(one.embed_images(torch.from_numpy(np.stack(changed))))
            if progress:
                progress(done * len(rows) + begin + len(changed), len(CHANGES) * len(rows))
        queries = np.concatenate(parts)
        listed = search_many(index, queries, reach, device=question.device)[1]
        found[name] = np.array(
            [
                _rank(one, row, away[row], longest)
                for one, row in zip(listed, rows.tolist(), strict=True)
            ],
            np.int64,
        )
    return found


def _rank(listed: Indices, row: int, away: Indices, longest: int) -> int:
    """The place of a row in a list, from 0, without those that are left out; at most `longest`."""
    before = listed[: np.flatnonzero(listed == row)[0]] if row in listed else listed
    return min(longest, int((~np.isin(before, away)).sum())) if row in listed else longest


def robustness(
    question: Question, own: Ranks, references: Mapping[str, Ranks], *, seed: int = 0
) -> list[Score]:
    """Known-item recall@k of changed queries: the share whose original is among the first k marks.

    The chance level is k / marks.

    Args:
        question: what is evaluated.
        own: of the evaluated encoder.
        references: of those it is compared with, by name.
        seed: of the bootstrap.
    """
    scores = []
    for change in CHANGES:
        for k in question.topk:
            hits = (own[change] < k).astype(np.float64)
            low, high = interval(hits, seed)
            scores.append(
                Score(
                    metric="known_item",
                    level="copy",
                    codes=change,
                    k=k,
                    value=float(hits.mean()),
                    chance=min(1.0, k / question.pack.count),
                    low=low,
                    high=high,
                    queries=len(hits),
                    references={
                        name: float((ranks[change] < k).mean())
                        for name, ranks in references.items()
                    },
                )
            )
    return scores
