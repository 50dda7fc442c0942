"""The evaluations of a run: which there are, what each found, and how that changed by epoch."""

import contextlib
import dataclasses
from pathlib import Path

import msgspec
from rich.text import Text

from tmssl.errors import InputError
from tmssl.retrieval.evaluation.matches import MatchesHeader, QueryMatches, read_matches
from tmssl.runs.eval_table import eval_row
from tmssl.runs.events import Eval, Score
from tmssl.runs.main_figure import BEFORE, MAIN_FIGURES, UNTRAINED, beginning
from tmssl.text import number, safe
from tui.bars import bar
from tui.options import PLAIN
from tui.theme import StyleOf, colour_styles

_MATCHES = ".matches.jsonl"
_TALL = 40  # rows from which the figures stand as a table
_BLOCK = 7  # rows of that table
_BAR = 20  # cells of a bar
_PLAIN_STYLES = colour_styles(PLAIN)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One evaluation on disk."""

    name: str
    """such as `epoch-0024`"""
    matches: Path
    event: Eval | None
    """its figures; None where they cannot be read"""

    @property
    def epoch(self) -> float:
        """Epoch of the checkpoint, by the name; what follows says in which manner it was evaluated."""
        with contextlib.suppress(ValueError):
            return float(self.name.removeprefix("epoch-").partition("-")[0])
        return -1.0


def read_evaluations(folder: Path) -> tuple[Evaluation, ...]:
    """The evaluations of a run that have matches, oldest epoch first."""
    found = []
    for path in folder.glob(f"*{_MATCHES}"):
        name = path.name.removesuffix(_MATCHES)
        event = None
        with contextlib.suppress(OSError, ValueError, RecursionError):
            event = msgspec.json.decode(path.with_name(f"{name}.json").read_bytes(), type=Eval)
        found.append(Evaluation(name, path, event))
    return tuple(sorted(found, key=lambda one: (one.epoch, one.name)))


@dataclasses.dataclass(frozen=True)
class LoadedEvaluation:
    """A matches file that was read, among the evaluations there are, oldest first."""

    evaluations: tuple[Evaluation, ...]
    index: int
    header: MatchesHeader | None
    queries: tuple[QueryMatches, ...]
    problem: str = ""

    @property
    def name(self) -> str:
        """Name of the evaluation."""
        return self.evaluations[self.index].name if self.evaluations else ""

    def query(self, row: int) -> QueryMatches | None:
        """The query of a row of the pack."""
        return next((query for query in self.queries if query.row == row), None)


def load_evaluation(folder: Path, index: int) -> LoadedEvaluation:
    """The matches of an evaluation of a run; -1 is the newest. What is wrong stands in `problem`."""
    found = read_evaluations(folder)
    if not found:
        return LoadedEvaluation((), -1, None, (), "no evaluation yet; press e to evaluate now")
    at = index if 0 <= index < len(found) else len(found) - 1
    try:
        header, queries = read_matches(found[at].matches)
    except InputError as error:
        return LoadedEvaluation(found, at, None, (), str(error))
    return LoadedEvaluation(found, at, header, tuple(queries))


def main_figures(event: Eval | None, most: int = 9) -> list[tuple[str, Score]]:
    """The figures that tell evaluations apart, each with its name: at 10 where there are several lengths."""
    scores = [(figure, figure.nearest_score(event)) for figure in MAIN_FIGURES if event]
    return [(figure.title(score.k), score) for figure, score in scores if score is not None][:most]


def figure_words(figures: list[tuple[str, Score]], width: int) -> str:
    """`division hit@10 0.62 (chance 0.41, lift 1.5); ...`; a narrow one leaves out words, never the chance."""
    long, short = [], []
    for name, score in figures:
        row = eval_row(score, digits=2)
        value = f"{row.value.text} (chance {row.chance.text}"
        long.append(f"{name} {value}, lift {row.lift.text})")
        short.append(f"{name.removeprefix('division ')} {value}, x{row.lift.text})")
    text = "; ".join(long)
    return text if len(text) <= width else "; ".join(short)


def head_lines(
    evaluations: tuple[Evaluation, ...],
    index: int,
    width: int,
    height: int,
    style_of: StyleOf = _PLAIN_STYLES,
    *,
    bars: bool = False,
) -> list[Text]:
    """What the evaluation found and how that changed by epoch: two lines, or a table on a tall screen.

    The table may have bars from chance to 1 in place of the history.
    """
    if not 0 <= index < len(evaluations):
        return []
    here = evaluations[index]
    if height >= _TALL and here.event is not None and bars:
        table, figures = _table(here.event), main_figures(here.event, _BLOCK - 1)
        cells = max(_BAR, width - max(map(len, table)) - 4)
        drawn = [
            bar(score.value, score.chance, beginning(score)[1], cells, style_of)
            for _, score in figures
        ]
        return _beside(table, [Text("chance to 1", "bold"), *drawn], width)
    if height >= _TALL and here.event is not None:
        past = history_lines(evaluations, index, _BLOCK, style_of)
        return _beside(_table(here.event), past, width)
    told = figure_words(_told(here.event), width)
    lines = [
        Text(told or f"the figures of {safe(here.name)} cannot be read", "bold"),
        history_line(evaluations, index, width),
    ]
    return [_cut(line, width) for line in lines]


def _told(event: Eval | None) -> list[tuple[str, Score]]:
    """The figures for a line: the first of the hits, and the first about the same mark."""
    figures = main_figures(event)
    hits = [pair for pair in figures if pair[1].level != "group"][:1]
    return hits + [pair for pair in figures if pair[1].level == "group"][:1]


def history_line(evaluations: tuple[Evaluation, ...], index: int, width: int) -> Text:
    """The first figure by epoch in one line, as many of the newest as fit; the shown one in brackets."""
    name, points = _series(evaluations)
    if not points:
        return Text("")
    line = Text(f"{name} by epoch: ")
    words = [
        f"[{epoch:g} {number(value, 2)}]" if at == index else f" {epoch:g} {number(value, 2)} "
        for at, epoch, value, _ in points
    ]
    while len(words) > 1 and len(line) + sum(map(len, words)) > width:
        words.pop(0)
    return line.append("".join(words))


def history_lines(
    evaluations: tuple[Evaluation, ...], index: int, rows: int, style_of: StyleOf
) -> list[Text]:
    """The first figure by epoch as bars from chance to 1, as everywhere.

    Where the run did not begin at random, what it began with stands above, the line to beat, and is a stroke in
    each bar.
    """
    name, points = _series(evaluations)
    if not points:
        return []
    began = _began(evaluations, name)
    rows -= began is not None
    shown = [at for at, *_ in points]
    place = shown.index(index) if index in shown else len(points) - 1
    end = min(len(points), max(place + 1 + (rows - 1) // 2, rows - 1))
    lines = [Text(f"{name} by epoch", "bold")]
    if began is not None:
        lines.append(
            Text(f"  {'start':>7}  ").append_text(
                _history_bar(began, points[-1][3], None, style_of)
            )
        )
    for at, epoch, value, chance in points[max(0, end - rows + 1) : end]:
        line = Text(f"{'>' if at == index else ' '} {epoch:>7g}  ", "bold" if at == index else "")
        lines.append(line.append_text(_history_bar(value, chance, began, style_of)))
    return lines


def _history_bar(
    value: float, chance: float | None, began: float | None, style_of: StyleOf
) -> Text:
    """A figure as a bar and in digits."""
    return Text.assemble(bar(value, chance, began, _BAR, style_of), f" {number(value, 3)}")


def _began(evaluations: tuple[Evaluation, ...], figure: str) -> float | None:
    """A figure before training, by the newest evaluation that tells."""
    scores = (dict(main_figures(one.event)).get(figure) for one in reversed(evaluations))
    figures = (score.references.get(BEFORE) for score in scores if score is not None)
    return next((before for before in figures if before is not None), None)


def _series(
    evaluations: tuple[Evaluation, ...],
) -> tuple[str, list[tuple[int, float, float, float | None]]]:
    """Name of the first figure and (place, epoch, value, chance) of each evaluation that has it."""
    first = next((figures[0][0] for one in evaluations if (figures := main_figures(one.event))), "")
    points = []
    for at, one in enumerate(evaluations):
        score = dict(main_figures(one.event)).get(first)
        if score is not None and score.value is not None:
            points.append((at, one.epoch, score.value, score.chance))
    return first, points


def _table(event: Eval) -> list[Text]:
    """The main figures with chance, lift, interval and the encoder that the run began as."""
    figures = main_figures(event, _BLOCK - 1)
    began_as = BEFORE if any(beginning(score)[0] == BEFORE for _, score in figures) else UNTRAINED
    head = {BEFORE: "before", UNTRAINED: UNTRAINED}[began_as]
    lines = [
        Text(f"{'':24}{'value':>8}{'chance':>8}{'lift':>7}{'95 % interval':>18}{head:>11}", "bold")
    ]
    for name, score in figures:
        row = eval_row(score, [began_as])
        lines.append(
            Text(
                f"{name:24}{row.value.text:>8}{row.chance.text:>8}{row.lift.text:>7}"
                f"{row.interval.text:>18}{row.references[began_as].text:>11}"
            )
        )
    return lines


def _beside(left: list[Text], right: list[Text], width: int) -> list[Text]:
    """Two blocks side by side."""
    half = max((len(line) for line in left), default=0)
    lines = []
    for at in range(max(len(left), len(right))):
        first = left[at] if at < len(left) else Text()
        first.pad_right(half - len(first))
        lines.append(
            _cut(Text.assemble(first, "    ", right[at] if at < len(right) else ""), width)
        )
    return lines


def _cut(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    return line
