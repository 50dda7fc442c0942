"""Bounds change how fast the nearest marks of many queries are found, and nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.retrieved import near_few_directions
from tmssl.retrieval import bounded
from tmssl.retrieval.blocked import blocked_search
from tmssl.retrieval.bounded import bounded_search
from tmssl.retrieval.index import build_index
from tmssl.retrieval.lists import exact_search
from tmssl.retrieval.principal import build_principal

CPU = torch.device("cpu")


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000), features=st.sampled_from([3, 16, 65]),
    noise=st.sampled_from([0.0, 1e-3, 0.1, 3.0]), k=st.integers(1, 40),
    count=st.sampled_from([41, 64, 300, 1000]), queries=st.sampled_from([1, 5, 19]),
    blocks=st.sampled_from([64, 128, 1 << 15]), at_once=st.sampled_from([1, 4, 256]),
)  # fmt: skip
def test_bounds_never_change_what_is_found(
    seed: int, features: int, noise: float, k: int, count: int, queries: int, blocks: int,
    at_once: int,
) -> None:  # fmt: skip
    index = build_index(near_few_directions(seed, count, features, noise))
    asked = near_few_directions(seed + 1, 20, features, noise)[:queries]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounded, "_GALLERY_AT_ONCE", blocks)
        patch.setattr(bounded, "_QUERIES_AT_ONCE", at_once)
        patch.setattr(bounded, "_MOST", 2.0)
        similarity, rows = bounded_search(index, build_principal(index), asked, k)
    exact = asked @ index.reconstruct_n(0, count).T
    best = -np.sort(-exact, axis=1)[:, :k]
    assert np.allclose(similarity, best, atol=1e-6)
    assert np.allclose(np.take_along_axis(exact, rows, 1), best, atol=1e-6)
    assert all(len(set(found)) == k for found in rows.tolist())


def test_few_products_are_computed_where_directions_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    index = build_index(near_few_directions(1, 20_000, 64, 0.05))
    asked, computed = near_few_directions(2, 50, 64, 0.05), []
    products = bounded.products

    def watched(*given: torch.Tensor) -> torch.Tensor:
        computed.append(len(given[2]))
        return products(*given)

    monkeypatch.setattr(bounded, "products", watched)
    bounded_search(index, build_principal(index), asked, 10)
    assert sum(computed) < 50 * 20_000 / 100


def test_vectors_without_leading_directions_are_left_to_whole_products() -> None:
    vectors = np.random.default_rng(0).standard_normal((2000, 64)).astype(np.float32)
    index = build_index(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    told: list[tuple[int, int]] = []
    found = bounded_search(
        index, build_principal(index), index.reconstruct_n(0, 30), 5,
        lambda *pair: told.append(pair),
    )  # fmt: skip
    expected = blocked_search(index, index.reconstruct_n(0, 30), 5, CPU)
    assert np.array_equal(found[1], expected[1])
    assert np.array_equal(found[0], expected[0])
    assert told[-1] == (30, 30)


def test_the_quickest_exact_way_is_exact_with_and_without_directions() -> None:
    index = build_index(near_few_directions(3, 500, 64, 0.05))
    asked = index.reconstruct_n(0, 9)
    plain = exact_search(index, asked, 7, CPU)
    led = exact_search(index, asked, 7, CPU, principal=build_principal(index))
    assert np.allclose(plain[0], led[0], atol=1e-6)
