"""The page with every figure of an evaluation."""

from tmssl.retrieval.evaluation.table import table_lines
from tmssl.text import safe
from tui.matches.evaluations import Evaluation, history_lines
from tui.widgets.text_screen import TextScreen


def evaluation_page(evaluations: tuple[Evaluation, ...], index: int) -> TextScreen:
    """Every figure of an evaluation, and how the first one changed by epoch."""
    event = evaluations[index].event
    name = safe(evaluations[index].name)
    if event is None:
        return TextScreen(f"Figures of {name}", ["they cannot be read; press e to evaluate again"])
    history = [line.plain for line in history_lines(evaluations, index, len(evaluations) + 1)]
    return TextScreen(f"Figures of {name}", [*table_lines(event), "", *history])
