import faiss
import numpy as np
import pytest
import torch

from tmssl.retrieval import blocked
from tmssl.retrieval.blocked import blocked_search
from tmssl.retrieval.index import build_index

CPU = torch.device("cpu")


@pytest.fixture
def vectors() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    drawn = np.random.default_rng(3).standard_normal((500, 24)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.mark.parametrize("k", [1, 10, 500])
@pytest.mark.parametrize(("gallery", "queries"), [(1 << 15, 1 << 10), (37, 7), (500, 1)])
def test_any_blocks_find_what_faiss_finds(
    vectors: np.ndarray[tuple[int, ...], np.dtype[np.float32]], k: int, gallery: int, queries: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(blocked, "_GALLERY_AT_ONCE", gallery)
    monkeypatch.setattr(blocked, "_QUERIES_AT_ONCE", queries)
    index = build_index(vectors)
    told: list[tuple[int, int]] = []
    similarity, rows = blocked_search(index, vectors[:20], k, CPU, lambda *pair: told.append(pair))
    flat = faiss.IndexFlatIP(24)
    flat.add(index.reconstruct_n(0, 500))
    expected, expected_rows = flat.search(vectors[:20], k)
    assert np.allclose(similarity, expected, atol=1e-6)
    assert (rows == expected_rows).mean() > 0.99  # the others tie but for a rounding
    assert told[-1] == (20, 20)


@pytest.mark.gpu
def test_a_gpu_finds_the_same(vectors: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    index = build_index(vectors)
    mine = blocked_search(index, vectors, 10, torch.device("cuda"))
    theirs = blocked_search(index, vectors, 10, CPU)
    assert np.allclose(mine[0], theirs[0], atol=1e-5)
