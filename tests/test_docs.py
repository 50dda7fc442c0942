"""README, help and code tell the same truth."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import COMMAND, environment
from tests.helpers.marks import draw_marks
from tests.helpers.own_data import write_forms
from tests.helpers.waiting import DEADLINE_S, wait_for
from tmssl.config import read_config
from tmssl.recipes import recipe_names, recipe_path
from tmssl.runs.events import field_table
from tmssl.runs.sweep.grid import parse_sweep, plan_runs
from tui.app import WatchApp
from tui.bindings import LIVE, MATCHES, TABLES, entries, help_lines, key_names
from tui.live.findings import FindingsScreen
from tui.live.overlay import OverlayDialog
from tui.live.screen import LiveScreen
from tui.matches.screen import MatchesScreen
from tui.pictures.card import PictureCard
from tui.runs.column_dialog import ColumnDialog
from tui.runs.dialogs import EvaluateDialog, ResumeDialog, StopDialog
from tui.runs.screen import RunsScreen
from tui.runs.start_form import StartForm
from tui.search.crop_screen import CropScreen
from tui.search.screen import SearchScreen
from tui.widgets.text_screen import TextScreen

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in [*(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md"]
)

# What makes a documented command small enough for a test, and nothing else.
_TINY = "--model test_efficientnet --hidden 32 --dimensions 16 --image-size 32 --batch-size 8 --chunk-size 0 --device cpu --init none --stages 1,2"
SMALL = {
    "train --data my-marks --epochs 30": f"{_TINY} --epochs 1",
    "train --data my-marks --epochs 30 --schedule wsd": f"{_TINY} --epochs 2",
    "train --branch runs/latest --epochs 40": "--epochs 3",
    "train --data my-marks --find-lr": _TINY,
    "train --recipe toy --data my-marks --batch-size 256 --find-lr": _TINY,
    "train --data my-marks --epochs 100 --eval-every 2 --stop-when figurative-map:5": f"{_TINY} --epochs 2",
    "train --data my-marks --epochs 30 --detach": f"{_TINY} --epochs 1 --name second",
    "train --recipe single-4090 --data my-marks": f"{_TINY} --epochs 1",
    "train --data my-marks --positives instance=0.7,group=0.3": f"{_TINY} --epochs 1",
    "train --epochs 50 --resume": "--epochs 4",
    "train --data my-marks --teacher timm:tf_efficientnet_lite0 --teacher-share 0.5": f"{_TINY} --epochs 1",
    "train --data my-marks --dry-run": f"{_TINY} --epochs 1",
    "train --data my-marks --name mine --epochs 30 --resume-if-any --detach": f"{_TINY} --epochs 3",
    "train --resume": "--epochs 2",
    "pack my-marks": "--image-size 32",
    "pack my-marks --lettering": "--image-size 32",
    "pack l3d --image-size 224": "--image-size 32",
    "train --data l3d --dry-run": f"{_TINY} --epochs 1",
    "train --recipe single-4090 --data l3d --detach": f"{_TINY} --epochs 3",
    "train --resume --epochs 60": "--epochs 5",
    "train --recipe several-gpus --data my-marks --gpus 2 --detach": f"{_TINY} --epochs 1",
    "train --resume --gpus 1": "--epochs 3",
    "eval --index IVF1024,SQ8;nprobe=32": "--index 'IVF4,SQ8;nprobe=4'",
    "demo": "--marks 300 --epochs 1",
    "train --recipe toy --data my-marks --epochs 2": f"{_TINY} --epochs 1",
    "eval --whiten 256 --topk 10": "--whiten 8",
}

SWEEP = """
data = { source = "my-marks", image_size = 32 }
model = { name = "test_efficientnet", init = "none", hidden = 32, dimensions = 16 }
train = { epochs = 1, batch_size = 8, device = "cpu" }
grid = { seed = [0, 1] }
"""


def documented(text: str = README) -> list[str]:
    """Every `tmssl ...` line of a page's shell blocks, in order, and those in the text."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    told = [line.split("#")[0] for block in blocks for line in block.splitlines()]
    lines = [part.strip() for line in told for part in line.split("&&")]
    inline = re.findall(r"`(tmssl [^`]+)`", text)
    return [line for line in [*lines, *inline] if line.startswith("tmssl ")]


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=environment(TMSSL_CACHE=str(folder / "cache")),
        timeout=DEADLINE_S,
    )


def what_a_user_has(folder: Path) -> None:
    """The files that pages speak of."""
    draw_marks(folder / "my-marks", 40, validation=8)
    shutil.copytree(ROOT / "runs" / "training-log", folder / "runs" / "training-log")
    (folder / "grid.toml").write_text(SWEEP)
    (folder / "old.log").write_text("Epoch 1 complete. Avg Loss: 7.0350\n")
    shutil.copy(folder / "my-marks" / "images" / "0004.png", folder / "new-logo.png")
    draw_marks(folder / "new-marks", 6, first=40)
    (folder / "my-portfolio").mkdir()
    shutil.copy(folder / "new-logo.png", folder / "my-portfolio")
    table = (folder / "my-marks" / "labels.csv").read_text().splitlines()
    dated = [f"{table[0]},added", *(f"{line},2026-11-05" for line in table[1:])]
    (folder / "my-marks" / "labels.csv").write_text("\n".join([*dated, ""]))


@pytest.mark.slow
@pytest.mark.timeout(600)  # a busy machine takes its time
def test_every_documented_command_runs(tmp_path: Path) -> None:
    what_a_user_has(tmp_path)
    commands = documented()
    assert len(commands) >= 10
    run_all(commands, tmp_path)


def run_all(commands: list[str], tmp_path: Path) -> None:
    """Run documented commands in their order, each once, made small; each must succeed."""
    for command in dict.fromkeys(commands):
        words = [*shlex.split(command)[1:]]
        words += shlex.split(SMALL.get(" ".join(words), ""))
        done = run(words, tmp_path)
        stopping = words[0] == "stop" and "not being trained" in done.stderr
        found = "--above" in words and done.returncode == 3
        assert done.returncode == 0 or stopping or found, (command, done.stderr)
        if "--detach" in words:
            run(["stop"], tmp_path)
    shutil.rmtree(tmp_path / "cache")


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", PAGES)
def test_every_command_of_a_page_runs(tmp_path: Path, name: str) -> None:
    what_a_user_has(tmp_path)
    rows = []
    for i, path in enumerate(sorted((tmp_path / "my-marks" / "images").iterdir())):
        (tmp_path / "l3d").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "l3d" / f"{i:04d}-abc.jpg")
        rows.append(
            {"file": f"{i:04d}-ABC.JPG", "text": "", "vienna_codes": ["03.01"], "year": 2019}
        )
    (tmp_path / "l3d" / "results.json").write_text(json.dumps(rows))
    begun = run(["train", "--data", "my-marks", "--epochs", "1", *shlex.split(_TINY)], tmp_path)
    assert begun.returncode == 0, begun.stderr
    write_forms(tmp_path)
    commands = documented((ROOT / name).read_text("utf-8"))
    run_all(commands, tmp_path)


def test_pages_are_linked_and_their_links_lead_somewhere() -> None:
    for name in PAGES:
        assert name in README, name
        for path in re.findall(r"\]\(([^):#]+)\)", (ROOT / name).read_text("utf-8")):
            assert ((ROOT / name).parent / path).exists(), (name, path)


@pytest.mark.slow
def test_the_monitor_stays_in_tmux(tmp_path: Path) -> None:
    line = next(told for told in re.findall(r"`(tmux [^`]+)`", README) if "watch" in told)
    shutil.copytree(ROOT / "runs" / "training-log", tmp_path / "runs" / "latest")
    (tmp_path / "tmssl").write_text(f'#!/bin/sh\nexec {sys.executable} -m cli "$@"\n')
    (tmp_path / "tmssl").chmod(0o755)
    tmux = ["tmux", "-L", f"tmssl-{os.getpid()}", "-f", "/dev/null"]
    words = shlex.split(line)[1:]
    subprocess.run(
        [*tmux, words[0], "-d", "-x", "100", "-y", "30", *words[1:]],
        cwd=tmp_path,
        env=environment(PATH=f"{tmp_path}:{os.environ['PATH']}"),
        check=True,
    )
    try:
        pane = [*tmux, "capture-pane", "-p"]
        wait_for(lambda: b"epoch" in subprocess.run(pane, capture_output=True, check=False).stdout)
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


def test_the_sweep_that_is_shown_makes_six_runs() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "sweeps.md").read_text(), re.S)
    for text, runs in ((block, 6), (block.replace("\n# ", "\n"), 6)):
        sweep = parse_sweep(tomllib.loads(text))
        assert len(plan_runs(sweep, read_config(recipe_path(sweep.recipe)))) == runs


def test_the_field_table_is_the_codes() -> None:
    page = (ROOT / "docs" / "journal.md").read_text("utf-8")
    begin = page.index("<!-- made by tmssl.runs.events.field_table()")
    block = page[page.index("\n", begin) + 1 : page.index("<!-- end -->")]
    assert block.strip() == field_table()


def test_every_recipe_is_named() -> None:
    for name in recipe_names():
        assert f"`{name}`" in README


def test_the_monitors_page_has_keys_of_the_tables() -> None:
    page = (ROOT / "docs" / "monitor.md").read_text("utf-8")
    keys = {key_names(entry)[0] for entry in entries([*LIVE, *MATCHES])}
    rows = re.findall(r"^\| `(.)` \|", page, re.M)
    assert len(rows) >= 5
    assert set(rows) <= keys
    told = "\n".join(help_lines())
    for entry in entries([*LIVE, *MATCHES]):
        assert entry.tooltip in told


def test_pictures_exist_and_openmoji_is_named() -> None:
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / path).is_file()
    assert "OpenMoji" in README
    assert "CC BY-SA 4.0" in README


def test_no_machine_is_named_in_what_is_told() -> None:
    for path in [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *(ROOT / name for name in PAGES),
        *(ROOT / "tmssl" / "recipes").glob("*.toml"),
    ]:
        assert not re.search(r"/(work|tmp|root|home)/", path.read_text("utf-8"))


def test_every_screen_binds_its_table_and_every_action_exists() -> None:
    screens: list[Any] = [
        WatchApp,
        LiveScreen,
        OverlayDialog,
        RunsScreen,
        ColumnDialog,
        MatchesScreen,
        FindingsScreen,
        TextScreen,
        StartForm,
        StopDialog,
        ResumeDialog,
        EvaluateDialog,
        PictureCard,
        SearchScreen,
        CropScreen,
    ]
    tables = [table for _, table in TABLES]
    assert sorted(map(str, (screen.BINDINGS for screen in screens))) == sorted(map(str, tables))
    for screen in screens:
        table = entries(screen.BINDINGS)
        assert len(table) == len(screen.BINDINGS)
        keys = {key.strip() for entry in table for key in entry.key.split(",")}
        assert len(keys) == sum(len(entry.key.split(",")) for entry in table)
        for entry in table:
            place, _, name = entry.action.partition("(")[0].rpartition(".")
            owner = WatchApp if place == "app" else screen
            assert hasattr(owner, f"action_{name}"), entry
