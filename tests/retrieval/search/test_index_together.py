"""A gallery is embedded in parts: by one process that may be killed, or by several of torchrun."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.command import ROOT, environment
from tests.helpers.in_process import tmssl_in_process
from tests.helpers.tiny_run import tiny_run
from tests.helpers.waiting import DEADLINE_S
from tmssl.config import read_config
from tmssl.data.pack.frame import PER_CHUNK
from tmssl.data.pack.info import read_info
from tmssl.retrieval.search.indexing import index_run
from tmssl.runs.folder import Run

MARKS = 3 * PER_CHUNK + 100
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return tiny_run(tmp_path_factory.mktemp("together"), MARKS, settings={"batch_size": 124})


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    """The run in a folder of its own, not embedded yet."""
    return Run(Path(shutil.copytree(trained.path, tmp_path / "run")))


@pytest.fixture(scope="module")
def whole(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The index that one process makes without a pause."""
    run = Run(Path(shutil.copytree(trained.path, tmp_path_factory.mktemp("whole") / "run")))
    return embedded(run)


def embedded(run: Run, seen: list[tuple[int, int]] | None = None) -> bytes:
    """The index of a run, embedded by this process; interrupted once `seen` ends at two parts."""
    pack = Path(read_config(run.config).data.pack)

    def progress(done: int, total: int) -> None:
        if seen is not None:
            seen.append((done, total))
            if total == MARKS and done > 2 * PER_CHUNK:
                raise KeyboardInterrupt

    index_run(run, "last", read_info(pack), pack, device="cpu", progress=progress)
    return index_file(run).read_bytes()


def index_file(run: Run) -> Path:
    (index,) = run.index.glob("*.faiss")
    return index


def together(*words: str) -> subprocess.CompletedProcess[str]:
    """Two processes of torchrun."""
    return subprocess.run(
        [sys.executable, *TORCHRUN, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=2 * DEADLINE_S,
    )


def test_an_interrupted_embedding_goes_on_with_the_part_it_was_in(run: Run, whole: bytes) -> None:
    seen: list[tuple[int, int]] = []
    with pytest.raises(KeyboardInterrupt):
        embedded(run, seen)
    assert not list(run.index.glob("*.faiss"))
    assert len(list(run.index.glob("*.parts/*.part"))) == 2
    seen.clear()
    assert embedded(run, seen) == whole
    assert {total for _, total in seen} == {MARKS - 2 * PER_CHUNK}
    assert not list(run.index.glob("*.parts"))


@pytest.mark.slow
@pytest.mark.timeout(300)  # three interpreters load torch at once
def test_two_processes_export_the_bits_of_one(run: Run, whole: bytes) -> None:
    words = ["export", str(run.path), "--embeddings", "npy", "--device", "cpu"]
    done = together("-m", "cli", *words, "--checkpoint", "last")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(run.path / "export" / "last.npy")]
    assert index_file(run).read_bytes() == whole
    assert len(np.load(run.path / "export" / "last.npy")) == MARKS
    # An index that is there is not made again.
    before = index_file(run).stat().st_mtime_ns
    tmssl_in_process(*words, "--checkpoint", "last")
    assert index_file(run).stat().st_mtime_ns == before


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("killed", ["0", "1"])
def test_when_a_process_is_lost_the_same_command_embeds_only_the_rest(
    run: Run, whole: bytes, tmp_path: Path, killed: str
) -> None:
    words = ["-m", "tests.helpers.embedding_rank", str(run.path), str(tmp_path / "facts")]
    lost = together(*words, killed)
    assert lost.returncode != 0
    assert "the same command embeds the rest" in lost.stderr
    kept = len(list(run.index.glob("*.parts/*.part")))
    assert 1 <= kept < 4
    again = together(*words)
    assert again.returncode == 0, again.stderr
    assert index_file(run).read_bytes() == whole
    (left,) = json.loads((tmp_path / "facts").read_text())
    assert left <= MARKS - (kept - 1) * PER_CHUNK - 100
