"""The files of an index folder are as they were written, or a sentence says that they are not."""

from pathlib import Path

import numpy as np
import pytest

from tmssl.errors import InputError
from tmssl.retrieval.index.digests import DIGESTS_FILE, check_digest, forget_digest, record_digest
from tmssl.retrieval.index.faiss_index import build_index, open_index, save_index
from tmssl.retrieval.vectors.whitening import whitened_index


def written(folder: Path) -> Path:
    vectors = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    save_index(build_index(vectors), folder / "i.faiss")
    whitened_index(open_index(folder / "i.faiss"), folder / "i.faiss", 8)
    return folder / "i.faiss"


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", [".faiss", ".ann", ".whitening"])
def test_a_changed_bit_of_an_index_or_a_whitening_is_told(tmp_path: Path, suffix: str) -> None:
    index = written(tmp_path)
    (path,) = tmp_path.glob(f"*{suffix}")
    flip(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match=r"is damaged: .* remove it and try again"):
        whitened_index(open_index(index), index, 8)
    path.unlink()
    written(tmp_path)
    assert whitened_index(open_index(index), index, 8)[0].ntotal == 200


@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b'{"i.faiss": 5}', b"[" * 9999, b'{"i.faiss": {"bytes": -1}}']
)
def test_what_an_older_version_wrote_opens_with_no_complaint(
    tmp_path: Path, content: bytes | None
) -> None:
    index = written(tmp_path)
    (tmp_path / DIGESTS_FILE).unlink()
    if content is not None:
        (tmp_path / DIGESTS_FILE).write_bytes(content)
    assert open_index(index).ntotal == 200


def test_digests_of_files_that_are_gone_or_written_anew_are_dropped(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
        record_digest(tmp_path / name)
    (tmp_path / "a").write_bytes(b"killed before its digest was recorded")
    with pytest.raises(InputError, match="is damaged"):
        check_digest(tmp_path / "a")
    forget_digest(tmp_path / "a")
    check_digest(tmp_path / "a")
    (tmp_path / "b").unlink()
    record_digest(tmp_path / "a")
    assert b'"b"' not in (tmp_path / DIGESTS_FILE).read_bytes()
