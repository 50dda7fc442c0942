"""What every test shares: no colour, no hub, no writing outside the test's own folder."""

import signal
from pathlib import Path

import pytest


def pytest_configure() -> None:
    """Let the commands under test hear Ctrl-C.

    A shell that runs the suite in the background ignores SIGINT, and every child would inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own and no network for every test."""
    monkeypatch.setenv("TMSSL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("TMSSL_RUNS", raising=False)
