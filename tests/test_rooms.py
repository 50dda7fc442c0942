"""The house stays one that a stranger can walk through: room sizes, names, imports, formatting."""

import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ("tmssl", "tui", "cli")


def product_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PRODUCT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    paths = [ROOT / name for name in listed if name.endswith(".py")]
    return [path for path in paths if path.exists()]


def test_no_room_holds_more_than_22_files() -> None:
    sizes = Counter(path.parent.relative_to(ROOT) for path in product_files())
    assert {room: size for room, size in sizes.items() if size > 22} == {}


def test_no_file_has_more_than_400_lines() -> None:
    lengths = {path: path.read_text("utf-8").count("\n") for path in product_files()}
    assert {path: length for path, length in lengths.items() if length > 400} == {}


def test_every_file_says_in_its_first_line_what_it_holds() -> None:
    for path in product_files():
        first = path.read_text("utf-8").partition("\n")[0]
        assert first.startswith('"""'), path
        assert len(first.strip('"').split()) >= 2, f"{path}: {first}"


def test_the_formatter_decides_but_for_tables() -> None:
    for path in product_files():
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if re.search(r"fmt: *(skip|off)", line):
                assert "table" in line, f"{path}:{number}: only a table may be laid out by hand"


def circles(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Strongly connected parts of more than one node, by the slow and obvious way."""
    reached: dict[str, set[str]] = {}
    for start in edges:
        seen: set[str] = set()
        ahead = list(edges[start])
        while ahead:
            node = ahead.pop()
            if node not in seen:
                seen.add(node)
                ahead += edges.get(node, ())
        reached[start] = seen
    return sorted(
        [one, other]
        for one in edges
        for other in reached[one]
        if one < other and one in reached.get(other, set())
    )


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Module to the modules that it imports, those under TYPE_CHECKING included."""
    graph = grimp.build_graph(*PRODUCT, cache_dir=None)
    return {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}


def test_no_modules_import_each_other_in_a_circle(imports: dict[str, set[str]]) -> None:
    assert circles(imports) == []


def test_no_rooms_import_each_other_in_a_circle(imports: dict[str, set[str]]) -> None:
    for parent in {name.rpartition(".")[0] for name in imports if "." in name}:
        depth = parent.count(".") + 2

        def room(name: str, parent: str = parent, depth: int = depth) -> str:
            inside = name.startswith(f"{parent}.")
            return ".".join(name.split(".")[:depth]) if inside else ""

        edges: dict[str, set[str]] = defaultdict(set)
        for name, imported in imports.items():
            if room(name):
                edges[room(name)] |= {room(other) for other in imported} - {"", room(name)}
        assert circles(edges) == [], parent


def test_no_test_imports_another() -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        assert not re.search(
            r"^\s*(from|import) tests\.([a-z_.]+\.)?test_", path.read_text("utf-8"), re.MULTILINE
        ), path
