"""How well changed queries find their originals: a table and a plot."""

import sys

from cli.results import say_data
from tmssl.runs.events import Eval
from tmssl.text import number, safe

_COLOURS = ("cyan", "red", "yellow", "green", "magenta", "blue")


def robustness_lines(event: Eval) -> list[str]:
    """Known-item recall at the shortest list by change, each beside chance and the references."""
    k = min(score.k for score in event.robustness)
    rows = [score for score in event.robustness if score.k == k]
    names = list(rows[0].references)
    lines = [
        "", f"known-item recall@{k}: {rows[0].queries} changed queries find their originals",
        f"{'':20}{'value':>8}{'chance':>9}" + "".join(f"{safe(name.removeprefix('perceptual '), 12):>13}" for name in names),
    ]  # fmt: skip
    for at, score in enumerate(rows, 1):
        cells = "".join(f"{number(score.references.get(name), 3):>13}" for name in names)
        lines.append(
            f"{at}. {safe(score.codes):17}{number(score.value, 3):>8}{number(score.chance, 3):>9}{cells}"
        )
    return lines


def robustness_plot(event: Eval, width: int = 78, height: int = 14, colour: bool = False) -> str:
    """The same as a chart, the changes by their number."""
    from tui.chart import draw
    from tui.look import FULL, Look
    from tui.series import Line, Picture

    k = min(score.k for score in event.robustness)
    rows = [score for score in event.robustness if score.k == k]
    places = tuple(float(at) for at in range(1, len(rows) + 1))
    curves = {"this": tuple(score.value or 0.0 for score in rows)}
    for name in rows[0].references:
        curves[name] = tuple(score.references.get(name) or 0.0 for score in rows)
    lines = tuple(
        Line(safe(name, 15), places, values, _COLOURS[at % len(_COLOURS)])
        for at, (name, values) in enumerate(curves.items())
    )
    look: Look = FULL
    text = draw(Picture(f"known-item recall@{k}", lines), width, height, look)
    if colour:
        return text
    import plotext

    plain: str = plotext.uncolorize(text)
    return plain


def print_robustness(event: Eval) -> None:
    """Both on stdout."""
    for line in robustness_lines(event):
        say_data(line)
    for line in robustness_plot(event, colour=sys.stdout.isatty()).splitlines():
        say_data(line)
