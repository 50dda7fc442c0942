"""The search for one query is exact, with and without a mask."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tmssl.retrieval.index.exact import search_one
from tmssl.retrieval.index.faiss_index import build_index
from tmssl.types import Vectors


def clustered(seed: int, count: int, features: int, noise: float) -> Vectors:
    """Unit vectors in a few clusters, some exactly alike."""
    dice = np.random.default_rng(seed)
    centres = dice.standard_normal((5, features))
    drawn = centres[dice.integers(0, 5, count)] + noise * dice.standard_normal((count, features))
    drawn[count // 2 :: 7] = drawn[0]
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    features=st.sampled_from([3, 16, 65]),
    noise=st.sampled_from([0.0, 1e-4, 0.03, 1.0]),
    k=st.integers(1, 30),
    share=st.sampled_from([1.0, 0.5, 0.05]),
    own=st.booleans(),
)
def test_one_query_finds_the_largest_cosines_of_the_marks_that_are_compared(
    seed: int, features: int, noise: float, k: int, share: float, own: bool
) -> None:
    vectors = clustered(seed, 300, features, noise)
    index = build_index(vectors)
    query = (vectors if own else clustered(seed + 1, 300, features, noise))[:1]
    mask = np.random.default_rng(seed).random(300) < share if share < 1 else None
    if mask is not None:
        mask[:2] = True
        k = min(k, int(mask.sum()))
    similarity, rows = search_one(index, query, k, mask)
    exact = index.reconstruct_n(0, 300) @ query[0]
    if mask is not None:
        exact[~mask] = -np.inf
    best = np.sort(exact)[::-1][:k]
    assert np.allclose(similarity, np.clip(best, -1, 1), atol=1e-6)
    assert np.allclose(exact[rows], best, atol=1e-6)
    assert len(set(rows.tolist())) == k
