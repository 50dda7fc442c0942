"""The search for many queries by matrix blocks finds what faiss and numpy find."""

from pathlib import Path

import faiss
import numpy as np
import pytest
import torch

from tmssl.retrieval.index import exact
from tmssl.retrieval.index.exact import half_vectors, search_many
from tmssl.retrieval.index.faiss_index import build_index, open_index, save_index
from tmssl.types import Vectors


@pytest.fixture
def vectors() -> Vectors:
    drawn = np.random.default_rng(3).standard_normal((500, 24)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.mark.parametrize("k", [1, 10, 500])
@pytest.mark.parametrize(("gallery", "queries"), [(1 << 15, 1 << 10), (37, 7), (500, 1)])
def test_any_blocks_find_what_faiss_finds(
    vectors: Vectors, k: int, gallery: int, queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact, "_GALLERY_BLOCK", gallery)
    monkeypatch.setattr(exact, "_QUERY_BLOCK", queries)
    index = build_index(vectors)
    reports: list[tuple[int, int]] = []
    similarity, rows = search_many(index, vectors[:20], k, lambda *pair: reports.append(pair))
    flat = faiss.IndexFlatIP(24)
    flat.add(index.reconstruct_n(0, 500))
    expected, expected_rows = flat.search(vectors[:20], k)
    assert np.allclose(similarity, expected, atol=1e-6)
    assert (rows == expected_rows).mean() > 0.99  # the others tie but for a rounding
    assert reports[-1] == (20, 20)


def test_vectors_are_read_where_the_index_holds_them(vectors: Vectors, tmp_path: Path) -> None:
    index = build_index(vectors)
    save_index(index, tmp_path / "kept.faiss")
    for opened in (index, open_index(tmp_path / "kept.faiss")):
        assert np.array_equal(half_vectors(opened).float().numpy(), index.reconstruct_n(0, 500))


@pytest.mark.gpu
@pytest.mark.parametrize("k", [1, 10, 300])
def test_a_gpu_finds_what_faiss_and_numpy_find(k: int) -> None:
    dice = np.random.default_rng(5)
    vectors = dice.standard_normal((70_000, 128)).astype(np.float32)  # more than two blocks
    index = build_index(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    held = index.reconstruct_n(0, index.ntotal)
    queries = dice.standard_normal((300, 128)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    torch.set_float32_matmul_precision("high")  # as training does on a GPU
    try:
        similarity, rows = search_many(index, queries, k, device=torch.device("cuda"))
    finally:
        torch.set_float32_matmul_precision("highest")
    cosines = queries.astype(np.float64) @ held.T.astype(np.float64)
    by_numpy = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    flat = faiss.IndexFlatIP(128)
    flat.add(held)
    by_faiss, by_faiss_rows = flat.search(queries, k)
    assert np.allclose(similarity, np.take_along_axis(cosines, by_numpy, 1), atol=1e-6)
    assert np.allclose(similarity, by_faiss, atol=1e-6)
    assert np.allclose(similarity, np.take_along_axis(cosines, rows, 1), atol=1e-6)
    assert (rows == by_numpy).mean() > 0.99  # the others tie but for a rounding
    assert (rows == by_faiss_rows).mean() > 0.99
