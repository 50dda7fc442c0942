"""The lines of the live screen in colour: each role of a span has its style."""

import time

from rich.text import Text

from tmssl.runs.cost import cost, cost_words
from tmssl.runs.folder import Run
from tmssl.runs.history import History, state
from tmssl.text import duration, safe
from tui.live.run_text import (
    Role,
    Span,
    Spans,
    evaluation_spans,
    learning_spans,
    machine_spans,
    plain_text,
    progress_spans,
    state_remark,
    worst_finding_lines,
)
from tui.options import DisplayOptions
from tui.signs import STATES, badge, level_sign
from tui.theme import StyleOf, colour_styles

_ROLE_COLOURS: dict[Role, str] = {"aside": "quiet", "bar": "cyan", "bar-rest": "quiet"}
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
    head = Text.assemble(
        name, "  ", badge(STATES[now], style_of, 0), f" {state_remark(now)}".rstrip()
    )
    silence = seconds_silent(history, time.time()) if now == "running" else 0.0
    if silence > _longest_silence(history):
        head.append(f"  ! nothing written for {duration(silence)}", f"bold {style_of('gold')}")
    if reading:
        head.append(f"  {safe(reading)}", style_of("gold"))
    elif history.started is not None and history.started.device:
        head.append(f"  {safe(history.started.device, 40)}", style_of("quiet"))
    return head


def seconds_silent(history: History, now: float) -> float:
    """Seconds since the newest event that has a time."""
    written = history.written_at()
    return 0.0 if written is None else max(0.0, now - written)


def _longest_silence(history: History) -> float:
    """Seconds without an event that are normal: three intervals of the log, at least 20 steps."""
    log_every = history.segment.figure("train", "log_every") if history.segment else None
    steps = max(20.0, 3 * (log_every or 0.0))
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
    finding, advice, level = worst_finding_lines(history)
    bold = f"bold {style_of(level_sign(level).colour)}"
    lines = {
        "progress": styled(progress, style_of),
        "learning": styled(learning_spans(history, width), style_of),
        "machine": styled(machine, style_of),
        "evaluation": styled(evaluation_spans(history, width), style_of),
        "finding": Text().append(finding, bold if level else style_of("quiet")),
        "advice": Text(advice),
    }
    for text in lines.values():
        text.no_wrap, text.overflow = True, "ellipsis"
    return lines
