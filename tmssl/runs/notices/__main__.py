"""`python -m tmssl.runs.notices`: send the notice on stdin, a JSON object; exit code 0 if it arrived."""

import json
import signal
import sys
import time
from typing import Any

from tmssl.runs.notices.sending import LONGEST_S

_PAUSES_S = (1.0, 4.0)  # before the second and the third try


def main() -> int:
    """Try three times, and end by SIGALRM where the service holds the connection open."""
    signal.alarm(int(LONGEST_S))
    from apprise import Apprise

    request: dict[str, Any] = json.load(sys.stdin)
    service = Apprise()
    service.add(request["address"])
    for pause_s in (*_PAUSES_S, None):
        if service.notify(title=request["title"], body=request["body"]):
            return 0
        if pause_s is not None:
            time.sleep(pause_s)
    return 1


if __name__ == "__main__":
    sys.exit(main())
