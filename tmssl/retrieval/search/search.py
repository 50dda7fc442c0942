"""Search a run's gallery for the marks that a logo resembles, and name the codes that they share."""

import dataclasses
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from tmssl.data.lettering.line import joined
from tmssl.data.lettering.pack_lettering import PackLettering
from tmssl.data.lettering.reader import open_reader
from tmssl.data.sources.marks import Mark
from tmssl.data.vienna import title
from tmssl.errors import InputError
from tmssl.retrieval.index.regional import RegionalIndex
from tmssl.retrieval.search.combined import Comparison, best_rows, likenesses, with_codes
from tmssl.retrieval.search.compared import compared_regions
from tmssl.retrieval.search.gallery import Gallery, embed_query_regions
from tmssl.retrieval.search.logos import STDIN, Logo
from tmssl.retrieval.search.results import (
    NOTE,
    WEIGHED_NOTE,
    LikelyCode,
    SearchMatch,
    SearchRecord,
    SearchResult,
    likely_codes,
    shared_codes,
)
from tmssl.retrieval.search.text_similarity import plain_form
from tmssl.retrieval.search.weights import Weights, weighted_mean
from tmssl.retrieval.vectors.regions import Region
from tmssl.text import safe
from tmssl.types import Indices, Mask, Vectors
from tmssl.version import __version__

_VOTERS = 20  # nearest marks that vote for the likely codes


class _Found(NamedTuple):
    """What a search found, before it is told."""

    rows: Indices
    """of the matches, nearest first"""
    similarity: Vectors
    """of them"""
    parts: dict[str, Vectors]
    """kind of likeness to that of every mark; none where the picture alone is compared"""
    codes: Sequence[str]
    """of the logo, or the likely ones"""
    likely: list[LikelyCode]


def find_matches(
    gallery: Gallery,
    logo: Logo | None,
    k: int,
    mask: Mask | None = None,
    comparison: Comparison | None = None,
) -> SearchResult:
    """The marks nearest to a logo, a text, or both.

    Codes that are not given are those of a logo that is an image of the catalogue; for any other the nearest
    marks vote. Where texts are compared and none is given, a logo's own is.

    Args:
        gallery: what is searched.
        logo: what is searched for; None where a text alone is.
        k: matches wanted, at most the marks of the mask.
        mask: marks that are compared, bool (marks,); None compares all.
        comparison: what is compared besides the picture; None compares pictures alone.
    """
    own_row = _catalogue_row(gallery, logo) if logo else None
    own = gallery.marks[own_row] if own_row is not None else None
    regions, vectors = embed_query_regions(gallery, logo) if logo else ([], None)
    if comparison is not None:
        text = comparison.text or _text_of(logo, own, comparison)
        comparison = dataclasses.replace(comparison, text=text)
        found = _by_likenesses(gallery, vectors, k, mask, own, comparison)
    else:
        assert vectors is not None
        found = _by_picture(gallery, vectors, k, mask, own)
    matches, given = _matches(gallery, found, own_row), comparison.codes if comparison else ()
    if vectors is not None and gallery.index.regional is not None:
        matches = _with_regions(gallery, gallery.index.regional, regions, vectors, matches)
    return msgspec.structs.replace(
        asked(logo, comparison.text if comparison else ""),
        vienna=list(given or (own.vienna if own else [])),
        likely=[] if own or given else found.likely,
        matches=matches,
    )


def asked(logo: Logo | None, text: str) -> SearchResult:
    """What was searched for, a logo, a text or both, without matches."""
    return SearchResult(
        file=safe(logo.name, 1000) if logo else "",
        crop=safe(logo.crop, 100) if logo else "",
        text=safe(text, 200),
        sha256=logo.sha256 if logo else "",
    )


def _by_picture(
    gallery: Gallery, vectors: Vectors, k: int, mask: Mask | None, own: Mark | None
) -> _Found:
    """The marks nearest to a picture, by the vectors of its regions."""
    voters = min(_VOTERS, gallery.pack.count)
    similarity, rows = gallery.index.nearest(vectors, max(k, voters))
    likely = _vote(gallery, rows[:voters])
    if mask is not None:
        similarity, rows = gallery.index.nearest(vectors, k, mask)
    codes = own.vienna if own else [vote.code for vote in likely]
    return _Found(rows[:k], similarity[:k], {}, codes, likely)


def _by_likenesses(
    gallery: Gallery,
    vectors: Vectors | None,
    k: int,
    mask: Mask | None,
    own: Mark | None,
    comparison: Comparison,
) -> _Found:
    """The marks of the highest weighted mean of likenesses; codes that are unknown are voted by the others."""
    weights, parts = comparison.weights, likenesses(gallery, vectors, comparison)
    voters = best_rows(weighted_mean(parts, weights), _VOTERS) if parts else np.empty(0, np.int64)
    likely = _vote(gallery, voters)
    voted = own.vienna if own else [vote.code for vote in likely]
    codes = comparison.codes or voted
    parts = with_codes(gallery, parts, codes, weights)
    if not parts:
        raise InputError(
            "nothing that was given weighs anything; give --weights for what is compared"
        )
    similarity = weighted_mean(parts, weights)
    rows = best_rows(similarity, k, mask)
    return _Found(rows, similarity[rows], parts, codes, likely)


def _text_of(logo: Logo | None, own: Mark | None, comparison: Comparison) -> str:
    """The text of a logo: that of the register where it is a mark of the gallery, else what is read in its picture."""
    if logo is None or comparison.texts is None:
        return ""
    if own is not None and plain_form(own.title):
        return own.title
    text = joined(open_reader()(logo.pixels))
    return text if plain_form(text) else ""


def _vote(gallery: Gallery, rows: Indices) -> list[LikelyCode]:
    """The codes that some marks vote for."""
    manifest = gallery.manifest
    codes = [gallery.marks[row].vienna for row in rows.tolist()]
    return likely_codes(codes, manifest.holders, manifest.marks)


def _matches(gallery: Gallery, found: _Found, own_row: int | None) -> list[SearchMatch]:
    """What was found, with what is known of each mark."""
    manifest = gallery.manifest
    read = PackLettering(gallery.pack_folder, gallery.pack).lines(found.rows.tolist())

    def match(rank: int, row: int, similarity: float, mark: Mark) -> SearchMatch:
        shared = shared_codes(found.codes, mark.vienna, manifest.holders, manifest.marks)
        return SearchMatch(
            rank=rank,
            row=row,
            similarity=similarity,
            parts={n: float(part[row]) for n, part in found.parts.items() if not isnan(part[row])},
            own=row == own_row,
            id=mark.id,
            path=mark.path,
            title=mark.title,
            lettering=joined(read[rank - 1]),
            url=mark.url,
            vienna=list(mark.vienna),
            extra=mark.extra,
            shared={code: title(code) for code in shared},
        )

    nearest = zip(found.rows.tolist(), found.similarity.tolist(), strict=True)
    return [
        match(rank, row, similarity, gallery.marks[row])
        for rank, (row, similarity) in enumerate(nearest, 1)
    ]


def _with_regions(
    gallery: Gallery,
    regional: RegionalIndex,
    regions: Sequence[Region],
    vectors: Vectors,
    matches: Sequence[SearchMatch],
) -> list[SearchMatch]:
    """The same matches with the regions that were compared; those of the logo have these vectors."""
    rows = [match.row for match in matches]
    pairs = compared_regions(regional, gallery.images, regions, vectors, rows)
    return [
        msgspec.structs.replace(match, logo_region=of_logo, region=of_mark)
        for match, (of_logo, of_mark) in zip(matches, pairs, strict=True)
    ]


def risks(result: SearchResult, above: float) -> SearchResult:
    """The matches of at least a similarity, without the logo itself where it is a mark of the gallery."""
    kept = [match for match in result.matches if match.similarity >= above and not match.own]
    return msgspec.structs.replace(result, matches=kept)


def _catalogue_row(gallery: Gallery, logo: Logo) -> int | None:
    """The row of a logo that is an image of the catalogue, or None."""
    path, root = Path(logo.name).resolve(), Path(gallery.pack.source_root).resolve()
    elsewhere = (
        not path.is_relative_to(root) and not gallery.pack.changes
    )  # none was added from there
    if logo.name == STDIN or elsewhere:
        return None
    return gallery.marks.row_of(os.path.relpath(path, root))


def new_record(
    gallery: Gallery,
    topk: int,
    compared: int,
    *,
    vienna: Sequence[str],
    where: Sequence[str],
    factory: str = "",
    engine: str = "",
    above: float | None = None,
    weights: Weights | None = None,
) -> SearchRecord:
    """The record of a search that begins now, without results yet.

    Args:
        gallery: what is searched.
        topk: matches wanted for each logo.
        compared: marks that pass the filters.
        vienna: codes of the filter.
        where: conditions of the filter, as given.
        factory: of the approximate index; empty where there is none.
        engine: address and collection of the engine that is searched; empty where there is none.
        above: least similarity of a match; None lists the nearest, however far.
        weights: of the likenesses; None where pictures alone are compared.
    """
    manifest, pack = gallery.manifest, gallery.pack
    return SearchRecord(
        searched=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        run=str(gallery.run.path.resolve()),
        checkpoint=manifest.checkpoint,
        checkpoint_sha256=manifest.checkpoint_sha256,
        model=manifest.model,
        image_size=manifest.image_size,
        epoch=manifest.epoch,
        index=manifest.index,
        index_sha256=manifest.index_sha256,
        factory="" if weights else factory,  # which such a search does not ask
        engine=safe(engine, 300),
        views=gallery.index.views,
        whitened=gallery.index.exact.d if gallery.index.whitening else 0,
        pack=str(gallery.pack_folder),
        pack_fingerprint=pack.fingerprint,
        marks=pack.count,
        compared=compared,
        vienna=list(vienna),
        where=list(where),
        topk=topk,
        above=above,
        weights=weights._asdict() if weights else {},
        note=WEIGHED_NOTE if weights else NOTE,
        attribution=pack.attribution,
    )
