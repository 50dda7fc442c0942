"""The queries of an evaluation: filters, order, the selected query, and the list as lines of text."""

import dataclasses
import random

from rich.text import Text

from tmssl.retrieval.evaluation.matches import QueryMatches
from tmssl.text import safe

FILTERS = ("all", "misses", "best", "worst", "random")
_TOP = 10  # matches that decide whether a query has a hit


def filter_queries(
    queries: tuple[QueryMatches, ...], which: str, text: str
) -> tuple[QueryMatches, ...]:
    """The queries of a filter whose name, title, group or codes contain a text.

    `misses` are labelled queries without a hit among the first ten matches. `best` and `worst` sort by
    average precision, ties by the similarity of the nearest match. `random` shuffles with a fixed seed.
    """
    fitting = [query for query in queries if _contains(query, text)]
    if which == "misses":
        fitting = [query for query in fitting if query.labelled and not _has_hit(query)]
    elif which in ("best", "worst"):
        sign = -1 if which == "best" else 1
        fitting.sort(key=lambda query: (sign * average_precision(query), -top_similarity(query)))
    elif which == "random":
        random.Random(0).shuffle(fitting)
    return tuple(fitting)


def _contains(query: QueryMatches, text: str) -> bool:
    searched = " ".join([query.id, query.path, query.title, query.group, *query.vienna])
    return text.casefold() in searched.casefold()


def _has_hit(query: QueryMatches) -> bool:
    return any(match.hit for match in query.matches[:_TOP])


def average_precision(query: QueryMatches) -> float:
    """Average precision over the first ten matches, 0 to 1; 0 without a hit."""
    hits = [rank for rank, match in enumerate(query.matches[:_TOP], 1) if match.hit]
    return sum(count / rank for count, rank in enumerate(hits, 1)) / max(1, len(hits))


def top_similarity(query: QueryMatches) -> float:
    """Similarity of the nearest match."""
    return query.matches[0].similarity if query.matches else 0.0


def outcome_sign(query: QueryMatches) -> tuple[str, str]:
    """A sign and its colour: `=` same mark nearest, `+` a hit in the top ten, `-` none, `.` no label."""
    if not query.labelled:
        return ".", ""
    if query.matches and query.matches[0].same_group:
        return "=", "bold green"
    return ("+", "green") if _has_hit(query) else ("-", "red")


def query_name(query: QueryMatches) -> str:
    """The query's id and title, such as `m35 Rooster`, made safe."""
    return safe(f"{query.id or query.path} {query.title}".strip())


def page_number(index: int, rows: int) -> int:
    """The page that holds an index of the list, from 0."""
    return index // max(1, rows)


def list_page(queries: tuple[QueryMatches, ...], selected: int, width: int, height: int) -> Text:
    """The page of the list with the selected query: a heading, then at most `height - 1` queries."""
    rows = max(1, height - 1)
    page = page_number(selected, rows)
    pages = page_number(len(queries) - 1, rows) + 1 if queries else 1
    heading = f"   hit  first  sim   query   page {page + 1}/{pages}"
    lines = [_fit(Text(heading, "bold"), width)]
    lines += [
        _list_line(query, width, selected=index == selected)
        for index, query in enumerate(queries[page * rows : (page + 1) * rows], page * rows)
    ]
    return Text("\n").join(lines)


def _list_line(query: QueryMatches, width: int, *, selected: bool) -> Text:
    """One query: its outcome, rank of the first hit, similarity of the nearest match, name."""
    sign, colour = outcome_sign(query)
    first = str(query.first_hit or ("none" if query.labelled else ""))
    line = Text.assemble(
        ("> " if selected else "  ", "bold"),
        "  ",
        (f"{sign:3}", "" if selected else colour),
        f"{first:>5}  {top_similarity(query):.2f}  ",
        query_name(query),
    )
    if selected:
        line.stylize("reverse")
    return _fit(line, width)


def _fit(line: Text, width: int) -> Text:
    """A line of exactly `width` cells."""
    line.truncate(width, overflow="ellipsis", pad=True)
    return line


@dataclasses.dataclass(frozen=True)
class Selection:
    """Queries, the filter over them, and the selected one among those that fit."""

    queries: tuple[QueryMatches, ...] = ()
    which: str = FILTERS[0]
    text: str = ""
    index: int = 0
    fitting: tuple[QueryMatches, ...] = ()

    def with_queries(self, queries: tuple[QueryMatches, ...]) -> "Selection":
        """The same filter over other queries, with the same query selected if it is among them."""
        selected = self.query
        fitting = filter_queries(queries, self.which, self.text)
        rows = [query.row for query in fitting]
        index = rows.index(selected.row) if selected and selected.row in rows else 0
        return dataclasses.replace(self, queries=queries, fitting=fitting, index=index)

    def with_filter(self, which: str, text: str) -> "Selection":
        """Another filter, with its first query selected."""
        fitting = filter_queries(self.queries, which, text)
        return dataclasses.replace(self, which=which, text=text, fitting=fitting, index=0)

    def with_next_filter(self) -> "Selection":
        """The next filter of FILTERS."""
        return self.with_filter(FILTERS[(FILTERS.index(self.which) + 1) % len(FILTERS)], self.text)

    def at(self, index: int) -> "Selection":
        """Another query, the nearest one if the index is beyond the list."""
        return dataclasses.replace(self, index=min(len(self.fitting) - 1, max(0, index)))

    def moved(self, by: int) -> "Selection":
        """The query `by` further on; after the last comes the first."""
        return self.at((self.index + by) % len(self.fitting)) if self.fitting else self

    @property
    def query(self) -> QueryMatches | None:
        """The selected query."""
        return self.fitting[self.index] if self.fitting else None

    @property
    def description(self) -> str:
        """The filter in words, such as `showing misses with 'cat'`."""
        return f"showing {self.which}" + (f" with '{safe(self.text)}'" if self.text else "")
