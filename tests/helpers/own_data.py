"""One small source of each form that docs/own-data.md describes, under the names it uses."""

import json
import shutil
import tarfile
from pathlib import Path

from tests.helpers.marks import draw_marks
from tests.helpers.shards import parquet, picture, structs, tar

COUNT = 12
CODES = [f"26.01.{1 + i % 3:02d}" for i in range(COUNT)]
_REGISTER = (
    "<TradeMark><ApplicationNumber>{0}</ApplicationNumber><MarkImageDetails><MarkImage>"
    "<MarkImageFilename>{0:03d}.png</MarkImageFilename><MarkImageCategory><CategoryCodeDetails>"
    "<CategoryCode>{1}</CategoryCode></CategoryCodeDetails></MarkImageCategory></MarkImage>"
    "</MarkImageDetails></TradeMark>"
)


def write_forms(folder: Path) -> None:
    """Write all of them but `my-marks` and `l3d`, which must exist, into a folder."""
    names = [f"{i:03d}.png" for i in range(COUNT)]
    for source in ("register", "hub-folder", "pictures"):
        (folder / source).mkdir()
        for i, name in enumerate(names):
            (folder / source / name).write_bytes(picture(i))
    lines = [f"pictures/{name},{code}" for name, code in zip(names, CODES, strict=True)]
    (folder / "office.csv").write_text("\n".join(["file,code_list", *lines]))
    register = "".join(map(_REGISTER.format, range(COUNT), CODES))
    (folder / "register" / "all.xml").write_text(f"<Transaction>{register}</Transaction>")
    rows = [{"file_name": n, "vienna": [c]} for n, c in zip(names, CODES, strict=True)]
    (folder / "hub-folder" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for i, name in enumerate(names):
        split = "val" if i % 4 == 3 else "train"
        home = folder / "classes" / split / f"brand-{i % 3}"
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "pictures" / name, home / name)
    for number in range(2):
        half = range(number * COUNT // 2, (number + 1) * COUNT // 2)
        columns = {"image": structs(half), "vienna": [[CODES[i]] for i in half]}
        path = folder / "hub-parquet" / "data" / f"train-{number:05d}-of-00002.parquet"
        parquet(path, columns, features={"image": {"_type": "Image"}})
        members = {}
        for i in half:
            members[f"{i:03d}.png"] = picture(i)
            members[f"{i:03d}.json"] = json.dumps({"vienna": [CODES[i]]}).encode()
        tar(folder / "shards" / f"{number:03d}.tar", members)
    with tarfile.open(folder / "my-marks.tar", "w") as archive:
        archive.add(folder / "my-marks", ".")


def write_my_marks(folder: Path) -> None:
    """The folder that all pages speak of."""
    draw_marks(folder / "my-marks", 40, validation=8)
