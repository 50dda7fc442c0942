from pathlib import Path

import numpy as np

from tmssl.training.features.store import StoreShape, create_store
from tmssl.training.features.usage import (
    add_user,
    build_lock,
    remove_unused,
    store_folder,
    stored_views,
)

SHAPE = StoreShape(marks=10, views=2, features=8)


def store_of(pack: Path, run: Path, key: str) -> Path:
    run.mkdir(parents=True, exist_ok=True)
    folder = store_folder(pack, run, key)
    create_store(folder, SHAPE, {"key": key}).write(0, np.zeros((10, 2, 8), np.float16))
    add_user(folder, run)
    return folder


def test_a_run_that_changed_its_settings_leaves_no_store_behind(tmp_path: Path) -> None:
    pack, run = tmp_path / "p[1]", tmp_path / "runs" / "r"
    old, new = store_of(pack, run, "old"), store_of(pack, run, "new")
    removed, kept = remove_unused(pack, run, new)
    assert [store.folder for store in removed] == [old]
    assert removed[0].size > 0
    assert (kept, old.exists(), new.exists()) == ([], False, True)


def test_a_store_of_another_run_is_kept_until_that_run_is_gone(tmp_path: Path) -> None:
    pack, run, other = tmp_path / "p", tmp_path / "r", tmp_path / "other"
    theirs, own = store_of(pack, other, "theirs"), store_of(pack, run, "own")
    removed, kept = remove_unused(pack, run, own)
    assert (removed, [store.folder for store in kept]) == ([], [theirs])
    assert kept[0].runs == (str(other),)
    other.rmdir()
    removed, kept = remove_unused(pack, run, own)
    assert ([store.folder for store in removed], kept) == ([theirs], [])


def test_a_store_that_a_process_computes_is_not_removed(tmp_path: Path) -> None:
    pack, run = tmp_path / "p", tmp_path / "r"
    old, new = store_of(pack, run, "old"), store_of(pack, run, "new")
    with build_lock(old) as is_builder:
        assert is_builder
        assert remove_unused(pack, run, new)[0] == []
    assert [store.folder for store in remove_unused(pack, run, new)[0]] == [old]


def test_one_process_at_a_time_computes_a_store(tmp_path: Path) -> None:
    with build_lock(tmp_path) as first, build_lock(tmp_path) as second:
        assert (first, second) == (True, False)
    with build_lock(tmp_path) as third:
        assert third


def test_beside_a_pack_that_cannot_be_written_the_store_is_in_the_run(tmp_path: Path) -> None:
    pack, run = tmp_path / "read-only" / "p", tmp_path / "r"
    run.mkdir()
    # Root may write anywhere; a missing folder is not writable for anybody.
    assert store_folder(pack, run, "k") == run / "views-k"
    store_of(pack, run, "k")
    assert [store.folder for store in stored_views(pack, run)] == [run / "views-k"]
