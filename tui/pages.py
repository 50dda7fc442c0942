"""What the pages of text say: keys, the trainer's log, settings, the figures of an evaluation."""

from functools import partial
from pathlib import Path

from tmssl.config import Config, to_dict
from tmssl.runs.history import History
from tmssl.runs.listing import flat_settings
from tmssl.text import safe
from tui.bindings import Key, help_lines
from tui.paths import display_path
from tui.widgets.text_screen import PageScreen

_LOG_BYTES = 64 << 10


class HelpPage(PageScreen):
    """Every key."""


def help_page(table: tuple[Key, ...]) -> HelpPage:
    """Every key, those of the screen that asks first."""
    return HelpPage("Keys", help_lines(table))


def log_page(log: Path) -> PageScreen:
    """The end of what the trainer printed, and what it prints from now on."""
    again = partial(log_lines, log)
    return PageScreen(f"Log: {display_path(log)}", again(), again=again, wrap=True)


def log_lines(log: Path) -> list[str]:
    """The end of a log, each line made safe."""
    try:
        with log.open("rb") as file:
            begin = max(0, log.stat().st_size - _LOG_BYTES)
            file.seek(begin)
            told = file.read().decode("utf-8", "replace").splitlines()
    except OSError as error:
        return [f"no log: {error.strerror}"]
    whole = told[1:] if begin else told  # the first line of a part was cut
    return [safe(line) for line in whole] or ["empty"]


def config_page(history: History) -> PageScreen:
    """The settings in force, those that are not the default marked, and what each resume changed."""
    return PageScreen("Configuration (* is not the default)", config_lines(history))


def config_lines(history: History) -> list[str]:
    """Settings by section, changes by segment, and the machine."""
    segment, usual = history.segment, flat_settings(dict(to_dict(Config())))
    if segment is None:
        return ["the run has not written yet"]
    lines = []
    for section, settings in segment.config.items():
        lines.append(f"[{safe(section)}]")
        if isinstance(settings, dict):
            for name, value in settings.items():
                other = usual.get(f"{section}.{name}", value)
                told = f"  (default {safe(other) or 'none'})" if other != value else ""
                lines.append(f"{'*' if told else ' '} {safe(name):20} {safe(value)}{told}")
    for resumed in history.segments[1:]:
        lines += [
            "",
            f"segment {resumed.number} at epoch {resumed.epoch:.4g} ({safe(resumed.reason)})",
        ]
        lines += [
            f"  {safe(k)}: {safe(v[0])} -> {safe(v[1])}"
            for k, v in resumed.changed.items()
            if len(v) == 2
        ]
    if history.started is not None:
        lines += ["", "machine", f"  {safe(history.started.host)}, {safe(history.started.device)}"]
        lines += [f"  {safe(k)} {safe(v)}" for k, v in history.started.versions.items()]
    return lines
