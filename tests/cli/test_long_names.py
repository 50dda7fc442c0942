"""Names longer than a file name may be are one line and exit code 2, wherever they are given."""

import sys
from pathlib import Path

import pytest

import tmssl
from cli.app import main
from tests.helpers.histories import step
from tests.helpers.marks import draw_marks
from tmssl.config import Config, write_config
from tmssl.errors import TmsslError
from tmssl.runs.folder import create_run
from tmssl.runs.journal import JournalWriter

NAME = "a" * 300
DEEP = "/".join(["b" * 200] * 30)
SMALL = "--model test_efficientnet --image-size 32 --hidden 64 --dimensions 16 --epochs 1"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a run and a folder of images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMSSL_CACHE", str(tmp_path / "cache"))
    draw_marks(tmp_path / "marks", 8)
    run = create_run(tmp_path / "runs", "r")
    write_config(Config(), run.config)
    journal = JournalWriter(run.journal)
    journal.write(step(1))
    journal.close()
    return tmp_path


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", [NAME, DEEP, "é" * 200], ids=["name", "path", "bytes"])
@pytest.mark.parametrize(
    "words",
    [
        "watch {}",
        "watch --once {}",
        "watch --runs {}",
        "report {}",
        "report r --out {}",
        "tail {}",
        "stop {}",
        "runs --runs {}",
        "eval --run {}",
        "search {}",
        "search marks/images/0000.png --run {}",
        "export {}",
        "export r --journal csv --out {}",
        "data {}",
        "data marks --images-under {}",
        "pack {}",
        "pack marks --image-size 32 --out {}",
        "import {}",
        "train --data {} " + SMALL,
        "train --data marks --name {} " + SMALL,
        "train --data marks --runs {} " + SMALL,
        "train --data marks --config {} " + SMALL,
        "train --data marks --init {} " + SMALL,
        "train --resume {}",
    ],
)
def test_a_name_that_no_file_can_have_is_one_line(
    words: str, name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tmssl", *words.format(name).split()])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capfd.readouterr()
    ended_quietly = words.startswith(("runs", "watch --runs")) and not ended.value.code
    assert ended.value.code == 2 or ended_quietly, said.err
    assert "Traceback" not in said.err
    assert all(len(line) < 1500 for line in said.err.splitlines())


@pytest.mark.usefixtures("here")
def test_the_longest_name_of_a_file_is_one_of_a_run(here: Path) -> None:
    run = create_run(here / "runs", "a" * 255)
    assert run.path.is_dir()
    assert len(tmssl.list_runs(here / "runs")) == 1  # it has begun nothing yet


@pytest.mark.parametrize("name", [NAME, DEEP])
def test_python_gets_the_named_error_too(name: str) -> None:
    for call in (tmssl.open_run, tmssl.read_history, tmssl.open_pack, tmssl.load_encoder):
        with pytest.raises(TmsslError):
            call(name)
