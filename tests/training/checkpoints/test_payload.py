"""What a checkpoint holds is checked before it is used: each field by type, range and shape."""

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.training import draw_pack, new_run
from tmssl.config import changed, read_config, write_config
from tmssl.errors import CheckpointError, TmsslError
from tmssl.retrieval.vectors.embed import trained_encoder
from tmssl.runs.checkpoints import digest
from tmssl.runs.events import Segment
from tmssl.runs.folder import Run
from tmssl.runs.journal import read_journal
from tmssl.training.checkpoints.opening import open_checkpoint
from tmssl.training.checkpoints.payload import TrainingPart, checked
from tmssl.training.checkpoints.store import load_weights
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

_WRONG: list[Any] = [
    None,
    "x",
    -1,
    1e308,
    float("nan"),
    float("inf"),
    10**400,
    [],
    {"a": 1},
    True,
    torch.ones(2),
]
_TAKEN: dict[str, list[Any]] = {"best": [None, -1], "data_fingerprint": ["x"], "teacher": ["x"]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("payload")
    run = new_run(folder, draw_pack(folder, 24), epochs=1)
    train(run, SignalFlags())
    return run


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(trained.path, tmp_path / "run")))


@pytest.fixture(scope="module")
def payload(trained: Run) -> dict[str, Any]:
    whole: dict[str, Any] = torch.load(trained.checkpoints / "last.pt", weights_only=True)
    return whole


def write(run: Run, payload: dict[str, Any], **changed: Any) -> None:
    """Leave a run with one checkpoint alone, whose sidecar fits it as a stranger's would."""
    for path in run.checkpoints.iterdir():
        path.unlink()
    whole = {**payload, **changed}
    torch.save(whole, run.checkpoints / "last.pt")
    facts = {
        "sha256": digest(run.checkpoints / "last.pt"),
        "step": payload["step"],
        "steps_per_epoch": 3,
    }
    (run.checkpoints / "last.json").write_text(json.dumps({**facts, "config": payload["config"]}))


def segments(run: Run) -> list[Segment]:
    return [event for event in read_journal(run.journal) if isinstance(event, Segment)]


FIELDS = [
    "format",
    "step",
    "epoch",
    "steps_per_epoch",
    "segment",
    "best",
    "config",
    "data_fingerprint",
    "meter",
    "encoder",
    "projector",
    "predictor",
    "momentum_encoder",
    "momentum_projector",
    "optimizer",
    "scaler",
    "chunk_size",
    "teacher",
]


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_another_type_or_range_is_told(payload: dict[str, Any], field: str) -> None:
    assert set(FIELDS) == set(payload)
    for value in _WRONG:
        told = ""
        with contextlib.suppress(CheckpointError):
            checked({**payload, field: value}, TrainingPart, Path("last.pt"))
            told = "taken"
        # A state of another form is found when it is loaded.
        taken = _TAKEN.get(field, ())
        assert not told or isinstance(value, dict) or any(value is one for one in taken), value
    rest = {name: payload[name] for name in FIELDS if name != field}
    if field == "teacher":  # which older checkpoints lack
        assert checked(rest, TrainingPart, Path("l.pt")).teacher == ""
        return
    with pytest.raises(CheckpointError, match=field):
        checked(rest, TrainingPart, Path("l.pt"))


@pytest.mark.parametrize("field", ["format", "step", "config", "optimizer"])
def test_a_file_with_such_a_field_is_refused_in_one_line(
    run: Run, payload: dict[str, Any], field: str
) -> None:
    for value in (torch.ones(2), 10**400, None):
        write(run, payload, **{field: value})
        with pytest.raises(CheckpointError) as told:
            open_checkpoint(run, read_config(run.config), segments(run))
        assert len(str(told.value).splitlines()) == 1


def _reshaped(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The change that gives the first tensor of a part another shape."""

    def change(payload: dict[str, Any]) -> dict[str, Any]:
        part = dict(payload[name])
        key = next(iter(part))
        return {name: {**part, key: torch.ones(3, 5)}}

    return change


def _averages(make: Callable[[Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The change of the first average of the optimizer."""

    def change(payload: dict[str, Any]) -> dict[str, Any]:
        optimizer = payload["optimizer"]
        return {
            "optimizer": {
                **optimizer,
                "state": {**optimizer["state"], 0: make(optimizer["state"][0])},
            }
        }

    return change


@pytest.mark.parametrize(
    "change",
    [
        _reshaped("encoder"),
        _reshaped("predictor"),
        _reshaped("momentum_encoder"),
        _averages(lambda _: {"momentum_buffer": torch.ones(7)}),
        _averages(lambda _: {"momentum_buffer": "x"}),
        _averages(lambda _: {"exp_avg": torch.ones(7)}),
        _averages(lambda _: {}),
        _averages(lambda _: 5),
        lambda _: {"optimizer": {"state": {}, "param_groups": []}},
        lambda _: {"optimizer": {"state": [], "param_groups": [{"params": [0]}]}},
        lambda _: {"scaler": {"scale": "x"}},
        lambda _: {"meter": {"epoch": torch.ones(2), "seconds": 1.0}},
        lambda _: {"projector": {}},
        lambda _: {"chunk_size": 10**9},
        lambda payload: {"config": {**payload["config"], "optim": {"lr": float("nan")}}},
    ],
)
def test_a_state_of_another_shape_ends_in_one_line_and_loses_nothing(
    run: Run, payload: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    write(run, payload, **change(payload))
    before = (run.checkpoints / "last.pt").read_bytes()
    write_config(changed(read_config(run.config), {"epochs": 2}), run.config)
    with pytest.raises(TmsslError) as told:
        train(run, SignalFlags())
    assert len(str(told.value).splitlines()) == 1
    assert (run.checkpoints / "last.pt").read_bytes() == before


def test_weights_of_another_network_are_told_where_they_embed(
    run: Run, payload: dict[str, Any]
) -> None:
    write(run, payload, **_reshaped("encoder")(payload))
    with pytest.raises(CheckpointError, match="encoder of the checkpoint does not fit"):
        trained_encoder(load_weights(run.checkpoints / "last.pt"))
    write(run, payload, encoder={"a": 5})
    with pytest.raises(CheckpointError, match="a of encoder is no tensor"):
        load_weights(run.checkpoints / "last.pt")


def test_a_checkpoint_that_is_foreign_inside_gives_way_to_the_one_before(
    run: Run, payload: dict[str, Any]
) -> None:
    write(run, payload)
    for suffix in ("pt", "json"):
        shutil.copy(run.checkpoints / f"last.{suffix}", run.checkpoints / f"previous.{suffix}")
    before = run.checkpoints / "previous.pt"
    kept = {path.name: path.read_bytes() for path in run.checkpoints.iterdir()}
    write(run, payload, optimizer=5)
    for name in ("previous.pt", "previous.json"):
        (run.checkpoints / name).write_bytes(kept[name])
    opened = open_checkpoint(run, read_config(run.config), segments(run))
    assert opened is not None
    assert opened.path == before
