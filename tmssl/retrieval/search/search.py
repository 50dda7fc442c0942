"""Search a run's index for the marks that a logo resembles, and say why each was found."""

import contextlib
import dataclasses
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import faiss
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tmssl.config import read_config
from tmssl.data.pack.facts import Facts, open_rows, read_facts
from tmssl.data.preprocess import UnreadableError, picture_square
from tmssl.data.sources.folder import SUFFIXES
from tmssl.data.sources.marks import MarkTable
from tmssl.data.vienna import title
from tmssl.data.views.views import plain_view
from tmssl.errors import InputError
from tmssl.retrieval.index.exact import search_approximate, search_one
from tmssl.retrieval.index.faiss_index import open_index
from tmssl.retrieval.search.manifest import IndexManifest, find_manifest
from tmssl.retrieval.search.results import (
    Answer,
    SearchMatch,
    SearchRecord,
    likely_codes,
    shared_codes,
)
from tmssl.retrieval.search.traced_encoder import load_traced_encoder
from tmssl.runs.folder import Run
from tmssl.text import safe
from tmssl.types import Mask, Pixels, Vectors

VOTERS = 20  # nearest marks that say which codes are likely
_STDIN = "-"


@dataclasses.dataclass(frozen=True)
class Logo:
    """An image to search for."""

    name: str
    """its path, or `-` for standard input"""
    sha256: str
    """of the file"""
    pixels: Pixels


@dataclasses.dataclass(frozen=True)
class Gallery:
    """A run's marks, ready to be searched."""

    run: Run
    folder: Path
    """of the pack"""
    facts: Facts
    card: IndexManifest
    rows: MarkTable
    index: faiss.Index
    """the same marks along their leading directions, where they are many"""
    encode: Callable[[Tensor], Tensor]
    """from a view, float32 (1, 3, s, s), to features (1, f), on the CPU"""
    whiten: Callable[[Vectors], Vectors] | None = None
    """what brings a unit vector (1, f) to the features of the index, where that is whitened"""
    approximate: faiss.Index | None = None
    """what is searched instead where no filter applies"""


def find_logos(sources: Sequence[str]) -> list[tuple[str, bool]]:
    """Paths to search for, each with whether it was named rather than found in a folder.

    Raises:
        InputError: nothing is there, a folder without images, or standard input named twice.
    """
    if list(sources).count(_STDIN) > 1:
        raise InputError("standard input is one image; give - once")
    found: list[tuple[str, bool]] = []
    for source in sources:
        if source != _STDIN and Path(source).is_dir():
            inside = sorted(
                str(path)
                for path in Path(source).rglob("*")
                if path.suffix.lower() in SUFFIXES
                and path.is_file()
                and not any(part.startswith(".") for part in path.relative_to(source).parts)
            )
            if not inside:
                raise InputError(f"no images in {safe(source)}; give images or a folder of them")
            found += [(path, False) for path in inside]
        else:
            found.append((source, True))
    return found


def read_logo(name: str, size: int, stdin: BinaryIO) -> Logo:
    """An image as its pack would hold it.

    Args:
        name: a path, or `-` for what `stdin` gives.
        size: side of the pack's images in pixels.
        stdin: standard input, as bytes.

    Raises:
        InputError: it cannot be read, or is not an image.
    """
    shown = "standard input" if name == _STDIN else safe(name)
    try:
        content = stdin.read() if name == _STDIN else Path(name).read_bytes()
        pixels = picture_square(io.BytesIO(content), size)
    except OSError as error:
        raise InputError(f"cannot read {shown}: {error.strerror}; give an image") from error
    except UnreadableError as error:
        raise InputError(f"{shown} cannot be searched for: {error}; give another image") from error
    return Logo(name, hashlib.sha256(content).hexdigest(), pixels)


def open_gallery(
    run: Run,
    *,
    checkpoint: str = "best",
    device: str = "auto",
    phase: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Gallery:
    """A run's index and encoder, made ready first where nobody searched it before.

    Args:
        run: the run.
        checkpoint: `best`, `last`, `epoch-0010` or a path.
        device: where marks are embedded, if they must be.
        phase: called with the name of each phase of that as it begins.
        progress: called with its (done, total).

    Raises:
        InputError: no checkpoint, no pack, or a damaged index.
    """
    folder = Path(read_config(run.config).data.pack)
    facts = read_facts(folder)
    card, _ = find_manifest(run, checkpoint, facts)
    if card is None:
        # timm takes longer to import than the search itself.
        from tmssl.retrieval.search.indexing import index_run

        card = index_run(
            run, checkpoint, facts, folder, device=device, phase=phase, progress=progress
        )
    index = open_index(run.index / card.index)
    if index.ntotal != facts.count:
        raise InputError(
            f"{safe(run.index / card.index)} holds {index.ntotal:,} marks of {facts.count:,}; "
            "remove it and search again"
        )

    def begin(name: str) -> Callable[[int, int], None] | None:
        if phase:
            phase(name)
        return progress

    rows = open_rows(folder, facts)
    return Gallery(run, folder, facts, card, rows, index, _encoder(run, card))


def _encoder(run: Run, card: IndexManifest) -> Callable[[Tensor], Tensor]:
    """The recorded encoder, or the one that timm builds where it could not be recorded."""
    if card.encoder:
        return load_traced_encoder(run.index / card.encoder)
    from tmssl.retrieval.vectors.embed import inference_copy, trained_encoder
    from tmssl.runs.checkpoints import digest
    from tmssl.training.checkpoints.store import load_weights

    # The name may be another checkpoint's by now.
    named = [run.path / card.checkpoint, *sorted(run.checkpoints.glob("*.pt"))]
    path = next((p for p in named if p.is_file() and digest(p) == card.checkpoint_sha256), None)
    if path is None:
        raise InputError(
            f"the checkpoint that {safe(run.index / card.index)} was made with is gone; evaluate again"
        )
    return inference_copy(trained_encoder(load_weights(path)), torch.device("cpu"))


def answer(gallery: Gallery, logo: Logo, k: int, mask: Mask | None) -> Answer:
    """The marks nearest to a logo, with the codes that they share or that speak for it.

    A logo that is an image of the catalogue has its codes; for any other the nearest marks vote.

    Args:
        gallery: what is searched.
        logo: what is searched for.
        k: marks wanted, at most those that may be found.
        mask: marks that may be found, bool (marks,), or None for all.
    """
    vector = _vector(gallery, logo.pixels)
    voters = min(VOTERS, gallery.facts.count)
    similarity, rows = _nearest(gallery, vector, max(k, voters))
    likely = likely_codes(
        [gallery.rows[row].vienna for row in rows[:voters].tolist()],
        gallery.card.holders,
        gallery.card.marks,
    )
    if mask is not None:
        similarity, rows = search_one(gallery.index, vector, k, mask)
    own_row = _own_row(gallery, logo.name)
    own = gallery.rows[own_row] if own_row is not None else None
    codes = own.vienna if own else [one.code for one in likely]
    matches = [
        SearchMatch(
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
            shared={
                code: title(code)
                for code in shared_codes(
                    codes, mark.vienna, gallery.card.holders, gallery.card.marks
                )
            },
        )
        for rank, (row, cosine) in enumerate(
            zip(rows[:k].tolist(), similarity.tolist(), strict=False), 1
        )
        for mark in [gallery.rows[row]]
    ]
    return Answer(
        file=safe(logo.name, 1000),
        sha256=logo.sha256,
        vienna=list(own.vienna) if own else [],
        likely=[] if own else likely,
        matches=matches,
    )


def _nearest(gallery: Gallery, vector: Vectors, k: int) -> tuple[Vectors, npt.NDArray[np.int64]]:
    """As `search_one`, by the approximate index where there is one; similarities are exact in any case."""
    if gallery.approximate is None:
        return search_one(gallery.index, vector, k, None)
    similarity, rows = search_approximate(gallery.index, gallery.approximate, vector, k)
    return np.clip(similarity[0][rows[0] >= 0], -1, 1), rows[0][rows[0] >= 0]


def _vector(gallery: Gallery, pixels: Pixels) -> Vectors:
    """The unit vector (1, f) of an image, as the index holds the marks.

    Raises:
        InputError: the index holds vectors of another width.
    """
    view = plain_view(torch.from_numpy(pixels.copy())[None], gallery.card.image_size)
    with torch.inference_mode(), _one_thread():
        vector = functional.normalize(gallery.encode(view).float()).numpy()
    vector = gallery.whiten(vector) if gallery.whiten else vector
    if vector.shape[1] != gallery.index.d:
        raise InputError(
            f"{safe(gallery.run.index / gallery.card.index)} holds vectors of {gallery.index.d} features, "
            f"and the encoder gives {vector.shape[1]}; remove it and search again"
        )
    return vector


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One image is too little for several threads: they would mostly wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _own_row(gallery: Gallery, name: str) -> int | None:
    """The row of a logo that is an image of the catalogue, or None."""
    path, root = Path(name).resolve(), Path(gallery.facts.source_root).resolve()
    if name == _STDIN or not path.is_relative_to(root):
        return None
    return gallery.rows.row_of(str(path.relative_to(root)))


def new_record(
    gallery: Gallery,
    topk: int,
    compared: int,
    *,
    vienna: Sequence[str],
    where: Sequence[str],
    factory: str = "",
) -> SearchRecord:
    """The record of a search that begins now, without answers yet.

    Args:
        gallery: what is searched.
        topk: marks wanted for each logo.
        compared: marks that pass the filters.
        vienna: the codes of the filter.
        where: its conditions, as given.
        factory: of the approximate index, empty where there is none.
    """
    card, facts = gallery.card, gallery.facts
    return SearchRecord(
        searched=datetime.now(UTC).isoformat(timespec="seconds"),
        version=version("tmssl"),
        run=str(gallery.run.path.resolve()),
        checkpoint=card.checkpoint,
        checkpoint_sha256=card.checkpoint_sha256,
        model=card.model,
        image_size=card.image_size,
        epoch=card.epoch,
        index=card.index,
        index_sha256=card.index_sha256,
        factory=factory,
        whitened=gallery.index.d if gallery.whiten else 0,
        pack=str(gallery.folder),
        pack_fingerprint=facts.fingerprint,
        marks=facts.count,
        compared=compared,
        vienna=list(vienna),
        where=list(where),
        topk=topk,
        attribution=facts.attribution,
    )
