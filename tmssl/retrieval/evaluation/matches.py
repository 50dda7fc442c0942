"""The matches file of an evaluation: a header line, then one line for each query."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tmssl.data.vienna import title
from tmssl.errors import InputError
from tmssl.files import write_atomic
from tmssl.text import safe


class MatchesHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What was searched, and with what."""

    pack: str = ""
    """folder of the pack whose rows the matches name"""
    fingerprint: str = ""
    """fingerprint of that pack"""
    checkpoint: str = ""
    epoch: float = 0.0
    topk: list[int] = []
    gallery: int = 0
    """number of marks searched"""
    without_duplicates: bool = False
    """whether near-duplicates of a query were left out of its list"""
    whitened: int = 0
    """features kept by PCA-whitening; 0 where it was not asked for"""
    index: str = ""
    """faiss's factory string of an index that is not exact"""
    attribution: str = ""
    """licence line of the images, to be shown with them"""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """One mark that was found."""

    row: int = 0
    """row of the pack"""
    rank: int = 0
    """from 1"""
    similarity: float = 0.0
    """cosine"""
    shared: list[str] = []
    """Vienna codes shared with the query, rare before frequent"""
    same_group: bool = False
    hit: bool = False
    """whether a figurative division, or the group, is shared"""
    duplicate: bool = False
    """whether it is nearly the same picture as the query"""
    id: str = ""
    path: str = ""
    title: str = ""
    vienna: list[str] = []


class QueryMatches(msgspec.Struct, frozen=True, kw_only=True):
    """A query and the marks nearest to it."""

    row: int = 0
    id: str = ""
    path: str = ""
    title: str = ""
    vienna: list[str] = []
    group: str = ""
    first_hit: int = 0
    """rank of the first hit among those searched for, 0 when there is none"""
    matches: list[Match] = []

    @property
    def labelled(self) -> bool:
        """Whether it has a code or a group that its matches can be judged by."""
        return bool(self.vienna or self.group)


def shared_codes(match: Match, query: QueryMatches) -> list[str]:
    """The codes that a match shares with its query, each with its title, or that it shares none."""
    codes = [f"{code} {title(code)}".strip() for code in match.shared]
    return codes or (["no shared code"] if query.labelled else [])


def first_hit(query: QueryMatches) -> str:
    """At which rank a query found what it sought, in words."""
    if not query.labelled:
        return "no code to judge by"
    return f"first hit at {query.first_hit}" if query.first_hit else "no hit found"


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
        decoder = msgspec.json.Decoder(QueryMatches)
        return msgspec.json.decode(first, type=MatchesHeader), [
            decoder.decode(line) for line in rest
        ]
    except OSError as error:
        raise InputError(f"cannot read {safe(path)}: {error.strerror}; run `tmssl eval`") from error
    except ValueError as error:  # msgspec.DecodeError is one, as is an empty file
        raise InputError(
            f"{safe(path)} is damaged ({safe(error, 100)}); run `tmssl eval` again"
        ) from error
