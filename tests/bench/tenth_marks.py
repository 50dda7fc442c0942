"""The toy marks of `tests.bench.tenth`: `python -m tests.bench.tenth_marks FOLDER MARKS DRAWN`.

A program of its own, since each process that draws imports what its main module imports.
"""

import csv
import sys
from pathlib import Path

from tmssl.toy.make import make_toy


def main() -> None:
    """Draw the marks, and write beside them a table without a split, so that all are trained on.

    Where fewer are drawn than there are to be, each is there under several names.
    """
    folder, count, drawn = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    source = make_toy(folder / "marks", count=drawn)
    with (source / "labels.csv").open(encoding="utf-8", newline="") as labels:
        rows = list(csv.DictReader(labels))
    names = [name for name in rows[0] if name != "split"]
    with (folder / "marks.csv").open("w", encoding="utf-8", newline="") as every:
        written = csv.DictWriter(every, names, extrasaction="ignore")
        written.writeheader()
        for number in range(count):
            turn, row = number // drawn, rows[number % drawn]
            place = folder / f"marks-{turn}"
            place.mkdir(exist_ok=True)
            file = Path(row["path"]).name
            if not (place / file).exists():
                (place / file).hardlink_to(source / row["path"])
            path, own = f"{place.name}/{file}", f"{row['id']}-{turn}"
            written.writerow({**row, "path": path, "id": own})


if __name__ == "__main__":
    main()
