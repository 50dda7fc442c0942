"""What `tmssl eval` prints: the table of scores, and queries with their matches as pictures."""

import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from cli.output.console import say_data
from cli.output.pictures import PictureStyle, fitting, side_by_side
from tmssl.retrieval.evaluation.matches import QueryMatches, compared, read_matches, verdict
from tmssl.retrieval.evaluation.table import table_lines
from tmssl.runs.eval_table import eval_rows, reference_names
from tmssl.runs.events import Eval, Score
from tmssl.text import number, safe

if TYPE_CHECKING:
    from tmssl.data.pack.reader import Pack


def print_table(event: Eval) -> None:
    """The table on stdout."""
    for line in table_lines(event):
        say_data(line)


def print_matches(
    path: Path, pack: "Pack", show: int, seed: int = 0, *, style: PictureStyle | None = None
) -> None:
    """A few queries and their matches: as pictures, or as paths and scores without a style."""
    from tmssl.retrieval.evaluation.examples import choose_examples

    header, queries = read_matches(path)
    width, heading = shutil.get_terminal_size().columns, ""
    for part, query in choose_examples(queries, show, seed):
        say_data()
        if part != heading:
            heading = part
            say_data(f"{part}:")
        for line in picture_lines(query, pack, width, style) if style else plain_lines(query):
            say_data(line)
    if show and header.attribution:
        say_data()
        say_data(safe(header.attribution))


def describe(query: QueryMatches) -> str:
    """A query's name, title and codes in one line."""
    name = query.id or query.path
    title = f" {query.title}" if query.title else ""
    codes = f" [{' '.join(query.vienna)}]" if query.vienna else ""
    return safe(f"{name}{title}{codes}", 200)


def plain_lines(query: QueryMatches) -> list[str]:
    """A query and its matches as paths and scores."""
    lines = [f"query {describe(query)} {safe(query.path)}"]
    for match in query.matches[:10]:
        shared = ",".join(match.shared) or "-"
        line = f"  {match.rank:>3} {match.similarity:.4f} {verdict(match, query):10} {shared:24}"
        parts = compared(match)
        lines.append(f"{line} {safe(match.path)}" + (f" ({parts})" if parts else ""))
    return lines


def picture_lines(query: QueryMatches, pack: "Pack", width: int, style: PictureStyle) -> list[str]:
    """A query and as many matches as fit side by side, each with rank, similarity and codes."""
    from rich.cells import set_cell_size

    from tmssl.data.vienna import title
    from tmssl.retrieval.evaluation.examples import framed
    from tmssl.retrieval.search.frames import framed_region

    matches = query.matches[: fitting(width) - 1]
    pictures = pack.read([query.row, *(match.row for match in matches)])
    verdicts = ["miss", *(verdict(match, query) for match in matches)]
    regions = [None, *(match.region for match in matches)]
    captions = [["query", "", ""]]
    for match in matches:
        codes = " ".join(match.shared) or ("no shared code" if query.labelled else "")
        told = " ".join(filter(None, [verdict(match, query), compared(match)]))
        captions.append([f"{match.rank}. {match.similarity:.3f}", told, codes])
    lines = [set_cell_size(describe(query), width - 1).rstrip()]
    framed_pictures = map(framed, map(framed_region, pictures, regions), verdicts)
    lines += side_by_side([*framed_pictures], captions, style)
    rare = dict.fromkeys(match.shared[0] for match in matches if match.shared)
    titles = "; ".join(f"{code} {title(code)}" for code in rare if title(code))
    return lines + textwrap.wrap(f"shared: {titles}", width - 1) if titles else lines


_LABELS = 32  # cells before a bar: the change and the encoder
_BAR = "▇"
_BESIDE = 3  # references that fit into a table of 80 columns


def print_robustness(event: Eval) -> None:
    """Known-item recall by change, as a table and as bars."""
    for line in [*robustness_lines(event), "", *robustness_bars(event)]:
        say_data(line)


def _shortest(event: Eval) -> list[Score]:
    """The scores of changed queries at the shortest list."""
    k = min(score.k for score in event.robustness)
    return [score for score in event.robustness if score.k == k]


def _short_name(reference: str) -> str:
    """The name of a reference in 12 cells."""
    return safe(reference.removeprefix("perceptual "), 12)


def robustness_lines(event: Eval) -> list[str]:
    """Known-item recall at the shortest list by change, beside chance and the references.

    Lines stay within 80 columns: references that do not fit beside the first stand below.
    """
    scores = _shortest(event)
    names = reference_names(scores)
    queries = f"{scores[0].queries} changed queries find their originals"
    lines = ["", f"known-item recall@{scores[0].k}: {queries}"]
    for begin in range(0, max(1, len(names)), _BESIDE):
        some = names[begin : begin + _BESIDE]
        figures = f"{'value':>8}{'chance':>9}" if begin == 0 else ""
        lines += [""] if begin else []
        lines.append(f"{'':20}{figures}" + "".join(f"{_short_name(name):>13}" for name in some))
        for at, row in enumerate(eval_rows(scores), 1):
            figures = f"{row.value.text:>8}{row.chance.text:>9}" if begin == 0 else ""
            references = "".join(f"{row.references[name].text:>13}" for name in some)
            lines.append(f"{at}. {row.codes.text:17}{figures}{references}")
    return lines


def robustness_bars(event: Eval, width: int = 78) -> list[str]:
    """The same as bars from 0 to 1, the encoders of a change together."""
    scores = _shortest(event)
    room = width - _LABELS - len(" 0.000")
    title = f"known-item recall@{scores[0].k}"
    lines = [f"{title:{_LABELS}}0{'1':>{room - 1}}"]
    for score in scores:
        change = safe(score.codes)
        for name, value in {"this": score.value, **score.references}.items():
            bar = _BAR * round(min(1.0, value or 0.0) * room)
            lines.append(
                f"{change:18}{_short_name(name):>12}  {bar:{room}} {number(value or 0.0, 3)}"
            )
            change = ""
    return lines
