"""A run as a line of the list of runs, and the details of the run under the cursor."""

from rich.text import Text

from tmssl.runs.events import Score
from tmssl.runs.listing import Row
from tmssl.runs.main_figure import short_name
from tmssl.text import number, safe

_STATES = {
    "running": ("> running", "green"),
    "finished": ("# finished", "cyan"),
    "stopped": ("= stopped", "yellow"),
    "failed": ("! failed", "bold red"),
    "dead": ("! dead", "bold red"),
    "waiting": (". waiting", "yellow"),
}
_FIXED_WIDTH = 60  # cells of all columns but the name and the finding
_NAME_WIDTH = 18, 40  # smallest and largest width of the name column, in cells
_FINDING_BEGIN = _FIXED_WIDTH + _NAME_WIDTH[1]
_FINDING_WIDTH = 30  # cells below which the finding has no column
_DETAILS = (
    "model.name data.views data.positives optim.optimizer optim.lr train.batch_size data.source"
).split()
"""settings that tell runs apart"""


def _name_width(width: int) -> int:
    """Width of the name column in a line of `width` cells."""
    least, most = _NAME_WIDTH
    return max(least, min(most, width - _FIXED_WIDTH))


def _has_finding(width: int) -> bool:
    return width >= _FINDING_BEGIN + _FINDING_WIDTH


def list_heading(width: int) -> str:
    """The names of the columns."""
    name = f"{'run':{_name_width(width)}}"
    line = f"  {name} {'state':10} {'epoch':>10} {'loss':>6} (chance)  best (chance)"
    return f"{line:{_FINDING_BEGIN}} finding" if _has_finding(width) else line


def list_line(row: Row, width: int, marked: bool) -> Text:
    """One run as a line of at most `width` cells; a star marks it for a comparison."""
    state, colour = _STATES[row.state]
    cells = _name_width(width)
    epoch = f"{row.epoch:.4g}/{row.epochs or '-'}"
    loss = f"{number(row.loss, 3):>6} {f'({number(row.chance, 3)})':8}"
    finding = safe(row.finding) if _has_finding(width) else ""
    spans = [
        ("* " if marked else "  ", "bold magenta"),
        (f"{safe(row.run.name, cells):{cells}} ", ""),
        (f"{state:10}", colour),
        (f" {epoch:>10} {loss}  ", ""),
        (f"{best_figure(row.best):19} {finding}".rstrip(), ""),
    ]
    line = Text()
    for (
        text,
        style,
    ) in spans:  # Text.truncate would leave a style beyond the end, which breaks the list
        line.append(text[: max(0, width - len(line))], style)
    return line


def best_figure(score: Score | None) -> str:
    """A figure with its chance level in parentheses, such as `hit@10 0.62 (0.41)`."""
    if score is None:
        return "-"
    return f"{short_name(score)} {number(score.value, 2)} ({number(score.chance, 2)})"


def detail_lines(row: Row) -> list[Text]:
    """Three lines: the main settings, the newest finding and its advice."""
    settings = [
        f"{name.partition('.')[2]} {safe(row.settings[name], 60)}"
        for name in _DETAILS
        if name in row.settings
    ]
    lines = [", ".join(settings) or "no settings known", safe(row.finding) or "nothing to report"]
    lines.append(f"-> {safe(row.advice)}" if row.advice else "")
    return [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]
