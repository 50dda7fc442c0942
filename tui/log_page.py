"""The page of the trainer's log."""

import os
from functools import partial
from pathlib import Path

from tmssl.files import open_plain
from tmssl.text import safe
from tui.paths import display_path
from tui.widgets.text_screen import TextScreen

_MAX_BYTES = 64 << 10


def log_page(log: Path) -> TextScreen:
    """The end of a log, which follows the log as it grows."""
    read = partial(read_log_lines, log)
    return TextScreen(f"Log: {display_path(log)}", read(), read_again=read, wrap=True)


def read_log_lines(log: Path) -> list[str]:
    """The last whole lines of a log, each made safe."""
    try:
        with os.fdopen(open_plain(log, os.O_RDONLY), "rb") as file:
            begin = max(0, os.fstat(file.fileno()).st_size - _MAX_BYTES)
            file.seek(begin)
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ["this run has no log"]
    except OSError as error:
        return [f"the log cannot be read: {error.strerror}"]
    whole = lines[1:] if begin else lines  # the first line may be cut
    return [safe(line) for line in whole] or ["empty"]
