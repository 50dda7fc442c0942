"""Parts of an index: what they join to, and what is refused or computed again."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from tmssl.data.pack.frame import PER_CHUNK
from tmssl.errors import InputError
from tmssl.retrieval.index.faiss_index import build_index, open_index, save_index
from tmssl.retrieval.index.index_parts import IndexParts
from tmssl.types import Vectors

MARKS = 2 * PER_CHUNK + 90


def unit_vectors(count: int = MARKS, features: int = 24) -> Vectors:
    drawn = np.random.default_rng(0).normal(size=(count, features)).astype(np.float32)
    vectors: Vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return vectors


def written(folder: Path, vectors: Vectors, name: str = "a-b") -> IndexParts:
    """All parts of an index of these vectors."""
    parts = IndexParts(folder / f"{name}.faiss", len(vectors))
    for rows in reversed(parts.ranges):  # in any order
        parts.write(rows, vectors[rows.start : rows.stop])
    return parts


def file_of(parts: IndexParts, number: int) -> Path:
    return sorted(parts.folder.iterdir())[number]


@pytest.mark.parametrize("count", [1, PER_CHUNK, MARKS])
def test_joined_parts_are_byte_for_byte_the_index_made_at_once(tmp_path: Path, count: int) -> None:
    vectors = unit_vectors(count)
    parts = written(tmp_path, vectors)
    assert parts.missing() == parts.absent() == []
    parts.join()
    save_index(build_index(vectors), tmp_path / "c-d.faiss")
    assert parts.index.read_bytes() == (tmp_path / "c-d.faiss").read_bytes()
    assert open_index(parts.index).ntotal == count
    parts.remove()
    assert not parts.folder.exists()


@pytest.mark.parametrize("count", [1, 255, 256, 257, 65_536, 65_537, 538_771, 70_000_000])
def test_parts_cover_every_mark_once_and_begin_at_chunks(count: int) -> None:
    ranges = IndexParts(Path("a-b.faiss"), count).ranges
    assert ranges[0].start == 0
    assert ranges[-1].stop == count
    assert all(one.stop == next_.start for one, next_ in itertools.pairwise(ranges))
    assert all(rows.start % PER_CHUNK == 0 and 0 < len(rows) <= 64 * PER_CHUNK for rows in ranges)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"),
        lambda path: path.write_bytes(path.read_bytes() + b"?"),
        lambda path: path.write_bytes(b"[" * 5000),
        lambda path: path.write_bytes(path.read_bytes().replace(b'"marks":256', b'"marks":-56')),
    ],
)
def test_a_part_that_is_not_as_written_is_missing_and_never_joined(
    tmp_path: Path, damage: object
) -> None:
    parts = written(tmp_path, unit_vectors())
    assert callable(damage)
    damage(file_of(parts, 1))
    assert parts.missing() == [parts.ranges[1]]
    with pytest.raises(InputError, match="the same command computes it again"):
        parts.join()
    assert not parts.index.exists()


def test_a_part_of_another_encoder_or_pack_is_refused_in_a_line(tmp_path: Path) -> None:
    parts, other = written(tmp_path, unit_vectors()), written(tmp_path, unit_vectors(), "a-x")
    file_of(parts, 0).write_bytes(file_of(other, 0).read_bytes())
    for look in (parts.missing, parts.join):
        with pytest.raises(
            InputError, match="of another encoder or of other marks; remove"
        ) as told:
            look()
        assert "\n" not in str(told.value)
    # The parts of a narrower encoder under the same name are no part of this index either.
    (tmp_path / "wide").mkdir()
    narrow, wide = (
        written(tmp_path, unit_vectors(features=12)),
        written(tmp_path / "wide", unit_vectors()),
    )
    file_of(narrow, 1).write_bytes(file_of(wide, 1).read_bytes())
    with pytest.raises(InputError, match="of another encoder"):
        narrow.join()


def test_a_link_in_the_place_of_a_part_or_its_folder_is_not_followed(tmp_path: Path) -> None:
    parts = written(tmp_path, unit_vectors())
    part = file_of(parts, 0)
    part.rename(tmp_path / "elsewhere")
    part.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="it is a link"):
        parts.missing()
    (tmp_path / "kept").mkdir()
    (tmp_path / "c-d.parts").symlink_to(tmp_path / "kept")
    linked = IndexParts(tmp_path / "c-d.faiss", 1)
    with pytest.raises(InputError, match="it is a link"):
        linked.write(range(1), unit_vectors(1))
    linked.remove()
    assert (tmp_path / "kept").is_dir()


def test_parts_of_other_indexes_that_were_left_behind_are_removed(tmp_path: Path) -> None:
    parts = written(tmp_path, unit_vectors(1))
    names = ["old-x.parts", "new-x.parts", "a-b-regions1x3.parts"]
    old, new, beside = (tmp_path / name for name in names)
    for folder in (old, new, beside):
        folder.mkdir()
    for folder in (old, beside):
        os.utime(folder, (0, 0))
    parts.remove()
    assert [folder.exists() for folder in (parts.folder, old, new, beside)] == [0, 0, 1, 1]
