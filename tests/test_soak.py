"""The monitor left open for long."""

from pathlib import Path

import pytest

from tests.bench.monitor import soak


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_memory_stays_as_it_is_while_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    written, _, grown_mib = soak(tmp_path / "runs", 90)
    assert written > 1000
    assert grown_mib < 20
