"""A run's gallery in Qdrant: `tmssl export --to qdrant` and `tmssl search --engine`."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.gallery import opened_gallery
from cli.output.console import say
from tmssl.errors import InputError
from tmssl.runs.folder import Run
from tmssl.text import count, safe

if TYPE_CHECKING:
    from tmssl.retrieval.qdrant.storage import Storage
    from tmssl.retrieval.search.filters import Condition
    from tmssl.retrieval.search.gallery import Gallery
    from tmssl.types import Indices, Vectors


def check_engine(*, wanted: bool, url: str, collection: str, storage: "Storage") -> None:
    """Refuse what is missing where an upload is `wanted`, and what is given where it is not.

    Raises:
        InputError: it is so.
    """
    if not wanted and (url or collection or any(dataclasses.astuple(storage))):
        raise InputError(
            "--url, --collection, --half, --quantization and --shards are for --to qdrant"
        )
    if wanted and not (url and collection):
        raise InputError("--to qdrant needs --url with an address or a folder, and --collection")


def export_to_qdrant(
    run: Run,
    checkpoint: str,
    device: str,
    *,
    whiten: int,
    views: int,
    url: str,
    collection: str,
    storage: "Storage",
) -> dict[str, object]:
    """Upload the vectors of a run's marks with what is known of them; returns what was done.

    Raises:
        InputError: no address, name or checkpoint, or a collection of other vectors.
        EngineError: the server fails; the same command goes on.
    """
    from tmssl.retrieval.qdrant.collection import Collection
    from tmssl.retrieval.qdrant.connection import connect

    target = Collection(connect(url), url, collection)
    with opened_gallery(run, checkpoint, device, whiten=whiten, views=views) as opened:
        gallery, phase, progress = opened
        exact, regional = gallery.index.exact, gallery.index.regional
        identity = identity_of(gallery)
        target.create(exact.d, storage, several=regional is not None)
        phase("uploading")
        sent = target.upload(exact, gallery.marks, identity, progress, regional=regional)
        phase("comparing with exact search")
        overlap = target.overlap_at_10(exact, identity, regional)
    say(
        f"{count(sent, 'mark')} sent, {exact.ntotal - sent:,} there already; overlap@10 with exact {overlap:.3f}"
    )
    return {
        "path": f"{url.rstrip('/')}/{collection}",
        "form": "qdrant",
        "marks": exact.ntotal,
        "sent": sent,
        "overlap": overlap,
    }


def identity_of(gallery: "Gallery") -> str:
    """What tells the vectors of a gallery from those of another index, whitening, or other views."""
    from tmssl.retrieval.index.regional import regions_name

    index, regional = gallery.index, gallery.index.regional
    whitened = f"-whitened{index.exact.d}" if index.whitening else ""
    views = f"-{regions_name(regional.regions, lettered=regional.lettered)}" if regional else ""
    return f"{gallery.manifest.index_sha256}{whitened}{views}"


def with_engine(
    gallery: "Gallery", engine: str, vienna: Sequence[str], where: "Sequence[Condition]"
) -> "Gallery":
    """A gallery whose nearest marks are found by the collection at `URL/NAME`, under the same filters.

    Raises:
        InputError: that is no address and name, or a filter that Qdrant does not know.
    """
    from tmssl.retrieval.qdrant.collection import Collection
    from tmssl.retrieval.qdrant.conditions import engine_filter
    from tmssl.retrieval.qdrant.connection import connect

    url, slash, name = engine.rstrip("/").rpartition("/")
    if not slash or not name or url.endswith("/"):
        raise InputError(
            f"--engine is '{safe(engine, 80)}'; give URL/NAME, such as http://localhost:6333/marks"
        )
    condition, identity = engine_filter(vienna, where), identity_of(gallery)
    collection, regional = Collection(connect(url), url, name), gallery.index.regional
    collection.check(gallery.index.exact.d, several=regional is not None)

    def nearest(query: "Vectors", k: int, filtered: bool) -> "tuple[Vectors, Indices]":
        applied = condition if filtered else None
        if regional is not None:
            return collection.nearest_by_views(query, k, identity, regional.penalties, applied)
        (found,) = collection.nearest(query, k, identity, applied)
        return found

    return dataclasses.replace(gallery, index=dataclasses.replace(gallery.index, engine=nearest))
