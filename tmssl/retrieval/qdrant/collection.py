"""The vectors of a gallery as a collection of Qdrant: uploaded in batches, and searched."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from tmssl.data.sources.marks import MarkTable
from tmssl.data.vienna import LEVELS
from tmssl.errors import InputError
from tmssl.retrieval.index.exact import drawn_rows, search_many
from tmssl.retrieval.index.regional import Penalties, RegionalIndex
from tmssl.retrieval.index.regional_search import (
    region_vectors,
    search_regions,
)
from tmssl.retrieval.qdrant.conditions import EngineFilter
from tmssl.retrieval.qdrant.connection import engine_errors, is_server
from tmssl.retrieval.qdrant.payload import payload_of, point_id
from tmssl.retrieval.qdrant.storage import Storage
from tmssl.text import safe
from tmssl.types import Indices, Progress, Vectors

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import (
        BinaryQuantization,
        Filter,
        ScalarQuantization,
        VectorParams,
    )

_BATCH = 256  # points; with 1,024 features 2 MB of JSON
_OVERLAP_QUERIES, _OVERLAP_K, _VIEWS_QUERIES = 200, 10, 20
_WHOLE, _PARTS = "whole", "parts"  # names of vectors where there are several views of each mark
_AGAIN = "the same command goes on where it was"
_TRY_AGAIN = "try again, or search without --engine"


@dataclasses.dataclass(frozen=True)
class Collection:
    """One collection of a server."""

    client: "QdrantClient"
    url: str
    name: str

    def create(self, features: int, storage: Storage, *, several: bool = False) -> None:
        """Make the collection, unless it is there.

        Args:
            features: width of its vectors.
            storage: of a new one.
            several: whether it keeps several views of each mark: the whole, and parts of it.

        Raises:
            InputError: it is there with vectors of another kind.
            EngineError: the server fails.
        """
        from qdrant_client import models

        with engine_errors(self.url, _AGAIN):
            if self.client.collection_exists(self.name):
                self._check(features, several)
                return
            whole = models.VectorParams(
                size=features,
                distance=models.Distance.COSINE,
                on_disk=True,
                datatype=models.Datatype.FLOAT16 if storage.half else None,
            )
            nearest_part = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
            parts = whole.model_copy(update={"multivector_config": nearest_part})
            self.client.create_collection(
                self.name,
                vectors_config={_WHOLE: whole, _PARTS: parts} if several else whole,
                quantization_config=_quantization(storage.quantization),
                shard_number=storage.shards or None,
                on_disk_payload=True,
            )
            self._index_payload()

    def _index_payload(self) -> None:
        """Let the server find marks by their codes and their index without reading each."""
        from qdrant_client import models

        if not is_server(self.url):  # a folder has no such indexes
            return
        for field in ("index", *LEVELS):
            self.client.create_payload_index(
                self.name, field, field_schema=models.PayloadSchemaType.KEYWORD, wait=True
            )

    def check(self, features: int, *, several: bool) -> None:
        """Refuse a collection of other vectors than a search is by.

        Args:
            features: width of the vectors.
            several: whether views of each mark are searched.

        Raises:
            InputError: it keeps others.
            EngineError: the server fails, or has no such collection.
        """
        with engine_errors(self.url, _TRY_AGAIN):
            self._check(features, several)

    def _check(self, features: int, several: bool) -> None:
        """Refuse a collection of other vectors.

        Raises:
            InputError: it has other kinds of vectors, another width or another distance.
        """
        kept = self.client.get_collection(self.name).config.params.vectors
        kinds = kept if isinstance(kept, dict) else {"": kept}
        if kinds.keys() != ({_WHOLE, _PARTS} if several else {""}):
            names = ", ".join(safe(name, 40) for name in sorted(kinds) if name)
            raise InputError(
                f"{self.shown} keeps {f'vectors {names}' if names else 'one vector'} of each mark, and "
                f"{'several views' if several else 'one vector'} of each are wanted; give another "
                "collection, or --views as it was made"
            )
        for vectors in kinds.values():
            self._check_kind(vectors, features)

    def _check_kind(self, vectors: "VectorParams | None", features: int) -> None:
        """Refuse vectors of another width or distance.

        Raises:
            InputError: they are.
        """
        from qdrant_client import models

        if vectors is None:
            raise InputError(f"{self.shown} keeps no vectors; give another --collection")
        if (vectors.size, vectors.distance) != (features, models.Distance.COSINE):
            raise InputError(
                f"{self.shown} keeps vectors of {vectors.size} features compared by {vectors.distance.value}, "
                f"and these have {features} and are compared by cosine; give another --collection"
            )

    @property
    def shown(self) -> str:
        """Its name and place in a message."""
        return f"the collection {safe(self.name, 80)} at {safe(self.url, 200)}"

    def upload(
        self,
        index: faiss.Index,
        marks: MarkTable,
        identity: str,
        progress: Progress | None = None,
        *,
        regional: RegionalIndex | None = None,
    ) -> int:
        """Upload every mark that is not there yet with this vector; returns how many were sent.

        A mark's point has the same id each time, so that an upload may be broken off and given again.

        Args:
            index: of the gallery, unit vectors in the order of the marks.
            marks: of the gallery.
            identity: of the index, by which a search knows its own gallery.
            progress: called with (marks looked at, marks).
            regional: several views of each mark, for a collection that keeps them.

        Raises:
            EngineError: the server fails; what was sent stays there.
        """
        from qdrant_client import models

        vectors_of = one_vector(index) if regional is None else several_views(regional)
        names, sent = _names(marks), 0
        for begin in range(0, index.ntotal, _BATCH):
            rows = range(begin, min(begin + _BATCH, index.ntotal))
            ids = {row: point_id(names[row]) for row in rows}
            with engine_errors(self.url, _AGAIN):
                missing = self._missing(ids, identity)
                if missing:
                    points = [
                        models.PointStruct(
                            id=ids[row],
                            vector=vectors_of(row),
                            payload=payload_of(marks[row], row, identity),
                        )
                        for row in missing
                    ]
                    self.client.upsert(self.name, points, wait=True)
            sent += len(missing)
            if progress:
                progress(rows.stop, index.ntotal)
        return sent

    def _missing(self, ids: dict[int, str], identity: str) -> list[int]:
        """The rows whose points are not there with this index's vectors."""
        found = self.client.retrieve(
            self.name, list(ids.values()), with_payload=["index", "row"], with_vectors=False
        )
        there = {
            str(point.id)
            for point in found
            if point.payload and point.payload.get("index") == identity
        }
        return [row for row, point in ids.items() if point not in there]

    def nearest(
        self, queries: Vectors, k: int, identity: str, condition: EngineFilter | None = None
    ) -> Iterator[tuple[Vectors, Indices]]:
        """Cosines, falling, and rows of the k marks nearest to each query.

        Args:
            queries: unit vectors (n, d).
            k: at most that many; points of another index are left out.
            identity: of the gallery's index, whose rows are given.
            condition: which marks are compared; None compares all.

        Raises:
            EngineError: the server fails.
        """
        with engine_errors(self.url, _TRY_AGAIN):
            wanted = self._wanted(identity, condition)
        for query in queries:
            with engine_errors(self.url, _TRY_AGAIN):
                found = self._ranked(query.tolist(), k, wanted, condition)
            yield _as_arrays(found)

    def nearest_by_views(
        self,
        query: Vectors,
        k: int,
        identity: str,
        penalties: Penalties,
        condition: EngineFilter | None = None,
    ) -> tuple[Vectors, Indices]:
        """Similarities, falling, and rows of the k marks nearest to a query by the views of both.

        They are those of `search_regions`: that of the two views that are most alike, less a penalty
        for parts. The best k of each pair of kinds hold the best k of all.

        Args:
            query: unit vectors of the query's views (q, d), that of the whole first.
            k: at most that many.
            identity: as for `nearest`.
            penalties: of the gallery's index.
            condition: as for `nearest`.

        Raises:
            EngineError: the server fails.
        """
        best: dict[int, float] = {}
        with engine_errors(self.url, _TRY_AGAIN):
            wanted = self._wanted(identity, condition)
            for number, vector in enumerate(query.tolist()):
                of_whole = penalties.part if number else 0.0
                of_parts = penalties.parts if number else penalties.part
                found = self._ranked(vector, k, wanted, condition, _WHOLE)
                scored = [(score + of_whole, row) for score, row in found]
                found = self._ranked([vector], k, wanted, condition, _PARTS)
                scored += [(score + of_parts, row) for score, row in found]
                for score, row in scored:
                    best[row] = min(best.get(row, np.inf), score)
        return _as_arrays(sorted((score, row) for row, score in best.items())[:k])

    def _wanted(self, identity: str, condition: EngineFilter | None) -> "Filter | None":
        """What the server is to check: the condition, and the index where there are points of another."""
        from qdrant_client import models

        own = models.FieldCondition(key="index", match=models.MatchValue(value=identity))
        alone = models.Filter(must_not=[own])
        mixed = self.client.count(self.name, count_filter=alone, exact=True).count > 0
        if not mixed:
            return condition.wanted if condition else None
        return models.Filter(must=[own, condition.wanted] if condition else [own])

    def _ranked(
        self,
        query: list[float] | list[list[float]],
        k: int,
        wanted: "Filter | None",
        condition: EngineFilter | None,
        using: str | None = None,
    ) -> list[tuple[float, int]]:
        """Negative cosine and row of the k nearest points that pass, asking for more until there are k."""
        needed, limit = ["row", *(["folded"] if condition and condition.contained else [])], k
        while True:
            answer = self.client.query_points(
                self.name,
                query=query,
                using=using,
                query_filter=wanted,
                limit=limit,
                with_payload=needed,
            ).points
            payloads = [(point.score, point.payload or {}) for point in answer]
            found = [
                (-score, int(payload["row"]))
                for score, payload in payloads
                if condition is None or condition.passes(payload)
            ]
            if len(found) >= k or len(answer) < limit:
                return sorted(found)[:k]
            limit *= 4

    def overlap_at_10(
        self, index: faiss.Index, identity: str, regional: RegionalIndex | None = None
    ) -> float:
        """The share of the ten nearest that exact search returns too, mean over 200 marks drawn by seed 0.

        With several views of each mark, which ask for more, over 20 marks.

        Raises:
            EngineError: the server fails.
        """
        k = min(_OVERLAP_K, index.ntotal)
        if regional is not None:
            views = [region_vectors(regional, row) for row in drawn_rows(index, _VIEWS_QUERIES)]
            ours = [search_regions(regional, query, k)[1] for query in views]
            theirs = [
                self.nearest_by_views(query, k, identity, regional.penalties)[1] for query in views
            ]
            return _shared(ours, theirs, k)
        queries = index.reconstruct_batch(drawn_rows(index, _OVERLAP_QUERIES))
        expected = search_many(index, queries, k)[1]
        return _shared(expected, [rows for _, rows in self.nearest(queries, k, identity)], k)


def one_vector(index: faiss.Index) -> Callable[[int], list[float]]:
    """From a row to its point's vector."""
    return lambda row: index.reconstruct(row).tolist()


def several_views(index: RegionalIndex) -> Callable[[int], dict[str, Any]]:
    """From a row to its point's vectors: that of the whole mark, and those of the parts that it has."""

    def vectors_of(row: int) -> dict[str, Any]:
        whole, *parts = region_vectors(index, row).tolist()
        return {_WHOLE: whole, **({_PARTS: parts} if parts else {})}

    return vectors_of


def _as_arrays(found: Sequence[tuple[float, int]]) -> tuple[Vectors, Indices]:
    """Cosines and rows of pairs of a negative cosine and a row."""
    cosines = np.array([-score for score, _ in found], np.float32)
    return np.clip(cosines, -1, 1), np.array([row for _, row in found], np.int64)


def _shared(ours: Iterable[Indices], theirs: Iterable[Indices], k: int) -> float:
    """The mean share of k rows that two lists have in common."""
    pairs = zip(ours, theirs, strict=True)
    return float(np.mean([len(np.intersect1d(one, other)) / k for one, other in pairs]))


def _quantization(name: str) -> "ScalarQuantization | BinaryQuantization | None":
    """How a server is to make the vectors smaller."""
    from qdrant_client import models

    if name == "int8":
        scalar = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
        return models.ScalarQuantization(scalar=scalar)
    if name == "binary":
        return models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True))
    return None


def _names(marks: MarkTable) -> Sequence[str]:
    """What identifies each mark: its id where every mark has one of its own, else its path."""
    ids = marks.column("id", str, "")
    unique = all(ids) and max(Counter(ids).values(), default=0) == 1
    return ids if unique else marks.column("path", str, "")
