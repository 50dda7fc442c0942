"""Two runs beside each other: figures, and the settings in which they differ."""

from tmssl.runs.listing import Row, differing
from tmssl.text import number, safe
from tui.runs.run_list import best_words
from tui.widgets.text_screen import TextScreen

_NAME, _VALUE = 22, 26


def comparison_page(first: Row, second: Row) -> TextScreen:
    """The page of two runs."""
    title = f"{safe(first.run.name, 60)} and {safe(second.run.name, 60)}"
    return TextScreen(title, comparison_lines(first, second))


def comparison_lines(first: Row, second: Row) -> list[str]:
    """Figures, then every setting that is not the same in both."""
    lines = [_line("", first.run.name, second.run.name)]
    lines += [_line(name, a, b) for name, a, b in _figures(first, second)]
    found = differing(first, second)
    lines += ["", f"settings that differ: {len(found)}" if found else "the settings are the same"]
    lines += [_line(pair.name, _shown(pair.first), _shown(pair.second)) for pair in found]
    return lines


def _line(name: str, first: object, second: object) -> str:
    """A line of three columns; what is too long runs on rather than be lost."""
    return f"{safe(name):{_NAME}} {safe(first):{_VALUE}} {safe(second)}".rstrip()


def _shown(value: object) -> str:
    """A setting; a dash where a run has none of that name."""
    return "-" if value is None else "(empty)" if value == "" else str(value)


def _figures(first: Row, second: Row) -> list[tuple[str, str, str]]:
    """What both reached."""
    return [
        ("state", first.state, second.state),
        ("epoch", _epoch(first), _epoch(second)),
        ("loss", number(first.loss), number(second.loss)),
        ("chance of the loss", number(first.chance), number(second.chance)),
        ("best (chance)", best_words(first.best), best_words(second.best)),
    ]


def _epoch(row: Row) -> str:
    """Epochs done and planned."""
    return f"{row.epoch:.4g}/{row.epochs or '-'}"
