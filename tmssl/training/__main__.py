"""`python -m tmssl.training RUN`: train the run in a folder by its settings.

`python -m tmssl.training --check CONFIG` checks settings before any images are packed.

Several GPUs: `torchrun --standalone --nproc-per-node 2 -m tmssl.training RUN`.
"""

import os
import sys
from pathlib import Path

from tmssl.config import read_config
from tmssl.doctor.threads import share_cores
from tmssl.errors import TmsslError
from tmssl.system import end_on_windows
from tmssl.training.signals import SignalFlags


def main() -> int:
    """Train the run of the command line; an error of ours is one line on stderr and an exit code."""
    end_on_windows()
    share_cores()
    flags = SignalFlags()
    flags.install()  # before the slow imports, so an early signal is not lost
    first, *rest = sys.argv[1:] or [""]
    if not first or bool(rest) != (first == "--check"):
        print("usage: python -m tmssl.training RUN, or --check CONFIG", file=sys.stderr)  # noqa: T201 - words go to stderr
        return 2
    try:
        if first == "--check":
            from tmssl.training.learner import check_settings

            check_settings(read_config(Path(rest[0])))
            return 0
        from tmssl.runs.folder import open_run
        from tmssl.training.loop import train

        return train(open_run(Path(first)), flags)
    except TmsslError as error:
        rank = os.environ.get("RANK", "0")  # set by torchrun
        from tmssl.training.trainer_journal import write_stderr

        name = f"tmssl, process {int(rank)}" if rank.isdecimal() and int(rank) else "tmssl"
        write_stderr(f"{name}: {error}")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
