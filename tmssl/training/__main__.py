"""`python -m tmssl.training RUN`: train the run in a folder, as its settings say.

`python -m tmssl.training --check CONFIG` says whether it would, before any images are packed.

Several GPUs: `torchrun --standalone --nproc-per-node 2 -m tmssl.training RUN`.
"""

import os
import sys
from pathlib import Path

from tmssl.config import read_config
from tmssl.errors import TmsslError
from tmssl.training.signals import SignalFlags
from tmssl.training.trainer_journal import last_words


def main() -> int:
    """Train the run named on the command line; a named error is one line and its exit code."""
    flags = SignalFlags()
    flags.install()  # before the slow imports, so an early signal is not lost
    asked, *more = sys.argv[1:] or [""]
    if not asked or bool(more) != (asked == "--check"):
        print("usage: python -m tmssl.training RUN, or --check CONFIG", file=sys.stderr)  # noqa: T201 - words go to stderr
        return 2
    try:
        if asked == "--check":
            from tmssl.training.learner import check_settings

            check_settings(read_config(Path(more[0])))
            return 0
        from tmssl.runs.folder import open_run
        from tmssl.training.loop import train

        return train(open_run(Path(asked)), flags)
    except TmsslError as error:
        rank = int(os.environ.get("RANK", "0"))  # set by torchrun
        name = f"tmssl, process {rank}" if rank else "tmssl"
        last_words(f"{name}: {error}")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
