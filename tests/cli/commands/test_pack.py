"""`tmssl pack` as a person meets it: words on stderr, data on stdout, and nothing lost on the way."""

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import termios
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.packing import prepare_pack
from tests.helpers.command import environment, read_terminal, start, tmssl
from tests.helpers.marks import draw_marks
from tests.helpers.waiting import DEADLINE_S, wait_for
from tmssl.config import DataConfig
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.reader import open_pack


def packed(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    return tmssl(folder, "pack", *words, code=code)


def many(folder: Path, count: int = 1100, side: int = 300) -> Path:
    """Many files of one image that takes a while to decode."""
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "0000.png", compress_level=0)
    for i in range(1, count):
        (folder / f"{i:04d}.png").hardlink_to(folder / "0000.png")
    return folder


def test_it_tells_what_the_join_lost_and_what_was_left_out_then_the_facts(tmp_path: Path) -> None:
    marks = draw_marks(tmp_path / "marks", 12)
    (marks / "images" / "broken\x1b[31m.png").write_bytes(b"not an image")
    (marks / "images" / "0003.png").unlink()
    first = packed(tmp_path, "marks", "--image-size", "32")
    assert "12 label rows, 11 joined to an image" in first.stderr
    assert "1 label without an image: images/0003.png" in first.stderr
    assert re.search(
        r"1 image left out, such as images/broken.*\(not an image of a known", first.stderr
    )
    assert "\x1b" not in first.stderr
    facts = dict(line.split(maxsplit=1) for line in first.stdout.splitlines())
    assert (facts["images"], facts["quarantined"], facts["decoded"]) == ("11", "1", "12")
    assert float(facts["images_s"]) > 0
    assert open_pack(Path(facts["folder"])).count == 11
    again = packed(tmp_path, "marks", "--image-size", "32", "--json")
    assert "already packed" in again.stderr
    told = json.loads(again.stdout)
    assert (told["folder"], told["decoded"], told["images_s"]) == (facts["folder"], 0, None)


def test_the_folder_may_be_chosen(tmp_path: Path) -> None:
    draw_marks(tmp_path / "marks", 3)
    told = json.loads(packed(tmp_path, "marks", "--out", "here", "--json").stdout)
    assert told["folder"] == str(tmp_path / "here")
    # Without a size it is what a training without one reads.
    assert told["size"] == pack_size(DataConfig().image_size)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "there is nothing at"),
        (["empty"], "no images in"),
        (["junk"], "none of 1 image can be read"),
        (["marks", "--out", "."], "exists and is not a pack"),
        (["marks", "--image-size", "8"], "--image-size"),
        (["marks", "--workers", "-1"], "--workers"),
    ],
)
def test_what_is_wrong_is_told_with_exit_code_2(
    tmp_path: Path, words: list[str], message: str
) -> None:
    draw_marks(tmp_path / "marks", 2)
    (tmp_path / "empty").mkdir()
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "a.png").write_bytes(b"x")
    done = packed(tmp_path, *words, code=2)
    assert message in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_order_and_the_next_call_goes_on(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    many(tmp_path / "marks")
    words = ["pack", "marks", "--out", "p", "--workers", "2", "--image-size", "96"]
    with start(tmp_path, *words, start_new_session=True) as child:
        wait_for(lambda: list(tmp_path.glob("p.building/part-*.b2")), child)
        # A terminal sends Ctrl-C to the whole group, other processes only to the one they mean.
        (os.killpg if number == signal.SIGINT else os.kill)(child.pid, number)
        out, err = child.communicate(timeout=DEADLINE_S)
    assert child.returncode == code
    assert out == ""
    assert "Traceback" not in err
    assert "leaked" not in err
    assert not (tmp_path / "p").exists()
    done = packed(tmp_path, "marks", "--out", "p", "--image-size", "96", "--json")
    before = re.search(r"resuming: ([\d,]+) images packed earlier", done.stderr)
    assert before is not None
    facts = json.loads(done.stdout)
    assert facts["decoded"] == 1100 - int(before[1].replace(",", ""))
    assert facts["images"] == 1100


def test_a_lost_terminal_and_a_call_for_a_checkpoint_leave_it_at_work(tmp_path: Path) -> None:
    many(tmp_path / "marks")
    leader, follower = pty.openpty()
    words = ["pack", "marks", "--out", "p", "--workers", "2", "--image-size", "96"]
    with start(
        tmp_path,
        *words,
        stdin=follower,
        stderr=follower,
        stdout=follower,
        env=environment(TERM="xterm"),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as child:
        os.close(follower)
        while not list(tmp_path.glob("p.building/part-*.b2")):
            assert child.poll() is None
            os.read(leader, 65536)
        child.send_signal(signal.SIGUSR1)
        os.close(leader)  # as sshd does
        assert child.wait(DEADLINE_S) == 0
    assert open_pack(tmp_path / "p").count == 1100


def test_a_terminal_sees_a_bar_with_a_rate_and_gets_its_cursor_back(tmp_path: Path) -> None:
    many(tmp_path / "marks", 60, side=1400)
    leader, follower = pty.openpty()
    terminal = environment(TERM="xterm", COLUMNS="90")
    words = ["pack", "marks", "--image-size", "64"]
    with start(tmp_path, *words, stderr=follower, stdout=subprocess.DEVNULL, env=terminal) as child:
        os.close(follower)
        seen = read_terminal(leader)
    assert child.returncode == 0
    assert b"packing" in seen
    assert b"/s" in seen
    assert seen.rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l") >= 0


def test_training_gets_the_same_pack_from_the_same_function(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_marks(tmp_path / "marks", 5)
    pack, _ = prepare_pack(tmp_path / "marks", 32)
    assert (pack.count, pack.size) == (5, 48)
    told = capsys.readouterr()
    assert told.out == ""
    assert "5 label rows, 5 joined" in told.err
    assert prepare_pack(tmp_path / "marks", 32, workers=1)[0].folder == pack.folder


def test_lettering_is_read_once_and_told(tmp_path: Path) -> None:
    draw_marks(tmp_path / "marks", 3)
    words = ("marks", "--image-size", "32", "--lettering", "--json")
    told = json.loads(packed(tmp_path, *words).stdout)
    assert told["lettering_read"] == 3
    again = packed(tmp_path, *words)
    assert json.loads(again.stdout)["lettering_read"] == 0
    assert "lettering read already" in again.stderr
    assert Path(f"{told['folder']}.lettering").is_dir()


@pytest.mark.slow  # reads some hundred marks
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_lettering_that_was_interrupted_goes_on_behind_its_parts(
    tmp_path: Path, number: signal.Signals
) -> None:
    draw_marks(tmp_path / "marks", 100)
    words = ["pack", "marks", "--out", "p", "--image-size", "32", "--lettering", "--json"]
    with start(tmp_path, *words, "--workers", "1", start_new_session=True) as child:
        wait_for(lambda: list(tmp_path.glob("p.lettering/*/part-*.json")), child)
        os.killpg(child.pid, number)
        child.communicate(timeout=DEADLINE_S)
    assert child.returncode == (130 if number == signal.SIGINT else -number)
    before = len(list(tmp_path.glob("p.lettering/*/part-*.json")))
    assert before < 2
    told = json.loads(packed(tmp_path, *words[1:]).stdout)
    assert told["lettering_read"] == 100 - 64 * before
    assert not list(tmp_path.glob("p.lettering/*/.*"))
