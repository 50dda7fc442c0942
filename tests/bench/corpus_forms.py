"""A large corpus in the forms that offices and hubs publish, written part by part."""

import csv
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

FORMS = ("l3d", "csv", "parquet", "webdataset")
_ROW_GROUP = 100  # rows, as Hugging Face writes shards of images


class Sample(NamedTuple):
    """One mark of the corpus."""

    name: str
    data: bytes
    """of its image file"""
    codes: list[str]
    title: str
    year: int


def write_part(form: str, folder: Path, number: int, samples: Iterable[Sample]) -> None:
    """Write some marks as a shard, or as files with a part of their table; complete or not at all."""
    fresh = folder / f".{number:05d}.new"
    if form == "csv":
        names = folder / "images" / f"{number:05d}"
        names.mkdir(parents=True, exist_ok=True)
        with fresh.open("w", newline="") as file:
            table = csv.writer(file)
            for one in samples:
                (names / f"{one.name}.png").write_bytes(one.data)
                path = f"images/{number:05d}/{one.name}.png"
                table.writerow([path, one.name, ";".join(one.codes), one.title, one.year])
    elif form == "parquet":
        rows = [
            {
                "image": {"bytes": one.data, "path": f"{one.name}.png"},
                "vienna": one.codes,
                "title": one.title,
                "year": one.year,
            }
            for one in samples
        ]
        pq.write_table(pa.Table.from_pylist(rows), fresh, row_group_size=_ROW_GROUP)
    else:
        with tarfile.open(fresh, "w") as tar:
            for one in samples:
                labels = {"vienna": one.codes, "title": one.title, "year": one.year}
                add(tar, f"{one.name}.png", one.data)
                add(tar, f"{one.name}.json", json.dumps(labels).encode())
    fresh.replace(part_path(form, folder, number))


def part_path(form: str, folder: Path, number: int) -> Path:
    """The file of a part."""
    names = {"csv": ".rows-{0:05d}", "parquet": "part-{0:05d}.parquet", "webdataset": "{0:05d}.tar"}
    return folder / names[form].format(number)


def source_of(form: str, folder: Path, parts: int) -> Path:
    """The source that `tmssl` gets, once all parts are written."""
    if form != "csv":
        return folder
    table = folder / "marks.csv"
    with table.open("w") as file:
        file.write("path,id,vienna,title,year\n")
        for number in range(parts):
            file.write(part_path(form, folder, number).read_text())
    return table


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a member to a tar."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
