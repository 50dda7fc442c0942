"""A pack that is cut short while a run reads it ends the run with a sentence, not with a signal."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from tests.helpers.training import history_of, new_run
from tests.helpers.waiting import wait_for
from tmssl.data.pack.reader import FRAME_FILE
from tmssl.errors import PackError
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags


def test_a_pack_that_is_cut_while_it_is_trained_on_ends_the_run_in_one_line(
    tmp_path: Path, pack: Path
) -> None:
    copy = Path(shutil.copytree(pack, tmp_path / "pack"))
    run = new_run(tmp_path, copy, epochs=100_000)

    def cut() -> None:
        wait_for(lambda: run.journal.exists() and history_of(run).steps, what="a step")
        os.truncate(copy / FRAME_FILE, 500)

    thread = threading.Thread(target=cut)
    thread.start()
    with pytest.raises(PackError, match=r"is truncated: 500 bytes of [\d,]+ are left"):
        train(run, SignalFlags())
    thread.join()
    end = history_of(run).end
    assert end is not None
    assert (end.status, "is truncated" in end.reason) == ("failed", True)
