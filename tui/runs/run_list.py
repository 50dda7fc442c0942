"""A run as a line of a list, and what to say of it."""

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
_FIXED = 60  # cells that the columns beside the name take
_NAME = 18, 40  # least and most cells of a name


def name_width(width: int) -> int:
    """Cells of the name's column in a line of `width` cells."""
    return max(_NAME[0], min(_NAME[1], width - _FIXED))


def row_head(width: int) -> str:
    """The names of the columns; a loss and a figure stand before their chance levels."""
    line = f"  {'run':{name_width(width)}} {'state':10} {'epoch':>10} {'loss':>6} (chance)  best (chance)"
    return line if width < _FIXED + _NAME[1] + 30 else f"{line:{_FIXED + _NAME[1]}} finding"


def best_words(score: Score | None) -> str:
    """`hit@10 0.62 (0.41)`: the figure and its chance level."""
    if score is None:
        return "-"
    return f"{short_name(score)} {number(score.value, 2)} ({number(score.chance, 2)})"


def row_text(row: Row, width: int, marked: bool) -> Text:
    """One run as a line of at most `width` cells; a star marks it for a comparison."""
    words, colour = _STATES[row.state]
    cells = name_width(width)
    epoch = f"{row.epoch:.4g}/{row.epochs or '-'}"
    finding = safe(row.finding) if width >= _FIXED + _NAME[1] + 30 else ""
    parts = [
        ("* " if marked else "  ", "bold magenta"),
        (f"{safe(row.run.name, cells):{cells}} ", ""),
        (f"{words:10}", colour),
        (f" {epoch:>10} {number(row.loss, 3):>6} {'(' + number(row.chance, 3) + ')':8}  ", ""),
        (f"{best_words(row.best):19} {finding}".rstrip(), ""),
    ]
    text = Text()
    for (
        part,
        style,
    ) in parts:  # cut by hand: a style beyond the end of the text would break the list
        text.append(part[: max(0, width - len(text))], style)
    return text


def about_words(row: Row) -> list[Text]:
    """Three lines: what the run is, its newest finding and the advice."""
    about = [f"{name.partition('.')[2]} {safe(value, 60)}" for name, value in _telling(row)]
    lines = [", ".join(about) or "no settings known", safe(row.finding) or "nothing to report"]
    lines.append(f"-> {safe(row.advice)}" if row.advice else "")
    texts = [Text(line) for line in lines]
    for text in texts:
        text.no_wrap, text.overflow = True, "ellipsis"
    return texts


def _telling(row: Row) -> list[tuple[str, object]]:
    """The settings that tell runs apart at a glance."""
    names = (
        "model.name",
        "data.views",
        "data.positives",
        "optim.optimizer",
        "optim.lr",
        "train.batch_size",
        "data.source",
    )
    return [(name, row.settings[name]) for name in names if name in row.settings]
