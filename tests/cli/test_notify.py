"""A run tells the address that it was given of its end, whatever that end is."""

import signal
from pathlib import Path

import pytest

from tests.helpers.command import TINY, environment, error_line, history, start, tmssl
from tests.helpers.marks import draw_marks
from tests.helpers.service import serving
from tests.helpers.waiting import wait_for
from tmssl.runs.folder import open_run
from tmssl.runs.launch import signal_trainer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_marks(tmp_path_factory.mktemp("marks") / "marks", 16, validation=0)


def test_a_finished_run_tells_and_only_its_settings_hold_the_address(
    marks: Path, tmp_path: Path
) -> None:
    with serving() as service:
        address = f"{service.address}secret-topic"
        words = ["--data", str(marks), *TINY, "--epochs", "1", "--name", "a"]
        tmssl(tmp_path, "train", *words, "--notify", address)
    assert [told["title"] for told in service.told] == ["a: finished"]
    holding = [p for p in (tmp_path / "runs").rglob("*") if p.is_file() and not p.is_symlink()]
    names = {path.name for path in holding if b"secret-topic" in path.read_bytes()}
    assert names == {"config.toml"}
    # The address of a resume that changes nothing is no change.
    tmssl(tmp_path, "train", "--resume", "--epochs", "2", "--notify", "")
    assert len(service.told) == 1


def test_a_killed_trainer_is_told_by_who_follows_it(marks: Path, tmp_path: Path) -> None:
    with serving() as service:
        words = ["--data", str(marks), *TINY, "--epochs", "4000", "--name", "a"]
        train = start(tmp_path, "train", *words, env=environment(TMSSL_NOTIFY=service.address))
        run = tmp_path / "runs" / "a"
        wait_for(lambda: (tmp_path / "runs" / "latest").exists() and history(tmp_path).steps, train)
        signal_trainer(open_run(run), signal.SIGKILL)
        train.communicate()
        wait_for(lambda: service.told)
    assert [told["title"] for told in service.told] == ["a: dead"]


def test_a_service_that_fails_leaves_the_training_as_it_is(marks: Path, tmp_path: Path) -> None:
    with serving(answer=500) as service:
        words = ["--data", str(marks), *TINY, "--epochs", "1", "--name", "a"]
        tmssl(tmp_path, "train", *words, "--notify", service.address)
    assert len(service.told) == 3
    log = (tmp_path / "runs" / "a" / "train.log").read_text()
    assert "the last notices of this run did not arrive" in log


@pytest.mark.parametrize("option", ["--dry-run", "--find-lr"])
def test_a_measurement_tells_nobody(marks: Path, tmp_path: Path, option: str) -> None:
    with serving() as service:
        words = ["--data", str(marks), *TINY, "--epochs", "9", "--notify", service.address]
        tmssl(tmp_path, "train", *words, option, TMSSL_NOTIFY=service.address)
    assert service.told == []


def test_an_address_of_no_service_stops_the_start_in_a_line(marks: Path, tmp_path: Path) -> None:
    done = tmssl(tmp_path, "train", "--data", str(marks), "--notify", "nonsense://x", code=2)
    assert "apprise can send to" in error_line(done)
    assert not (tmp_path / "runs").exists()
