"""Run folders as trainers leave them."""

from pathlib import Path

from tmssl.runs.events import Eval, Event, Score
from tmssl.runs.folder import create_run
from tmssl.runs.journal import JournalWriter


def write_run(folder: Path, name: str, *events: Event) -> None:
    run = create_run(folder, name)
    run.config.write_text("")
    journal = JournalWriter(run.journal)
    for event in events:
        journal.write(event)
    journal.close()


def hit(value: float, codes: str = "figurative", k: int = 10) -> Eval:
    score = Score(metric="hit", level="division", codes=codes, k=k, value=value, chance=0.31)
    return Eval(scores=[score])
