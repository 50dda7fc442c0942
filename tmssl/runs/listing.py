"""A folder of runs as rows; reading it again reads only what the journals grew by."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from tmssl.errors import ConfigError, JournalError
from tmssl.runs.eval_event import Score
from tmssl.runs.folder import Run, is_alive, list_runs
from tmssl.runs.history import History, state
from tmssl.runs.journal import Tail
from tmssl.runs.main_figure import best_score

_KEPT_STEPS = 64  # of a run, in memory; a row needs only the last


@dataclasses.dataclass(frozen=True)
class Row:
    """One run in a list of runs."""

    run: Run
    state: str
    epoch: float
    epochs: int | None
    loss: float | None
    chance: float | None
    """loss of a model that has learned nothing"""
    best: Score | None
    """of the evaluations, by the first main figure that the labels allow"""
    finding: str
    advice: str
    host: str
    settings: dict[str, object]
    """`section.name` to value, of the newest segment"""

    def matches(self, text: str) -> bool:
        """Whether each word is in the name, state, host or a setting such as `optim.lr=0.1`, in any case."""
        fields = [self.run.name, self.state, self.host]
        fields += [f"{name}={value}" for name, value in self.settings.items()]
        return all(
            any(word in field.casefold() for field in fields) for word in text.casefold().split()
        )


def flat_settings(config: dict[str, object]) -> dict[str, object]:
    """`{"optim": {"lr": 0.1}}` as `{"optim.lr": 0.1}`; names that this version lacks are kept."""
    return {
        f"{section}.{name}": value
        for section, settings in config.items()
        if isinstance(settings, dict)
        for name, value in settings.items()
    }


def row_of(run: Run, history: History) -> Row:
    """The row of a run."""
    segment, finding = history.segment, history.findings[-1] if history.findings else None
    last = history.points[-1] if history.points else None
    return Row(
        run=run,
        state=state(history, is_alive(run)),
        epoch=history.epoch,
        epochs=segment.epochs if segment else None,
        loss=last.loss if last else None,
        chance=segment.chance if segment else None,
        best=best_score(history.evals),
        finding=finding.text if finding else "",
        advice=finding.advice if finding else "",
        host=history.started.host if history.started else "",
        settings=_settings(run, history),
    )


def _settings(run: Run, history: History) -> dict[str, object]:
    """The settings of the newest segment; those of the configuration file before there is one."""
    from tmssl.config import read_config, to_dict

    if history.segment is not None:
        return flat_settings(dict(history.segment.config))
    try:
        return flat_settings(dict(to_dict(read_config(run.config))))
    except ConfigError:  # missing, or written by another version
        return {}


class Listing:
    """Reads the runs of a folder, again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[Path, tuple[Tail, History]] = {}

    def rows(self) -> Iterator[Row]:
        """The row of each run as soon as it is read, the newest name first."""
        for run in reversed(list_runs(self.folder)):
            yield row_of(run, self._history(run))

    def _history(self, run: Run) -> History:
        """The history of a run up to now, with its newest steps only."""
        tail, history = self._read.get(run.path) or (Tail(run.journal), History())
        while True:
            try:
                events, restarted = tail.poll()
            except JournalError:  # such as another user's file; the run is listed without figures
                break
            if restarted:
                history = History()
            history.add(events)
            history.steps = history.steps[-_KEPT_STEPS:]
            if not tail.behind:
                break
        self._read[run.path] = (tail, history)
        return history


@dataclasses.dataclass(frozen=True)
class Difference:
    """A setting that differs between two runs."""

    name: str
    first: object
    second: object


def differing(first: Row, second: Row) -> list[Difference]:
    """The settings that differ between two runs; None where a run lacks one."""
    names = dict.fromkeys([*first.settings, *second.settings])
    pairs = [Difference(n, first.settings.get(n), second.settings.get(n)) for n in names]
    return [pair for pair in pairs if pair.first != pair.second]
