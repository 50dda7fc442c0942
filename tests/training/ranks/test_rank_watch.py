"""Processes that train together and one of which stands still."""

import os
import signal
from pathlib import Path

import pytest
from torch._C._distributed_c10d import HashStore

from tests.helpers.rank import SETTINGS
from tests.helpers.training import draw_pack, history_of, new_run
from tests.helpers.waiting import wait_for
from tmssl.runs.folder import Run, holder
from tmssl.runs.launch import start_trainer, wait_until_begun
from tmssl.training.ranks import rank_watch
from tmssl.training.ranks.rank_watch import Watch

LOOKS = rank_watch._SILENT_LOOKS


def test_a_process_is_told_once_when_it_falls_silent_and_once_when_it_answers() -> None:
    store, told = HashStore(), list[tuple[int, bool]]()
    first = Watch(store, 0, [1, 2], lambda *words: told.append(words))
    second, third = (Watch(store, rank, [], lambda *_: None) for rank in (1, 2))
    for _ in range(3 * LOOKS):
        second.look()
        third.look()
        first.look()
    assert told == []
    for _ in range(LOOKS - 1):
        third.look()
        first.look()
    assert told == []
    for _ in range(2 * LOOKS):
        third.look()
        first.look()
    assert told == [(1, False)]
    for _ in range(LOOKS):
        second.look()
        first.look()
    assert told == [(1, False), (1, True), (2, False)]


def test_a_process_that_never_comes_is_told_too() -> None:
    told = list[tuple[int, bool]]()
    first = Watch(HashStore(), 0, [1], lambda *words: told.append(words))
    for _ in range(2 * LOOKS):
        first.look()
    assert told == [(1, False)]


def test_the_watch_itself_may_stand_still() -> None:
    store, told = HashStore(), list[tuple[int, bool]]()
    first = Watch(store, 0, [1], lambda *words: told.append(words))
    second = Watch(store, 1, [], lambda *_: None)
    for _ in range(LOOKS):  # both were suspended between any two looks
        second.look()
        first.look()
    assert told == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("stopped", [0, 1])
def test_a_process_that_is_stopped_is_journaled_and_so_is_its_return(
    tmp_path: Path, stopped: int
) -> None:
    settings = {**SETTINGS, "epochs": 100_000, "gpus": 2, "lr": 0.01}
    run = new_run(tmp_path, draw_pack(tmp_path, 40), "r", **settings)
    process = start_trainer(run)
    wait_until_begun(run, process, 0)
    first = holder(run)
    assert first is not None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    pid = first.pid if stopped == 0 else next(int(c) for c in children if int(c) != first.pid)
    wait_for(lambda: history_of(run).step >= 5, process)
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(lambda: "rank-silent" in codes(run), process)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: "rank-answers" in codes(run), process)
    told = next(f for f in history_of(run).findings if f.code == "rank-silent")
    assert told.text.startswith(f"process {stopped} has not answered")
    os.kill(first.pid, signal.SIGTERM)
    assert process.wait(60) == 0


def codes(run: Run) -> list[str]:
    return [finding.code for finding in history_of(run).findings]
