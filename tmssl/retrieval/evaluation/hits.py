"""Ranked rows -> matches, each judged a hit or a miss."""

from collections.abc import Sequence

from tmssl.data.pack.pack import Pack
from tmssl.retrieval.evaluation.matches import Match, QueryMatches
from tmssl.retrieval.evaluation.relevance import Relevance
from tmssl.types import Indices, Vectors

_KEPT = 20  # matches written down for each query


def describe_matches(
    pack: Pack, queries: Indices, top: Indices, similarity: Vectors, duplicates: Sequence[Indices]
) -> list[QueryMatches]:
    """Each query with its nearest marks, in words; a hit shares a figurative division or the group.

    Where no mark has a figurative code, any shared code is a hit. `duplicates` are the rows of each
    query's near-duplicates.
    """
    vienna = pack.marks.codes()
    figurative = Relevance(vienna, "division", figurative=True)
    divisions = Relevance(vienna, "division")
    judge = figurative if figurative.holders else divisions
    found = []
    for query, rows, cosines, alike in zip(
        queries.tolist(), top.tolist(), similarity.tolist(), duplicates, strict=True
    ):
        same = set(alike.tolist())
        mark = pack.marks[query]
        mates = [bool(mark.group) and pack.marks[row].group == mark.group for row in rows]
        hits = [
            mate or bool(judge.codes[query] & judge.codes[row])
            for row, mate in zip(rows, mates, strict=True)
        ]
        kept = [
            Match(
                row=row,
                rank=rank,
                similarity=cosines[rank - 1],
                shared=divisions.shared(query, row),
                same_group=mates[rank - 1],
                hit=hits[rank - 1],
                duplicate=row in same,
                id=pack.marks[row].id,
                path=pack.marks[row].path,
                title=pack.marks[row].title,
                vienna=list(pack.marks[row].vienna),
            )
            for rank, row in enumerate(rows[:_KEPT], 1)
        ]
        found.append(
            QueryMatches(
                row=query,
                id=mark.id,
                path=mark.path,
                title=mark.title,
                vienna=list(mark.vienna),
                group=mark.group,
                first_hit=hits.index(True) + 1 if any(hits) else 0,
                matches=kept,
            )
        )
    return found
