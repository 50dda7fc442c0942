from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.retrieved import near_few_directions
from tmssl.errors import InputError
from tmssl.retrieval import nearest, principal
from tmssl.retrieval.index import build_index, open_index, save_index, write_index
from tmssl.retrieval.nearest import nearest_rows
from tmssl.retrieval.principal import build_principal, principal_index

Vectors = npt.NDArray[np.float32]


def clustered(seed: int, count: int, features: int, noise: float) -> Vectors:
    """Unit vectors in a few clusters, some exactly alike."""
    dice = np.random.default_rng(seed)
    centres = dice.standard_normal((5, features))
    drawn = centres[dice.integers(0, 5, count)] + noise * dice.standard_normal((count, features))
    drawn[count // 2 :: 7] = drawn[0]
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few marks at first, so that the bounds alone often cannot tell."""
    monkeypatch.setattr(nearest, "_LEAST", 4)
    monkeypatch.setattr(nearest, "_FIRST", 1)
    monkeypatch.setattr(nearest, "_MOST", 0.5)
    monkeypatch.setattr(principal, "_WORTH", 0)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000), features=st.sampled_from([3, 16, 65]),
    noise=st.sampled_from([0.0, 1e-4, 0.03, 1.0]), k=st.integers(1, 30),
    share=st.sampled_from([1.0, 0.5, 0.05]), own=st.booleans(),
)  # fmt: skip
def test_leading_directions_never_change_what_is_found(
    seed: int, features: int, noise: float, k: int, share: float, own: bool
) -> None:
    vectors = clustered(seed, 300, features, noise)
    index = build_index(vectors)
    query = (vectors if own else clustered(seed + 1, 300, features, noise))[:1]
    mask = np.random.default_rng(seed).random(300) < share if share < 1 else None
    if mask is not None:
        mask[:2] = True
        k = min(k, int(mask.sum()))
    similarity, rows = nearest_rows(index, query, k, mask, build_principal(index))
    exact = index.reconstruct_n(0, 300) @ query[0]
    if mask is not None:
        exact[~mask] = -np.inf
    best = np.sort(exact)[::-1][:k]
    assert np.allclose(similarity, np.clip(best, -1, 1), atol=1e-6)
    assert np.allclose(exact[rows], best, atol=1e-6)
    assert len(set(rows.tolist())) == k
    plain, _ = nearest_rows(index, query, k, mask)
    assert np.array_equal(similarity, plain)


def test_no_cosine_is_above_its_bound() -> None:
    vectors = clustered(3, 500, 40, 0.3)
    index = build_index(vectors)
    held, made = index.reconstruct_n(0, 500), build_principal(index)
    queries = clustered(4, 20, 40, 0.5)
    bounds, rows = made.index.search(made.bounding(queries), 500)
    cosines = np.take_along_axis(queries @ held.T, rows, 1)
    assert (cosines <= bounds + made.off).all()
    assert (bounds - cosines).mean() < 0.3  # and bounds say something


def test_only_a_few_marks_are_read_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "_LEAST", 64)
    index = build_index(near_few_directions(5, 3000, 64, 0.05))
    made, read = build_principal(index), []
    scanned = nearest._scanned

    def watched(searched: object, vector: Vectors, k: int, mask: None) -> tuple[Vectors, object]:
        read.append(searched is index)
        return scanned(searched, vector, k, mask)  # type: ignore[arg-type]  # an index, named loosely above

    monkeypatch.setattr(nearest, "_scanned", watched)
    for query in near_few_directions(6, 20, 64, 0.05):
        nearest_rows(index, query[None], 5, None, made)
    assert not any(read)
    assert len(read) < 40


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    save_index(build_index(clustered(1, 200, 48, 0.5)), tmp_path / "a-b.faiss")
    return tmp_path / "a-b.faiss"


def test_directions_are_kept_once_made_and_go_with_their_index(kept: Path) -> None:
    index = open_index(kept)
    told: list[str] = []
    first = principal_index(index, kept, told.append)
    again = principal_index(index, kept, told.append)
    assert told == ["indexing directions"]
    assert first is not None
    assert again is not None
    assert first.off == again.off
    assert np.array_equal(first.directions, again.directions)
    assert np.array_equal(first.index.reconstruct_n(0, 200), again.index.reconstruct_n(0, 200))
    kept.unlink()
    save_index(build_index(clustered(1, 20, 48, 0.5)), kept.with_name("c-d.faiss"))
    assert [one.name for one in kept.parent.iterdir()] == ["c-d.faiss"]


def test_a_small_gallery_needs_none(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(principal, "_WORTH", 1 << 26)
    assert principal_index(open_index(kept), kept) is None
    assert [one.name for one in kept.parent.iterdir()] == [kept.name]


@pytest.mark.parametrize("suffix", [".ann", ".directions"])
def test_damaged_directions_are_one_line(kept: Path, suffix: str) -> None:
    index = open_index(kept)
    principal_index(index, kept)
    (path,) = kept.parent.glob(f"*{suffix}")
    content = path.read_bytes()
    for bad in (content[: len(content) // 2], b"", b"\xff" * 99, kept.read_bytes()):
        path.write_bytes(bad)
        with pytest.raises(InputError, match="remove it and"):
            principal_index(index, kept)


def test_directions_of_another_index_are_refused(kept: Path) -> None:
    principal_index(open_index(kept), kept)
    write_index(build_index(clustered(1, 100, 48, 0.5)), kept)
    with pytest.raises(InputError, match="of another index; remove it"):
        principal_index(open_index(kept), kept)
