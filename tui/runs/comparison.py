"""The page that compares two runs: figures, and the settings in which they differ."""

from tmssl.runs.listing import Row, differing
from tmssl.text import number, safe
from tui.runs.charted_page import ChartedPage
from tui.runs.columns import best_figure

_NAME_WIDTH, _VALUE_WIDTH = 22, 26


def comparison_page(first: Row, second: Row) -> ChartedPage:
    """The figures and settings of two runs over their curves."""
    title = f"{safe(first.run.name, 60)} and {safe(second.run.name, 60)}"
    runs = (first.run, second.run)
    return ChartedPage(
        title, comparison_lines(first, second), runs, ("loss", "hits", "top1", "grad")
    )


def comparison_lines(first: Row, second: Row) -> list[str]:
    """The figures of both runs, then every setting that differs."""
    pairs = differing(first, second)
    return [
        _line("", first.run.name, second.run.name),
        _line("state", first.state, second.state),
        _line("epoch", _epoch(first), _epoch(second)),
        _line("loss", number(first.loss), number(second.loss)),
        _line("chance of the loss", number(first.chance), number(second.chance)),
        _line("best (chance)", best_figure(first.best), best_figure(second.best)),
        "",
        f"settings that differ: {len(pairs)}" if pairs else "the settings are the same",
        *(_line(pair.name, _setting(pair.first), _setting(pair.second)) for pair in pairs),
    ]


def _line(name: str, first: object, second: object) -> str:
    """A line of three columns; a long value moves the next column to the right."""
    return f"{safe(name):{_NAME_WIDTH}} {safe(first):{_VALUE_WIDTH}} {safe(second)}".rstrip()


def _setting(value: object) -> str:
    """A setting; a dash where a run does not have it."""
    return "-" if value is None else "(empty)" if value == "" else str(value)


def _epoch(row: Row) -> str:
    """Epochs done and planned."""
    return f"{row.epoch:.4g}/{row.epochs or '-'}"
