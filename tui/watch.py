"""Opens the monitor, and returns when the user quits."""

import sys
from pathlib import Path

from tmssl.errors import TmsslError
from tmssl.runs.folder import Run
from tui.app import WatchApp
from tui.options import FULL, DisplayOptions

_SWITCH_INTERVAL_S = 0.0005  # a key waits no longer than this for a thread that reads or draws


def watch(run: Run | None, options: DisplayOptions = FULL, runs_folder: Path | None = None) -> None:
    """Open the monitor on a run, or on a folder of runs, and return when the user quits.

    Raises:
        TmsslError: the monitor ended with an error.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    app = WatchApp(run, options, runs_folder)
    app.run()
    if app.return_code:
        raise TmsslError("the monitor ended with an error; training is not touched by that")
