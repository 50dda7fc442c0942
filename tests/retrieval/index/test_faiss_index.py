import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from tmssl.config import Config
from tmssl.data.phash import l2_normalize
from tmssl.errors import InputError
from tmssl.retrieval.index.faiss_index import build_index, index_path, open_index, save_index
from tmssl.retrieval.index.leave_one_out import search_rows
from tmssl.training.checkpoints.store import Weights


def unit_vectors(count: int, width: int = 24, seed: int = 0) -> np.ndarray:
    return l2_normalize(np.random.default_rng(seed).normal(size=(count, width)))


def test_an_index_survives_the_disk(tmp_path: Path) -> None:
    vectors = unit_vectors(50)
    save_index(build_index(vectors), tmp_path / "i.faiss")
    rows = search_rows(open_index(tmp_path / "i.faiss"), np.arange(5), 4)[1]
    assert np.array_equal(rows, search_rows(build_index(vectors), np.arange(5), 4)[1])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["digests.json", "i.faiss"]
    whole = (tmp_path / "i.faiss").read_bytes()
    for damage in (b"junk", whole[: len(whole) // 2], b""):
        (tmp_path / "i.faiss").write_bytes(damage)
        with pytest.raises(InputError, match="is damaged"):
            open_index(tmp_path / "i.faiss")


def test_a_run_keeps_its_newest_indexes_only(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save_index(build_index(unit_vectors(3)), tmp_path / f"{name}.faiss")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.faiss", "c.faiss", "digests.json"]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        save_index(build_index(unit_vectors(3)), tmp_path / "gone" / "i.faiss")


def test_an_index_is_named_by_what_made_it() -> None:
    weights = Weights({"w": torch.zeros(3)}, Config(), 1, 1.0, Path("last.pt"))
    other = dataclasses.replace(weights, encoder={"w": torch.ones(3)})
    later = dataclasses.replace(weights, step=2, path=Path("best.pt"))
    folder = Path("index")
    assert index_path(folder, weights, "f" * 64) == index_path(folder, later, "f" * 64)
    assert index_path(folder, weights, "f" * 64) != index_path(folder, other, "f" * 64)
    assert index_path(folder, weights, "f" * 64) != index_path(folder, weights, "e" * 64)
