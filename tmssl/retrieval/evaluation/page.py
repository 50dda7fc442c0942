"""An evaluation as one HTML file: examples, their matches and every score."""

from pathlib import Path

from tmssl.data.pack.reader import Pack
from tmssl.files import write_atomic
from tmssl.retrieval.evaluation.examples import Examples
from tmssl.retrieval.evaluation.matches import (
    Match,
    MatchesHeader,
    QueryMatches,
    compared,
    display_name,
    shared_codes,
    verdict,
)
from tmssl.retrieval.html import (
    Cell,
    MatchPicture,
    Table,
    data_uri,
    named_codes,
    render,
    scores_table,
)
from tmssl.retrieval.search.frames import framed_region
from tmssl.runs.eval_event import manner
from tmssl.runs.events import Eval
from tmssl.text import safe

_MATCHES = 10


def write_page(
    path: Path, name: str, event: Eval, header: MatchesHeader, examples: Examples, pack: Pack
) -> None:
    """Write an HTML page of an evaluation of the run `name`, its pictures inside.

    Raises:
        InputError: the file cannot be written.
        PackError: the pack is damaged.
    """
    write_atomic(path, evaluation_page(name, event, header, examples, pack).encode())


def evaluation_page(
    name: str, event: Eval, header: MatchesHeader, examples: Examples, pack: Pack
) -> str:
    """An evaluation: the worst failures and a random sample with their matches, and the scores.

    Args:
        name: of the run.
        event: holds the scores.
        header: of the matches file.
        examples: queries by part.
        pack: holds their pixels.
    """
    how = manner(event)
    facts = [
        f"{event.queries:,} queries ({event.split}) against {event.gallery:,} marks, checkpoint "
        f"{event.checkpoint}, epoch {event.epoch:.4g}" + (f", {how}" if how else ""),
        "A frame marks a hit: a shared figurative Vienna division (dark: the same group). Shared "
        "codes are listed rare before frequent.",
        *([header.attribution] if header.attribution else []),
    ]
    tables = [
        Table(
            part,
            ["Query", "First hit", "Similarity", "Matches"],
            [_query_row(query, pack) for of_part, query in examples if of_part == part],
        )
        for part in dict.fromkeys(part for part, _ in examples)
    ]
    tables.append(scores_table(event.scores))
    if event.robustness:
        tables.append(scores_table(event.robustness, "Changed queries, by change"))
    return render(f"Retrieval of {name}", facts, tables)


def _query_row(query: QueryMatches, pack: Pack) -> list[Cell]:
    """A query with its nearest marks."""
    matches = query.matches[:_MATCHES]
    own, *found = pack.read([query.row, *(match.row for match in matches)])
    framed = map(framed_region, found, (match.region for match in matches))
    pictures = map(data_uri, framed)
    name = safe(display_name(query), 120)
    nearest = matches[0].similarity if matches else 0.0
    first = str(query.first_hit or ("none" if query.labelled else "-"))
    return [
        Cell([name, *named_codes(query.vienna)], name, picture=data_uri(own)),
        Cell([first], query.first_hit or 1e12),
        Cell([f"{nearest:.3f}"], nearest),
        Cell(matches=[_match(*pair, query) for pair in zip(matches, pictures, strict=True)]),
    ]


def _match(match: Match, picture: str, query: QueryMatches) -> MatchPicture:
    """A match with its caption."""
    said = verdict(match, query)
    codes = [safe(line, 120) for line in shared_codes(match, query)]
    caption = [
        f"{match.rank}. {match.similarity:.3f} {said}",
        safe(display_name(match), 60),
        *filter(None, [compared(match)]),
        *codes,
    ]
    return MatchPicture(picture, said.split()[0], caption)
