"""What text and codes add to pictures, by groups: `python -m tests.bench.words RUN [--help]`.

The queries are the marks of the validation split (or of all) that have a mate of their group in the gallery. Each is
compared with all other marks in picture, text (its lettering, `tmssl pack --lettering`, or its title) and codes, and the
marks are ranked by the weighted mean, as `tmssl search --weights` ranks them. A row is one set of weights: recall@10 and
the mean average precision of the mates, each with its lead over pictures alone and a 95 % bootstrap interval of it.

Toy marks give each owner a word of its own, as no register does. `--shared N` lets N owners have each word, so that a
text alone finds strangers too.
"""

import argparse
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tmssl.data.lettering.pack_lettering import PackLettering
from tmssl.retrieval.search.combined import code_similarity
from tmssl.retrieval.search.gallery import Gallery, open_gallery
from tmssl.retrieval.search.results import likely_codes
from tmssl.retrieval.search.text_similarity import MarkTexts, plain_form
from tmssl.retrieval.search.weights import Weights, weighted_mean
from tmssl.runs.folder import Run
from tmssl.toy.lettering import invent_word
from tmssl.types import Floats, Indices, Vectors

_K = 10
_VOTERS = 20
_GRID = (
    Weights(1),
    Weights(0, 1),
    Weights(0, 0, 1),
    *(Weights(1, text) for text in (0.1, 0.2, 0.3, 0.5, 0.7, 1, 2)),
    *(Weights(1, 0, codes) for codes in (0.1, 0.2, 0.5, 1)),
    *(Weights(1, text, codes) for text in (0.2, 0.3, 0.5) for codes in (0.1, 0.2, 0.5)),
)


class Likenesses(NamedTuple):
    """One query and the likeness of every mark to it."""

    row: int
    mates: Indices
    parts: Mapping[str, Vectors]
    has_text: bool


def texts_of(gallery: Gallery, kind: str, shared: int) -> list[str]:
    """The lettering or title of each mark; with `shared` above 1 the words of several groups are one."""
    if kind == "title":
        texts = gallery.marks.column("title", str, "")
    else:
        texts = PackLettering(gallery.pack_folder, gallery.pack).texts()
    if shared < 2:
        return texts
    groups = gallery.marks.column("group", str, "")
    numbers = {group: i // shared for i, group in enumerate(sorted(set(groups)))}
    words = [invent_word(random.Random(f"shared {i}")) for i in range(len(numbers))]
    return [
        words[numbers[group]] if text else "" for text, group in zip(texts, groups, strict=True)
    ]


def likenesses(gallery: Gallery, texts: Sequence[str], codes: str) -> list[Likenesses]:
    """Every query with the likeness of every mark; `codes` says whether its codes are its own or voted."""
    marks, count = gallery.marks, gallery.pack.count
    groups, splits = marks.column("group", str, ""), marks.column("split", str, "")
    held_out = [row for row, split in enumerate(splits) if split == "validation"]
    vectors = gallery.index.exact.reconstruct_n(0, count)
    of_marks, codes_per_mark = MarkTexts([texts]), marks.codes()
    manifest = gallery.manifest
    found = []
    for row in held_out or range(count):
        mates = np.array([i for i, g in enumerate(groups) if g and g == groups[row] and i != row])
        if not len(mates):
            continue
        parts = {"picture": np.asarray(vectors @ vectors[row], np.float32)}
        has_text = bool(plain_form(texts[row]))
        if has_text:
            parts["text"] = of_marks.similarity(texts[row])
        own: Sequence[str] = codes_per_mark[row]
        if codes == "likely":
            nearest = np.argsort(-parts["picture"], kind="stable")[1 : _VOTERS + 1]
            votes = [codes_per_mark[i] for i in nearest]
            own = [vote.code for vote in likely_codes(votes, manifest.holders, manifest.marks)]
        parts["codes"] = code_similarity(own, codes_per_mark, manifest.holders, manifest.marks)
        found.append(Likenesses(row, mates, parts, has_text))
    return found


def scores(query: Likenesses, weights: Weights) -> tuple[float, float]:
    """Recall@10 and average precision of the mates of a query; ties are counted worst."""
    counted = {name: part for name, part in query.parts.items() if getattr(weights, name)}
    alike = weighted_mean(counted, weights) if counted else np.zeros(len(query.parts["picture"]))
    similarity = np.round(alike.astype(np.float64), 6)
    similarity[query.row] = -np.inf
    of_mates = np.sort(similarity[query.mates])[::-1]
    ranks = np.array([(similarity >= one).sum() for one in of_mates])
    recall = (ranks <= _K).sum() / min(_K, len(ranks))
    return float(recall), float((np.arange(1, len(ranks) + 1) / ranks).mean())


def lead(values: Floats, before: Floats) -> str:
    """How much more these are than others of the same queries, with a 95 % bootstrap interval."""
    more = values - before
    generator = np.random.default_rng(0)
    means = more[generator.integers(0, len(more), (2000, len(more)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{more.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def main() -> None:
    """Print a row for each set of weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--text", choices=("lettering", "title"), default="lettering")
    parser.add_argument("--codes", choices=("own", "likely"), default="likely")
    parser.add_argument("--shared", type=int, default=1, metavar="N")
    parser.add_argument("--checkpoint", default="best")
    options = parser.parse_args()
    gallery = open_gallery(Run(options.run.resolve()), checkpoint=options.checkpoint)
    texts = texts_of(gallery, options.text, options.shared)
    queries = likenesses(gallery, texts, options.codes)
    has_text = sum(query.has_text for query in queries)
    print(f"{len(queries)} queries, {has_text} with text, {gallery.pack.count} marks")
    print("| picture | text | codes | recall@10 | lead | mAP | lead |\n" + "|---" * 7 + "|")
    before = np.array([scores(query, Weights(1)) for query in queries]).T
    for weights in _GRID:
        figures = np.array([scores(query, weights) for query in queries]).T
        row = [f"{weight:g}" for weight in weights]
        for one, other in zip(figures, before, strict=True):
            row += [f"{one.mean():.3f}", lead(one, other)]
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
