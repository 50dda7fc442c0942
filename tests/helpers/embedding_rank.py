"""One of several processes that embed a run: `torchrun -m tests.helpers.embedding_rank RUN FACTS [KILLED]`.

The first writes how many marks were left to embed to FACTS. Process KILLED dies once a part is there.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from tmssl.errors import TmsslError
from tmssl.retrieval.search.index_together import index_together
from tmssl.runs.folder import Run


def _die_after_a_part(run: Run) -> None:
    while not any(run.index.glob("*.parts/*.part")):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    run, facts = Run(Path(sys.argv[1])), Path(sys.argv[2])
    if sys.argv[3:] == [os.environ["RANK"]]:
        threading.Thread(target=_die_after_a_part, args=[run], daemon=True).start()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's, which may come before the error
    totals: set[int] = set()
    try:
        is_first = index_together(
            run, "last", device="cpu", progress=lambda _done, total: totals.add(total)
        )
    except TmsslError as error:
        sys.exit(f"tmssl: {error}")
    if is_first:
        facts.write_text(json.dumps(sorted(totals)))


if __name__ == "__main__":
    main()
