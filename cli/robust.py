"""How well changed queries find their originals: a table and bars."""

from cli.results import say_data
from tmssl.runs.events import Eval
from tmssl.text import number, safe

_NAMES = 32  # cells before a bar: of the change and of what describes marks
_BAR = "▇"


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


def robustness_bars(event: Eval, width: int = 78) -> list[str]:
    """The same as bars from 0 to 1, the rows of a change together."""
    k = min(score.k for score in event.robustness)
    room = width - _NAMES - len(" 0.000")
    lines = [f"{f'known-item recall@{k}':{_NAMES}}0{'1':>{room - 1}}"]
    for score in event.robustness:
        if score.k != k:
            continue
        change = safe(score.codes)
        for name, value in {"this": score.value, **score.references}.items():
            known = value or 0.0
            bar = _BAR * round(known * room)
            row = safe(name.removeprefix("perceptual "), 12)
            lines.append(f"{change:18}{row:>12}  {bar:{room}} {number(known, 3)}")
            change = ""
    return lines


def print_robustness(event: Eval) -> None:
    """Both on stdout."""
    for line in robustness_lines(event):
        say_data(line)
    say_data()
    for line in robustness_bars(event):
        say_data(line)
