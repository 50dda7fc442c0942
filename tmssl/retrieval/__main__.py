"""`python -m tmssl.retrieval RUN CHECKPOINT`: the evaluation that a trainer starts as a child.

The scores go to the journal and errors to stderr; people use `tmssl eval`.
"""

import os
import sys
from pathlib import Path

from tmssl.doctor.threads import share_cores
from tmssl.errors import TmsslError
from tmssl.system import end_on_windows


def main() -> int:
    """Evaluate a checkpoint at low priority; returns the exit code."""
    if len(sys.argv) != 3:
        print("usage: python -m tmssl.retrieval RUN CHECKPOINT", file=sys.stderr)  # noqa: T201 - errors go to stderr
        return 2
    end_on_windows()
    share_cores()
    os.nice(10)  # the trainer comes first
    try:
        from tmssl.config import read_config
        from tmssl.data.pack.searched import trained_pack
        from tmssl.retrieval.evaluation.evaluate import evaluate
        from tmssl.runs.folder import open_run, pinned
        from tmssl.runs.main_figure import QUERIES

        with pinned(open_run(Path(sys.argv[1]))) as run:
            device = read_config(run.config).train.device
            evaluate(
                run,
                checkpoint=sys.argv[2],
                queries=QUERIES,
                gallery=trained_pack(run),  # the same for all that `best` is chosen from
                device=device,
            )
    except TmsslError as error:
        print(f"tmssl: {error}", file=sys.stderr)  # noqa: T201 - errors go to stderr
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
