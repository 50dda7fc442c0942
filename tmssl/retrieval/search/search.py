"""Search a run's gallery for the marks that a logo resembles, and name the codes that they share."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from tmssl.data.sources.marks import Mark
from tmssl.data.vienna import title
from tmssl.retrieval.search.gallery import Gallery, embed_query
from tmssl.retrieval.search.logos import STDIN, Logo
from tmssl.retrieval.search.results import (
    SearchMatch,
    SearchRecord,
    SearchResult,
    likely_codes,
    shared_codes,
)
from tmssl.text import safe
from tmssl.types import Mask

_VOTERS = 20  # nearest marks that vote for the likely codes


def find_matches(gallery: Gallery, logo: Logo, k: int, mask: Mask | None = None) -> SearchResult:
    """The marks nearest to a logo.

    A logo that is an image of the catalogue has its codes; for any other the nearest marks vote.

    Args:
        gallery: what is searched.
        logo: what is searched for.
        k: matches wanted, at most the marks of the mask.
        mask: marks that are compared, bool (marks,); None compares all.
    """
    query = embed_query(gallery, logo.pixels)
    manifest = gallery.manifest
    voters = min(_VOTERS, gallery.pack.count)
    similarity, rows = gallery.index.nearest(query, max(k, voters))
    likely = likely_codes(
        [gallery.marks[row].vienna for row in rows[:voters].tolist()],
        manifest.holders,
        manifest.marks,
    )
    if mask is not None:
        similarity, rows = gallery.index.nearest(query, k, mask)
    own_row = _catalogue_row(gallery, logo)
    own = gallery.marks[own_row] if own_row is not None else None
    codes = own.vienna if own else [vote.code for vote in likely]

    def match(rank: int, row: int, cosine: float, mark: Mark) -> SearchMatch:
        shared = shared_codes(codes, mark.vienna, manifest.holders, manifest.marks)
        return SearchMatch(
            rank=rank,
            row=row,
            similarity=cosine,
            own=row == own_row,
            id=mark.id,
            path=mark.path,
            title=mark.title,
            url=mark.url,
            vienna=list(mark.vienna),
            extra=mark.extra,
            shared={code: title(code) for code in shared},
        )

    nearest = zip(rows[:k].tolist(), similarity[:k].tolist(), strict=True)
    return SearchResult(
        file=safe(logo.name, 1000),
        crop=safe(logo.crop, 100),
        sha256=logo.sha256,
        vienna=list(own.vienna) if own else [],
        likely=[] if own else likely,
        matches=[
            match(rank, row, cosine, gallery.marks[row])
            for rank, (row, cosine) in enumerate(nearest, 1)
        ],
    )


def risks(result: SearchResult, above: float) -> SearchResult:
    """The matches of at least a similarity, without the logo itself where it is a mark of the gallery."""
    kept = [match for match in result.matches if match.similarity >= above and not match.own]
    return msgspec.structs.replace(result, matches=kept)


def _catalogue_row(gallery: Gallery, logo: Logo) -> int | None:
    """The row of a logo that is an image of the catalogue, or None."""
    path, root = Path(logo.name).resolve(), Path(gallery.pack.source_root).resolve()
    if logo.name == STDIN or not path.is_relative_to(root):
        return None
    return gallery.marks.row_of(str(path.relative_to(root)))


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
    """
    manifest, pack = gallery.manifest, gallery.pack
    return SearchRecord(
        searched=datetime.now(UTC).isoformat(timespec="seconds"),
        version=version("tmssl"),
        run=str(gallery.run.path.resolve()),
        checkpoint=manifest.checkpoint,
        checkpoint_sha256=manifest.checkpoint_sha256,
        model=manifest.model,
        image_size=manifest.image_size,
        epoch=manifest.epoch,
        index=manifest.index,
        index_sha256=manifest.index_sha256,
        factory=factory,
        engine=safe(engine, 300),
        whitened=gallery.index.exact.d if gallery.index.whitening else 0,
        pack=str(gallery.pack_folder),
        pack_fingerprint=pack.fingerprint,
        marks=pack.count,
        compared=compared,
        vienna=list(vienna),
        where=list(where),
        topk=topk,
        above=above,
        attribution=pack.attribution,
    )
