import csv
import random
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app
from tmssl.errors import InputError
from tmssl.runs.events import Epoch, Eval, Event, Score, Segment, Started, Step
from tmssl.runs.export import columns, rows, write_csv, write_parquet, write_tensorboard
from tmssl.runs.folder import create_run
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import JournalWriter, encode, read_journal

SCORE = Score(metric="hit", level="division", codes="figurative", k=10, value=0.6, chance=0.4)
EVENTS: list[Event] = [
    Started(name="r"),
    Segment(steps_per_epoch=2, epochs=2),
    Step(step=1, epoch=0.5, loss=5.0, lr=0.1, t=100.0),
    Step(step=2, epoch=1.0, loss=float("nan"), lr=0.1, t=101.0),
    Epoch(epoch=1, step=2, loss=4.5, t=101.5),
    Segment(number=1, step=2, epoch=1.0, steps_per_epoch=2, epochs=4),
    Step(step=3, epoch=1.5, loss=4.0, lr=0.05, t=200.0),
    Eval(epoch=1.0, step=2, scores=[SCORE], t=150.0),
]


def history() -> History:
    return read_history(EVENTS)


def test_the_csv_holds_every_figure_and_leaves_out_what_was_not_measured(tmp_path: Path) -> None:
    assert write_csv(history(), tmp_path / "j.csv") == 5
    with (tmp_path / "j.csv").open(newline="") as file:
        told = list(csv.DictReader(file))
    assert [row["kind"] for row in told] == ["step", "step", "step", "epoch", "score"]
    assert [row["loss"] for row in told] == ["5.0", "", "4.0", "4.5", ""]
    assert [row["segment"] for row in told] == ["0", "0", "1", "0", "0"]
    assert (told[4]["metric"], told[4]["value"], told[4]["chance"]) == ("hit", "0.6", "0.4")
    assert [path.name for path in tmp_path.iterdir()] == ["j.csv"]


def test_parquet_holds_the_same_rows(tmp_path: Path) -> None:
    import pyarrow.parquet

    assert write_parquet(history(), tmp_path / "j.parquet") == 5
    table = pyarrow.parquet.read_table(tmp_path / "j.parquet")
    assert table.column_names == columns()
    wanted = [{name: row.get(name) for name in columns()} for row in rows(history())]
    assert table.to_pylist() == wanted


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tensorboard's own deprecations
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        write_tensorboard(history(), tmp_path / "tb")
        seen = EventAccumulator(str(tmp_path / "tb"))
        seen.Reload()
    tensors = {
        tag: [
            (e.step, e.wall_time, round(float(e.tensor_proto.float_val[0]), 6))
            for e in seen.Tensors(tag)
        ]
        for tag in seen.Tags()["tensors"]
    }
    assert tensors["step/loss"] == [(1, 100.0, 5.0), (3, 200.0, 4.0)]
    assert tensors["epoch/loss"] == [(2, 101.5, 4.5)]
    assert tensors["eval/division/figurative/hit@10"] == [(2, 150.0, 0.6)]
    assert tensors["eval/division/figurative/hit@10/chance"] == [(2, 150.0, 0.4)]
    with pytest.raises(InputError, match="already holds events"):
        write_tensorboard(history(), tmp_path / "tb")


def test_the_words_of_a_journal_are_no_formulas_and_no_controls(tmp_path: Path) -> None:
    evil = Score(metric="=HYPERLINK(1)", level="\x1b[2J", codes="+1", k=1, value=1.0)
    write_csv(read_history([Segment(), Eval(scores=[evil])]), tmp_path / "j.csv")
    with (tmp_path / "j.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["metric"], row["level"][1:], row["codes"]) == ("'=HYPERLINK(1)", "[2J", "'+1")


@pytest.mark.parametrize("seed", range(5))
def test_journals_concatenate(tmp_path: Path, seed: int) -> None:
    lines = [encode(event) for event in EVENTS]
    cut = random.Random(seed).randrange(len(lines) + 1)
    (tmp_path / "a").write_bytes(b"".join(lines[:cut]))
    (tmp_path / "b").write_bytes(b"".join(lines[cut:]))
    whole = tmp_path / "whole"
    whole.write_bytes((tmp_path / "a").read_bytes() + (tmp_path / "b").read_bytes())
    assert list(rows(read_history(read_journal(whole)))) == list(rows(history()))


def test_the_command_writes_into_the_run_and_says_where(tmp_path: Path) -> None:
    run = create_run(tmp_path / "runs", "r")
    writer = JournalWriter(run.journal)
    for event in EVENTS:
        writer.write(event)
    writer.close()
    done = CliRunner().invoke(app, ["export", str(run.path), "--journal", "csv"])
    assert done.exit_code == 0
    assert (run.path / "export" / "journal.csv").is_file()
    assert str(run.path / "export" / "journal.csv") in done.stdout
    wrong = CliRunner().invoke(app, ["export", str(run.path), "--journal", "xls"])
    assert "give one of csv, parquet, tensorboard" in str(wrong.exception)
    (tmp_path / "file").touch()
    for form in ("csv", "parquet", "tensorboard"):
        words = ["export", str(run.path), "--journal", form, "--out", str(tmp_path / "file" / "x")]
        assert isinstance(CliRunner().invoke(app, words).exception, InputError)
