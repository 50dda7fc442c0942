"""Every screen of the monitor, reached by its keys, over a run that never changes."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.screen import Screen

from tests.helpers.histories import two_segments
from tests.helpers.pilot import until, until_still, until_text
from tests.helpers.retrieved import retrieved_run
from tmssl.config import Config, changed, write_config
from tmssl.runs.events import Checkpoint, End, Epoch, Finding, Started, Step
from tmssl.runs.folder import Run, create_run
from tmssl.runs.journal import JournalWriter


@dataclasses.dataclass(frozen=True)
class Way:
    """How a screen is reached from the curves."""

    name: str
    steps: tuple[tuple[str, str], ...] = ()
    """keys to press, each with a text that is on the screen once its effect is there"""


_MATCHES = ("m", "query 1/4")
_RUNS = ("o", "2 runs")

WAYS = (
    Way("curves"),
    Way("matches", (_MATCHES,)),
    Way("matches-compared", (_MATCHES, ("d", "now 2"))),
    Way("list", (_MATCHES, ("t", "page 1/1"))),
    Way("figures", (_MATCHES, ("u", "Figures of epoch-0006"))),
    Way("findings", (("f", "the loss falls"),)),
    Way("log", (("g", "epoch 6"),)),
    Way("config", (("c", "[data]"),)),
    Way("help", (("question_mark", "Keys"),)),
    Way("runs", (_RUNS,)),
    Way(
        "comparison",
        (_RUNS, ("space", "* "), ("down", "* "), ("space", "* "), ("c", "settings that differ")),
    ),
    Way("start", (_RUNS, ("n", "recipes:"))),
    Way("resume", (("r", "old LR"),)),
    Way("evaluate", (("e", "Evaluate which checkpoint"),)),
    Way("palette", (("ctrl+p", "Search"),)),
)


def steady_run(folder: Path) -> Run:
    """A finished run with two segments, findings, evaluations, checkpoints and a log, and one beside it."""
    run = retrieved_run(folder, solid=True)
    evaluations = run.journal.read_bytes().splitlines(keepends=True)[1:]
    run.journal.unlink()
    config = changed(Config(), {"epochs": 10, "lr": 0.1, "warmup_epochs": 0.0})
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
    sidecar = {"sha256": "x", "step": 60, "epoch": 6.0, "steps_per_epoch": 10}
    (run.checkpoints / "last.json").write_text(json.dumps(sidecar))
    run.log.write_text(
        "".join(f"epoch {epoch}: loss {5.5 - epoch / 4:.3f}\n" for epoch in range(1, 7))
    )
    other = create_run(folder / "runs", "second", latest=False)
    write_config(changed(Config(), {"epochs": 20, "lr": 0.3}), other.config)
    return run


async def reach(pilot: Pilot[None], way: Way) -> None:
    """Press the keys of a way, and wait until its screen is there and still."""
    await until_text(pilot, "learning rate")
    await until_still(pilot)
    for key, text in way.steps:
        await pilot.press(key)
        await until_text(pilot, text)
        await until_still(pilot)
    await until(pilot, lambda: _is_filled(pilot.app.screen), "for the palette's commands")
    await until_still(pilot)


def _is_filled(screen: Screen[Any]) -> bool:
    """Whether a palette lists all its commands; between its opening and its search no worker runs."""
    return not isinstance(screen, CommandPalette) or screen.has_class("-ready")


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of `steady_run`."""
    return steady_run(tmp_path_factory.mktemp("steady"))
