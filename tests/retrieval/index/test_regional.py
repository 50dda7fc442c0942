"""Several vectors a mark: the search is that of comparing everything, and its files are checked."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.regional import Regions, drawn, in_memory
from tmssl.errors import InputError
from tmssl.retrieval.index.faiss_index import build_index, save_index
from tmssl.retrieval.index.regional import (
    Penalties,
    as_bytes,
    kept_regions,
    open_regional,
    regional_files,
    wanted_files,
    write_regional,
)
from tmssl.retrieval.index.regional_rows import regional_mate_ranks, search_regional_rows
from tmssl.retrieval.index.regional_search import (
    nearest_signs,
    search_regions,
)
from tmssl.types import Vectors


def slow(vectors: Regions, query: Vectors, penalties: Penalties) -> Vectors:
    """The similarity of a query to every mark."""
    cosines = np.einsum("mrf,qf->mqr", vectors, query)
    absent = np.abs(vectors).sum(2) == 0
    cosines[np.broadcast_to(absent[:, None], cosines.shape)] = -np.inf
    cosines[:, 1:, 0] -= penalties.part
    cosines[:, 0, 1:] -= penalties.part
    cosines[:, 1:, 1:] -= penalties.parts
    best: Vectors = cosines.max((1, 2))
    return best


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    regions=st.integers(2, 6),
    features=st.sampled_from([16, 64, 100]),
    share=st.sampled_from([1.0, 0.5, 0.05]),
)
def test_it_finds_what_comparing_all_regions_finds(
    seed: int, regions: int, features: int, share: float
) -> None:
    vectors = drawn(seed, 200, regions, features)
    query = drawn(seed + 1, 1, 4, features)[0]
    query = query[np.abs(query).sum(1) > 0]
    mask = np.random.default_rng(seed).random(200) < share if share < 1 else None
    if mask is not None:
        mask[:3] = True
    k = 20 if mask is None else min(20, int(mask.sum()))
    index = in_memory(vectors)
    assert 0 < index.penalties.part < index.penalties.parts
    similarity, rows = search_regions(index, query, k, mask)
    expected = np.clip(slow(vectors, query, index.penalties), -1, 1)
    if mask is not None:
        assert mask[rows].all()
        expected[~mask] = -np.inf
    assert np.allclose(similarity, np.sort(expected)[::-1][:k], atol=4e-3)
    assert np.allclose(expected[rows], similarity, atol=4e-3)


def test_signs_find_the_marks_that_share_a_region() -> None:
    vectors = drawn(0, 3000, 4, 128)
    noise = np.random.default_rng(1).standard_normal((2, 128)).astype(np.float32)
    vectors[77, 2] = vectors[5, 0] + 0.05 * noise[0]  # a part of 77 is what 5 is
    vectors[88, 0] = vectors[5, 0] * 0.5 + 0.05 * noise[1]
    vectors[:, 1:2] += 1e-9
    query = vectors[5][vectors[5].any(1)]
    assert {5, 77, 88} <= set(nearest_signs(in_memory(vectors), query, 20).tolist())


def test_marks_near_by_their_wholes_are_not_crowded_out_by_parts() -> None:
    vectors = drawn(0, 500, 3, 128)
    query = vectors[5, :1]
    noise = np.random.default_rng(1).standard_normal(128).astype(np.float32)
    vectors[7, 0] = query[0] + 0.08 * noise
    vectors[100:200, 1] = query[0]  # the parts of a hundred others are the query
    index = in_memory(vectors)
    assert len(nearest_signs(index, query, 40)) > 40
    assert {5, 7} <= set(nearest_signs(index, query, 40).tolist())


def test_rows_as_queries_leave_themselves_out_and_mates_are_ranked_as_by_hand() -> None:
    vectors = drawn(3, 60, 3, 64)
    index, queries = in_memory(vectors), np.array([4, 9, 30])
    excluded = [np.array([7]), np.array([], np.int64), np.array([1, 2])]
    _, rows = search_regional_rows(index, queries, 12, excluded=excluded)
    mates = [np.array([11, 12]), np.array([], np.int64), np.array([0])]
    ranks = regional_mate_ranks(index, queries, mates, excluded=excluded)
    for query, away, found in zip(queries.tolist(), excluded, rows, strict=True):
        assert not {query, *away.tolist()} & set(found.tolist())
    everything = search_regional_rows(index, queries[:1], 58, excluded=excluded[:1])[1][0].tolist()
    assert ranks[0].tolist() == sorted(everything.index(mate) + 1 for mate in (11, 12))
    assert ranks[1].tolist() == []


def written(folder: Path) -> tuple[Path, Regions]:
    """An index of 30 marks with the vectors of their regions beside it."""
    vectors, path = drawn(0, 30, 4, 24), folder / "a-b.faiss"
    whole = build_index(vectors[:, 0])
    save_index(whole, path)
    parts = ((np.arange(b, b + 10), as_bytes(vectors[b : b + 10, 1:])) for b in (0, 10, 20))
    write_regional(regional_files(path, 4), whole, parts)
    return path, vectors


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path, vectors = written(tmp_path)
    index = open_regional(regional_files(path, 4), build_index(vectors[:, 0]))
    memory = in_memory(vectors)
    assert np.array_equal(index.bits, memory.bits)
    assert np.array_equal(index.codes, memory.codes)
    assert index.regions == 4


def test_the_files_say_whether_regions_were_cut_by_lettering(tmp_path: Path) -> None:
    path, vectors = written(tmp_path)
    plain, lettered = regional_files(path, 4), regional_files(path, 4, lettered=True)
    assert kept_regions(path) == [plain]
    assert wanted_files(path, 4, lettering_read=True) == plain  # which is there
    assert wanted_files(path, 5, lettering_read=True) == regional_files(path, 5, lettered=True)
    assert wanted_files(path, 5, lettering_read=False) == regional_files(path, 5)
    whole = build_index(vectors[:, 0])
    write_regional(lettered, whole, [(np.arange(30), as_bytes(vectors[:, 1:]))])
    assert open_regional(lettered, whole).lettered
    assert not open_regional(plain, whole).lettered
    assert {*kept_regions(path)} == {plain, lettered}
    assert wanted_files(path, 4, lettering_read=True) == lettered
    assert wanted_files(path, 4, lettering_read=False) == plain


@pytest.mark.parametrize("what", ["bits", "codes"])
def test_damage_is_told_and_never_searched(tmp_path: Path, what: str) -> None:
    path, vectors = written(tmp_path)
    files, whole = regional_files(path, 4), build_index(vectors[:, 0])
    file: Path = getattr(files, what)
    good = file.read_bytes()
    file.write_bytes(good[:-1])
    with pytest.raises(InputError, match="damaged"):
        open_regional(files, whole)
    file.write_bytes(bytes(255 - byte for byte in good))
    with pytest.raises(InputError, match="damaged"):
        search_regions(open_regional(files, whole), vectors[0, :1], 5)
    file.unlink()
    assert not files.exist()
    file.symlink_to(path)
    with pytest.raises(InputError):
        open_regional(files, whole)


def test_they_go_with_the_index_they_are_of(tmp_path: Path) -> None:
    path, vectors = written(tmp_path)
    save_index(build_index(vectors[:, 0]), path)
    assert not regional_files(path, 4).exist()
