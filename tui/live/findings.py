"""Everything noticed in a run, with advice; each finding leads to its place in the curves."""

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
    """A finding as a line of a list: level, place, what was seen."""
    words, colour = _LEVELS.get(finding.level, (f"!  {safe(finding.level, 8)}", "yellow"))
    return Text.assemble(
        (f"{words:11}", colour), f"epoch {finding.epoch:>7.4g}  ", safe(finding.text)
    )


def about_lines(finding: Finding) -> str:
    """All of a finding: what was seen, what to try, and where."""
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
        """The list, and all of the finding under the cursor."""
        yield Static("", id="where", classes="heading")
        yield Choices(id="findings", compact=True)
        yield Static("", id="about-finding")
        yield Footer()

    def on_mount(self) -> None:
        """Show what there is."""
        self.show(self._history)

    def show(self, history: History) -> None:
        """Show the findings of a history; the cursor stays on its finding."""
        self._findings = tuple(history.findings)
        told = count(len(self._findings), "finding")
        words = (
            f"Findings: {told}, newest first" if self._findings else "Findings: nothing to report"
        )
        self.query_one("#where", Static).update(Text(words, style="bold"))
        lines = [(str(at), finding_line(one)) for at, one in enumerate(self._findings)]
        self.query_one(Choices).show(lines[::-1])
        self._show_about()

    @property
    def _chosen(self) -> Finding | None:
        name = self.query_one(Choices).chosen
        return self._findings[int(name)] if name else None

    @on(OptionList.OptionHighlighted, "#findings")
    def _show_about(self) -> None:
        """All of the finding under the cursor."""
        finding = self._chosen
        text = Text(about_lines(finding) if finding else "no finding so far")
        self.query_one("#about-finding", Static).update(text)

    @on(OptionList.OptionSelected, "#findings")
    def action_go(self) -> None:
        """Show the curves where the finding was made."""
        finding = self._chosen
        if finding is not None:
            self.post_message(GoToStep(finding.step))
