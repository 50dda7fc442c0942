"""Every screen of the monitor, reached by its keys, over a run that never changes."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.app import App
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Static

from tests.helpers.histories import two_segments
from tests.helpers.pilot import strips, until, until_still, until_text
from tests.helpers.retrieved import retrieved_run, save_known_search
from tests.helpers.showcase import add_runs, many_findings
from tmssl.config import Config, changed, resolved, write_config
from tmssl.runs.events import (
    Checkpoint,
    Division,
    End,
    Epoch,
    Eval,
    Finding,
    Score,
    Started,
    Step,
)
from tmssl.runs.folder import Run, create_run
from tmssl.runs.journal import JournalWriter
from tui.runs.screen import RunsScreen


@dataclasses.dataclass(frozen=True)
class Way:
    """How a screen is reached from the curves."""

    name: str
    steps: tuple[tuple[str, str], ...] = ()
    """keys to press, each with a text that is on the screen once its effect is there"""


_MATCHES = ("m", "query 1/4")
_RUNS = ("o", "10 runs")
_SEARCH = ("slash", "page 1/")

WAYS = (
    Way("curves"),
    Way("matches", (_MATCHES,)),
    Way("matches-compared", (_MATCHES, ("d", "now 2"))),
    Way("pictures", (_MATCHES, ("P", "Press its number"))),
    Way("list", (_MATCHES, ("t", "page 1/1"))),
    Way("figures", (_MATCHES, ("u", "Figures of epoch-0006"))),
    Way("search", (_SEARCH, ("escape", "w Save"))),
    Way("parts", (_SEARCH, ("f2", "part 2 of 2"))),
    Way("findings", (("f", "the loss falls"),)),
    Way("log", (("g", "step 60"),)),
    Way("config", (("c", "[data]"),)),
    Way("help", (("question_mark", "Keys"),)),
    Way("runs", (_RUNS,)),
    Way(
        "comparison",
        (_RUNS, ("space", "* "), ("down", "B "), ("space", "* "), ("c", "settings that differ")),
    ),
    Way("columns", (_RUNS, ("t", "Columns"))),
    Way("start", (_RUNS, ("n", "recipes:"))),
    Way("resume", (("r", "old LR"),)),
    Way("evaluate", (("e", "Evaluate which checkpoint"),)),
    Way("palette", (("ctrl+p", "Search"),)),
)


def steady_run(folder: Path) -> Run:
    """A finished run with two segments, thirty findings, evaluations, checkpoints and a log, and nine beside it."""
    run = retrieved_run(folder, solid=True)
    save_known_search(run, folder / "marks", ["10%,20%,50%,40%", "40%,30%,50%,60%"])
    _enrich(run.eval / "epoch-0006.json")
    evaluations = run.journal.read_bytes().splitlines(keepends=True)[1:]
    run.journal.unlink()
    config = changed(resolved(Config()), {"epochs": 10, "lr": 0.1, "warmup_epochs": 0.0})
    write_config(config, run.config)
    journal = JournalWriter(run.journal)
    journal.write(Started(name="r", host="box", device="cpu, 2 cores"))
    for event in two_segments(config):
        journal.write(event)
        if isinstance(event, Step) and event.step % 10 == 0:
            journal.write(
                Epoch(
                    epoch=event.step // 10,
                    step=event.step,
                    loss=event.loss,
                    ce=event.ce,
                    top1=event.top1,
                    lr=event.lr,
                    seconds=10.0,
                    rank_me=9.0,
                )
            )
    for finding in many_findings(28, 60):
        journal.write(finding)
    journal.write(
        Finding(
            code="at-chance",
            level="bad",
            text="loss is chance",
            advice="try sgd",
            step=9,
            epoch=0.9,
        )
    )
    journal.write(Finding(code="learning", level="good", text="the loss falls", step=40, epoch=4.0))
    journal.write(Checkpoint(path="checkpoints/last.pt", step=60, epoch=6, reason="epoch"))
    journal.close()
    with run.journal.open("ab") as file:
        file.writelines(evaluations)
    journal = JournalWriter(run.journal)
    journal.write(End(status="stopped", reason="asked", step=60, epoch=6.0, t=1061.0))
    journal.close()
    sidecar = {"sha256": "0" * 64, "step": 60, "epoch": 6.0, "steps_per_epoch": 10}
    (run.checkpoints / "last.json").write_text(json.dumps(sidecar))
    run.log.write_text(
        "".join(
            f"epoch {step / 10:.1f}, step {step}: loss {5.5 - step / 40:.3f}, lr {0.1 - step / 1000:.3f}, "
            f"gradient norm {1 + step % 7 / 10:.2f}, 100 images/s, 1.0 % of a step waits for data\n"
            for step in range(1, 61)
        )
    )
    other = create_run(folder / "runs", "second", latest=False)
    write_config(changed(resolved(Config()), {"epochs": 20, "lr": 0.3}), other.config)
    add_runs(folder / "runs")
    return run


def _enrich(path: Path) -> None:
    """Give an evaluation the figures of a usual one: every level, two lengths, and divisions."""
    event = msgspec.json.decode(path.read_bytes(), type=Eval)
    more = [
        Score(
            metric=metric,
            level=level,
            codes=codes,
            k=k,
            value=chance + (0.9 - chance) * share,
            chance=chance,
            low=chance,
            high=0.9,
            queries=4,
            references={"untrained": chance + 0.1},
        )
        for level, chance in (("category", 0.4), ("division", 0.2), ("section", 0.1))
        for metric, share in (("hit", 0.8), ("precision", 0.3), ("map", 0.4), ("ndcg", 0.5))
        for codes in ("all", "macro")
        for k in (10, 100)
    ]
    divisions = [
        Division(
            code=f"{n:02d}.01", title=f"title {n}", k=10, queries=30 + n, value=0.04 * n, chance=0.2
        )
        for n in range(1, 21)
    ]
    path.write_bytes(
        msgspec.json.encode(
            msgspec.structs.replace(event, scores=[*event.scores, *more], divisions=divisions)
        )
    )


async def reach(pilot: Pilot[None], way: Way) -> None:
    """Press the keys of a way, and wait until its screen is there and still."""
    await until_text(pilot, "learning rate")
    await until_still(pilot)
    for key, text in way.steps:
        await pilot.press(key)
        await until_text(pilot, text)
        await until(pilot, lambda: _is_filled(pilot.app.screen), "for what is read or drawn later")
        await until_still(pilot)


def used_share(app: App[Any], across: int = 10) -> float:
    """The share of a screen's parts, `across` in a row and in a column, that hold more than blanks and frames."""
    columns, rows = app.size
    width, height = columns // across, rows // across
    used = set()
    for y, strip in enumerate(strips(app)):
        x = 0
        for text, style, _ in strip:
            coloured = style is not None and style.bgcolor != app.screen.rich_style.bgcolor
            for character in text:
                if coloured or not (character.isspace() or "\u2500" <= character <= "\u257f"):
                    used.add((x // width, y // height))
                x += 1
    return len(used) / across**2


def _is_filled(screen: Screen[Any]) -> bool:
    """Whether a palette lists all its commands, and a list of runs has its preview.

    Both are begun after the screen has been drawn, so that there is a moment when no worker runs.
    """
    if isinstance(screen, CommandPalette):
        return screen.has_class("-ready")
    if isinstance(screen, RunsScreen) and not screen.has_class("-narrow"):
        return bool(str(screen.query_one("#preview-figures", Static).render()))
    return True


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of `steady_run`."""
    return steady_run(tmp_path_factory.mktemp("steady"))
