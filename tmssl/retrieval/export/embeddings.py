"""The embeddings of a run's marks in file formats that other programs read: NumPy with a CSV, or Parquet."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from tmssl.data.sources.marks import MarkTable
from tmssl.errors import InputError
from tmssl.files import atomic_path, cannot_write, write_atomic
from tmssl.retrieval.index.regional_search import decode
from tmssl.retrieval.search.gallery import Gallery
from tmssl.retrieval.search.search_index import SearchIndex
from tmssl.text import spreadsheet_cell
from tmssl.types import Progress

Regions = npt.NDArray[np.float32]
"""one vector for each region of each mark, (marks, views, features)"""

FORMS = ("npy", "parquet")

_BLOCK = 1 << 13  # vectors; with 1280 features 40 MiB
_FIELDS = ("path", "id", "group", "split", "title", "url")


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Which encoder and which marks some embeddings are of."""

    model: str
    checkpoint: str
    checkpoint_sha256: str
    epoch: float
    image_size: int
    index: str
    index_sha256: str
    whitened: int = 0
    """features kept by PCA-whitening; 0 where there was none"""
    views: int = 1
    """vectors of each mark, that of the whole first; zeros where a mark has fewer regions"""
    pack_fingerprint: str
    marks: int
    features: int
    note: str = "unit vectors in the order of the pack, as the index holds them: in half precision"
    attribution: str = ""


def export_embeddings(
    gallery: Gallery, form: str, target: Path, progress: Progress | None = None
) -> Provenance:
    """Write the unit vectors of every mark; each file appears complete or not at all.

    `npy` is float32 (marks, features), or (marks, views, features) of several views, at `target`, with `target.csv` (row, path, id, group, split,
    title, url, vienna) and `target.json` (the provenance) beside it. `parquet` has all of that in one
    file: the vectors in the column `embedding`, those of further views one after the other in the
    column `regions`, the JSON in the metadata.

    Args:
        gallery: whose vectors, whitened or not.
        form: `npy` or `parquet`.
        target: the file.
        progress: called with (marks written, marks).

    Raises:
        InputError: pyarrow is missing, or the disk is full.
    """
    manifest, pack, index = gallery.manifest, gallery.pack, gallery.index.exact
    provenance = Provenance(
        model=manifest.model,
        checkpoint=manifest.checkpoint,
        checkpoint_sha256=manifest.checkpoint_sha256,
        epoch=manifest.epoch,
        image_size=manifest.image_size,
        index=manifest.index,
        index_sha256=manifest.index_sha256,
        whitened=index.d if gallery.index.whitening else 0,
        views=gallery.index.views,
        pack_fingerprint=pack.fingerprint,
        marks=index.ntotal,
        features=index.d,
        attribution=pack.attribution,
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as fresh:
            if form == "npy":
                _write_npy(fresh, gallery.index, progress)
                write_atomic(target.with_name(f"{target.name}.csv"), _csv(gallery.marks))
                note = msgspec.json.format(msgspec.json.encode(provenance), indent=1)
                write_atomic(target.with_name(f"{target.name}.json"), note)
            else:
                _write_parquet(fresh, gallery.index, gallery.marks, provenance, progress)
    except OSError as error:
        raise cannot_write(target, error, "make room or give another --out") from error
    return provenance


def _blocks(index: SearchIndex, progress: Progress | None) -> Iterator[tuple[int, Regions]]:
    """(first row, float32 vectors (m, views, f)) of an index, block by block."""
    marks, step = index.exact.ntotal, _BLOCK // index.views
    for begin in range(0, marks, step):
        rows = np.arange(begin, min(begin + step, marks))
        vectors = index.exact.reconstruct_n(begin, len(rows))[:, None]
        if index.regional is not None:
            vectors = np.concatenate([vectors, decode(index.regional, rows).parts], axis=1)
        yield begin, vectors
        if progress:
            progress(begin + len(vectors), marks)


def _write_npy(path: Path, index: SearchIndex, progress: Progress | None) -> None:
    """Write all vectors as one array, a block at a time."""
    marks, features = index.exact.ntotal, index.exact.d
    shape = (marks, features) if index.views == 1 else (marks, index.views, features)
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for _, vectors in _blocks(index, progress):
            file.write(np.ascontiguousarray(vectors, "<f4").tobytes())


def _csv(marks: MarkTable) -> Iterator[bytes]:
    """A CSV line for each vector."""
    line = io.StringIO(newline="")
    table = csv.writer(line)
    table.writerow(["row", *_FIELDS, "vienna"])
    for row, mark in enumerate(marks):
        cells = [getattr(mark, name) for name in _FIELDS]
        table.writerow([row, *map(spreadsheet_cell, [*cells, ";".join(mark.vienna)])])
        if line.tell() > 1 << 16:
            yield line.getvalue().encode()
            line.seek(0)
            line.truncate()
    yield line.getvalue().encode()


def _write_parquet(
    path: Path,
    index: SearchIndex,
    table: MarkTable,
    provenance: Provenance,
    progress: Progress | None,
) -> None:
    """Write marks and vectors as one table, a block of rows at a time."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(
            "--embeddings parquet needs pyarrow; install it with pip install 'tmssl[parquet]'"
        ) from error
    columns = dict.fromkeys(_FIELDS, pa.string())
    features, others = index.exact.d, (index.views - 1) * index.exact.d
    columns |= {"vienna": pa.list_(pa.string()), "embedding": pa.list_(pa.float32(), features)}
    columns |= {"regions": pa.list_(pa.float32(), others)} if others else {}
    schema = pa.schema(columns, metadata={"tmssl": msgspec.json.encode(provenance)})
    with parquet.ParquetWriter(path, schema) as writer:
        for begin, vectors in _blocks(index, progress):
            marks = table[begin : begin + len(vectors)]
            arrays = {name: [getattr(mark, name) for mark in marks] for name in _FIELDS}
            arrays["vienna"] = [list(mark.vienna) for mark in marks]
            flat = pa.array(vectors[:, 0].reshape(-1))
            arrays["embedding"] = pa.FixedSizeListArray.from_arrays(flat, features)
            if others:
                flat = pa.array(vectors[:, 1:].reshape(-1))
                arrays["regions"] = pa.FixedSizeListArray.from_arrays(flat, others)
            writer.write_table(pa.table(arrays, schema=schema))
