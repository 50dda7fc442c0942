"""The embeddings of a run's marks as files that other programs read: NumPy with its ids, or Parquet."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import faiss
import msgspec
import numpy as np

from tmssl.data.pack.facts import Facts, open_rows
from tmssl.data.sources.marks import MarkTable
from tmssl.errors import InputError
from tmssl.files import atomic_path, cannot_write, write_atomic
from tmssl.retrieval.index.faiss_index import open_index
from tmssl.retrieval.search.manifest import IndexManifest
from tmssl.retrieval.vectors.whitening import whitened_index
from tmssl.runs.folder import Run
from tmssl.text import spreadsheet_cell
from tmssl.types import Progress, Vectors

FORMS = ("npy", "parquet")


_AT_ONCE = 1 << 13  # with 1280 features 40 MiB
_FIELDS = ("path", "id", "group", "split", "title", "url")


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Whose embeddings they are."""

    model: str
    checkpoint: str
    checkpoint_sha256: str
    epoch: float
    image_size: int
    index: str
    index_sha256: str
    whitened: int = 0
    """features kept by PCA-whitening; 0 where there was none"""
    pack_fingerprint: str
    marks: int
    features: int
    note: str = "unit vectors in the order of the pack, as the index holds them: in half precision"
    attribution: str = ""


def export_embeddings(
    run: Run,
    card: IndexManifest,
    facts: Facts,
    pack: Path,
    form: str,
    target: Path,
    progress: Progress | None = None,
    *,
    whiten: int = 0,
) -> Provenance:
    """Write the unit vectors of every mark; each file appears complete or not at all.

    `npy` is float32 (marks, features) at `target`, with `target.csv` (row, path, id, group, split,
    title, url, vienna) and `target.json` (whose they are) beside it. `parquet` has all of that in one
    file: the vectors in the column `embedding`, the JSON in the metadata.

    Args:
        run: whose index it is.
        card: of the index.
        facts: of the pack.
        pack: its folder.
        form: `npy` or `parquet`.
        target: the file.
        progress: called with (marks done, marks).
        whiten: features kept by PCA-whitening; 0 does not whiten.

    Raises:
        InputError: the index is damaged, pyarrow is missing, or the disk is full.
    """
    index, rows = open_index(run.index / card.index), open_rows(pack, facts)
    if whiten:
        index = whitened_index(index, run.index / card.index, whiten)[0]
    told = Provenance(
        model=card.model,
        checkpoint=card.checkpoint,
        checkpoint_sha256=card.checkpoint_sha256,
        epoch=card.epoch,
        image_size=card.image_size,
        index=card.index,
        index_sha256=card.index_sha256,
        whitened=whiten and index.d,
        pack_fingerprint=facts.fingerprint,
        marks=index.ntotal,
        features=index.d,
        attribution=facts.attribution,
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as fresh:
            if form == "npy":
                _write_npy(fresh, index, progress)
                write_atomic(target.with_name(f"{target.name}.csv"), _table(rows))
                note = msgspec.json.format(msgspec.json.encode(told), indent=1)
                write_atomic(target.with_name(f"{target.name}.json"), note)
            else:
                _write_parquet(fresh, index, rows, told, progress)
    except OSError as error:
        raise cannot_write(target, error, "make room or give another --out") from error
    return told


def blocks(index: faiss.Index, progress: Progress | None) -> Iterator[tuple[int, Vectors]]:
    """(first row, float32 vectors) of an index, block by block."""
    for begin in range(0, index.ntotal, _AT_ONCE):
        vectors = index.reconstruct_n(begin, min(_AT_ONCE, index.ntotal - begin))
        yield begin, vectors
        if progress:
            progress(begin + len(vectors), index.ntotal)


def _write_npy(path: Path, index: faiss.Index, progress: Progress | None) -> None:
    """All vectors as one array; at no time are all in memory."""
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (index.ntotal, index.d)}
        np.lib.format.write_array_header_1_0(file, header)
        for _, vectors in blocks(index, progress):
            file.write(np.ascontiguousarray(vectors, "<f4").tobytes())


def _table(rows: MarkTable) -> Iterator[bytes]:
    """A line of CSV for each row of the vectors."""
    line = io.StringIO(newline="")
    table = csv.writer(line)
    table.writerow(["row", *_FIELDS, "vienna"])
    for row, mark in enumerate(rows):
        cells = [getattr(mark, name) for name in _FIELDS]
        table.writerow([row, *map(spreadsheet_cell, cells), ";".join(mark.vienna)])
        if line.tell() > 1 << 16:
            yield line.getvalue().encode()
            line.seek(0)
            line.truncate()
    yield line.getvalue().encode()


def _write_parquet(
    path: Path, index: faiss.Index, rows: MarkTable, told: Provenance, progress: Progress | None
) -> None:
    """Marks and vectors as one table, a block of rows at a time."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(
            "--embeddings parquet needs pyarrow; install it with pip install 'tmssl[parquet]'"
        ) from error
    columns = [pa.field(name, pa.string()) for name in _FIELDS]
    schema = pa.schema(
        [
            *columns,
            pa.field("vienna", pa.list_(pa.string())),
            pa.field("embedding", pa.list_(pa.float32(), index.d)),
        ],
        metadata={"tmssl": msgspec.json.encode(told)},
    )
    with parquet.ParquetWriter(path, schema) as writer:
        for begin, vectors in blocks(index, progress):
            marks = rows[begin : begin + len(vectors)]
            held = {name: [getattr(mark, name) for mark in marks] for name in _FIELDS}
            flat = pa.array(vectors.reshape(-1))
            writer.write_table(
                pa.table(
                    {
                        **held,
                        "vienna": [list(mark.vienna) for mark in marks],
                        "embedding": pa.FixedSizeListArray.from_arrays(flat, index.d),
                    },
                    schema=schema,
                )
            )
