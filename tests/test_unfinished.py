"""Files that killed processes were still writing, and who removes them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.command import environment
from tmssl import files, unfinished
from tmssl.files import atomic_path
from tmssl.unfinished import is_unfinished, sweep, unfinished_path

DIE = (
    "import os, sys; from pathlib import Path; from tmssl.files import atomic_path\n"
    "with atomic_path(Path(sys.argv[1])) as fresh:\n    fresh.write_text('half'); os._exit(9)"
)


def killed_while_writing(path: Path) -> Path:
    done = subprocess.run([sys.executable, "-c", DIE, str(path)], check=False, env=environment())
    assert done.returncode == 9
    (left,) = [name for name in path.parent.iterdir() if is_unfinished(name)]
    return left


def elsewhere(path: Path) -> Path:
    """The same file by a process of another host."""
    token = unfinished._token()
    return path.rename(path.with_name(path.name.replace(token, "0" * 8)))


def test_what_a_kill_leaves_is_known_by_its_name(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "part-7.b2") as fresh:
        assert is_unfinished(fresh)
        fresh.touch()
    assert is_unfinished(Path(".config.toml-4711"))  # of versions before 0.3
    assert not any(is_unfinished(Path(name)) for name in ("part-7.b2", ".hidden", "a-3", "x.json"))


def test_who_writes_next_into_a_folder_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    left = killed_while_writing(tmp_path / "a")
    files._sweep_once.cache_clear()  # as in a new process
    with atomic_path(tmp_path / "b") as fresh:
        fresh.write_text("mine")
    assert not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_what_a_living_process_writes_stays(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a") as fresh:
        fresh.write_text("mine")
        sweep(tmp_path)
        assert fresh.exists()


def test_of_another_host_only_what_is_a_day_old_goes(tmp_path: Path) -> None:
    old = elsewhere(killed_while_writing(tmp_path / "a"))
    os.utime(old, (time.time() - 90_000, time.time() - 90_000))
    young = elsewhere(killed_while_writing(tmp_path / "b"))
    sweep(tmp_path)
    assert not old.exists()
    assert young.exists()


@pytest.mark.parametrize(
    "name",
    [
        ".bashrc",
        ".notes-2024",
        ".config-deadbeef-1",
        "a.tmssl-00000000-1",
        ".a.tmssl-00000000-0",
        ".a.tmssl-0000000g-1",
        ".a.tmssl-00000000-1.bak",
    ],
)
def test_what_others_named_stays_however_old(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    os.utime(tmp_path / name, (1.0, 1.0))
    sweep(tmp_path)
    assert (tmp_path / name).exists()


def folder(path: Path) -> None:
    path.mkdir()


def link_elsewhere(path: Path) -> None:
    (path.parent / "precious").write_text("mine")
    path.symlink_to(path.parent / "precious")


@pytest.mark.parametrize("put", [folder, link_elsewhere])
def test_what_cannot_be_such_a_file_does_no_harm(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    path = killed_while_writing(tmp_path / "a")
    path.unlink()
    put(path)
    sweep(tmp_path)
    sweep(tmp_path / "nothing")
    if put is link_elsewhere:
        assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize("name", ["n" * 255, "\udcff" * 255, "ä" * 127])
def test_a_name_as_long_as_a_file_may_have_can_be_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert len(os.fsencode(unfinished_path(path).name)) <= 255
    with atomic_path(path) as fresh:
        fresh.write_text("mine")
    assert path.read_text() == "mine"
