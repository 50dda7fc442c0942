"""The live screen's lines of words: the same words as everywhere, with what matters made to stand out."""

import re
import time

from rich.text import Text

from tmssl.runs.cost import cost, cost_words
from tmssl.runs.folder import Run
from tmssl.runs.history import History, state
from tmssl.text import duration, safe
from tui.charts.chart import tints
from tui.live.words import (
    evaluation_words,
    figure_words,
    newest_finding,
    progress_words,
    state_words,
)
from tui.options import Look

_STATES = {
    "running": "green",
    "finished": "cyan",
    "stopped": "gold",
    "failed": "red",
    "dead": "red",
    "waiting": "gold",
}
_LEVELS = {"good": "green", "info": "cyan", "warning": "gold", "bad": "red"}
_QUIET_S = 60.0
_FIGURE = re.compile(r"(?<![\w@-])~?\d[\d,.]*(?:e[+-]\d+)?(?: ?[%x])?(?![\w-])")
_ASIDE = re.compile(r"\([^()]*\)")
_BAR = re.compile(r"\[(#*)(\.*)\]")


def headline(run: Run, history: History, alive: bool, reading: str, look: Look, dark: bool) -> Text:
    """Name, state, how much of the journal has been read, how long the trainer has been silent."""
    now = state(history, alive)
    tint = tints(look, dark)
    head = Text.assemble(
        (f" {safe(run.name)} ", "bold reverse"),
        "  ",
        (state_words(history, alive), f"bold {tint(_STATES[now])}"),
    )
    quiet = seconds_quiet(history, time.time()) if now == "running" else 0.0
    every = history.segment.setting("train", "log_every") if history.segment else 1
    logged = max(20, 3 * every) if isinstance(every, int) else 20  # steps until silence is odd
    if quiet > max(_QUIET_S, logged * (history.seconds_per_step() or 0.0)):
        head.append(f"  ! nothing written for {duration(quiet)}", f"bold {tint('gold')}")
    if reading:
        head.append(f"  {safe(reading)}", tint("gold"))
    elif history.started is not None and history.started.device:
        head.append(f"  {safe(history.started.device, 40)}", tint("gray"))
    return head


def seconds_quiet(history: History, now: float) -> float:
    """Seconds since the newest line that tells its time."""
    written = history.written_at()
    return 0.0 if written is None else max(0.0, now - written)


def lines_of_words(
    history: History, alive: bool, width: int, look: Look, dark: bool
) -> dict[str, Text]:
    """The lines around the charts, by the name of their place."""
    learning, machine = figure_words(history, width)
    finding, advice = newest_finding(history)
    money = cost(history)
    if money and len(machine) + 3 + len(cost_words(money)) <= width:
        machine += f"  {cost_words(money)}"
    told = {
        "progress": _with_bar(progress_words(history, alive, width), look, dark),
        "learning": figures(learning, look, dark),
        "machine": figures(machine, look, dark),
        "evaluation": figures(evaluation_words(history, width), look, dark),
    }
    level = history.findings[-1].level if history.findings else ""
    tint = tints(look, dark)
    style = f"bold {tint(_LEVELS.get(level, 'gold'))}" if level else tint("gray")
    told["finding"] = Text().append(finding, style)
    told["advice"] = Text(advice)
    for text in told.values():
        text.no_wrap, text.overflow = True, "ellipsis"
    return told


def figures(words: str, look: Look, dark: bool) -> Text:
    """Words with their figures bold and what is aside dim."""
    tint = tints(look, dark)
    text = Text(words)
    text.highlight_regex(_FIGURE, "bold")
    text.highlight_regex(_ASIDE, f"not bold {tint('gray')}")
    return text


def _with_bar(words: str, look: Look, dark: bool) -> Text:
    """The line of progress with a bar of the terminal's own."""
    found = _BAR.search(words)
    if found is None or look.ascii:
        return figures(words, look, dark)
    signs = len(found[0])  # the brackets are of the bar here
    done = round(signs * len(found[1]) / max(1, signs - 2))
    tint = tints(look, dark)
    return Text.assemble(
        figures(words[: found.start()], look, dark),
        ("━" * done, tint("cyan")),
        ("─" * (signs - done), tint("gray")),
        figures(words[found.end() :], look, dark),
    )
