"""Pages and sheets of what was found: hostile words stay words, and everything is inside."""

import base64
import hashlib
import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.in_process import tmssl_in_process
from tests.helpers.marks import draw_marks
from tests.helpers.tiny_run import tiny_run
from tmssl.retrieval.evaluation.examples import SAMPLE, WORST, choose_examples
from tmssl.retrieval.evaluation.matches import Match, QueryMatches
from tmssl.retrieval.html import Cell, Table, render
from tmssl.runs.folder import Run

HOSTILE = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=1">',
    "</title></style></script><svg onload=alert(1)>",
    "' onmouseover='x",
    "{{ 7*7 }}{% raw %}",
    "<a href=javascript:alert(1)>x</a>",
    "\u202egnp.exe\x1b[2J",
)
VOID = {"meta", "img"}


class Reader(HTMLParser):
    """Every tag and attribute that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.inside:
            self.inside[self.open[-1]].append(data)
        else:
            self.text.append(data)


def read_page(text: str) -> Reader:
    """A page as parsed, after what must hold for any page."""
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    assert (reader.tags.count("script"), reader.tags.count("style")) == (1, 1)
    assert not {"svg", "iframe", "object", "form", "link", "base"} & set(reader.tags)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    for tag, (content,) in reader.inside.items():
        told = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{told}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag, name, value in reader.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name != "style"
        assert name != "src" or value.startswith("data:image/png;base64,")
        assert name != "href" or value.startswith("https://example.org/")
    return reader


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose marks have the titles of an attacker."""
    folder = tmp_path_factory.mktemp("h")
    marks = draw_marks(folder / "marks", 30, validation=10)
    lines = (marks / "labels.csv").read_text().splitlines()[1:]
    rows = []
    for i, line in enumerate(lines):
        path, name, codes, group, split, _ = line.split(",")
        url = f"https://example.org/{i}" if i % 2 else "javascript:alert(1)"
        rows.append(
            json.dumps(
                {
                    "path": path,
                    "id": name,
                    "vienna": codes,
                    "group": group,
                    "split": split,
                    "title": HOSTILE[i % len(HOSTILE)],
                    "url": url,
                    "year": str(1990 + i),
                    "owner": HOSTILE[(i + 1) % len(HOSTILE)],
                }
            )
        )
    (marks / "labels.csv").unlink()
    (marks / "labels.jsonl").write_text("\n".join(rows) + "\n")
    (marks / "ATTRIBUTION.txt").write_text("Drawn by <b onclick=x>Somebody</b>\n")
    return tiny_run(folder)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    import signal

    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_hostile_words_of_an_evaluation_stay_words(run: Run, tmp_path: Path) -> None:
    page, sheet = tmp_path / "report.html", tmp_path / "sheet.png"
    out, _ = tmssl_in_process(
        "eval", str(run.path), "-k", "5", "--show", "4", "--html", str(page), "--png", str(sheet)
    )
    assert "\nrandom sample:\n" in out
    reader = read_page(page.read_text("utf-8"))
    words = "".join(reader.text)
    assert "<script>document.title='owned'</script>" in words
    assert "{{ 7*7 }}" in words
    assert "Drawn by <b onclick=x>Somebody</b>" in words
    assert "\x1b" not in words
    assert "\u202e" not in words
    assert words.count("First hit") >= 1
    assert reader.tags.count("figure") >= 10 * 5
    kinds = {v for t, n, v in reader.attributes if (t, n) == ("figure", "class")}
    assert {"hit", "miss"} <= kinds
    picture = Image.open(io.BytesIO(sheet.read_bytes()))
    assert picture.format == "PNG"
    assert picture.width > 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "sheet.png"]


def test_hostile_words_of_a_search_stay_words_and_only_web_addresses_are_links(
    run: Run, tmp_path: Path
) -> None:
    page, logo = tmp_path / "page.html", tmp_path / "<img src=x onerror=alert(1)>.png"
    logo.write_bytes((run.path.parents[1] / "marks" / "images" / "0007.png").read_bytes())
    tmssl_in_process("search", str(logo), "--run", str(run.path), "-k", "20", "--html", str(page))
    reader = read_page(page.read_text("utf-8"))
    assert "<img src=x onerror=alert(1)>.png" in "".join(reader.text)
    links = [v for t, n, v in reader.attributes if (t, n) == ("a", "href")]
    assert 0 < len(links) < 20
    assert "javascript:alert(1)" in "".join(reader.text)
    assert reader.tags.count("tr") == 1 + 20


def test_every_cell_knows_how_it_sorts() -> None:
    cells = [[Cell(["b"], 2.5)], [Cell([HOSTILE[1]], HOSTILE[3])]]
    reader = read_page(render("x", ["y"], [Table("t", ["c"], cells)]))
    assert [v for _, n, v in reader.attributes if n == "data-sort"] == ["2.5", HOSTILE[3]]
    assert reader.tags.count("button") == 1


def query(
    row: int, first: int, similarity: float, codes: tuple[str, ...] = ("01.01",)
) -> QueryMatches:
    match = Match(row=row + 1, rank=1, similarity=similarity, hit=first == 1)
    return QueryMatches(row=row, first_hit=first, vienna=list(codes), matches=[match])


def test_the_worst_come_first_and_a_sample_of_the_others_after_them() -> None:
    fine = [query(i, 1, 0.9) for i in range(50)]
    late, never, sure = query(50, 9, 0.99), query(51, 0, 0.5), query(52, 0, 0.8)
    unlabelled = query(53, 0, 0.99, ())
    lettering = query(54, 0, 0.99, ("27.05",))  # no hit is possible
    queries = [*fine, late, never, sure, unlabelled, lettering]
    chosen = choose_examples(queries, 8)
    assert [(part, q.row) for part, q in chosen[:3]] == [(WORST, 52), (WORST, 51), (WORST, 50)]
    assert [part for part, _ in chosen[3:]] == [SAMPLE] * 5
    assert len({q.row for _, q in chosen}) == 8
    assert chosen == choose_examples(queries, 8)
    assert chosen != choose_examples(queries, 8, seed=1)
    assert choose_examples(queries, 0) == []
    assert len(choose_examples(queries[:2], 8)) == 2
