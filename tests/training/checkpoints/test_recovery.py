"""Saves that ended in the middle: finished or removed, and never taken for more than they are."""

from pathlib import Path

from tests.helpers.models import checkpoint_payload
from tmssl.runs.checkpoints import read_sidecar, valid_checkpoints
from tmssl.training.checkpoints.recovery import finish_names, settle
from tmssl.training.checkpoints.store import load_payload, save_checkpoint


def saved(folder: Path, *steps: int, **names: object) -> None:
    for step in steps:
        save_checkpoint(folder, checkpoint_payload(step), best=False, **names)  # type: ignore[arg-type]


def steps(folder: Path) -> dict[str, int]:
    return {path.stem: step for step, path in valid_checkpoints(folder)}


def test_a_file_whose_sidecar_has_its_name_already_gets_it_too(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    (tmp_path / "last.pt").rename(tmp_path / ".last.pt.new")
    assert steps(tmp_path) == {"previous": 1}
    settle(tmp_path)
    assert steps(tmp_path) == {"previous": 1, "last": 2}
    assert load_payload(tmp_path / "last.pt")["step"] == 2


def test_what_is_unfinished_and_of_no_sidecar_goes_and_nothing_else_does(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    before = {path.name for path in tmp_path.iterdir()}
    for name in (".last.pt.new", ".last.json.new", ".epoch-0001.json.new", ".best.pt.new"):
        (tmp_path / name).write_bytes(b"half")
    settle(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == before
    settle(tmp_path / "nothing")


def test_names_that_a_save_did_not_get_to_are_given(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    saved(tmp_path, 2, keep_as=["best"])
    for suffix in ("json", "pt"):  # as after a death between the name `best` and the others
        (tmp_path / f"previous.{suffix}").rename(tmp_path / f"last.{suffix}")
    assert finish_names(tmp_path, 2, ["epoch-0002"]) == ["epoch-0002"]
    assert steps(tmp_path) == {"last": 2, "best": 2, "epoch-0002": 2, "previous": 1}
    assert read_sidecar(tmp_path / "last.pt").step == 2
    (tmp_path / "epoch-0002.pt").unlink()  # by a person who needs the room
    assert finish_names(tmp_path, 2, ["epoch-0002"]) == []


def test_the_checkpoint_before_a_damaged_one_does_not_take_its_place(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    (tmp_path / "last.json").unlink()
    assert finish_names(tmp_path, 1, ["epoch-0001"]) == []
    assert steps(tmp_path) == {"previous": 1}
    assert finish_names(tmp_path / "nothing", 0, []) == []
