"""The monitor as a person meets it: a terminal in tmux, keys typed, the screen read."""

import itertools
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.marks import draw_marks
from tests.test_cli import TINY, tmssl

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_PATIENCE_S = 60.0
_GAP_S = 0.03  # keys in one burst would reach a text field as a paste does
_SERVERS = itertools.count()  # a server that is ending takes no new session
SIZES = [(80, 24), (120, 40), (200, 60)]


class Terminal:
    """A tmux window of its own in which `tmssl` runs."""

    def __init__(self, folder: Path, size: tuple[int, int], *words: str) -> None:
        self._socket = f"tmssl-test-{os.getpid()}-{next(_SERVERS)}"
        self._folder = folder
        command = shlex.join([sys.executable, "-m", "cli", *words])
        self._tmux(
            "new-session", "-d", "-s", "t", "-x", str(size[0]), "-y", str(size[1]), "-c", str(folder),
            "-e", f"PYTHONPATH={Path(__file__).parents[1]}",
            "-e", f"TMSSL_CACHE={folder / 'cache'}", f"{command}; echo left with $?; sleep 600",
        )  # fmt: skip

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._socket, "-f", "/dev/null", *words], capture_output=True, text=True, check=True
        )  # fmt: skip
        return done.stdout

    def press(self, *keys: str) -> "Terminal":
        """Press keys, by tmux's names."""
        for key in keys:
            self._tmux("send-keys", "-t", "t", key)
            time.sleep(_GAP_S)
        return self

    def type(self, text: str) -> "Terminal":
        """Type a text, a letter at a time."""
        for letter in text:
            self._tmux("send-keys", "-t", "t", "-l", letter)
            time.sleep(_GAP_S)
        return self

    def screen(self) -> str:
        """What a person reads."""
        return self._tmux("capture-pane", "-p", "-t", "t")

    def shows(self, *texts: str) -> str:
        """Wait until all of the texts are on the screen; returns it."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            shown = self.screen()
            missing = [text for text in texts if text not in shown]
            if not missing:
                return shown
            assert time.monotonic() < deadline, f"{missing} not on the screen:\n{shown}"
            time.sleep(0.05)

    def resize(self, width: int, height: int) -> "Terminal":
        """Another size of the window."""
        self._tmux("resize-window", "-t", "t", "-x", str(width), "-y", str(height))
        return self

    def close(self) -> None:
        """End the window and what runs in it."""
        self._tmux("kill-server")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Marks, a finished and evaluated run, and the log of an old one."""
    assert shutil.which("tmux"), "these journeys need tmux: apt install tmux, or brew install tmux"
    folder = tmp_path_factory.mktemp("world")
    draw_marks(folder / "marks", 40, validation=8)
    old = os.environ.get("TMSSL_CACHE")
    os.environ["TMSSL_CACHE"] = str(folder / "cache")
    tmssl(folder, "train", "--data", "marks", "--epochs", "2", "--name", "first", *TINY)
    tmssl(folder, "eval", "--topk", "5")
    os.environ.pop("TMSSL_CACHE") if old is None else os.environ.update(TMSSL_CACHE=old)
    log = Path(__file__).parents[1] / "runs" / "training-log"
    shutil.copytree(log, folder / "runs" / "training-log")
    return folder


@pytest.fixture
def terminal(world: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """The monitor on what the test asks for: (size, words)."""
    size, *words = request.param
    opened = Terminal(world, size, *words)
    yield opened
    opened.close()


def on(size: tuple[int, int], *words: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("terminal", [(size, *words)], indirect=True)


def everywhere(*words: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("terminal", [(size, *words) for size in SIZES], indirect=True)


@everywhere("watch")
def test_the_list_opens_a_run_and_leads_back(terminal: Terminal) -> None:
    terminal.shows("2 runs", "training-log", "# finished")
    terminal.press("Down", "Enter").shows("epoch 2.00/2", "learning rate")
    terminal.press("o").shows("2 runs")
    terminal.press("q").shows("left with 0")


@everywhere("watch", "runs/first")
def test_queries_are_paged_filtered_and_searched(terminal: Terminal) -> None:
    terminal.shows("epoch 2.00/2")
    terminal.press("m").shows("query 1/", "showing all")
    terminal.press("n").shows("query 2/")
    terminal.press("a").shows("showing misses")
    terminal.press("a").shows("showing best")
    terminal.press("/").type("m35").press("Enter").shows("query 1/1: m35")
    terminal.press("Escape").shows("learning rate")


@on((80, 24), "watch")
def test_two_runs_are_compared(terminal: Terminal) -> None:
    terminal.shows("2 runs")
    terminal.press("Space", "Down", "Space").shows("* first", "* training-log")
    terminal.press("c").shows("settings that differ", "state")
    terminal.press("Escape").shows("2 runs")


@on((120, 40), "watch")
def test_the_list_is_filtered_by_a_setting(terminal: Terminal) -> None:
    terminal.shows("2 runs")
    terminal.press("/").type("lr=0.05").shows("1 with 'lr=0.05'")
    terminal.press("Enter", "Escape").shows("2 runs", "training-log")


@pytest.mark.parametrize(
    "terminal", [(size, "watch", "runs/first") for size in SIZES[1:]], indirect=True
)
def test_every_page_opens_and_closes(terminal: Terminal) -> None:
    terminal.shows("epoch 2.00/2")
    for key, words in (("c", "Configuration"), ("g", "Log:"), ("f", "Findings"), ("?", "Keys")):
        terminal.press(key).shows(words)
        terminal.press("Escape").shows("learning rate")


@on((80, 24), "watch", "runs/first")
def test_the_palette_offers_actions_by_name(terminal: Terminal) -> None:
    terminal.shows("epoch 2.00/2")
    terminal.press("C-p").type("confi").shows("The settings in force")
    terminal.press("Down", "Enter").shows("Configuration")


@on((80, 24), "watch", "runs/training-log", "--ascii")
def test_ascii_is_ascii(terminal: Terminal) -> None:
    shown = terminal.shows("loss: raw", "+--")
    assert not set("⠁⠉⠤─│┤┼") & set(shown)
