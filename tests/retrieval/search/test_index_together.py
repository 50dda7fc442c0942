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
from tmssl.retrieval.index.regional import regional_files
from tmssl.retrieval.search.gallery import open_gallery
from tmssl.retrieval.search.indexing import index_run
from tmssl.runs.folder import Run
from tmssl.types import Progress

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


@pytest.fixture(scope="module")
def regions(trained: Run, whole: bytes, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """What one process makes of the regions of the marks without a pause: signs and bytes."""
    run = Run(Path(shutil.copytree(trained.path, tmp_path_factory.mktemp("regions") / "run")))
    tmssl_in_process(*export(run))
    assert index_file(run).read_bytes() == whole
    return regional_bytes(run)


def export(run: Run) -> list[str]:
    """The command that embeds whole marks and two regions of each."""
    words = ["--embeddings", "npy", "--views", "3", "--device", "cpu", "--checkpoint", "last"]
    return ["export", str(run.path), *words]


def regional_bytes(run: Run) -> list[bytes]:
    files = regional_files(index_file(run), 3)
    return [file.read_bytes() for file in (files.bits, files.codes)]


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


def open_regions(run: Run, phases: list[str], progress: Progress) -> None:
    """Open three vectors of each mark, embedded by this process where that was not done."""
    open_gallery(
        run, checkpoint="last", views=3, device="cpu", phase=phases.append, progress=progress
    )


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


def test_interrupted_regions_go_on_with_the_part_they_were_in(
    run: Run, regions: list[bytes]
) -> None:
    phases: list[str] = []
    totals: set[int] = set()

    def progress(done: int, total: int) -> None:
        if "regions" in phases[-1]:
            totals.add(total)
            if total == MARKS and done > 2 * PER_CHUNK:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_regions(run, phases, progress)
    assert len(list(run.index.glob("*-regions*.parts/*.part"))) == 2
    totals.clear()
    open_regions(run, phases, progress)
    assert totals == {MARKS - 2 * PER_CHUNK}
    assert regional_bytes(run) == regions
    assert not list(run.index.glob("*.parts"))


@pytest.mark.slow
@pytest.mark.timeout(300)  # three interpreters load torch at once
def test_two_processes_export_the_bits_of_one(run: Run, whole: bytes, regions: list[bytes]) -> None:
    exported = run.path / "export" / "last-views3.npy"
    done = together("-m", "cli", *export(run))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(exported)]
    assert index_file(run).read_bytes() == whole
    assert regional_bytes(run) == regions
    assert len(np.load(exported)) == MARKS
    assert not list(run.index.glob("*.parts"))
    # What is there is not made again.
    files = [index_file(run), regional_files(index_file(run), 3).codes]
    before = [file.stat().st_mtime_ns for file in files]
    tmssl_in_process(*export(run))
    assert [file.stat().st_mtime_ns for file in files] == before


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
