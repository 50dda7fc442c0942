from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmssl.errors import InputError
from tmssl.retrieval.evaluation.matches import (
    Match,
    MatchesHeader,
    QueryMatches,
    read_matches,
    write_matches,
)

TEXT = st.text(max_size=20)
MATCH = st.builds(
    Match,
    row=st.integers(0, 10**6),
    rank=st.integers(1, 100),
    similarity=st.floats(-1, 1, allow_subnormal=False),
    shared=st.lists(TEXT, max_size=3),
    same_group=st.booleans(),
    hit=st.booleans(),
    id=TEXT,
    path=TEXT,
    title=TEXT,
    vienna=st.lists(TEXT, max_size=3),
)
QUERY = st.builds(
    QueryMatches,
    row=st.integers(0, 10**6),
    id=TEXT,
    path=TEXT,
    title=TEXT,
    group=TEXT,
    vienna=st.lists(TEXT, max_size=3),
    first_hit=st.integers(0, 100),
    matches=st.lists(MATCH, max_size=3),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(QUERY, max_size=4), TEXT)
def test_matches_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, queries: list[QueryMatches], attribution: str
) -> None:
    path = tmp_path_factory.mktemp("m") / "epoch-0001.matches.jsonl"
    header = MatchesHeader(pack="p", topk=[10, 100], gallery=3, attribution=attribution)
    write_matches(path, header, queries)
    assert read_matches(path) == (header, queries)
    assert len(path.read_bytes().splitlines()) == 1 + len(queries)


def test_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_matches(path, MatchesHeader(pack="p"), [QueryMatches(row=3, path="a.png")])
    whole = path.read_bytes()
    for content in (b"", b"{oops\n", b'{"pack": 3}\n', whole[:-4], whole + b"[]\n"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is damaged"):
            read_matches(path)
    with pytest.raises(InputError, match="cannot read"):
        read_matches(tmp_path / "none")
