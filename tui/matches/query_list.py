"""Which queries are shown, in which order, and as a list of pages."""

import dataclasses
import random

from rich.text import Text

from tmssl.retrieval.evaluation.matches import QueryMatches
from tmssl.text import safe

FILTERS = ("all", "misses", "best", "worst", "random")
_JUDGED = 10  # matches that decide whether a query was answered


def filtered(
    queries: tuple[QueryMatches, ...], which: str, wanted: str
) -> tuple[QueryMatches, ...]:
    """The queries of a filter whose name, title or codes hold a text.

    `misses` are those without a hit among the first ten matches; `best` and `worst` order by the average
    precision over those ten, and put the surest similarity first; `random` shuffles, always alike.
    """
    text = wanted.casefold()
    kept = []
    for query in queries:
        hit = any(match.hit for match in query.matches[:_JUDGED])
        if which == "misses" and (hit or not query.labelled):
            continue
        words = " ".join([query.id, query.path, query.title, query.group, *query.vienna])
        if text in words.casefold():
            kept.append(query)
    if which in ("best", "worst"):
        sign = -1 if which == "best" else 1
        kept.sort(key=lambda query: (sign * precision(query), -surest(query)))
    elif which == "random":
        random.Random(0).shuffle(kept)
    return tuple(kept)


def precision(query: QueryMatches) -> float:
    """Average precision over the first ten matches, 0 to 1; 0 without a hit."""
    hits = [place for place, match in enumerate(query.matches[:_JUDGED], 1) if match.hit]
    return sum(count / place for count, place in enumerate(hits, 1)) / max(1, len(hits))


def surest(query: QueryMatches) -> float:
    """Similarity of the nearest match."""
    return query.matches[0].similarity if query.matches else 0.0


def answer(query: QueryMatches) -> tuple[str, str]:
    """A sign and a colour: `=` the same mark is nearest, `+` a hit among the first ten, `-` none, `.` no labels."""
    if not query.labelled:
        return ".", ""
    if query.matches and query.matches[0].same_group:
        return "=", "bold green"
    return ("+", "green") if any(m.hit for m in query.matches[:_JUDGED]) else ("-", "red")


def query_name(query: QueryMatches) -> str:
    """`m35 Rooster`: what a person calls a query, made safe."""
    return safe(f"{query.id or query.path} {query.title}".strip())


def page_of(place: int, rows: int) -> int:
    """The page of a place in a list, from 0."""
    return place // max(1, rows)


def list_head(count: int, place: int, width: int, rows: int) -> Text:
    """Which page it is, and what the columns are."""
    pages = page_of(count - 1, rows) + 1 if count else 1
    told = f"   hit  first  sim   query   page {page_of(place, rows) + 1}/{pages}"
    return _cut(Text(told, "bold"), width)


def list_line(query: QueryMatches, width: int, *, here: bool) -> Text:
    """One query: whether it was answered, rank of the first hit, similarity of the nearest mark, name."""
    sign, colour = answer(query)
    first = str(query.first_hit or ("none" if query.labelled else ""))
    line = Text.assemble(
        ("> " if here else "  ", "bold"),
        "  ",
        (f"{sign:3}", "" if here else colour),
        f"{first:>5}  {surest(query):.2f}  ",
        query_name(query),
    )
    if here:
        line.stylize("reverse")
    return _cut(line, width)


def list_page(queries: tuple[QueryMatches, ...], place: int, width: int, height: int) -> Text:
    """The page of the list that a place is on: a head, then at most `height - 1` queries."""
    rows = max(1, height - 1)
    begin = page_of(place, rows) * rows
    lines = [list_head(len(queries), place, width, rows)]
    lines += [
        list_line(query, width, here=begin + at == place)
        for at, query in enumerate(queries[begin : begin + rows])
    ]
    return Text("\n").join(lines)


def _cut(line: Text, width: int) -> Text:
    """A line of exactly `width` cells."""
    line.truncate(width, overflow="ellipsis", pad=True)
    return line


@dataclasses.dataclass(frozen=True)
class Selection:
    """Queries, a filter, a text they must hold, and a place among those that fit."""

    queries: tuple[QueryMatches, ...] = ()
    which: str = FILTERS[0]
    wanted: str = ""
    place: int = 0
    shown: tuple[QueryMatches, ...] = ()

    def of(self, queries: tuple[QueryMatches, ...]) -> "Selection":
        """The same filter over other queries, on the same query where it is there."""
        here = self.query
        shown = filtered(queries, self.which, self.wanted)
        rows = [query.row for query in shown]
        place = rows.index(here.row) if here and here.row in rows else 0
        return dataclasses.replace(self, queries=queries, shown=shown, place=place)

    def filtered(self, which: str, wanted: str) -> "Selection":
        """Another filter, from its first query."""
        shown = filtered(self.queries, which, wanted)
        return dataclasses.replace(self, which=which, wanted=wanted, shown=shown, place=0)

    def next_filter(self) -> "Selection":
        """The filter after this one."""
        return self.filtered(FILTERS[(FILTERS.index(self.which) + 1) % len(FILTERS)], self.wanted)

    def at(self, place: int) -> "Selection":
        """Another place, within the list."""
        return dataclasses.replace(self, place=min(len(self.shown) - 1, max(0, place)))

    def moved(self, by: int) -> "Selection":
        """So many queries on, around the end."""
        return self.at((self.place + by) % len(self.shown)) if self.shown else self

    @property
    def query(self) -> QueryMatches | None:
        """The query that is looked at."""
        return self.shown[self.place] if self.shown else None

    @property
    def words(self) -> str:
        """`showing misses with 'cat'`."""
        return f"showing {self.which}" + (f" with '{safe(self.wanted)}'" if self.wanted else "")
