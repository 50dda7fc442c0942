"""An evaluation as one HTML file."""

from collections.abc import Sequence

from tmssl.data.pack.pack import Pack
from tmssl.retrieval.evaluation.matches import Match, MatchesHeader, QueryMatches, shared_codes
from tmssl.retrieval.evaluation.selection import verdict
from tmssl.retrieval.html import Cell, Figure, Table, data_uri, figures_table, named_codes, render
from tmssl.runs.eval_event import manner
from tmssl.runs.events import Eval
from tmssl.text import safe

_MATCHES = 10


def evaluation_page(
    name: str,
    event: Eval,
    header: MatchesHeader,
    chosen: Sequence[tuple[str, QueryMatches]],
    pack: Pack,
) -> str:
    """An evaluation: its figures, the worst failures and a random sample with what was found.

    Args:
        name: of the run.
        event: the figures.
        header: of the matches file.
        chosen: queries, each with the part of the page that it belongs to.
        pack: whose pixels they are.
    """
    how = manner(event)
    facts = [
        f"{event.queries:,} queries ({event.split}) against {event.gallery:,} marks, checkpoint "
        f"{event.checkpoint}, epoch {event.epoch:.4g}" + (f", {how}" if how else ""),
        "A frame marks a hit: a shared figurative Vienna division (dark: the same mark's group). Shared "
        "codes stand rare before frequent.",
        *([header.attribution] if header.attribution else []),
    ]
    parts = dict.fromkeys(part for part, _ in chosen)
    tables = [
        Table(
            part,
            ["Query", "First hit", "Similarity", "Matches"],
            [_query_row(query, pack) for which, query in chosen if which == part],
        )
        for part in parts
    ]
    figures = [figures_table(event.scores)]
    if event.robustness:
        figures.append(figures_table(event.robustness, "Queries that were changed, by change"))
    return render(f"Retrieval of {name}", facts, [*tables, *figures])


def _query_row(query: QueryMatches, pack: Pack) -> list[Cell]:
    """A query with its nearest marks."""
    matches = query.matches[:_MATCHES]
    own, *pictures = map(data_uri, pack.read([query.row, *(match.row for match in matches)]))
    name = safe(query.title or query.id or query.path, 120)
    figures = [
        Figure(picture, verdict(match, query).split()[0], _caption(match, query))
        for match, picture in zip(matches, pictures, strict=True)
    ]
    nearest = matches[0].similarity if matches else 0.0
    first = str(query.first_hit or ("none" if query.labelled else "-"))
    return [
        Cell([name, *named_codes(query.vienna)], name, picture=own),
        Cell([first], query.first_hit or 1e12),
        Cell([f"{nearest:.3f}"], nearest),
        Cell(figures=figures),
    ]


def _caption(match: Match, query: QueryMatches) -> list[str]:
    """What is under a match."""
    name = safe(match.title or match.id or match.path, 60)
    codes = [safe(line, 120) for line in shared_codes(match, query)]
    return [f"{match.rank}. {match.similarity:.3f} {verdict(match, query)}", name, *codes]
