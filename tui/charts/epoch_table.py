"""The table of the last epochs beside the charts."""

from rich.text import Text

from tmssl.runs.history import History
from tmssl.text import duration, learning_rate, number, rate
from tui.charts.chart import tints
from tui.options import Look


def table(history: History, rows: int, look: Look, dark: bool) -> Text:
    """The last epochs, with a heading that stands out."""
    head, *lines = epoch_table(history, rows).split("\n")
    text = Text.assemble((head, f"bold {tints(look, dark)('title')}"), "\n", "\n".join(lines))
    text.no_wrap = True
    return text


def epoch_table(history: History, rows: int) -> str:
    """The last epochs as a table."""
    lines = ["epoch     loss      ce   top-1        lr    time  RankMe"]
    lines += [
        f"{epoch.epoch:>5} {number(epoch.loss):>8} {number(epoch.ce):>7} {rate(epoch.top1):>7} "
        f"{learning_rate(epoch.lr):>9} {duration(epoch.seconds):>7} {number(epoch.rank_me, 3):>7}"
        for epoch in history.epochs[-max(1, rows - 1) :]
    ]
    return "\n".join(lines)
