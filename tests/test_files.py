"""Files appear complete or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from tmssl.errors import InputError
from tmssl.files import atomic_path, write_atomic


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


@pytest.mark.parametrize(
    "number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EPERM, errno.EISDIR]
)
def test_a_folder_that_cannot_be_synced_stops_no_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real = os.fsync

    def fsync(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(number, os.strerror(number))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomic(tmp_path / "a", b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fsync(_file: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(InputError, match="cannot write"):
        write_atomic(tmp_path / "a", b"whole")
    assert list(tmp_path.iterdir()) == []
