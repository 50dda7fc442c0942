"""Journals that are damaged or hostile: nothing raises, and nothing of them but signs reaches the terminal."""

import json
import random
import re
import time
from pathlib import Path

import pytest

from tests.helpers.retrieved import retrieved_run
from tests.helpers.scores import division_hit
from tests.helpers.terminal import QUESTIONS, Terminal, watch
from tmssl.config import Config, to_dict, write_config
from tmssl.runs.events import (
    Checkpoint,
    End,
    Epoch,
    Eval,
    Event,
    Finding,
    Segment,
    Started,
    Step,
)
from tmssl.runs.folder import Run, create_run
from tmssl.runs.history import History, summary
from tmssl.runs.journal import Tail, encode, last_segment, sample
from tui.charts.curves import ColumnCache
from tui.charts.epoch_table import epoch_table
from tui.charts.run_charts import METRIC_CHARTS, RenderRequest, render_charts
from tui.charts.view_state import ViewState
from tui.live.styled_text import headline, run_lines
from tui.options import FULL, DisplayOptions

EVIL = (
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1bP+q544e\x1b\\",
    "\x1b_Gi=1,a=q;\x1b\\",
    "\x1b[6n",
    "\x1b[c",
    "\x1b[?1049l",
    "\x1b[31m",
    "\x1b[1;1H",
    "\x9b2J",
    "\x9d52;c;ZXZpbA==\x9c",
    "\u202e",
    "\u2066",
    "\ufeff",
    "\x00",
    "\x07",
    "\x08" * 20,
    "\r",
    "\n",
    "[bold red]x[/]",
    "[/]",
    "[@click=app.quit]x[/]",
    "{{7*7}}",
    "\U0001f469\u200d\U0001f52c",
    "\ud83d",
    "a" * (1 << 20),
)
"""What a name, a message or a path may hold."""


def evil_events(text: str) -> list[Event]:
    """Every field of words, told by an enemy."""
    score = division_hit(0.5, 0.1, {text: 0.2})
    config = {**to_dict(Config()), text: {text: text}}
    return [
        Started(name=text, host=text, device=text),
        Segment(
            reason=text,
            config=config,
            changed={text: [text, text]},
            steps_per_epoch=10,
            epochs=10,
            chance=5.5,
        ),
        *(Step(step=i, epoch=i / 10, loss=5.0, lr=0.1, t=float(i)) for i in range(1, 40)),
        Epoch(epoch=1, step=10, loss=4.0),
        Eval(epoch=3, scores=[score], checkpoint=text, split=text, matches=text),
        Checkpoint(path=text, reason=text),
        Finding(code=text, level=text, text=text, advice=text, step=9),
        Finding(code="x", level="bad", text=text, advice=text, step=12),
        End(status="stopped", reason=text),
    ]


def as_line(event: Event) -> bytes:
    """A line of the journal, whatever is in its words; a lone surrogate by its escape."""
    try:
        return encode(event)
    except UnicodeEncodeError:
        import msgspec

        return json.dumps(msgspec.to_builtins(event)).encode() + b"\n"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_no_control_of_a_journal_reaches_the_terminal(
    tmp_path: Path, opened: list[Terminal], size: tuple[int, int]
) -> None:
    run = retrieved_run(tmp_path)
    matches = next(run.eval.glob("*.matches.jsonl"))
    with run.journal.open("ab") as file:
        for text in EVIL:
            file.writelines(as_line(event) for event in evil_events(text))
    run.log.write_bytes(
        "\n".join(EVIL[:-3]).encode("utf-8", "replace") + b"\xff\x9b2J\n" + b"b" * (1 << 20)
    )
    wicked = create_run(run.path.parent, "w\x1b[2J\x1b]52;c;ZXZpbA==\x07\u202e", latest=False)
    write_config(Config(), wicked.config)
    wicked.journal.write_bytes(run.journal.read_bytes())
    lines = matches.read_text("utf-8").splitlines()
    for place, line in enumerate(lines[1:], 1):
        query = json.loads(line)
        query["title"] = query["group"] = EVIL[place % len(EVIL)][:2000]
        for match in query.get("matches", []):
            match["title"] = match["path"] = EVIL[(place + 1) % len(EVIL)][:2000]
        lines[place] = json.dumps(query)
    matches.write_text("\n".join(lines) + "\n", "utf-8")
    terminal = Terminal(watch(run.path), size=size, answers_after_s=0.0)
    opened.append(terminal)
    terminal.shows("learning rate")
    for (
        keys
    ) in "f \x1b g \x1b c \x1b ? \x1b m n n \x1b o \x1b[B \x1b a \x1b v e \x1b r \x1b".split():
        terminal.type(keys.encode())
        settle(terminal)
        assert terminal.process.poll() is None, terminal.grid.text()
    assert terminal.leave() == 0, terminal.grid.text()
    assert only_ours(bytes(terminal.bytes)) == ""
    assert terminal.asked == []
    assert terminal.left_to_read() == b""


def settle(terminal: Terminal) -> None:
    """Wait until the program writes nothing from one look to the next."""
    length = -1
    while length != len(terminal.bytes):
        length = len(terminal.bytes)
        time.sleep(0.4)


def only_ours(written: bytes) -> str:
    """What is neither a sign nor one of the sequences that the monitor itself sends."""
    text = written.decode("utf-8")
    text = re.sub(
        r"\x1b\[[0-9;]*[mHC]|\x1b\[\?(?:1000|1003|1004|1006|1015|1049|2004|2026|25|7)[hl]", "", text
    )
    text = text.replace("\r\n", "")
    return "".join(
        sorted(set(re.findall(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]", text)))
    )


def test_every_question_of_the_harness_is_one_of_the_evil(tmp_path: Path) -> None:
    whole = "".join(EVIL).encode("utf-8", "replace")
    assert sum(bool(re.search(pattern, whole)) for pattern, _ in QUESTIONS.values()) >= 4


PIECES = (
    b"\n",
    b"{",
    b"}",
    b'"',
    b"\x00",
    b"\xff\xfe",
    b"null",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-1",
    b"[" * 3000,
    b'{"kind":"step"',
    b'{"kind":"segment","step":3}\n',
    b'"step":1,',
    b'"step":-5,',
    b'"step":99999999999999999999,',
    b'"epoch":1e308,',
    b'"t":-1e300,',
    b'"loss":0,',
    b'"loss":1e-320,',
    b'"loss":-1e308,',
    b'"epochs":0,',
    b'"steps_per_epoch":0,',
    b'"steps_per_epoch":1e9,',
    b"\xe2\x80\xae",
    b"x" * 5000,
)


def mutated(content: bytes, dice: random.Random) -> bytes:
    """A journal with some of its bytes changed, cut, doubled or moved."""
    data = bytearray(content)
    for _ in range(dice.randrange(1, 9)):
        at = dice.randrange(len(data) + 1)
        kind = dice.randrange(4)
        if kind == 0:
            data[at : at + dice.choice([0, 1, 3, 40])] = dice.choice(PIECES)
        elif kind == 1:
            del data[at : at + dice.randrange(200)]
        elif kind == 2:
            data[at:at] = data[dice.randrange(len(data) + 1) :][: dice.randrange(400)]
        else:
            lines = bytes(data).split(b"\n")
            dice.shuffle(lines)
            data = bytearray(b"\n".join(lines))
    return bytes(data)


def look_at_all_of_it(run: Run, dice: random.Random) -> None:
    """What the monitor does with a journal, from its bytes to its cells."""
    tail, history = Tail(run.journal), History()
    while tail.behind:
        events, restarted = tail.poll(dice.choice([37, 1000, 1 << 20]))
        assert not restarted
        history.add(events)
    sample(run.journal, 3, 200)
    last_segment(run.journal, 300)
    alive = dice.random() < 0.5
    summary(history, alive)
    headline(run, history, alive, "", FULL)
    for text in (
        *run_lines(history, alive, 80, FULL).values(),
        epoch_table(history, 9, FULL),
    ):
        assert not set(text.plain) & set("\x00\x07\x1b\x9b\u202e")
    view = ViewState(
        dice.choice(["epoch", "step", "time"]),
        dice.choice([0.0, 0.9]),
        dice.random() < 0.5,
        dice.random() < 0.3,
    )
    names = dice.sample(["loss", "lr", "hits", *METRIC_CHARTS], 3)
    sizes = {name: (dice.choice([16, 40, 90]), dice.choice([4, 9, 20])) for name in names}
    drawing = render_charts(RenderRequest("r", history, view, sizes, FULL), ColumnCache())
    for name, chart in drawing.charts.items():
        assert len(chart.lines) in (3, sizes[name][1])
    closer = view.zoomed(3.0, (0.0, 1.0), (0.0, 1.0), 0.5).next_axis(drawing.curves)
    light = DisplayOptions(dark=False)
    render_charts(RenderRequest("r", history, closer, sizes, light), ColumnCache())


def fuzz(folder: Path, count: int, seed: int) -> None:
    """So many journals, each looked at as the monitor would."""
    run = create_run(folder / "runs", "r")
    good = b"".join(as_line(event) for event in evil_events("plain"))
    dice = random.Random(seed)
    for _ in range(count):
        content = mutated(good, dice)
        run.journal.write_bytes(content)
        look_at_all_of_it(run, dice)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_hundred_fuzzed_journals_are_shown(tmp_path: Path, seed: int) -> None:
    fuzz(tmp_path, 100, seed)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(10, 20))
def test_ten_thousand_fuzzed_journals_are_shown(tmp_path: Path, seed: int) -> None:
    fuzz(tmp_path, 1000, seed)
