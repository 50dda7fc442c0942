"""What every test shares: no colour, no hub, no writing outside the test's own folder."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tmssl.doctor.threads import share_cores


def pytest_configure() -> None:
    """Let the commands under test hear Ctrl-C and a hang-up, and torch use one thread in every process.

    A shell that runs the suite in the background ignores SIGINT, and `nohup` ignores SIGHUP; every child
    would inherit that.
    Two processes of as many OpenMP threads as there are cores spend their time waiting for each other
    at barriers: a step of the tests' networks then takes sixty times as long, with nothing gained.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ["OMP_NUM_THREADS"] = "1"
    share_cores()
    # How long an example takes is no property of the code on a machine that others use too.
    settings.register_profile("tmssl", deadline=None)
    settings.load_profile("tmssl")
    os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when the first test file imports timm


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache and a state of its own and no network for every test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TMSSL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TMSSL_RUNS", raising=False)


@pytest.fixture(autouse=True, scope="module")
def _no_trainer_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """End the trainers that a failed test left behind: they are detached, and would slow the rest."""
    yield
    folder = str(tmp_path_factory.getbasetemp()).encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it is gone already
            command = (process / "cmdline").read_bytes()
            if b"tmssl.training" in command and folder in command:
                os.kill(int(process.name), signal.SIGKILL)
