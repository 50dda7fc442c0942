"""What was written in a table is what is joined, whatever its form; every row and file counts once."""

import contextlib
import csv
import io
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tmssl.data.cells import is_missing
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.sources.marks import Mark

MISSING = ["", "nan", "NaN", "None", "NULL", "<NA>", "N/A", "#N/A", "-", "NaT", "\\N"]
CODES = ["26.01.03", "27.05", "3.7.16", "05.03.13", "260402", "28.11.00"]
PARSED = dict(
    zip(CODES, ["26.01.03", "27.05", "03.07.16", "05.03.13", "26.04.02", "28.11"], strict=True)
)
_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\ufeff"),
    max_size=10,
)
_WORD = _TEXT.map(str.strip).filter(lambda text: not is_missing(text))
_NAME = st.text(st.characters(categories=["L", "N"], max_codepoint=0x24F), min_size=1, max_size=6)
QUOTINGS: list[Literal[0, 1, 2]] = [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]
STYLES: dict[str, Callable[[Path, str], str]] = {
    "plain": lambda root, path: path,
    "dot": lambda root, path: f"./{path}",
    "windows": lambda root, path: path.replace("/", "\\"),
    "absolute": lambda root, path: f"{root}/{path}",
    "blanks": lambda root, path: f" {path} ",
    "double": lambda root, path: path.replace("/", "//"),
}


def _picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_PNG)


def _png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(file, "PNG")
    return file.getvalue()


_PNG = _png()


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder).resolve()


@dataclass
class Written:
    """A mark as a table tells of it."""

    path: str
    codes: list[str]
    group: str
    title: str
    owner: str

    def mark(self) -> Mark:
        return Mark(
            path=self.path,
            vienna=tuple(sorted({PARSED[code] for code in self.codes})),
            group=self.group,
            title=self.title,
            extra={"owner": self.owner} if self.owner else {},
        )


marks = st.lists(
    st.builds(
        Written,
        path=st.lists(_NAME, min_size=1, max_size=3).map("/".join),
        codes=st.lists(st.sampled_from(CODES), max_size=3, unique=True),
        group=_WORD,
        title=_WORD,
        owner=_WORD,
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda mark: mark.path.casefold(),
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=30)
@given(marks=marks, data=st.data())
def test_what_was_written_is_what_is_joined(marks: list[Written], data: st.DataObject) -> None:
    draw = data.draw
    separator = draw(st.sampled_from(",;\t|"))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"]))
    quoting = draw(st.sampled_from(QUOTINGS))
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    head = draw(
        st.sampled_from(["", "\n", "# made by a script\n", f"sep={separator}\n", "Title\n\n"])
    )
    columns = draw(st.permutations(["path", "vienna", "group", "title", "owner"]))
    between = draw(st.sampled_from(["; ", "|", ",", " / ", "\n"]))
    style = STYLES[draw(st.sampled_from(sorted(STYLES)))]
    with scratch() as root:
        text = io.StringIO()
        table = csv.writer(text, delimiter=separator, lineterminator=ending, quoting=quoting)
        table.writerow(columns)
        for mark in marks:
            mark.path += ".png"
            _picture(root / mark.path)
            cells = {"path": style(root, mark.path), "vienna": between.join(mark.codes)}
            cells |= {"group": mark.group, "title": mark.title, "owner": mark.owner}
            table.writerow([cells[name] or draw(st.sampled_from(MISSING)) for name in columns])
        (root / "labels.csv").write_bytes(
            (head.replace("\n", ending) + text.getvalue()).encode(encoding)
        )
        catalogue = read_catalogue(root)
        assert list(catalogue.marks) == sorted((m.mark() for m in marks), key=lambda m: m.path)
        assert catalogue.report.joined == len(marks)
        assert catalogue.report.bad_codes == ()


DEFECTS = ["gone", "nowhere", "twice", "contradiction", "hidden", "link", "broken", "other suffix"]


@dataclass
class Tree:
    """A folder of images and a table of labels, and what must become of each row and file."""

    root: Path
    rows: list[tuple[str, str, str]]
    joined: int = 0
    refused: int = 0
    without_image: int = 0
    unlabelled: int = 0
    skipped: int = 1  # the table

    def add(self, kind: str, number: int, codes: list[str]) -> None:
        """One image or mistake more; `number` keeps it apart from the others."""
        path = f"{'abc'[number % 3]}/{number}.png"
        if kind == "gone":
            self.rows += [
                (f"gone/{number - 1}.png", code, "t") for code in codes
            ]  # a namesake may be there
            self.without_image += len(codes)
            return
        if kind == "nowhere":
            self.rows += [(MISSING[number % len(MISSING)], code, "t") for code in codes]
            self.refused += len(codes)
            return
        if kind in ("hidden", "other suffix", "broken", "link"):
            self._skip(kind, number, path)
            return
        _picture(self.root / path)
        if kind == "unlabelled":
            self.unlabelled += 1
            return
        self.joined += len(codes)
        self.rows += [(path, code, f"t{number}") for code in codes]
        if kind == "twice":  # adds nothing
            self.rows.append((path, codes[0], ""))
        if kind == "contradiction":
            self.rows.append((path, "01.01.01", "another mark"))
        self.refused += kind in ("twice", "contradiction")

    def _skip(self, kind: str, number: int, path: str) -> None:
        """A file that is no image of the source, with a label."""
        self.skipped += 1
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "hidden":
            _picture(self.root / f"{path.rpartition('/')[0]}/.{number}" / f"{number}.png")
        elif kind == "other suffix":
            place.with_suffix(".doc").write_bytes(b"x")
        elif kind == "broken":
            place.symlink_to(self.root / "nothing.png")
        else:
            outside = self.root.parent / f"{number}.png"
            _picture(outside)
            place.symlink_to(outside)
        self.rows.append((path, "02.01.01", "t"))
        self.without_image += 1


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=40)
@given(
    kinds=st.lists(st.sampled_from(["plain", "unlabelled", *DEFECTS]), max_size=12),
    codes=st.lists(st.sampled_from(CODES), min_size=1, max_size=3, unique=True),
    dice=st.randoms(use_true_random=False),
)
def test_every_row_and_every_file_is_counted_once(
    kinds: list[str], codes: list[str], dice: random.Random
) -> None:
    with scratch() as folder:
        tree = Tree(folder / "marks", [])
        tree.root.mkdir()
        kinds = ["plain"] * 3 + kinds
        for number, kind in enumerate(kinds):
            tree.add(kind, number, codes)
        dice.shuffle(tree.rows)
        tree.rows.sort(
            key=lambda row: row[2] == "another mark" or not row[2]
        )  # the first row counts
        with (tree.root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("path", "vienna", "title"), *tree.rows])
        catalogue = read_catalogue(tree.root)
        rows, files = catalogue.report.rows, catalogue.report.files
        assert rows.joined + rows.without_image + rows.refused == rows.read == len(tree.rows)
        assert (rows.joined, rows.without_image, rows.refused) == (
            tree.joined,
            tree.without_image,
            tree.refused,
        )
        found = sum(len(names) for _, _, names in os.walk(tree.root))
        assert files.joined + files.unlabelled + files.skipped == files.found == found
        assert (files.unlabelled, files.skipped) == (tree.unlabelled, tree.skipped)
        assert sum(files.reasons.values()) == files.skipped
        labelled = {mark.path: set(mark.vienna) for mark in catalogue.marks if mark.vienna}
        expected = {PARSED[code] for code in codes}
        assert all(found == expected for found in labelled.values())
        assert len(labelled) == files.joined
