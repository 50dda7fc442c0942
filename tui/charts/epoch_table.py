"""The table of the last epochs beside the charts."""

from rich.text import Text

from tmssl.runs.history import History
from tmssl.text import duration, learning_rate, number, rate
from tui.options import DisplayOptions
from tui.theme import colour_styles


def epoch_table(history: History, rows: int, options: DisplayOptions) -> Text:
    """The last epochs as a table of `rows` lines, the first of which is its heading."""
    heading = "epoch     loss      ce   top-1        lr    time  RankMe"
    lines = [
        f"{epoch.epoch:>5} {number(epoch.loss):>8} {number(epoch.ce):>7} {rate(epoch.top1):>7} "
        f"{learning_rate(epoch.lr):>9} {duration(epoch.seconds):>7} {number(epoch.rank_me, 3):>7}"
        for epoch in history.epochs[-max(1, rows - 1) :]
    ]
    style = f"bold {colour_styles(options)('title')}"
    text = Text.assemble((heading, style), "\n", "\n".join(lines))
    text.no_wrap = True
    return text
