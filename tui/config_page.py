"""The page of a run's configuration."""

from collections.abc import Iterator

from tmssl.config import Config, to_dict
from tmssl.runs.events import Segment
from tmssl.runs.history import History
from tmssl.runs.listing import flat_settings
from tmssl.text import safe
from tui.widgets.text_screen import TextScreen


def config_page(history: History) -> TextScreen:
    """The settings in force, what each resume changed, and the machine."""
    return TextScreen("Configuration (* is not the default)", config_lines(history))


def config_lines(history: History) -> list[str]:
    """The lines of the page; a star marks a setting that is not the default."""
    if history.segment is None:
        return ["the run has not written yet"]
    lines = list(_setting_lines(history.segment))
    for segment in history.segments[1:]:
        reason = safe(segment.reason)
        lines += ["", f"segment {segment.number} at epoch {segment.epoch:.4g} ({reason})"]
        lines += [
            f"  {safe(name)}: {safe(values[0])} -> {safe(values[1])}"
            for name, values in segment.changed.items()
            if len(values) == 2
        ]
    if history.started is not None:
        lines += ["", "machine", f"  {safe(history.started.host)}, {safe(history.started.device)}"]
        lines += [f"  {safe(name)} {safe(v)}" for name, v in history.started.versions.items()]
    return lines


def _setting_lines(segment: Segment) -> Iterator[str]:
    """The settings of a segment by section, with the default where they differ from it."""
    defaults = flat_settings(dict(to_dict(Config())))
    for section, settings in segment.config.items():
        yield f"[{safe(section)}]"
        if not isinstance(settings, dict):
            continue
        for name, value in settings.items():
            default = defaults.get(f"{section}.{name}", value)
            line = f"{safe(name):20} {safe(value)}"
            if default == value:
                yield f"  {line}"
            else:
                yield f"* {line}  (default {safe(default) or 'none'})"
