"""What every test shares: no colour, no hub, no writing outside the test's own folder."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own and no network for every test."""
    monkeypatch.setenv("TMSSL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("TMSSL_RUNS", raising=False)
