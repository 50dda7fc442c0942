"""Screens that only show text: help, findings, the trainer's log, the configuration."""

from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from tmssl.retrieval.figures import table_lines
from tmssl.runs.history import History
from tmssl.text import safe
from tui.bindings import PAGE, bindings, help_lines
from tui.evaluations import Evaluation, history_lines
from tui.words import finding_words

_LOG_BYTES = 64 << 10


class PageScreen(Screen[None]):
    """A title and lines that scroll; every line is safe by the time it comes here."""

    TABLE = PAGE
    BINDINGS = bindings(PAGE)  # type: ignore[assignment]  # a list of Binding is one of the kinds it takes

    def __init__(self, title: str, lines: list[str], *, at_end: bool = False) -> None:
        super().__init__()
        self._heading = title
        self._lines = lines
        self._at_end = at_end

    def compose(self) -> ComposeResult:
        """The title, the text, the keys."""
        yield Static(Text(self._heading, style="bold"), classes="heading")
        with VerticalScroll(id="page"):
            yield Static(Text("\n".join(self._lines)))
        yield Footer()

    def on_mount(self) -> None:
        """Let the arrow keys scroll at once."""
        page = self.query_one("#page", VerticalScroll)
        page.focus()
        if self._at_end:
            self.call_after_refresh(page.scroll_end, animate=False)


def help_page() -> PageScreen:
    """Every key."""
    return PageScreen("Keys", help_lines())


def findings_page(history: History) -> PageScreen:
    """Every finding with its advice, newest first."""
    lines = [
        line for finding in reversed(history.findings) for line in (*finding_words(finding), "")
    ]
    return PageScreen("Findings, newest first", lines or ["nothing to report"])


def log_page(log: Path) -> PageScreen:
    """The end of what the trainer printed."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_BYTES))
            told = file.read().decode("utf-8", "replace").splitlines()
    except OSError as error:
        told = [f"no log: {error.strerror}"]
    return PageScreen(f"Log: {safe(log)}", [safe(line) for line in told] or ["empty"], at_end=True)


def evaluation_page(evaluations: tuple[Evaluation, ...], index: int) -> PageScreen:
    """Every figure of an evaluation, and how the first one changed by epoch."""
    event = evaluations[index].event
    name = safe(evaluations[index].name)
    if event is None:
        return PageScreen(f"Figures of {name}", ["they cannot be read; press e to evaluate again"])
    history = [line.plain for line in history_lines(evaluations, index, len(evaluations) + 1)]
    return PageScreen(f"Figures of {name}", [*table_lines(event), "", *history])


def config_page(history: History) -> PageScreen:
    """The settings in force, and what each resume changed."""
    lines = []
    segment = history.segment
    for section, settings in (segment.config if segment else {}).items():
        lines.append(f"[{safe(section)}]")
        if isinstance(settings, dict):
            lines += [f"  {safe(name):20} {safe(value)}" for name, value in settings.items()]
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
    return PageScreen("Configuration", lines or ["the run has not written yet"])
