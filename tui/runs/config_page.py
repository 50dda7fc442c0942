"""The page of a run's configuration."""

from collections.abc import Iterator, Mapping

from tmssl.config import Config, resolved, to_dict
from tmssl.runs.folder import Run
from tmssl.runs.history import History
from tmssl.runs.listing import flat_settings
from tmssl.text import safe
from tui.runs.charted_page import ChartedPage


def config_page(history: History, run: Run) -> ChartedPage:
    """The settings in force, what each resume changed, and the machine, over what they led to."""
    title = "Configuration (* is not the default)"
    return ChartedPage(title, config_lines(history), (run,), ("lr", "momentum", "loss"))


def config_lines(history: History) -> list[str]:
    """The lines of the page; a star marks a setting that is not the default."""
    if history.segment is None:
        return ["the run has not written yet"]
    lines = list(setting_lines(history.segment.config))
    for segment in history.segments[1:]:
        reason = safe(segment.reason)
        lines += ["", f"segment {segment.number} at epoch {segment.epoch:.4g} ({reason})"]
        lines += [
            f"  {safe(name)}: {_value(values[0])} -> {_value(values[1])}"
            for name, values in segment.changed.items()
            if len(values) == 2
        ]
    if history.started is not None and history.started.host:
        lines += ["", "machine", f"  {safe(history.started.host)}, {safe(history.started.device)}"]
        lines += [f"  {safe(name)} {safe(v)}" for name, v in history.started.versions.items()]
    return lines


def _value(value: object) -> str:
    """A setting's value; an imported log does not know what it was before."""
    return "unknown" if value is None else safe(value)


def setting_lines(config: Mapping[str, object]) -> Iterator[str]:
    """Settings by section, with the default where they differ from it."""
    defaults = flat_settings(dict(to_dict(resolved(Config()))))
    for section, settings in config.items():
        yield f"[{safe(section)}]"
        if not isinstance(settings, dict):
            continue
        for name, value in settings.items():
            default = defaults.get(f"{section}.{name}", value)
            default = list(default) if isinstance(default, tuple) else default  # as JSON has it
            value = list(value) if isinstance(value, tuple) else value
            line = f"{safe(name):20} {safe(value)}"
            if default == value:
                yield f"  {line}"
            else:
                yield f"* {line}  (default {safe(default) or 'none'})"
