"""Files appear complete or not at all."""

from pathlib import Path

import pytest

from tmssl.errors import InputError
from tmssl.files import atomic_path, is_unfinished, write_atomic


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "f"

    def parts(fail: bool) -> list[bytes]:
        if fail:
            raise KeyboardInterrupt
        return [b"new"]

    write_atomic(path, [b"old"])
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, (part for fail in (False, True) for part in parts(fail)))
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    assert path.read_bytes() == b"old"
    with pytest.raises(InputError, match="cannot write"):
        write_atomic(tmp_path / "none" / "f", [b""])


def test_a_file_that_replaces_itself_while_written_keeps_the_old_bytes_until_the_end(
    tmp_path: Path,
) -> None:
    path = tmp_path / "f"
    write_atomic(path, b"old")
    with atomic_path(path) as fresh:
        fresh.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_an_error_in_the_block_leaves_no_trace(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such device"), atomic_path(tmp_path / "f") as fresh:  # noqa: PT012 - a block
        fresh.write_bytes(b"half")
        raise OSError("no such device")
    assert list(tmp_path.iterdir()) == []


def test_several_parts_become_one_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "f", iter([b"a", b"", b"bc"]))
    assert (tmp_path / "f").read_bytes() == b"abc"


def test_what_a_kill_leaves_is_known_by_its_name(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "part-7.b2") as fresh:
        assert is_unfinished(fresh)
        fresh.touch()
    assert not any(is_unfinished(Path(name)) for name in ("part-7.b2", ".hidden", "a-3", "x.json"))
