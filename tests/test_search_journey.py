"""A search as a person meets it: a terminal in tmux, a path typed, a rectangle moved, the page read and saved."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.command import TINY, tmssl
from tests.helpers.marks import draw_marks
from tests.helpers.tmux import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Marks, and a run that no evaluation has embedded yet."""
    assert shutil.which("tmux"), "these journeys need tmux: apt install tmux, or brew install tmux"
    folder = tmp_path_factory.mktemp("world")
    draw_marks(folder / "marks", 40, validation=8)
    tmssl(folder, "train", "--data", "marks", "--epochs", "1", "--name", "first", *TINY)
    return folder


@pytest.fixture
def terminal(world: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """The monitor on the run, in a size."""
    opened = Terminal(world, request.param, "watch", "runs/first")
    yield opened
    opened.close()


@pytest.mark.parametrize("terminal", [(80, 24), (200, 60)], indirect=True)
def test_a_part_of_a_logo_is_searched_paged_and_saved(terminal: Terminal, world: Path) -> None:
    shutil.rmtree(world / "runs" / "first" / "export", ignore_errors=True)
    terminal.shows("epoch 1.00/1")
    terminal.press("/").shows("Type the path of a logo")
    terminal.type("marks/images/0007.png").press("Enter").shows("40 marks, page 1/", "1. 1.000")
    terminal.press("n").shows("page 2/")
    terminal.press("c").shows("part 1 of 1: 50% x 50% of the logo")
    terminal.press("Left").gone("25% from the left")
    terminal.press("S-Right").gone("50% x 50%")
    terminal.press("Enter").shows("page 1/", "0007.png [")
    terminal.press("w").shows("saved as runs/first/export/search-")
    (saved,) = (world / "runs" / "first" / "export").glob("*.json")
    (answer,) = json.loads(saved.read_text())["answers"]
    assert answer["crop"].endswith("%,50%")
    assert saved.with_suffix(".html").read_text("utf-8").count("data:image/png") == 41
    terminal.press("/", "Tab", "Tab", "Tab").type("titel~mark").press("Enter")
    terminal.shows("--where: the catalogue has no column 'titel'")
    terminal.press("Escape", "Escape").shows("learning rate")
    terminal.press("/").shows("0007.png [", "saved 20")
    terminal.press("Escape", "Escape").shows("learning rate")
    terminal.press("q").shows("left with 0")
