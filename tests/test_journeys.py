"""The monitor as a person meets it: a terminal in tmux, keys typed, the screen read."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.command import TINY, tmssl
from tests.helpers.marks import draw_marks
from tests.helpers.tmux import Terminal
from tmssl.runs.folder import Run, holder, is_alive, open_run
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import read_journal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_SETTINGS = "model.name=test_efficientnet hidden=32 dimensions=16 image_size=32 batch_size=8 log_every=1 device=cpu lr=0.05"
SIZES = [(80, 24), (120, 40), (200, 60)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Marks, a finished and evaluated run, and the log of an old one."""
    assert shutil.which("tmux"), "these journeys need tmux: apt install tmux, or brew install tmux"
    folder = tmp_path_factory.mktemp("world")
    draw_marks(folder / "marks", 40, validation=8)
    old = os.environ.get("TMSSL_CACHE")
    os.environ["TMSSL_CACHE"] = str(folder / "cache")
    tmssl(folder, "train", "--data", "marks", "--epochs", "2", "--name", "first", *TINY)
    tmssl(folder, "eval", "--checkpoint", "previous", "--topk", "5")
    tmssl(folder, "eval", "--checkpoint", "last", "--topk", "5")
    os.environ.pop("TMSSL_CACHE") if old is None else os.environ.update(TMSSL_CACHE=old)
    log = Path(__file__).parents[1] / "runs" / "training-log"
    shutil.copytree(log, folder / "runs" / "training-log")
    return folder


@pytest.fixture
def terminal(world: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """The monitor on what the test asks for: (size, words)."""
    size, *words = request.param
    for name in ("empty", "mine"):
        (world / name).mkdir(exist_ok=True)
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
    terminal.press("/").type("m35").press("Enter").shows("query 1/1", "m35 mark 35")
    terminal.press("Escape").shows("learning rate")


@on((80, 24), "watch")
def test_two_runs_are_compared(terminal: Terminal) -> None:
    terminal.shows("2 runs")
    terminal.press("Space", "Down", "Space").shows("* first", "B training-log")
    terminal.press("c").shows("settings that differ", "state")
    terminal.press("Escape").shows("2 runs")


@on((120, 40), "watch")
def test_the_list_is_filtered_by_a_setting(terminal: Terminal) -> None:
    terminal.shows("2 runs")
    terminal.press("/").type("lr=0.05").shows("1 of 2 runs with lr=0.05")
    terminal.press("Enter", "Escape").shows("2 runs", "training-log")


@pytest.mark.parametrize(
    "terminal", [(size, "watch", "runs/first") for size in SIZES[1:]], indirect=True
)
def test_every_page_opens_and_closes(terminal: Terminal) -> None:
    terminal.shows("epoch 2.00/2")
    for key, words in (
        ("c", "Configuration"),
        ("g", "Log:"),
        ("f", "no finding so far"),
        ("?", "Keys"),
    ):
        terminal.press(key).shows(words)
        terminal.press("Escape").shows("learning rate")


@on((80, 24), "watch", "runs/first")
def test_the_palette_offers_actions_by_name(terminal: Terminal) -> None:
    terminal.shows("epoch 2.00/2")
    terminal.press("C-p").type("confi").shows("Show the settings in force")
    terminal.press("Down", "Enter").shows("Configuration")


@on((80, 24), "watch", "runs/first", "--ascii")
def test_ascii_is_ascii_on_every_screen(terminal: Terminal) -> None:
    terminal.shows("epoch 2.00/2", "+--")
    for keys, words in (
        ("m", "query 1/"),
        ("i", "or enter to go back"),
        ("", "query 1/"),
        ("t", "page 1/"),
        ("u", "Figures of"),
        ("?", "Keys"),
    ):
        shown = terminal.press(keys or "Enter").shows(words)
        assert shown.isascii()
    for words in ("Figures of", "page 1/1", "# finished"):
        terminal.press("Escape").shows(words)
    shown = terminal.press("r").shows("Train to how many epochs")
    assert shown.isascii()


@on((80, 24), "watch", "runs/training-log")
def test_a_finding_leads_to_its_place_in_the_curves(terminal: Terminal) -> None:
    terminal.shows("loss")
    terminal.press("f").shows("newest first", "at step")
    terminal.press("Enter").shows("learning rate", "step ")


@on((80, 24), "watch", "runs/first")
def test_the_list_of_queries_takes_the_place_that_the_window_gives(terminal: Terminal) -> None:
    terminal.press("m").shows("query 1/8")
    terminal.press("t").shows("page 1/1", "> ")
    terminal.press("Down", "Down", "t").shows("query 3/8")
    terminal.resize(200, 60).press("t").shows("page 1/1", "query 3/8", "95 % interval")
    terminal.press("End").shows("query 8/8")
    terminal.resize(80, 24).shows("page 1/1")
    terminal.press("t").shows("query 8/8")


@everywhere("watch", "runs/first")
def test_a_query_is_seen_in_two_evaluations(terminal: Terminal) -> None:
    terminal.press("m").shows("query 1/8", "2/2 epoch-0002")
    shown = terminal.press("d").shows("epoch-0002: ", "epoch-0001: ")
    assert any(word in shown for word in ("same rank", "was ", "new here"))
    terminal.press("n").shows("query 2/8", "epoch-0001: ")
    terminal.press("d", "[").shows("1/2 epoch-0001")


@on((120, 40), "watch", "runs/first")
def test_a_match_is_seen_in_full_size_and_the_monitor_comes_back(terminal: Terminal) -> None:
    terminal.press("m").shows("query 1/8")
    terminal.press("i").shows("left: ", "rank 1,", "or enter to go back")
    terminal.type("3").press("Enter").shows("rank 3,")
    terminal.press("Enter").shows("query 1/8", "P Pictures")
    terminal.press("n").shows("query 2/8")


@on((80, 24), "watch", "runs/first")
def test_matches_are_written_as_a_page_and_a_sheet(terminal: Terminal, world: Path) -> None:
    terminal.press("m").shows("query 1/8")
    terminal.press("w").shows("8 queries written")
    terminal.press("n", "W").shows("7 queries written")
    export = world / "runs" / "first" / "export"
    assert (export / "epoch-0002.html").read_text("utf-8").count("data:image/png") > 8
    assert (export / "epoch-0002.png").read_bytes().startswith(b"\x89PNG")


@on((80, 24), "watch", "runs/first")
def test_every_figure_stands_beside_chance(terminal: Terminal) -> None:
    terminal.press("m").shows("query 1/8")
    terminal.press("u").shows("Figures of epoch-0002", "chance", "lift", "untrained")
    terminal.press("/").type("group").gone("category")
    terminal.press("Escape").shows("category hit@5")
    terminal.press("End").shows("scores higher")
    terminal.press("Escape").shows("query 1/8")


@on((80, 24), "watch", "runs/first")
def test_the_log_is_followed_while_it_grows(terminal: Terminal, world: Path) -> None:
    terminal.shows("epoch 2.00/2")
    terminal.press("g").shows("Log:")
    with (world / "runs" / "first" / "train.log").open("a") as file:
        file.write("a line \x1b]52;c;eA==\x07 that was just printed\n")
    shown = terminal.shows("that was just printed")
    assert "]52;c;eA==" in shown


@on((120, 40), "watch", "runs/first")
def test_settings_are_found_and_those_that_are_not_the_default(terminal: Terminal) -> None:
    terminal.shows("epoch 2.00/2")
    terminal.press("c").shows("[data]", "* image_size")
    terminal.press("/").type("momentum")
    terminal.gone("[data]").shows("momentum")
    terminal.press("Enter", "Escape").shows("[data]")


@on((80, 24), "watch", "runs/first")
def test_the_theme_and_the_layout_are_there_the_next_time(terminal: Terminal) -> None:
    terminal.shows("epoch 2.00/2")
    dark = terminal.screen(codes=True)
    terminal.press("C-t").until(lambda: terminal.screen(codes=True) != dark)
    terminal.press("m").shows("query 1/8")
    terminal.press("t").shows("page 1/1")
    terminal.press("q").shows("epoch 2.00/2")  # the monitor is opened again
    assert re.search("48;(5;231|2;251;251;251)m", terminal.screen(codes=True))
    terminal.press("m").shows("page 1/1")


@on((120, 40), "watch", "runs/first")
def test_the_window_is_resized_in_between(terminal: Terminal) -> None:
    terminal.shows("epoch 2.00/2", "learning rate")
    terminal.resize(40, 10).shows("too small")
    terminal.resize(200, 60).shows("learning rate", "gradient norm", "RankMe")
    terminal.press("r").shows("new plan")
    terminal.resize(80, 24).shows("enter Resume")
    terminal.press("Escape").gone("enter Resume")
    terminal.press("o").shows("2 runs")
    terminal.resize(200, 60).shows("2 runs", "finding")
    terminal.resize(80, 24).press("Enter").shows("learning rate")


@on((80, 24), "watch", "runs/first")
def test_going_on_is_planned_before_anything_happens(terminal: Terminal, world: Path) -> None:
    terminal.shows("epoch 2.00/2")
    terminal.press("r").shows("old LR", "new LR", "new plan")
    terminal.press("BSpace", "BSpace").shows("type a whole number")
    terminal.type("1").shows("would end at 1; give --epochs")
    terminal.press("BSpace").shows("type a whole number")
    terminal.type("9").shows("old LR")
    terminal.press("Tab").type("lr=0.5 ").shows("new LR")
    terminal.type("tempe=1").shows("did you mean 'temperature'")
    terminal.press("Escape").shows("learning rate")
    assert len(history(open_run(world / "runs" / "first")).segments) == 1


@on((80, 24), "watch", "--runs", "empty")
def test_an_empty_folder_leads_to_the_form_and_it_says_what_is_missing(terminal: Terminal) -> None:
    terminal.shows("no runs here yet; press n to start one")
    terminal.press("n").shows("start a run", "give --data")
    terminal.type("nowhere").shows("there is nothing at nowhere")
    terminal.press("Enter").shows("there is nothing at nowhere")
    terminal.press("Escape").shows("no runs here yet")


@on((80, 24), "watch", "runs/first")
def test_without_colour_there_is_grey_only(world: Path, terminal: Terminal) -> None:
    terminal.close()
    plain = Terminal(world, (80, 24), "watch", "runs/first", environment="NO_COLOR=1")
    try:
        plain.shows("# finished", "epoch 2.00/2")
        colours = re.findall(r"[34]8;2;(\d+);(\d+);(\d+)", plain.screen(codes=True))
        assert all(len(set(colour)) == 1 for colour in colours)
        plain.press("m").shows("query 1/8")
    finally:
        plain.close()


@on((100, 30), "watch", "--runs", "mine")
def test_a_run_is_started_kept_evaluated_stopped_and_gone_on_with(
    terminal: Terminal, world: Path
) -> None:
    start_long_run(terminal, "managed")
    try:
        run = open_run(world / "mine" / "managed")
        terminal.press("k").shows("asked for a checkpoint")
        terminal.until(lambda: bool(history(run).checkpoints))
        # Each epoch of this run takes a moment, and `last` is nowhere while it becomes `previous`.
        while "last" not in terminal.press("e").shows("Evaluate which checkpoint", "esc Cancel"):
            terminal.press("Escape").gone("esc Cancel")
        terminal.press("Enter").shows("evaluated; press m for the matches")
        terminal.press("s").shows("y Stop")
        terminal.press("n").shows("> running")
        terminal.press("s", "y").shows("stopped, with a checkpoint; press r to resume", "= stopped")
        assert not is_alive(run)
        terminal.press("r").shows("old LR", "old plan", "new plan")
        terminal.press("Tab").type("lr=0.02").shows("new LR")
        terminal.press("Enter").shows("> running", "resumed with lr=0.02")
        terminal.press("q").shows("left with 0")
        assert is_alive(run)  # quitting never touches the trainer
        changes = history(run).segments[-1].changed
        assert changes["optim.lr"] == [0.05, 0.02]
    finally:
        tmssl(world, "stop", "mine/managed")


@on((80, 24), "watch", "--runs", "mine")
def test_a_lost_terminal_leaves_the_trainer_and_a_killed_trainer_is_told(
    terminal: Terminal, world: Path
) -> None:
    start_long_run(terminal, "lonely")
    run = open_run(world / "mine" / "lonely")
    terminal.close()
    before = history(run).step
    again = Terminal(world, (80, 24), "watch", "mine/lonely", "--notify")
    try:
        again.shows("> running")
        again.until(
            lambda: history(run).step > before
        )  # losing the terminal never touches the trainer
        held = holder(run)
        assert held is not None
        os.kill(held.pid, signal.SIGKILL)
        again.shows("x dead", "lonely is dead")
        again.press("r").shows("old LR")
    finally:
        again.close()
    tmssl(world, "stop", "mine/lonely", code=2)


def history(run: Run) -> History:
    """What a run's journal says by now."""
    return read_history(read_journal(run.journal))


def start_long_run(terminal: Terminal, name: str) -> None:
    """Fill in the form for a run that does not end by itself."""
    terminal.shows(" in mine")
    terminal.press("n").shows("start a run")
    terminal.type("marks").press("Tab").type("5000").press("Tab", "Tab", "Tab")
    terminal.type(_SETTINGS).press("Tab").type(name).shows("test_efficientnet at 32 px")
    terminal.press("Enter").shows("> running", f" {name} ")
