import errno
import json
import os
import pathlib
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.models import checkpoint_payload
from tmssl.config import Config
from tmssl.errors import CheckpointError
from tmssl.runs.checkpoints import digest, find_checkpoint, read_sidecar, valid_checkpoints
from tmssl.runs.folder import Run, create_run
from tmssl.training.checkpoints.store import load_payload, load_weights, save_checkpoint


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "runs", "r")


def test_a_checkpoint_comes_back_as_it_was(run: Run) -> None:
    written = save_checkpoint(
        run.checkpoints, checkpoint_payload(7), best=True, keep_as=["epoch-0001"]
    )
    assert written.sha256 == digest(run.checkpoints / "last.pt")
    assert {p.name for p in run.checkpoints.glob("*.pt")} == {"last.pt", "best.pt", "epoch-0001.pt"}
    weights = load_weights(find_checkpoint(run, "best"))
    assert (weights.step, weights.epoch, weights.config) == (7, 0.7, Config())
    assert torch.equal(weights.encoder["weight"], torch.full((100,), 7.0))
    assert read_sidecar(run.checkpoints / "last.pt").step == 7


def test_the_one_before_is_kept(run: Run) -> None:
    for step in (1, 2, 3):
        save_checkpoint(run.checkpoints, checkpoint_payload(step), best=step == 1)
    assert valid_checkpoints(run.checkpoints) == [
        (3, run.checkpoints / "last.pt"),
        (2, run.checkpoints / "previous.pt"),
        (1, run.checkpoints / "best.pt"),
    ]
    assert not list(run.checkpoints.glob(".*"))


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_a_damaged_last_gives_way_to_the_one_before(run: Run, damage: str) -> None:
    for step in (1, 2):
        save_checkpoint(run.checkpoints, checkpoint_payload(step), best=False)
    last = run.checkpoints / "last.pt"
    data = bytearray(last.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    last.write_bytes({"flip": bytes(data), "truncate": bytes(data[:100]), "empty": b""}[damage])
    assert find_checkpoint(run, "last") == run.checkpoints / "previous.pt"
    assert load_payload(find_checkpoint(run, "last"))["step"] == 1


def test_no_whole_checkpoint_is_a_clear_error(run: Run) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        find_checkpoint(run)
    (run.checkpoints / "last.pt").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"every checkpoint .* is damaged"):
        find_checkpoint(run)
    with pytest.raises(CheckpointError, match="it has last"):
        find_checkpoint(run, "epoch-0099")
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        find_checkpoint(run, "nowhere.pt")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x80\x02cos\nsystem\n(S'true'\ntR.", b"PK\x03\x04rubbish"]
)
def test_a_foreign_file_is_refused_without_being_run(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        load_payload(path)


def test_a_full_disk_leaves_the_one_before(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(run.checkpoints, checkpoint_payload(1), best=True)
    before = {p.name: p.read_bytes() for p in run.checkpoints.iterdir()}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(run.checkpoints, checkpoint_payload(2), best=True)
    assert {p.name: p.read_bytes() for p in run.checkpoints.iterdir()} == before


def crash_at(operation: int, folder: Path, step: int) -> bool:
    """Save in a forked child that dies before its n-th file operation; whether it died."""
    child = os.fork()
    if child == 0:
        left = [operation]

        def counted(function: Any) -> Any:
            def call(*arguments: Any, **named: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)
                return function(*arguments, **named)

            return call

        os.fsync = counted(os.fsync)
        for name in ("replace", "unlink", "hardlink_to", "open"):
            setattr(pathlib.Path, name, counted(getattr(pathlib.Path, name)))
        save_checkpoint(
            folder, checkpoint_payload(step), best=step % 2 == 0, keep_as=[f"epoch-{step:04d}"]
        )
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # the children only write files
def test_a_crash_at_any_file_operation_leaves_a_usable_run(run: Run, tmp_path: Path) -> None:
    save_checkpoint(run.checkpoints, checkpoint_payload(1), best=True)
    save_checkpoint(run.checkpoints, checkpoint_payload(2), best=False)
    crashes = 0
    for operation in range(60):
        folder = tmp_path / f"crash-{operation}"
        shutil.copytree(run.checkpoints, folder)
        for round_, step in enumerate((3, 4)):  # the second crash meets the first one's leftovers
            died = crash_at(
                random.Random(operation + 99 * round_).randrange(28) if round_ else operation,
                folder,
                step,
            )
            crashes += died
            newest, path = valid_checkpoints(folder)[0]
            assert newest >= 2
            assert load_payload(path)["step"] == newest
            if path.name == "last.pt" and newest > 2:  # then it has its other names too
                assert (folder / f"epoch-{newest:04d}.pt").exists()
                best = json.loads((folder / "best.json").read_text())["step"]
                assert best == 4 or newest == 3
            if not died:
                assert newest == step
        kept = {path: path.read_bytes() for path in folder.glob("epoch-*.pt")}
        save_checkpoint(folder, checkpoint_payload(9), best=True)
        assert {path: path.read_bytes() for path in kept} == kept
        assert valid_checkpoints(folder)[0] == (9, folder / "last.pt")
        assert json.loads((folder / "best.json").read_text())["step"] == 9
    assert crashes >= 50
