"""What vectors take in memory and a query in time: `python -m tests.bench.large [--marks N] [--kinds ...]`.

Prints a Markdown table of random unit vectors, each row measured in a process of its own: what it holds more
once it has searched, and the CPU time of a query on one core. Qdrant is its client's local mode, which is
numpy in this process: its figures say nothing of a server.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tests.helpers.command import environment
from tmssl.types import Indices, Vectors

if TYPE_CHECKING:
    from tmssl.retrieval.index.regional import Bytes

_WIDTHS = (512, 1280)
_QUERIES, _K = 20, 10
_KINDS = ("half precision, exact", "SQ8", "ten views, signs first", "Qdrant, local mode")
_VIEWS = 10
_BLOCK = 4096


class Measured(NamedTuple):
    """A row of the table."""

    own_mb: float
    """memory of the process alone, beyond that before"""
    mapped_mb: float
    """pages of mapped files in memory, which the system may drop"""
    query_ms: float
    """CPU time"""


def unit_vectors(count: int, features: int, seed: int) -> Vectors:
    """Random unit vectors."""
    drawn = np.random.default_rng(seed).standard_normal((count, features), np.float32)
    vectors: Vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return vectors


def write(path: Path, marks: int, features: int) -> None:
    """Write the exact index of random vectors, some at a time."""
    from tmssl.retrieval.index.faiss_index import empty_index, write_index

    index = empty_index(features)
    for begin in range(0, marks, _BLOCK):
        index.add(unit_vectors(min(_BLOCK, marks - begin), features, begin))
    write_index(index, path)


def searcher(kind: str, path: Path) -> Callable[[Vectors], object]:
    """Open the vectors in some way; returns the search for one query."""
    from tmssl.retrieval.index.approximate import factory_index, search_approximate
    from tmssl.retrieval.index.exact import search_one
    from tmssl.retrieval.index.faiss_index import open_index
    from tmssl.retrieval.index.regional import open_regional, regional_files, write_regional
    from tmssl.retrieval.index.regional_search import search_regions

    exact = open_index(path)
    if kind == _KINDS[0]:
        return lambda query: search_one(exact, query, _K)
    if kind == "SQ8":
        index = factory_index(exact, path, kind)
        return lambda query: search_approximate(exact, index, query, _K)
    if kind == "ten views, signs first":
        files = regional_files(path, _VIEWS)
        if not files.exist():
            write_regional(files, exact, _parts(exact.ntotal, exact.d))
        regional = open_regional(files, exact)
        dice = unit_vectors(_VIEWS - 1, exact.d, 2)
        return lambda query: search_regions(regional, np.concatenate([query, dice]), _K)
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    width = models.VectorParams(size=exact.d, distance=models.Distance.COSINE)
    client.create_collection("marks", vectors_config=width)
    for begin in range(0, exact.ntotal, _BLOCK):
        rows = range(begin, min(begin + _BLOCK, exact.ntotal))
        vectors = exact.reconstruct_n(begin, len(rows))
        points = [models.PointStruct(id=i, vector=vectors[i - begin].tolist()) for i in rows]
        client.upsert("marks", points)
    return lambda query: client.query_points("marks", query=query[0].tolist(), limit=_K)


def _parts(marks: int, features: int) -> "Iterator[tuple[Indices, Bytes]]":
    """Rows and random vectors of their parts, (n, views - 1, f)."""
    from tmssl.retrieval.index.regional import as_bytes

    for begin in range(0, marks, _BLOCK):
        rows = np.arange(begin, min(begin + _BLOCK, marks))
        parts = unit_vectors(len(rows) * (_VIEWS - 1), features, begin + 1)
        yield rows, as_bytes(parts.reshape(len(rows), _VIEWS - 1, features))


def measure(kind: str, path: Path) -> Measured:
    """Search a few times in this process."""
    import faiss

    faiss.omp_set_num_threads(1)
    small = path.with_name(f"small-{path.name}")
    write(small, 100, width_of(path))
    searcher(kind, small)(unit_vectors(1, width_of(path), 1))  # libraries are loaded by then
    if kind in ("SQ8", "ten views, signs first"):  # it is made once, and then opened
        subprocess.run(
            [sys.executable, "-m", "tests.bench.large", *sys.argv[1:], "--make"], check=True
        )
    before = resident_mb()
    search = searcher(kind, path)
    queries = unit_vectors(_QUERIES, width_of(path), 1)
    search(queries[:1])
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    for query in queries:
        search(query[None])
    spent = resource.getrusage(resource.RUSAGE_SELF).ru_utime - begun
    own, mapped = (now - was for now, was in zip(resident_mb(), before, strict=True))
    return Measured(own, mapped, 1000 * spent / _QUERIES)


def width_of(path: Path) -> int:
    """Features of the vectors of an index."""
    return int.from_bytes(path.read_bytes()[4:8], "little")


def resident_mb() -> tuple[float, float]:
    """Memory of this process alone, and pages of files, MB."""
    status = Path("/proc/self/status").read_text().splitlines()
    lines = dict(line.split(":", 1) for line in status)
    own, mapped = (int(lines[name].split()[0]) * 1024 / 1e6 for name in ("RssAnon", "RssFile"))
    return own, mapped


def main() -> None:
    """Print the table; with `--kind` and `--index` one row as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--marks", type=int, default=50_000)
    parser.add_argument("--kinds", nargs="*", default=_KINDS)
    parser.add_argument("--kind")
    parser.add_argument("--index", type=Path)
    parser.add_argument("--make", action="store_true")
    options = parser.parse_args()
    if options.make:
        searcher(options.kind, options.index)
        return
    if options.kind:
        print(json.dumps(measure(options.kind, options.index)))
        return
    print("| features | vectors | own memory, MB | mapped, MB | query, CPU ms |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for width in _WIDTHS:
            path = Path(folder) / f"{width}.faiss"
            write(path, options.marks, width)
            for kind in options.kinds:
                words = ["--kind", kind, "--index", str(path)]
                done = subprocess.run(
                    [sys.executable, "-m", "tests.bench.large", *words],
                    check=True,
                    capture_output=True,
                    text=True,
                    env=environment(TMSSL_CACHE=folder),
                )
                own, mapped, query = json.loads(done.stdout)
                cells = f"{abs(own):.0f} | {mapped:.0f} | {query:.1f}"
                print(f"| {width:,} | {kind} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
