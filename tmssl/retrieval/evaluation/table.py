"""The figures of an evaluation as lines of text, each beside its chance level."""

from collections.abc import Sequence

from tmssl.runs.events import Division, Eval, Score
from tmssl.text import count, number, safe

_LEVELS = ("category", "division", "section", "group", "copy")
_CODES = {"all": "", "figurative": ", figurative codes", "macro": ", mean over divisions"}
_BESIDE = 2  # references that fit beside the figures in 80 columns
_TOGETHER = 2  # further ones in a table of their own
_ENOUGH, _SHOWN = 5, 5  # queries that say something of a division; divisions shown at either end
_NO_CHANCE_LIFT = ("group_nar",)  # lower is better, so a ratio to chance would mislead


def figure_name(score: Score) -> str:
    """`hit@10`, or `nar` for one over the whole ranking."""
    name = score.metric.removeprefix("group_")
    return f"{name}@{score.k}" if score.k else name


def lift(score: Score) -> float | None:
    """How many times chance a figure is."""
    if not score.chance or score.value is None or score.metric in _NO_CHANCE_LIFT:
        return None
    return score.value / score.chance


def table_lines(event: Eval) -> list[str]:
    """The figures by level, each beside its chance level, its interval and the references.

    Lines stay below 80 columns with two references; a reference's name takes two lines.
    """
    every = list(event.scores[0].references) if event.scores else []
    names, more = every[:_BESIDE], every[_BESIDE:]
    shown = [safe(name, 40) for name in names]
    lines = [
        f"{count(event.queries, 'query', 'queries')} ({safe(event.split, 40)}) against "
        f"{count(event.gallery, 'mark')}, checkpoint {safe(event.checkpoint)}, epoch {event.epoch:.4g}"
    ]
    lines += duplicate_words(event) + index_words(event)
    if names:
        lines.append(f"chance is a random ranking; {' and '.join(shown)} stand beside it")
    for level in _LEVELS:
        of_level = [score for score in event.scores if score.level == level]
        for codes, words in _CODES.items():
            rows = [score for score in of_level if score.codes == codes]
            if rows:
                scored = rows[0].queries
                unit = count(scored, "division") if codes == "macro" else f"{scored:,} scored"
                lines += ["", *_head(f"{level}{words} ({unit})", names)]
                lines += [_row(score, names) for score in rows]
    missing = [level for level in _LEVELS[:3] if not any(s.level == level for s in event.scores)]
    if missing and len(missing) < 3:
        lines += ["", f"{' and '.join(missing)}: no two marks share codes of this depth"]
    return lines + _more_lines(event, more) + division_lines(event) + better_words(event)


def duplicate_words(event: Eval) -> list[str]:
    """What to say of near-duplicates of queries."""
    if not event.duplicates:
        return []
    treated = (
        "left out"
        if event.without_duplicates
        else "counted as any other; --exclude-duplicates leaves them out"
    )
    verb = "has" if event.duplicated == 1 else "have"
    return [
        f"{count(event.duplicated, 'query', 'queries')} {verb} "
        f"{count(event.duplicates, 'near-duplicate')}:",
        f"  {treated}",
    ]


def index_words(event: Eval) -> list[str]:
    """What to say of vectors that were whitened and of an index that is not exact."""
    lines = []
    if event.whitened:
        copies = any(score.metric == "invariance" for score in event.scores)
        beside = "for the matches" if copies else "as are the encoders and HOG beside it"
        lines.append(f"whitened to {event.whitened} features, {beside}")
    if event.index:
        lines.append(
            f"nearest marks by {safe(event.index, 40)}, overlap@10 with exact {number(event.overlap, 3)}"
        )
    return lines


def _more_lines(event: Eval, names: Sequence[str]) -> list[str]:
    """The figures of further encoders, beside the evaluated one, a few to a table."""
    lines = []
    for begin in range(0, len(names), _TOGETHER):
        some = [safe(name, 18) for name in names[begin : begin + _TOGETHER]]
        lines += ["", f"{'the same figures of':33}" + "".join(f"{name:>20}" for name in some)]
        for score in event.scores:
            cells = [number(score.references.get(n), 3) for n in names[begin : begin + _TOGETHER]]
            if any(cell != "-" for cell in cells):
                where = score.level + {"figurative": ", figur.", "macro": ", mean"}.get(
                    score.codes, ""
                )
                lines.append(
                    f"{figure_name(score):13} {where:19}" + "".join(f"{cell:>20}" for cell in cells)
                )
    return lines


def better_words(event: Eval) -> list[str]:
    """Which other encoders find more by the figures that tell encoders apart, said plainly."""
    lines = []
    for score in event.scores:
        if (score.metric, score.codes) not in (("hit", "figurative"), ("group_recall", "all")):
            continue
        if score.level not in ("division", "group") or score.value is None:
            continue
        for name, other in score.references.items():
            if other is not None and other > score.value:
                lines.append(
                    f"{safe(name, 40)} finds more: {score.level} {figure_name(score)} is "
                    f"{number(other, 3)} against {number(score.value, 3)} here"
                )
    return ["", *lines] if lines else []


def division_lines(event: Eval) -> list[str]:
    """The divisions that are found best and worst, by how far they are from chance to perfect."""
    told = [d for d in event.divisions if d.queries >= _ENOUGH and d.value is not None]
    if not told:
        return []
    ordered = sorted(told, key=lambda division: (-above_chance(division), division.code))
    half = min(_SHOWN, len(ordered) // 2)
    parts = [
        ("best", ordered[: len(ordered) - half][:_SHOWN]),
        ("worst", ordered[len(ordered) - half :]),
    ]
    unit = count(len(told), "division") + f" with {_ENOUGH} queries or more"
    lines = ["", f"hit@{told[0].k} by division, of {unit}, furthest above chance first"]
    for words, some in parts:
        if some:
            lines.append(f"{words:6}{'queries':>9}{'value':>9}{'chance':>9}")
        for one in some:
            figures = f"{number(one.value, 3):>9}{number(one.chance, 3):>9}"
            lines.append(f"{one.code:6}{one.queries:>9,}{figures}  {safe(one.title, 42)}")
    return lines


def above_chance(division: Division) -> float:
    """How far a division is from its chance level, 0, to perfect, 1."""
    chance = min(division.chance or 0.0, 1 - 1e-9)
    return ((division.value or 0.0) - chance) / (1 - chance)


def _head(title: str, names: Sequence[str]) -> list[str]:
    """The title of a part and the names of its columns."""
    columns = f"{'':13}{'value':>9}{'chance':>9}{'lift':>6}{'95 % interval':>21}"
    upper = f"{title:{len(columns)}}"
    for name in names:
        first, _, second = name.partition(" ")
        upper += f"{first if second else '':>{_width(name)}}"
        columns += f"{second or first:>{_width(name)}}"
    return [upper.rstrip(), columns]


def _width(name: str) -> int:
    """Columns that a reference takes."""
    return max(9, *(len(word) for word in name.split(" ", 1))) + 1


def _row(score: Score, names: Sequence[str]) -> str:
    """One figure as a line."""
    span = f"{number(score.low, 3)} to {number(score.high, 3)}" if score.low is not None else "-"
    cells = [
        f"{figure_name(score):13}",
        f"{number(score.value, 3):>9}",
        f"{number(score.chance, 3):>9}",
        f"{number(lift(score), 3):>6}",
        f"{span:>21}",
    ]
    cells += [f"{number(score.references.get(n), 3):>{_width(n)}}" for n in names]
    return "".join(cells)
