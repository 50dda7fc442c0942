"""The lines of the live screen in colour: each role of a span has its style."""

import time

from rich.text import Text

from tmssl.runs.cost import cost, cost_words
from tmssl.runs.folder import Run
from tmssl.runs.history import History, state
from tmssl.text import duration, safe
from tui.charts.render import StyleOf, colour_styles
from tui.live.run_text import (
    Role,
    Span,
    Spans,
    evaluation_spans,
    learning_spans,
    machine_spans,
    newest_finding_lines,
    plain_text,
    progress_spans,
    state_text,
)
from tui.options import DisplayOptions

_STATE_COLOURS = {
    "running": "green",
    "finished": "cyan",
    "stopped": "gold",
    "failed": "red",
    "dead": "red",
    "waiting": "gold",
}
_LEVEL_COLOURS = {"good": "green", "info": "cyan", "warning": "gold", "bad": "red"}
_ROLE_COLOURS: dict[Role, str] = {"aside": "gray", "bar": "cyan", "bar-rest": "gray"}
_SILENCE_S = 60.0  # that is never worth a warning


def styled(spans: Spans, style_of: StyleOf) -> Text:
    """Spans as one text: figures bold, asides and bars in their colours."""
    text = Text()
    for span in spans:
        bold = span.role == "figure"
        text.append(span.text, "bold" if bold else style_of(_ROLE_COLOURS.get(span.role, "")))
    return text


def headline(
    run: Run, history: History, alive: bool, reading: str, options: DisplayOptions
) -> Text:
    """Name, state, how much of the journal has been read, and a warning when the trainer is silent."""
    now = state(history, alive)
    style_of = colour_styles(options)
    name = (f" {safe(run.name)} ", "bold reverse")
    state_style = f"bold {style_of(_STATE_COLOURS[now])}"
    head = Text.assemble(name, "  ", (state_text(history, alive), state_style))
    silence = seconds_silent(history, time.time()) if now == "running" else 0.0
    if silence > _longest_silence(history):
        head.append(f"  ! nothing written for {duration(silence)}", f"bold {style_of('gold')}")
    if reading:
        head.append(f"  {safe(reading)}", style_of("gold"))
    elif history.started is not None and history.started.device:
        head.append(f"  {safe(history.started.device, 40)}", style_of("gray"))
    return head


def seconds_silent(history: History, now: float) -> float:
    """Seconds since the newest event that has a time."""
    written = history.written_at()
    return 0.0 if written is None else max(0.0, now - written)


def _longest_silence(history: History) -> float:
    """Seconds without an event that are normal: three intervals of the log, at least 20 steps."""
    log_every = history.segment.setting("train", "log_every") if history.segment else 1
    steps = max(20, 3 * log_every) if isinstance(log_every, int) else 20
    return max(_SILENCE_S, steps * (history.seconds_per_step() or 0.0))


def run_lines(
    history: History, alive: bool, width: int, options: DisplayOptions
) -> dict[str, Text]:
    """The lines above and below the charts, by the id of their widget."""
    style_of = colour_styles(options)
    machine = machine_spans(history)
    price = cost(history)
    if price and len(plain_text(machine)) + 3 + len(cost_words(price)) <= width:
        machine += (Span(f"  {cost_words(price)}"),)
    progress = progress_spans(history, alive, width, ascii_bar=options.ascii)
    finding, advice = newest_finding_lines(history)
    level = history.findings[-1].level if history.findings else ""
    bold = f"bold {style_of(_LEVEL_COLOURS.get(level, 'gold'))}"
    lines = {
        "progress": styled(progress, style_of),
        "learning": styled(learning_spans(history, width), style_of),
        "machine": styled(machine, style_of),
        "evaluation": styled(evaluation_spans(history, width), style_of),
        "finding": Text().append(finding, bold if level else style_of("gray")),
        "advice": Text(advice),
    }
    for text in lines.values():
        text.no_wrap, text.overflow = True, "ellipsis"
    return lines
