"""The matches file of an evaluation: a header line, then one line for each query."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec

from tmssl.data.vienna import title
from tmssl.errors import InputError
from tmssl.files import write_atomic
from tmssl.retrieval.search.results import ComparedRegion, compared_words
from tmssl.runs.ranges import Count, EpochsDone
from tmssl.text import safe


class MatchesHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What was searched, and with what."""

    pack: str = ""
    """folder of the pack whose rows the matches name"""
    fingerprint: str = ""
    """fingerprint of that pack"""
    checkpoint: str = ""
    epoch: EpochsDone = 0.0
    topk: list[Count] = []
    gallery: Count = 0
    """number of marks searched"""
    without_duplicates: bool = False
    """whether near-duplicates of a query were left out of its list"""
    whitened: Count = 0
    """features kept by PCA-whitening, as asked for; 0 is none"""
    views: Count = 1
    """vectors of each mark that were compared; 1 is the whole alone"""
    index: str = ""
    """faiss's factory string of an approximate index; empty is exact"""
    attribution: str = ""
    """licence line of the images, shown with them"""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """One mark in the list of a query."""

    row: Count = 0
    """row of the pack"""
    rank: Count = 0
    """from 1"""
    similarity: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)] = 0.0
    """cosine"""
    shared: list[str] = []
    """Vienna codes shared with the query, rare before frequent"""
    same_group: bool = False
    hit: bool = False
    """whether a figurative division, or the group, is shared"""
    duplicate: bool = False
    """whether it is a near-duplicate of the query"""
    region: ComparedRegion | None = None
    """the region of the mark that was compared; None is the whole"""
    query_region: ComparedRegion | None = None
    """the region of the query that it was compared with; None is the whole"""
    id: str = ""
    path: str = ""
    title: str = ""
    vienna: list[str] = []


class QueryMatches(msgspec.Struct, frozen=True, kw_only=True):
    """A query and the marks nearest to it."""

    row: Count = 0
    id: str = ""
    path: str = ""
    title: str = ""
    vienna: list[str] = []
    group: str = ""
    first_hit: Count = 0
    """rank of the first hit in the list that was searched for, 0 if there is none"""
    matches: list[Match] = []

    @property
    def labelled(self) -> bool:
        """Whether it has a code or a group to judge its matches by."""
        return bool(self.vienna or self.group)


def display_name(mark: Match | QueryMatches) -> str:
    """The title of a mark, or what else names it."""
    return mark.title or mark.id or mark.path


def shared_codes(match: Match, query: QueryMatches) -> list[str]:
    """The shared codes with their titles, or one line that there are none."""
    codes = [f"{code} {title(code)}".strip() for code in match.shared]
    return codes or (["no shared code"] if query.labelled else [])


def first_hit(query: QueryMatches) -> str:
    """The rank of the first hit, in words."""
    if not query.labelled:
        return "no code to judge by"
    return f"first hit at {query.first_hit}" if query.first_hit else "no hit found"


def compared(match: Match) -> str:
    """Which region of the query was compared with which of the mark, in words; empty for both wholes."""
    return compared_words(match.query_region, match.region)


def verdict(match: Match, query: QueryMatches) -> str:
    """`duplicate`, `same group`, `hit` or `miss`; `unlabelled` if the query has no label to judge by."""
    if match.duplicate:
        return "duplicate"
    if not query.labelled:
        return "unlabelled"
    return "same group" if match.same_group else "hit" if match.hit else "miss"


def write_matches(path: Path, header: MatchesHeader, queries: Iterable[QueryMatches]) -> None:
    """Write a matches file; it appears complete or not at all."""
    encoder = msgspec.json.Encoder()
    lines = (encoder.encode(query) + b"\n" for query in queries)
    write_atomic(path, itertools.chain([encoder.encode(header) + b"\n"], lines))


def read_matches(path: Path) -> tuple[MatchesHeader, list[QueryMatches]]:
    """The header and the queries of a matches file.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        first, *rest = path.read_bytes().splitlines()
        header = msgspec.json.decode(first, type=MatchesHeader)
        return header, list(map(msgspec.json.Decoder(QueryMatches).decode, rest))
    except OSError as error:
        raise InputError(f"cannot read {safe(path)}: {error.strerror}; run `tmssl eval`") from error
    except (ValueError, RecursionError) as error:  # msgspec.DecodeError is one, as is an empty file
        raise InputError(
            f"{safe(path)} is damaged ({safe(error, 100)}); run `tmssl eval` again"
        ) from error
