"""What `tmssl eval --features` prints: what each kind of features finds, one a line."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.output.console import say_data
from tmssl.runs.main_figure import (
    ANY_HIT,
    ANY_NDCG,
    FIGURATIVE_HIT,
    FIGURATIVE_MAP,
    GROUP_MAP,
    GROUP_RECALL,
    INVARIANCE,
    MAIN_FIGURES,
    MainFigure,
    at_length,
)
from tmssl.text import count, number, safe

if TYPE_CHECKING:
    from tmssl.retrieval.evaluation.stage_features import FeatureRow, FeatureTable

# The first four that the labels allow fit into 80 columns.
_SHOWN = (GROUP_RECALL, GROUP_MAP, FIGURATIVE_HIT, FIGURATIVE_MAP, ANY_HIT, ANY_NDCG, INVARIANCE)
_MOST = 4
_NAME = 28


def print_features(table: "FeatureTable") -> None:
    """The table on stdout."""
    for line in feature_lines(table):
        say_data(line)


def feature_lines(table: "FeatureTable") -> list[str]:
    """The features by encoder, each with its figures, and which of them finds most."""
    queries = count(table.queries, "query", "queries")
    of_pack = f" of {table.marks:,}" if table.gallery < table.marks else ""
    figures = _figures(table.rows)
    heads = "".join(f"{name:>10}" for name, _ in figures)
    lines = [
        f"{queries} ({safe(table.split, 40)}) against {table.gallery:,}{of_pack} marks at "
        f"{table.image_size} px, {table.grid} x {table.grid} cells",
        f"nothing is trained; whitening is fitted on {table.fitted:,} marks",
    ]
    for encoder in dict.fromkeys(row.encoder for row in table.rows):
        lines += ["", f"{safe(encoder, _NAME) or 'hand-made':{_NAME}}{'features':>10}{heads}"]
        lines += [_line(row, figures) for row in table.rows if row.encoder == encoder]
    return [*lines, "", *_best_lines(table)]


def _figures(rows: Sequence["FeatureRow"]) -> list[tuple[str, tuple[MainFigure, int]]]:
    """The figures that the rows have, by their name in a column."""
    scores = rows[0].scores if rows else []
    found = []
    for figure in _SHOWN:
        lengths = sorted(score.k for score in scores if figure.is_of(score))
        found += [(at_length(figure.short, k), (figure, k)) for k in lengths[:1]]
    return found[:_MOST]


def _name(row: "FeatureRow") -> str:
    """`stage 3, whitened`."""
    return f"{safe(row.name, 40)}{', whitened' if row.whitened else ''}"


def _line(row: "FeatureRow", figures: Sequence[tuple[str, tuple[MainFigure, int]]]) -> str:
    """One kind of features with its figures."""
    line = f"{_name(row):{_NAME}}{row.features:>10,}"
    for _, (figure, k) in figures:
        values = [score.value for score in row.scores if figure.is_of(score) and score.k == k]
        line += f"{number(values[0], 3) if values else '-':>10}"
    return line


def _best_lines(table: "FeatureTable") -> list[str]:
    """Which features of a model find most, with the interval of the figure, and how to choose them."""
    from tmssl.retrieval.evaluation.stage_features import main_score

    told = [(row, score) for row in table.rows if row.encoder and (score := main_score(row))]
    row, score = max(told, key=lambda each: each[1].value or 0.0)
    interval = f"95 % interval {number(score.low, 3)} to {number(score.high, 3)}"
    figure = next(figure for figure in MAIN_FIGURES if figure.is_of(score))
    return [
        f"most by {figure.title(score.k)}: {_name(row)} of {safe(row.encoder, 40)}",
        f"{number(score.value, 3)} ({interval}); --stages chooses stages for a training",
    ]
