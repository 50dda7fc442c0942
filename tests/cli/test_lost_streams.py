"""Standard streams that nobody reads or that take nothing: `| head`, a full disk, closed ones, for every command."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.lazy import COMMANDS
from tests.helpers.command import COMMAND, TINY, environment, tmssl
from tests.helpers.histories import step
from tests.helpers.marks import draw_marks
from tests.helpers.waiting import DEADLINE_S
from tmssl.config import Config, write_config
from tmssl.runs.folder import create_run, hold_lock, open_run
from tmssl.runs.journal import JournalWriter

RUN = "runs/r"
LIGHT = [
    "--help",
    "--version",
    "train --help",
    "completion bash",
    "runs",
    "runs --json",
    f"watch {RUN} --once",
    f"watch {RUN} --json",
    f"tail {RUN} --no-follow",
    f"report {RUN} -o -",
    f"report {RUN} -o report.md",
    f"export {RUN} --journal csv -o journal.csv",
    f"stop {RUN}",
    "watch nowhere",
    "train --nonsense",
]
FAST = ("runs --json", f"export {RUN} --journal csv -o journal.csv", "train --nonsense")
HEAVY = [
    f"eval {RUN} --topk 3 --html page.html",
    f"eval {RUN} --topk 3 --json",
    f"search marks/images/0001.png --run {RUN} --topk 3",
    f"search marks/images/0001.png --run {RUN} --topk 3 --json",
    f"search marks/images/0001.png --run {RUN} --topk 3 --csv",
    f"export {RUN} --embeddings npy -o vectors.npy --json",
    f"add more --run {RUN} --json",
    f"remove m24 --run {RUN} --json",
    "data marks",
    "data marks --json",
    "pack marks --image-size 32 --out pack --json",
    "doctor",
    "doctor --json",
    "sweep grid.toml",
    "import log.txt --name imported",
    "demo --marks 300 --epochs 1",
    f"train --data marks --epochs 1 --name again {' '.join(TINY)}",
]


def light_run(folder: Path) -> None:
    """A run with a journal, and nothing that was trained."""
    run = create_run(folder / "runs", "r")
    write_config(Config(), run.config)
    journal = JournalWriter(run.journal)
    for number in range(1, 4):
        journal.write(step(number))
    journal.close()


@contextmanager
def unread() -> Iterator[int]:
    """The end of a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def full() -> Iterator[int]:
    """A file on a full disk."""
    opened = os.open("/dev/full", os.O_WRONLY)
    yield opened
    os.close(opened)


def ended(folder: Path, words: str, stdout: int, stderr: int = subprocess.PIPE) -> tuple[int, str]:
    """Exit code and words of a command."""
    done = subprocess.run(
        [*COMMAND, *words.split()],
        cwd=folder,
        stdout=stdout,
        stderr=stderr,
        stdin=subprocess.DEVNULL,
        env=environment(),
        timeout=DEADLINE_S,
        check=False,
        text=True,
    )
    return done.returncode, done.stderr or ""


def check(folder: Path, words: str) -> None:
    """A command under each loss ends as it should, with at most a line more than without."""
    usual, said = ended(folder, words, subprocess.DEVNULL)
    with unread() as stream:
        assert ended(folder, words, stream)[0] == usual
    with full() as stream:
        code, told = ended(folder, words, stream)
        lines = [line for line in told.splitlines() if line not in said.splitlines()]
        assert "Traceback" not in told
        if usual == 0:
            assert code == 1
            assert "tmssl: standard output cannot be written: No space left on device" in lines
    for lost in (unread, full):
        with lost() as stream:
            assert ended(folder, words, subprocess.DEVNULL, stream)[0] == usual
    script = [*COMMAND, *words.split()]
    closed = subprocess.run(
        ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *script], cwd=folder, env=environment(), check=False
    )
    assert closed.returncode == usual


@pytest.mark.parametrize("words", FAST)
def test_a_command_ends_quietly_without_its_reader(tmp_path: Path, words: str) -> None:
    light_run(tmp_path)
    check(tmp_path, words)


@pytest.mark.slow
@pytest.mark.parametrize("words", [words for words in LIGHT if words not in FAST])
def test_every_light_command_ends_quietly_without_its_reader(tmp_path: Path, words: str) -> None:
    light_run(tmp_path)
    check(tmp_path, words)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with marks and a finished run."""
    folder = tmp_path_factory.mktemp("trained")
    draw_marks(folder / "marks", 24, validation=8)
    draw_marks(folder / "more", 3, first=24)
    (folder / "grid.toml").write_text(
        'data = { source = "marks", image_size = 32 }\n'
        'model = { name = "test_efficientnet", init = "none", hidden = 32, dimensions = 16 }\n'
        'train = { epochs = 1, batch_size = 8, device = "cpu" }\n'
        "grid = { seed = [0] }\n"
    )
    (folder / "log.txt").write_text("Epoch 1 complete. Avg Loss: 7.03\n")
    tmssl(folder, "train", "--data", "marks", "--epochs", "1", "--name", "r", *TINY)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("words", HEAVY)
def test_every_heavy_command_ends_quietly_without_its_reader(trained: Path, words: str) -> None:
    if words.startswith(
        ("import", "demo", "train", "sweep", "add", "remove")
    ):  # they begin a run or change what is searched, so once is enough
        with unread() as stream:
            assert ended(trained, words, stream)[0] == 0
    else:
        with unread() as stream:
            assert ended(trained, words, stream)[0] == 0
        with full() as stream:
            code, told = ended(trained, words, stream)
        assert code == 1
        assert told.splitlines()[-1].startswith("tmssl: standard output cannot be written: ")
    if "page.html" in words:
        assert (trained / "page.html").stat().st_size > 1000


def test_no_command_is_left_out() -> None:
    tried = {words.split()[0] for words in (*LIGHT, *HEAVY)}
    assert set(COMMANDS) <= tried


def test_a_tail_that_waits_ends_when_its_reader_has_gone(tmp_path: Path) -> None:
    light_run(tmp_path)
    reader, writer = os.pipe()
    with hold_lock(open_run(tmp_path / RUN)):
        process = subprocess.Popen(
            [*COMMAND, "tail", RUN], cwd=tmp_path, stdout=writer, env=environment()
        )
        os.close(writer)
        assert os.read(reader, 4) == b"step"
        os.close(reader)
        assert process.wait(DEADLINE_S) == 0
