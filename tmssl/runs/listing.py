"""A run as a row of a list of runs: its state, figures and settings."""

import dataclasses
import functools

from tmssl.errors import ConfigError
from tmssl.runs.eval_event import Score, comparable
from tmssl.runs.events import Step
from tmssl.runs.findings.standing import worst_finding
from tmssl.runs.folder import Run
from tmssl.runs.history import History, state
from tmssl.runs.main_figure import SPEAKING, best_score


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
    branched: str
    """`branched from 20261123-1530-toy at epoch 30`; empty for a run with a past of its own"""
    finding: str
    advice: str
    host: str
    settings: dict[str, object]
    """`section.name` to value, of the newest segment"""
    figures: dict[str, float | None] = dataclasses.field(default_factory=dict)
    """of the newest step and evaluation, by a short name such as `top1` or `group`"""

    @functools.cached_property
    def facts(self) -> dict[str, object]:
        """Every word and figure of the run by its name, then every setting as `section.name`."""
        words = {"name": self.run.name, "state": self.state, "host": self.host}
        progress = {"epoch": self.epoch, "epochs": self.epochs}
        losses = {"loss": self.loss, "chance": self.chance}
        best = {"best": self.best.value if self.best else None}
        finding = {"branched": self.branched, "finding": self.finding}
        return {**words, **progress, **losses, **best, **self.figures, **finding, **self.settings}

    @property
    def names(self) -> list[str]:
        """The names of `facts`."""
        return list(self.facts)

    def values_of(self, name: str) -> list[object]:
        """The values of a name: a fact, or a setting with or without its section."""
        if name in self.facts:
            return [self.facts[name]]
        ending = f".{name}"
        return [value for full, value in self.settings.items() if full.endswith(ending)]

    @functools.cached_property
    def searched(self) -> str:
        """What a word without a name is looked for in, in lower case, a field a line; no word holds a line end."""
        fields = [self.run.name, self.state, self.host]
        fields += [f"{name}={value}" for name, value in self.settings.items()]
        return "\n".join(fields).casefold()


def flat_settings(config: dict[str, object]) -> dict[str, object]:
    """`{"optim": {"lr": 0.1}}` as `{"optim.lr": 0.1}`; names that this version lacks are kept."""
    return {
        f"{section}.{name}": value
        for section, settings in config.items()
        if isinstance(settings, dict)
        for name, value in settings.items()
    }


def row_of(run: Run, history: History, alive: bool) -> Row:
    """The row of a run, whose trainer is alive or not."""
    segment, (finding, _) = history.segment, worst_finding(history)
    last = history.points[-1] if history.points else None
    return Row(
        run=run,
        state=state(history, alive),
        epoch=history.epoch,
        epochs=segment.epochs if segment else None,
        loss=last.loss if last else None,
        chance=segment.chance if segment else None,
        best=best_score(history.evals),
        branched=history.branch.words if history.branch else "",
        finding=finding.text if finding else "",
        advice=finding.advice if finding else "",
        host=history.started.host if history.started else "",
        settings=_settings(run, history),
        figures={**_step_figures(last), **_evaluation_figures(history)},
    )


def _step_figures(step: Step | None) -> dict[str, float | None]:
    """What the newest step says."""
    return {
        "top1": step.top1 if step else None,
        "spread": step.feature_std if step else None,
        "img_s": step.img_s if step else None,
        "mem_gib": step.mem_gib if step else None,
    }


def _evaluation_figures(history: History) -> dict[str, float | None]:
    """What the newest comparable evaluation says, by the figures that speak for one."""
    figures = {}
    for name, figure in zip(("hit", "any_hit", "group", "invariance"), SPEAKING, strict=True):
        newest = comparable(history.evals, figure.metric)[-1:]
        scores = [figure.score(event) for event in newest]
        figures[name] = next((score.value for score in scores if score), None)
    return figures


def _settings(run: Run, history: History) -> dict[str, object]:
    """The settings of the newest segment; those of the configuration file before there is one."""
    from tmssl.config import read_config, to_dict

    if history.segment is not None:
        return flat_settings(dict(history.segment.config))
    try:
        return flat_settings(dict(to_dict(read_config(run.config))))
    except ConfigError:  # missing, or written by another version
        return {}


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
