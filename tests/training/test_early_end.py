"""An early end by evidence: where it comes, what is kept, and that a stop on the way changes nothing."""

import signal
from pathlib import Path

import pytest

from cli.commands.train import _is_done
from cli.start import planned_resume
from tests.helpers.training import draw_pack, history_of, new_run
from tests.helpers.waiting import wait_for
from tmssl.config import Config, changed, write_config
from tmssl.errors import ConfigError
from tmssl.runs.checkpoints import find_sidecar
from tmssl.runs.events import End, Eval, Score, Segment
from tmssl.runs.findings.early_end import evidence
from tmssl.runs.folder import Run
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import JournalWriter
from tmssl.runs.launch import start_trainer
from tmssl.stop_when import FIGURES, StopWhen, chosen_by, parse_stop_when
from tmssl.training.checkpoints.evaluations import Evaluations
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

INVARIANCE = StopWhen("invariance", 2)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pack(tmp_path_factory.mktemp("marks"), 48, validation=8)


def evaluated(step: int, value: float | None, t: float = 0.0) -> Eval:
    score = Score(metric="invariance", level="copy", k=1, value=value, chance=0.1)
    path = f"checkpoints/eval-{step // 5:04d}.pt"
    return Eval(epoch=step / 5, step=step, checkpoint=path, scores=[score], t=t)


def segment(step: int, t: float = 0.0) -> Segment:
    return Segment(step=step, steps_per_epoch=5, epochs=20, t=t)


def history_with(*values: float | None) -> History:
    """A history with one evaluation an epoch."""
    evals = [evaluated(5 * at, value) for at, value in enumerate(values, 1)]
    return read_history([segment(0), *evals, segment(5 * len(values))])


@pytest.mark.parametrize(
    ("values", "without_gain"),
    [
        ((0.1,), 0),
        ((0.1, 0.2, 0.3), 0),
        ((0.3, 0.2, 0.1), 2),
        ((0.3, 0.3, 0.3), 2),
        ((0.1, 0.3, 0.2, 0.4, 0.4), 1),
        ((0.3, None, 0.1), 1),
    ],
)
def test_evaluations_since_the_best_are_counted(
    values: tuple[float | None, ...], without_gain: int
) -> None:
    found = evidence(history_with(*values), INVARIANCE)
    assert found is not None
    assert found.without_gain == without_gain


def test_the_count_begins_anew_where_a_finished_run_goes_on() -> None:
    history = history_with(0.3, 0.2, 0.1)
    history.add([End(status="finished", step=15), segment(15, t=1.0), evaluated(20, 0.1, t=2.0)])
    history.add([segment(20, t=3.0)])
    found = evidence(history, INVARIANCE)
    assert found is not None
    assert (found.without_gain, found.best.value, len(found.curve)) == (1, 0.3, 4)
    assert found.curve_words == "0.300, 0.200, 0.100, 0.100 at epochs 1, 2, 3, 4"


def test_evaluations_of_replaced_steps_do_not_count() -> None:
    history = history_with(0.3, 0.2, 0.1)
    history.add([segment(5, t=1.0), evaluated(10, 0.25, t=2.0), segment(15, t=3.0)])
    found = evidence(history, INVARIANCE)
    assert found is not None
    assert [one.value for one in found.curve] == [0.3, 0.25]
    assert evidence(History(), INVARIANCE) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("group-recal:3", "did you mean 'group-recall'"),
        ("loss:3", "give one of figurative-map, group-map"),
        ("group-map", "such as group-map:3"),
        ("group-map:0", "such as group-map:3"),
        ("group-map:-1", "such as group-map:3"),
        ("group-map:9999999", "such as group-map:3"),
    ],
)
def test_a_wrong_setting_is_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        changed(Config(), {"stop_when": text, "eval_every": 1})
    assert "\n" not in str(error.value)


def test_evaluations_must_be_planned() -> None:
    with pytest.raises(ConfigError, match="give --eval-every too"):
        changed(Config(), {"stop_when": "invariance:3"})
    config = changed(Config(), {"stop_when": "invariance:3", "eval_every": 2})
    assert chosen_by(config.train) == "invariance"
    assert chosen_by(changed(config, {"best_by": "group-map"}).train) == "group-map"
    assert parse_stop_when("none") is None
    assert {parse_stop_when(f"{name}:1") for name in FIGURES}


class GivenEvaluations(Evaluations):
    """Evaluations whose figures are given: the child's work, a search, is written by the test."""

    values = (0.5, 0.6, 0.6, 0.55, 0.5, 0.7, 0.4, 0.3)

    def begin(self, name: str) -> None:
        epoch = int(name.rpartition("-")[2])
        journal = JournalWriter(self._run.journal)
        journal.write(evaluated(5 * epoch, self.values[epoch - 1], t=1e11 + epoch))
        journal.close()
        for event in self._read_evals():
            self._events.append(event)
            self._compare(event, name)


SETTINGS: dict[str, object] = {
    "epochs": 8,
    "eval_every": 1,
    "stop_when": "invariance:2",
    "keep_every": 0,
}


@pytest.fixture
def _given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tmssl.training.session.Evaluations", GivenEvaluations)


def ending(run: Run) -> tuple[str, int, str]:
    end = history_of(run).end
    assert end is not None
    return end.status, end.step, end.reason


@pytest.mark.usefixtures("_given")
def test_a_run_ends_where_the_figure_has_not_improved_and_goes_on_when_asked_for_more(
    pack: Path, tmp_path: Path
) -> None:
    run = new_run(tmp_path, pack, "", **SETTINGS)
    assert train(run, SignalFlags()) == 0
    reason = (
        "invariance has not improved for 2 evaluations; the best is invariance 0.600 (chance 0.100) "
        "at epoch 2"
    )
    assert ending(run) == ("finished", 20, reason)
    (told,) = [f for f in history_of(run).findings if f.code == "ended-early"]
    assert "0.500, 0.600, 0.600, 0.550 at epochs 1, 2, 3, 4" in told.text
    best = find_sidecar(run.checkpoints, "best")
    assert best is not None
    assert best.step == 10
    assert _is_done(run, {})
    assert not _is_done(run, {"train.epochs": 9})
    assert not _is_done(run, {"train.stop_when": "none"})
    plan = planned_resume(run, {})
    assert plan is not None
    write_config(plan.config, run.config)
    assert train(run, SignalFlags()) == 0
    assert ending(run)[:2] == ("finished", 40)
    assert ending(run)[2].startswith("8 epochs done")
    again = planned_resume(run, {"train.epochs": 9})
    assert again is not None


@pytest.mark.usefixtures("_given")
def test_a_run_that_was_stopped_on_the_way_ends_at_the_same_step(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, pack, "", **SETTINGS)
    flags = SignalFlags()
    begin = GivenEvaluations.begin

    def begin_and_stop(self: GivenEvaluations, name: str) -> None:
        """The stop comes before the third evaluation has begun, which the next trainer makes up for."""
        if name == "eval-0003":
            flags.stop = signal.SIGTERM
            return
        begin(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(GivenEvaluations, "begin", begin_and_stop)
        assert train(run, flags) == 143
    assert train(run, SignalFlags()) == 0
    assert ending(run)[:2] == ("finished", 20)
    assert [event.step for event in history_of(run).evals] == [5, 10, 15, 20]


@pytest.mark.slow
def test_a_run_that_was_killed_while_it_waited_ends_as_an_undisturbed_one(
    pack: Path, tmp_path: Path
) -> None:
    """With real evaluations; the smaller the rate, the sooner the figure stands still."""
    settings = {**SETTINGS, "epochs": 3, "lr": 1e-6, "min_lr": 0.0, "stop_when": "figurative-map:1"}
    undisturbed = new_run(tmp_path, pack, "undisturbed", **settings)
    assert train(undisturbed, SignalFlags()) == 0
    killed = new_run(tmp_path, pack, "killed", **settings)
    trainer = start_trainer(killed)
    wait_for(lambda: killed.journal.exists() and len(history_of(killed).checkpoints) == 1, trainer)
    trainer.kill()
    trainer.wait()
    assert train(killed, SignalFlags()) == 0
    assert ending(killed) == ending(undisturbed)
    assert ending(killed)[1] == 10
