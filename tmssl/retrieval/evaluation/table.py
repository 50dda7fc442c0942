"""An evaluation as a table of at most 80 columns, for `tmssl eval` and the monitor."""

from collections.abc import Sequence

from tmssl.runs.eval_table import EvalRow, eval_heading, eval_row, reference_names, score_name
from tmssl.runs.events import Division, Eval
from tmssl.runs.main_figure import TELLING_APART
from tmssl.text import count, number, safe

_LEVELS = ("category", "division", "section", "group", "copy")
_CODES = {"all": "", "figurative": ", figurative codes", "macro": ", mean over divisions"}
_SHORT_CODES = {"figurative": ", figur.", "macro": ", mean"}
_BESIDE = 2  # references that fit beside the scores in 80 columns
_TOGETHER = 2  # further ones in a table of their own
_LEAST_QUERIES = 5  # that make the score of a division worth showing
_SHOWN = 5  # divisions at either end


def table_lines(event: Eval) -> list[str]:
    """The scores by level, each beside its chance level, its interval and the references.

    Lines stay below 80 columns with two references; a reference's name takes two lines.
    """
    names = reference_names(event.scores)
    beside, further = names[:_BESIDE], names[_BESIDE:]
    lines = [eval_heading(event), *_duplicate_lines(event), *_index_lines(event)]
    if beside:
        shown = " and ".join(safe(name, 40) for name in beside)
        lines.append(f"chance is a random ranking; {shown} are references")
    for level in _LEVELS:
        for codes, words in _CODES.items():
            scores = [s for s in event.scores if (s.level, s.codes) == (level, codes)]
            if scores:
                scored = scores[0].queries
                unit = count(scored, "division") if codes == "macro" else f"{scored:,} scored"
                lines += ["", *_heading(f"{level}{words} ({unit})", beside)]
                lines += [_line(eval_row(score, beside)) for score in scores]
    missing = [level for level in _LEVELS[:3] if not any(s.level == level for s in event.scores)]
    if missing and len(missing) < 3:
        lines += ["", f"{' and '.join(missing)}: no two marks share codes of this depth"]
    return lines + _further_lines(event, further) + _division_lines(event) + _better_lines(event)


def _duplicate_lines(event: Eval) -> list[str]:
    """How many queries have near-duplicates, and how those are treated."""
    if not event.duplicates:
        return []
    verb = "has" if event.duplicated == 1 else "have"
    queries = count(event.duplicated, "query", "queries")
    treated = "counted as any other; --exclude-duplicates leaves them out"
    return [
        f"{queries} {verb} {count(event.duplicates, 'near-duplicate')}:",
        f"  {'left out' if event.without_duplicates else treated}",
    ]


def _index_lines(event: Eval) -> list[str]:
    """How the vectors were whitened, and by which index they were searched."""
    lines = []
    if event.whitened:
        copies = any(score.metric == "invariance" for score in event.scores)
        extent = "for the matches only" if copies else "as are the other encoders and HOG"
        lines.append(f"whitened to {event.whitened} features, {extent}")
    if event.index:
        overlap = number(event.overlap, 3)
        lines.append(
            f"nearest marks by index {safe(event.index, 40)}, overlap@10 with exact search {overlap}"
        )
    return lines


def _further_lines(event: Eval, names: Sequence[str]) -> list[str]:
    """The scores of further references, a few to a table."""
    lines = []
    for begin in range(0, len(names), _TOGETHER):
        some = names[begin : begin + _TOGETHER]
        lines += ["", f"{'further references':33}" + "".join(f"{safe(n, 18):>20}" for n in some)]
        for score in event.scores:
            row = eval_row(score, some)
            cells = [cell.text for cell in row.references.values()]
            if any(cell != "-" for cell in cells):
                level = row.level.text + _SHORT_CODES.get(score.codes, "")
                columns = "".join(f"{cell:>20}" for cell in cells)
                lines.append(f"{row.name.text:13} {level:19}{columns}")
    return lines


def _better_lines(event: Eval) -> list[str]:
    """The references that score higher by the scores that tell encoders apart."""
    lines = []
    for score in event.scores:
        if not any(figure.is_of(score) for figure in TELLING_APART):
            continue
        row = eval_row(score, list(score.references))
        for name, other in score.references.items():
            if other is not None and score.value is not None and other > score.value:
                lines.append(
                    f"{safe(name, 40)} scores higher: {score.level} {score_name(score)} "
                    f"{row.references[name].text} against {row.value.text} here"
                )
    return ["", *lines] if lines else []


def _division_lines(event: Eval) -> list[str]:
    """The divisions furthest above chance and those furthest below."""
    divisions = [
        division
        for division in event.divisions
        if division.queries >= _LEAST_QUERIES and division.value is not None
    ]
    if not divisions:
        return []
    divisions.sort(key=lambda division: (-_above_chance(division), division.code))
    half = min(_SHOWN, len(divisions) // 2)
    unit = f"{count(len(divisions), 'division')} with {_LEAST_QUERIES} queries or more"
    lines = ["", f"hit@{divisions[0].k} by division, of {unit}, furthest above chance first"]
    best, worst = divisions[: len(divisions) - half][:_SHOWN], divisions[len(divisions) - half :]
    for heading, some in (("best", best), ("worst", worst)):
        if some:
            lines.append(f"{heading:6}{'queries':>9}{'value':>9}{'chance':>9}")
        for division in some:
            figures = f"{number(division.value, 3):>9}{number(division.chance, 3):>9}"
            name = safe(division.title, 42)
            lines.append(f"{division.code:6}{division.queries:>9,}{figures}  {name}")
    return lines


def _above_chance(division: Division) -> float:
    """Where a division's score is between its chance level, 0, and perfect, 1."""
    chance = min(division.chance or 0.0, 1 - 1e-9)
    return ((division.value or 0.0) - chance) / (1 - chance)


def _heading(title: str, names: Sequence[str]) -> list[str]:
    """The title of a part and the names of its columns."""
    columns = f"{'':13}{'value':>9}{'chance':>9}{'lift':>6}{'95 % interval':>21}"
    upper = f"{title:{len(columns)}}"
    for name in names:
        first, _, second = safe(name, 40).partition(" ")
        upper += f"{first if second else '':>{_width(name)}}"
        columns += f"{second or first:>{_width(name)}}"
    return [upper.rstrip(), columns]


def _width(name: str) -> int:
    """Columns that a reference takes."""
    return max(9, *(len(word) for word in safe(name, 40).split(" ", 1))) + 1


def _line(row: EvalRow) -> str:
    """One score as a line."""
    figures = f"{row.value.text:>9}{row.chance.text:>9}{row.lift.text:>6}{row.interval.text:>21}"
    references = (f"{cell.text:>{_width(name)}}" for name, cell in row.references.items())
    return f"{row.name.text:13}{figures}{''.join(references)}"
