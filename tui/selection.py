"""Which of an evaluation's queries are shown, and which of them is looked at."""

import dataclasses

from tmssl.retrieval.evaluation.matches import QueryMatches
from tmssl.text import safe
from tui.queries import FILTERS, filtered


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
