"""Relevance judgments: ranked rows -> matches, each a hit or a miss, as the matches file holds them."""

from collections.abc import Sequence

import msgspec

from tmssl.data.pack.reader import Pack
from tmssl.retrieval.evaluation.matches import Match, QueryMatches
from tmssl.retrieval.evaluation.relevance import Relevance
from tmssl.retrieval.index.regional import RegionalIndex
from tmssl.retrieval.index.regional_search import region_vectors
from tmssl.retrieval.search.compared import compared_regions, mark_regions
from tmssl.types import Indices, Vectors

_STORED = 20  # matches of a query in the file


def judge_matches(
    pack: Pack, queries: Indices, top: Indices, similarity: Vectors, duplicates: Sequence[Indices]
) -> list[QueryMatches]:
    """Each query with its nearest marks; a hit shares a figurative division or the group.

    If no mark has a figurative code, any shared division is a hit.

    Args:
        pack: the gallery.
        queries: rows of the queries, (q,).
        top: rows found, (q, K).
        similarity: cosines of those, (q, K).
        duplicates: for each query the rows of its near-duplicates.
    """
    vienna = pack.marks.codes()
    divisions = Relevance(vienna, "division")
    figurative = Relevance(vienna, "division", figurative=True)
    codes = (figurative if figurative.holders else divisions).codes
    judged = []
    for query, rows, cosines, alike in zip(
        queries.tolist(), top.tolist(), similarity.tolist(), duplicates, strict=True
    ):
        mark, duplicate_rows = pack.marks[query], set(alike.tolist())
        mates = [bool(mark.group) and pack.marks[row].group == mark.group for row in rows]
        hits = [
            mate or bool(codes[query] & codes[row]) for row, mate in zip(rows, mates, strict=True)
        ]
        matches = [
            Match(
                row=row,
                rank=rank,
                similarity=cosines[rank - 1],
                shared=divisions.shared(query, row),
                same_group=mates[rank - 1],
                hit=hits[rank - 1],
                duplicate=row in duplicate_rows,
                id=pack.marks[row].id,
                path=pack.marks[row].path,
                title=pack.marks[row].title,
                vienna=list(pack.marks[row].vienna),
            )
            for rank, row in enumerate(rows[:_STORED], 1)
        ]
        judged.append(
            QueryMatches(
                row=query,
                id=mark.id,
                path=mark.path,
                title=mark.title,
                vienna=list(mark.vienna),
                group=mark.group,
                first_hit=hits.index(True) + 1 if any(hits) else 0,
                matches=matches,
            )
        )
    return judged


def with_regions(
    judged: Sequence[QueryMatches], pack: Pack, regional: RegionalIndex
) -> list[QueryMatches]:
    """The same queries and matches, each match with the regions that were compared.

    Args:
        judged: queries of the gallery with their matches.
        pack: the gallery.
        regional: several vectors of each mark.
    """
    told = []
    for query in judged:
        (regions,) = mark_regions(regional, pack, [query.row])
        vectors, rows = region_vectors(regional, query.row), [one.row for one in query.matches]
        pairs = compared_regions(regional, pack, regions, vectors, rows)
        matches = [
            msgspec.structs.replace(match, query_region=of_query, region=of_mark)
            for match, (of_query, of_mark) in zip(query.matches, pairs, strict=True)
        ]
        told.append(msgspec.structs.replace(query, matches=matches))
    return told
