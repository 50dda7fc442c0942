"""One ranking of the marks by picture, text and shared Vienna codes."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tmssl.data.lettering.pack_lettering import PackLettering
from tmssl.data.lettering.reader import check_reader
from tmssl.data.vienna import at_level, parse_code
from tmssl.errors import InputError
from tmssl.retrieval.search.gallery import Gallery
from tmssl.retrieval.search.results import rarity
from tmssl.retrieval.search.text_similarity import MarkTexts, check_text_extra, mark_texts
from tmssl.retrieval.search.weights import Weights
from tmssl.types import Indices, Mask, Vectors


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is compared besides the picture."""

    weights: Weights
    text: str = ""
    """that is searched for; empty compares no text"""
    texts: MarkTexts | None = None
    """of the marks, where a text is searched for"""
    codes: Sequence[str] = ()
    """of the logo, where they are given"""


def open_comparison(
    gallery: Gallery, weights: Weights, *, text: str = "", codes: Sequence[str] = ()
) -> Comparison:
    """What a search compares besides the picture.

    Args:
        gallery: what is searched.
        weights: of the likenesses.
        text: that is searched for; empty takes the text of each logo, where texts weigh something.
        codes: Vienna codes of the logo, where they are known.

    Raises:
        CodeError: a code does not parse.
        InputError: a text or codes that weigh nothing, no mark has a text, or the extra is missing.
    """
    for name, value in {"text": text, "codes": codes}.items():
        if value and not getattr(weights, name):
            raise InputError(f"--{name} is given and --weights lack {name}; add such as {name}=0.3")
    parsed = [parse_code(code) for code in codes]
    if not weights.text:
        return Comparison(weights, codes=parsed)
    check_text_extra()
    if not text:  # that of each logo is read
        check_reader()
    lettering = PackLettering(gallery.pack_folder, gallery.pack)
    texts = lettering.texts() if lettering.any_read() else []
    return Comparison(weights, text, mark_texts(gallery.marks, texts), parsed)


def likenesses(
    gallery: Gallery, vectors: Vectors | None, comparison: Comparison
) -> dict[str, Vectors]:
    """The similarity of every mark in picture and text, (n,) each; only kinds that are asked for and weigh something.

    Args:
        gallery: what is searched.
        vectors: of the regions of the picture, (q, f), the whole first; None compares no picture.
        comparison: the text and the weights.
    """
    parts = {}
    if vectors is not None and comparison.weights.picture:
        everything = np.ones(gallery.pack.count, np.bool_)  # with a mask the search is exact
        similarity, rows = gallery.index.nearest(vectors, gallery.pack.count, everything)
        parts["picture"] = np.full(gallery.pack.count, -1, np.float32)
        parts["picture"][rows] = similarity
    if comparison.texts is not None and comparison.text and comparison.weights.text:
        parts["text"] = comparison.texts.similarity(comparison.text)
    return parts


def code_similarity(
    codes: Iterable[str],
    codes_per_mark: Sequence[tuple[str, ...]],
    holders: Mapping[str, int],
    gallery: int,
) -> Vectors:
    """The Jaccard index of the Vienna divisions of a logo and of each mark, (n,), each weighted by its rarity.

    It is NaN for a mark without any.

    Args:
        codes: of the logo.
        codes_per_mark: of the marks.
        holders: division to the number of marks that have it.
        gallery: number of marks.
    """
    own = at_level(codes, "division")

    def jaccard(other: tuple[str, ...]) -> float:
        divisions = at_level(other, "division")
        if not divisions:
            return math.nan
        common = sum(rarity(code, holders, gallery) for code in own & divisions)
        either = sum(rarity(code, holders, gallery) for code in own | divisions)
        return common / either if either else 0.0

    known = {each: jaccard(each) for each in set(codes_per_mark)}
    return np.fromiter(map(known.__getitem__, codes_per_mark), np.float32, len(codes_per_mark))


def best_rows(similarity: Vectors, k: int, mask: Mask | None = None) -> Indices:
    """The k marks of the highest similarity, falling; among equals the lower row is first.

    Args:
        similarity: of every mark, (n,).
        k: at most the marks of the mask.
        mask: the marks that count, bool (n,); None counts all.
    """
    rows = np.arange(len(similarity)) if mask is None else np.flatnonzero(mask)
    order = np.argsort(-similarity[rows], kind="stable")[:k]
    return rows[order]


def with_codes(
    gallery: Gallery, parts: dict[str, Vectors], codes: Sequence[str], weights: Weights
) -> dict[str, Vectors]:
    """The likenesses with that of the codes, where they weigh something and the logo has any."""
    if not weights.codes or not codes:
        return parts
    manifest = gallery.manifest
    alike = code_similarity(codes, gallery.marks.codes(), manifest.holders, manifest.marks)
    return {**parts, "codes": alike}
