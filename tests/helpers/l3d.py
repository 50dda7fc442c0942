"""L3D, the published data set, in miniature."""

import json
from pathlib import Path

from PIL import Image


def images(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), "red").save(folder / name)
    return folder


def l3d(folder: Path) -> Path:
    """L3D in miniature, with every defect of the published files."""
    images(folder, *(f"images/{i:04x}-ab.jpg" for i in range(20)))
    rows: list[dict[str, object]] = []
    for i in range(20):
        codes: object = ["26.01.03", "27.05.01"] if i % 4 else "03.07.16"
        title = None if i % 5 == 0 else f"MARK {i}"
        rows.append(
            {"file": f"{i:04X}-AB.JPG", "text": title, "vienna_codes": codes, "year": 1996 + i % 2}
        )
    rows += [
        {"file": f"9{i:03X}-AB.JPG", "text": "GONE", "vienna_codes": ["01.01"], "year": 1996}
        for i in range(3)
    ]
    rows[7]["vienna_codes"] = []
    rows[9]["vienna_codes"] = ["26.04.99", "not a code"]
    rows[11]["vienna_codes"] = None
    rows[13]["vienna_codes"] = ["26.98.01"]
    (folder / "images" / "ffff-no-label.jpg").write_bytes(
        (folder / "images" / "0000-ab.jpg").read_bytes()
    )
    if folder.name == "yearly":
        for year in (1996, 1997):
            path = folder / "labels" / f"output_{year}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps([row for row in rows if row["year"] == year]))
    else:
        (folder / "results.json").write_text(json.dumps(rows))
    return folder
