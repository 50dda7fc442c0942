"""Parquet and tar shards of small marks, as data hubs publish them."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def picture(number: int, kind: str = "png") -> bytes:
    """A small image file, decided by the number."""
    image = Image.new("RGB", (24, 24), "white")
    image.paste(
        (number * 37 % 200, number * 11 % 200, number * 91 % 200), (4, 4, 12 + number % 9, 18)
    )
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def parquet(path: Path, columns: Mapping[str, Any], *, rows: int = 3, features: Any = None) -> Path:
    """A Parquet file; `rows` to a row group, and `features` as Hugging Face's schema has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(dict(columns))
    if features is not None:
        schema = {"huggingface": json.dumps({"info": {"features": features}})}
        table = table.replace_schema_metadata(schema)
    pq.write_table(table, path, row_group_size=rows)
    return path


def structs(numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Cells of a column of images, as Hugging Face writes them."""
    return [{"bytes": picture(n), "path": f"{n:03d}.png"} for n in numbers]


def tar(
    path: Path, members: Mapping[str, bytes] | Sequence[tuple[str, bytes]], mode: str = "w"
) -> Path:
    """A tar of these members in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pairs = list(members.items()) if isinstance(members, Mapping) else list(members)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]  # any mode
        for name, data in pairs:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path
