"""A trainer that is started to be measured, in a temporary folder, and ended by the command that started it."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator

from tmssl.doctor.machine import usable_cores
from tmssl.runs.folder import Run
from tmssl.runs.launch import start_trainer, wait_until_begun
from tmssl.runs.notices.address import NOTIFY_VARIABLE

UNKEPT: dict[str, object] = {
    "log_every": 1,
    "checkpoint_minutes": 1e6,
    "keep_every": 0,
    "notify": "",
}
"""settings of such a run: every step is journaled, little is written and nobody is told"""


@contextlib.contextmanager
def brief_trainer(
    run: Run, environment: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """The trainer of a run, once it has begun; it is ended with the block, with a checkpoint.

    A signal meanwhile ends it at once: nothing may write into the folder any more.

    Args:
        run: in a folder that is removed afterwards.
        environment: variables added to those of this process.

    Raises:
        InputError: settings or data that the trainer refuses.
        TrainingError: the trainer failed to begin.
    """
    silent = {**(environment or {}), NOTIFY_VARIABLE: ""}
    trainer = start_trainer(run, cores=usable_cores(), environment=silent)
    try:
        wait_until_begun(run, trainer, 0)
        yield trainer
    finally:
        try:
            if trainer.poll() is None:
                trainer.send_signal(signal.SIGTERM)
            trainer.wait()
        finally:
            if trainer.poll() is None:
                trainer.kill()
                trainer.wait()
