"""Looking at a folder of runs again and again: what is opened, and what is noticed."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.run_folders import hit, write_run
from tmssl.errors import RunError
from tmssl.runs import scan as scanning
from tmssl.runs.events import End, Segment, Step
from tmssl.runs.folder import create_run, hold_lock, open_run
from tmssl.runs.journal import JournalWriter
from tmssl.runs.listing import Row
from tmssl.runs.scan import NAMES_S, QUIET_S, Scan

RUNS = 60


class Opened:
    """What this process opens and lists below a folder while it is looked at."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.paths: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.folder is not None and event in ("open", "os.scandir", "os.listdir"):
            path = str(arguments[0])
            if path.startswith(str(self.folder)):
                self.paths.append(path)


OPENED = Opened()  # an audit hook stays as long as the process


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[list[str]]:
    OPENED.folder, OPENED.paths = tmp_path, []
    yield OPENED.paths
    OPENED.folder = None


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def append(folder: Path, name: str, step: int, loss: float) -> None:
    journal = JournalWriter(folder / name / "metrics.jsonl")
    journal.write(Step(step=step, loss=loss))
    journal.close()


def age(folder: Path, seconds: float = 3600.0) -> None:
    """Let everything have been written a while ago."""
    for path in [folder, *folder.rglob("*")]:
        moment = path.stat().st_mtime - seconds
        os.utime(path, (moment, moment))


def rows(scan: Scan) -> dict[str, Row]:
    return {row.run.name: row for row in scan.look()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Runs that have ended an hour ago."""
    for number in range(RUNS):
        write_run(
            tmp_path,
            f"r{number:02d}",
            Segment(epochs=10, steps_per_epoch=10),
            Step(step=5, loss=float(number)),
            hit(0.5),
            End(status="finished"),
        )
    age(tmp_path)
    return tmp_path


def test_runs_that_do_not_change_are_never_opened_again(folder: Path, opened: list[str]) -> None:
    clock = Clock()
    scan = Scan(folder, clock)
    first = rows(scan)
    assert first["r07"].loss == 7.0
    assert first["r07"].best is not None
    assert len(first) == len(scan.names) == RUNS
    assert sum("metrics.jsonl" in path for path in opened) == RUNS
    opened.clear()
    for _ in range(20):
        clock.now += 1.0
        assert rows(scan) == {}
    assert opened == []


def test_each_look_asks_for_a_share_of_the_quiet_runs_and_all_in_turn(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    stamp = scanning._stamp

    def counted(path: str) -> object:
        asked.append(path)
        return stamp(path)

    clock = Clock()
    scan = Scan(folder, clock)
    rows(scan)
    monkeypatch.setattr(scanning, "_stamp", counted)
    looks = []
    for _ in range(int(QUIET_S / 2.0)):
        clock.now += 2.0
        asked.clear()
        rows(scan)
        looks.append({path for path in asked if path.endswith("metrics.jsonl")})
    assert {len(look) for look in looks} == {RUNS / len(looks)}
    assert len(set.union(*looks)) == RUNS


def test_what_trains_is_looked_at_every_time_and_what_grew_is_read_alone(
    folder: Path, opened: list[str]
) -> None:
    clock = Clock()
    scan = Scan(folder, clock)
    with hold_lock(open_run(folder / "r03")):
        assert rows(scan)["r03"].state == "running"
        opened.clear()
        for step in range(6, 9):
            append(folder, "r03", step, 1.0 / step)
            opened.clear()
            clock.now += 0.5
            assert rows(scan)["r03"].loss == pytest.approx(1.0 / step)
            assert {Path(path).parent.name for path in opened if "metrics" in path} == {"r03"}
    clock.now += 0.5
    assert rows(scan)["r03"].state == "finished"


def test_a_quiet_run_that_is_resumed_is_seen_in_time(folder: Path) -> None:
    clock = Clock()
    scan = Scan(folder, clock)
    rows(scan)
    with hold_lock(open_run(folder / "r05")):
        found: dict[str, Row] = {}
        for _ in range(int(QUIET_S / 2.0) + 1):
            clock.now += 2.0
            found |= rows(scan)
        assert {name: row.state for name, row in found.items()} == {"r05": "running"}


def test_new_runs_are_found_and_deleted_ones_forgotten(folder: Path) -> None:
    clock = Clock()
    scan = Scan(folder, clock)
    rows(scan)
    write_run(folder, "new", Segment(epochs=1))
    shutil.rmtree(folder / "r01")
    clock.now += 1.0
    assert set(rows(scan)) == {"new"}
    assert "r01" not in scan.names
    (folder / "later").mkdir()
    clock.now += 1.0
    assert rows(scan) == {}
    (folder / "later" / "config.toml").touch()  # which changes nothing of the folder of runs
    clock.now += 1.0
    assert rows(scan)["later"].state == "waiting"


def test_a_folder_whose_times_lie_is_read_anew_after_a_while(folder: Path) -> None:
    clock, before = Clock(), folder.stat()
    scan = Scan(folder, clock)
    rows(scan)
    (folder / "r02").rename(folder / "renamed")
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
    clock.now += NAMES_S
    assert set(rows(scan)) == {"renamed"}


def test_a_run_that_lost_its_files_is_no_run_any_more(folder: Path) -> None:
    clock = Clock()
    scan = Scan(folder, clock)
    rows(scan)
    for name in ("metrics.jsonl", "config.toml"):
        (folder / "r09" / name).unlink()
    clock.now += QUIET_S
    assert rows(scan) == {}
    assert "r09" not in scan.names


def test_a_journal_that_is_replaced_is_read_from_its_beginning(folder: Path) -> None:
    clock = Clock()
    scan = Scan(folder, clock)
    rows(scan)
    journal = folder / "r04" / "metrics.jsonl"
    journal.unlink()
    append(folder, "r04", 1, 9.0)
    clock.now += QUIET_S
    assert rows(scan)["r04"].loss == 9.0


def test_of_a_long_journal_a_sample_is_shown_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "_LARGE", 600 << 10)
    run = create_run(tmp_path, "long")
    journal = JournalWriter(run.journal)
    journal.write(Segment(epochs=10, steps_per_epoch=1000))
    for step in range(1, 8001):
        journal.write(Step(step=step, loss=8001.0 - step, t=1e9))
        if step == 4100:
            journal.write(hit(0.9))
    journal.close()
    first, second = Scan(tmp_path).look()
    assert first.loss == second.loss == 1.0
    assert second.best is not None
    assert second.best.value == 0.9


def test_links_and_private_folders_are_no_runs(folder: Path, tmp_path: Path) -> None:
    (folder / "linked").symlink_to(folder / "r00")
    (folder / "file").touch()
    scan = Scan(folder)
    assert not {"linked", "file", "latest"} & set(rows(scan))
    assert rows(Scan(tmp_path / "nowhere")) == {}
    assert rows(Scan(folder / "file")) == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
def test_a_folder_that_may_not_be_listed_is_an_error(folder: Path) -> None:
    folder.chmod(0)
    try:
        with pytest.raises(RunError, match="cannot list"):
            rows(Scan(folder))
    finally:
        folder.chmod(0o755)
