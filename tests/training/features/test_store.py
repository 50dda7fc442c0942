import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmssl.errors import InputError, TrainingError
from tmssl.training.features.store import (
    BLOCK,
    FEATURES_FILE,
    FeatureStore,
    StoreShape,
    create_store,
    store_key,
)

SHAPE = StoreShape(marks=9 * BLOCK + 24, views=3, features=5)


def block_of(number: int, shape: StoreShape = SHAPE) -> np.ndarray:
    marks = shape.block(number)
    size = (marks.stop - marks.start, shape.views, shape.features)
    return np.random.default_rng(number).normal(size=size).astype(np.float16)


def filled(folder: Path, blocks: list[int] | None = None) -> FeatureStore:
    store = create_store(folder, SHAPE, {"seed": 1})
    for number in range(SHAPE.blocks) if blocks is None else blocks:
        store.write(number, block_of(number))
    return store


def test_features_come_back_as_they_were_written(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    assert store.unsound().missing == store.unsound().damaged == []
    whole = np.concatenate([block_of(number) for number in range(SHAPE.blocks)])
    marks, views = np.array([0, 599, 256, 256, 255]), np.array([2, 0, 1, 2, 0])
    np.testing.assert_array_equal(store.read(marks, views), whole[marks, views])


def test_an_interrupted_build_goes_on_with_the_blocks_that_are_missing(tmp_path: Path) -> None:
    others = [0, *range(2, SHAPE.blocks)]
    assert filled(tmp_path / "s", [1]).unsound().missing == others
    store = create_store(tmp_path / "s", SHAPE, {"seed": 1})
    assert store.unsound().missing == others
    assert store.written() == {1}


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, SHAPE.bytes - 1), st.sampled_from(["flip", "truncate", "append", "digests gone"])
)
def test_damage_anywhere_is_seen(at: int, how: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        store = filled(Path(folder) / "s")
        path = store.folder / FEATURES_FILE
        data = bytearray(path.read_bytes())
        if how == "flip":
            data[at] ^= 0x10
        elif how == "truncate":
            del data[at:]
        elif how == "append":
            data += b"more"
        else:
            (store.folder / "digests").write_bytes(b"")
        path.write_bytes(data)
        found = create_store(store.folder, SHAPE, {"seed": 1}).unsound()
        block = at // (BLOCK * SHAPE.mark_bytes)
        if how == "flip":
            assert (found.missing, found.damaged) == ([], [block])
        elif how == "truncate":
            assert set(found.damaged) >= {block} - {SHAPE.blocks - 1}
        elif how == "append":
            assert (found.missing, found.damaged) == ([], [])
        else:
            assert found.missing == [*range(SHAPE.blocks)]


def test_a_key_depends_on_every_fact() -> None:
    facts = {"views": "logo", "seed": 1, "weights": "ab"}
    keys = {store_key({**facts, name: "other"}) for name in facts} | {store_key(facts)}
    assert len(keys) == 4
    assert store_key(dict(reversed(facts.items()))) == store_key(facts)


def test_the_facts_lie_beside_the_features_for_a_person(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    facts = json.loads((store.folder / "features.json").read_text())
    assert facts["seed"] == 1
    assert facts["marks"] == SHAPE.marks


def test_too_small_a_disk_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    marks = shutil.disk_usage(tmp_path).free // (4 * 1024 * 2) + 1
    with pytest.raises(InputError, match="are free in"):
        create_store(tmp_path / "s", StoreShape(marks, 4, 1024), {})
    assert not (tmp_path / "s").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "pack.views-0"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        create_store(folder, SHAPE, {})
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


def test_a_file_that_is_cut_while_it_is_read_is_told(tmp_path: Path) -> None:
    store, first = filled(tmp_path / "s"), np.array([0])
    store.read(first, first)
    os.truncate(tmp_path / "s" / FEATURES_FILE, 100)
    for cut in (store, FeatureStore(tmp_path / "s", SHAPE)):
        with pytest.raises(TrainingError, match=r"cached views in .* are truncated"):
            cut.read(first, first)
