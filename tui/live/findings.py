"""The screen of a run's findings; each finding leads to its step in the charts."""

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static

from tmssl.runs.events import Finding
from tmssl.runs.history import History
from tmssl.text import count, safe
from tui.bindings import FINDINGS
from tui.live.messages import GoToStep
from tui.widgets.choices import Choices

_LEVELS = {
    "bad": ("!! bad", "bold red"),
    "warning": ("!  warning", "yellow"),
    "good": ("+  good", "green"),
    "info": ("i  info", "cyan"),
}


def finding_line(finding: Finding) -> Text:
    """A finding as a line of the list: level, epoch, text."""
    level, colour = _LEVELS.get(finding.level, (f"!  {safe(finding.level, 8)}", "yellow"))
    epoch = f"epoch {finding.epoch:>7.4g}  "
    return Text.assemble((f"{level:11}", colour), epoch, safe(finding.text))


def finding_details(finding: Finding) -> str:
    """A finding in full: text, advice, code and step."""
    advice = f"-> {safe(finding.advice)}" if finding.advice else "no advice"
    return f"{safe(finding.text)}\n{advice}\n{safe(finding.code)}, at step {finding.step:,}"


class FindingsScreen(Screen[None]):
    """The list of findings, newest first."""

    BINDINGS = FINDINGS

    AUTO_FOCUS = "#findings"

    def __init__(self, history: History) -> None:
        super().__init__()
        self._findings: tuple[Finding, ...] = ()
        self._history = history

    def compose(self) -> ComposeResult:
        """The list, and the details of the finding under the cursor."""
        yield Static("", id="where", classes="heading")
        yield Choices(id="findings", compact=True)
        yield Static("", id="about-finding")
        yield Footer()

    def on_mount(self) -> None:
        """Show the findings so far."""
        self.show(self._history)

    def show(self, history: History) -> None:
        """Show the findings of a history; the cursor stays on its finding."""
        self._findings = tuple(history.findings)
        total = count(len(self._findings), "finding")
        summary = f"{total}, newest first" if self._findings else "nothing to report"
        self.query_one("#where", Static).update(Text(f"Findings: {summary}", style="bold"))
        lines = [(str(i), finding_line(finding)) for i, finding in enumerate(self._findings)]
        self.query_one(Choices).show(lines[::-1])
        self._show_details()

    @property
    def _chosen(self) -> Finding | None:
        name = self.query_one(Choices).chosen
        return self._findings[int(name)] if name else None

    @on(OptionList.OptionHighlighted, "#findings")
    def _show_details(self) -> None:
        """Show the details of the finding under the cursor."""
        finding = self._chosen
        text = Text(finding_details(finding) if finding else "no finding so far")
        self.query_one("#about-finding", Static).update(text)

    @on(OptionList.OptionSelected, "#findings")
    def action_go(self) -> None:
        """Show the step of the finding in the charts."""
        finding = self._chosen
        if finding is not None:
            self.post_message(GoToStep(finding.step))
