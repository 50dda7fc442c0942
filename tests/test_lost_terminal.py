"""What the monitor says outside of its screens: one snapshot, JSON, plain terminals, slow links, a bell."""

import json
from collections.abc import Iterator

import pytest

from tests.helpers.histories import step
from tests.helpers.in_process import tmssl_in_process
from tests.helpers.pilot import until, until_still
from tests.helpers.screens import steady
from tests.helpers.terminal import ROOT, Terminal, watch
from tmssl.runs.events import Finding
from tmssl.runs.findings.standing import finding_facts
from tmssl.runs.folder import Run
from tmssl.runs.history import History, read_history, summary
from tmssl.runs.journal import JournalWriter, read_journal
from tui.app import WatchApp
from tui.live.screen import LiveScreen
from tui.options import LOW_BANDWIDTH_S, DisplayOptions

__all__ = ["steady"]  # a fixture


def said(*words: str) -> str:
    return tmssl_in_process(*words)[0]


def test_once_is_an_aligned_summary_with_a_small_chart(steady: Run) -> None:
    lines = said("watch", str(steady.path), "--once").splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["run", "r"]
    told = lines[: lines.index("")]
    assert all(
        line[11] == " " and line[12] != " " for line in told
    )  # one column of names, one of words
    assert any(line.startswith("finding") and "loss is chance" in line for line in lines)
    assert any("chance 5.55" in line for line in lines)
    assert any(set(line) & set(map(chr, range(0x2800, 0x2900))) for line in lines)  # braille


def test_once_in_ascii_is_ascii(steady: Run) -> None:
    assert said("watch", str(steady.path), "--once", "--ascii").isascii()


def test_json_is_the_same_snapshot_for_watch_and_runs(steady: Run) -> None:
    one = json.loads(said("watch", str(steady.path), "--json"))
    rows = json.loads(said("runs", "--runs", str(steady.path.parent), "--json"))
    (same,) = [row for row in rows if row["name"] == "r"]
    history = read_history(read_journal(steady.journal))
    told = {**summary(history, alive=False, now=0.0), **finding_facts(history)}
    for name, value in told.items():
        if name != "seconds_since_write":
            assert one[name] == same[name] == value, name
    assert one["state"] == "stopped"
    assert one["chance"] == 5.55


@pytest.fixture
def terminal(steady: Run, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """The monitor on a terminal that notes every byte: (words, environment)."""
    words, environment = request.param
    opened = Terminal(watch(steady.path, *words), environment=environment)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "terminal",
    [(["--ascii"], {}), ([], {"LANG": "C"}), ([], {"PYTHONIOENCODING": "latin-1"})],
    indirect=True,
)
def test_on_an_ascii_terminal_no_other_byte_arrives(terminal: Terminal) -> None:
    terminal.shows("learning rate")
    terminal.type(b"m")
    terminal.shows("query 1/4")
    terminal.type(b"i")
    terminal.shows("rank of another match")
    terminal.type(b"\r")
    terminal.shows("query 1/4")
    assert terminal.leave() == 0
    assert max(terminal.bytes) < 0x80


@pytest.mark.parametrize("terminal", [([], {"NO_COLOR": "1"})], indirect=True)
def test_without_colour_no_colour_arrives(terminal: Terminal) -> None:
    terminal.shows("= stopped")
    assert terminal.leave() == 0
    for part in (
        bytes(terminal.bytes).split(b"[38;2;")[1:] + bytes(terminal.bytes).split(b"48;2;")[1:]
    ):
        red, green, blue = part.split(b"m")[0].split(b";")[:3]
        assert red == green == blue


@pytest.mark.parametrize("terminal", [([], {"TERM": "dumb"})], indirect=True)
def test_where_no_screen_can_be_drawn_the_monitor_is_one_snapshot(terminal: Terminal) -> None:
    terminal.wait_for(b"TERM=dumb draws no screens, so this is one snapshot")
    assert terminal.process.wait(50) == 0
    assert b"\x1b" not in terminal.bytes


@pytest.mark.parametrize("terminal", [(["--notify"], {"TERM_PROGRAM": "WezTerm"})], indirect=True)
def test_a_bad_finding_rings_and_is_noted_where_that_is_asked_for(
    terminal: Terminal, steady: Run
) -> None:
    terminal.shows("learning rate")
    before = steady.journal.read_bytes()
    try:
        journal = JournalWriter(steady.journal)
        journal.write(Finding(code="x", level="bad", text="loss is \x1b]52;c;x\x07 NaN", step=60))
        journal.close()
        terminal.wait_for(b"\x1b]9;r: loss is \xe2\x90\x9b]52;c;x\xe2\x90\x87 NaN\x07")
        assert b"\x1b]52" not in terminal.bytes
    finally:
        steady.journal.write_bytes(before)


async def test_a_slow_link_is_drawn_to_at_long_intervals(
    steady: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LOW_BANDWIDTH_S >= 10
    shown: list[int] = []
    show = LiveScreen.show

    def noted(screen: LiveScreen, history: History, alive: bool) -> None:
        shown.append(history.step)
        show(screen, history, alive)

    monkeypatch.setattr(LiveScreen, "show", noted)
    before = steady.journal.read_bytes()
    app = WatchApp(steady, DisplayOptions(redraw_s=1e6))
    try:
        async with app.run_test(size=(80, 24)) as pilot:
            await until_still(pilot)
            drawn = len(shown)
            journal = JournalWriter(steady.journal)
            for number in range(61, 65):
                journal.write(step(number))
            journal.close()
            await until(pilot, lambda: app.history.step == 64)  # read,
            await until_still(pilot)
            assert len(shown) == drawn  # but not drawn yet
    finally:
        steady.journal.write_bytes(before)


def test_the_options_are_told() -> None:
    told = said("watch", "--help")
    for option in ("--once", "--json", "--ascii", "--low-bandwidth", "--notify", "--images"):
        assert option in told
    readme = (ROOT / "README.md").read_text("utf-8")
    pages = readme + "".join(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md"))
    for option in ("--once", "--json", "--ascii", "--low-bandwidth", "--notify", "--images"):
        assert option in pages
