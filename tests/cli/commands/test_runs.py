"""`tmssl runs`: the table and its JSON, over journals as trainers leave them."""

import json
from pathlib import Path

import pytest

from cli.commands.runs import runs
from tests.helpers.run_folders import hit, write_run
from tmssl.runs.events import End, Finding, Segment, Started, Step


def test_a_run_is_one_line_with_its_best_evaluation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment = Segment(chance=5.55, epochs=30, steps_per_epoch=10)
    write_run(
        tmp_path,
        "first",
        Started(name="first"),
        segment,
        Step(step=25, loss=4.321),
        hit(0.5),
        hit(0.75),
        hit(0.6),
        hit(0.99, codes="all"),
        hit(0.98, k=100),
        Finding(code="x", text="odd \x1b[31mtext"),
        End(status="stopped"),
    )
    write_run(tmp_path, "second")
    runs(tmp_path)
    shown = capsys.readouterr()
    header, first, second = shown.out.splitlines()
    assert header.split() == ["run", "state", "epoch", "loss", "chance", "best", "chance"]
    assert first.split()[:8] == [
        "first",
        "stopped",
        "2.50/30",
        "4.321",
        "5.550",
        "hit@10",
        "0.750",
        "0.310",
    ]
    assert "odd" in first
    assert "\x1b" not in first
    assert second.split()[:2] == ["second", "waiting"]
    runs(tmp_path, json_output=True)
    told = json.loads(capsys.readouterr().out)
    assert [(run["name"], run["state"]) for run in told] == [
        ("first", "stopped"),
        ("second", "waiting"),
    ]
    assert told[0]["loss"] == 4.321


def test_no_runs_is_an_empty_list_and_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs(tmp_path / "none")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "tmssl demo" in shown.err
    runs(tmp_path / "none", json_output=True)
    assert json.loads(capsys.readouterr().out) == []
