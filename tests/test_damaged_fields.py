"""Any field of any JSON file of a run may hold anything: each command says a sentence, and no more."""

import json
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.app import app
from tests.helpers.tiny_run import tiny_run
from tmssl.errors import TmsslError
from tmssl.retrieval.evaluation.evaluate import evaluate
from tmssl.runs.folder import Run
from tui.matches.evaluations import head_lines, load_evaluation

_VALUES = [
    "null",
    '"x"',
    "-1",
    "1e308",
    "-1e300",
    "NaN",
    "Infinity",
    "1" + "0" * 400,
    "[]",
    "{}",
    "true",
    "0",
    "9" * 19,
    "253402300800",
    "5e-324",
]
_MARK = "@@here@@"
Place = tuple[str | int, ...]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained, evaluated and searched, in `runs/r`."""
    folder = tmp_path_factory.mktemp("fields")
    run = tiny_run(folder)
    evaluate(run, topk=[5, 10])
    logo = folder / "marks" / "images" / "0000.png"
    assert run_command("search", str(logo), "--run", str(run.path), "--json") == 0
    return folder


def run_command(*words: str) -> int:
    """The exit code of `tmssl WORDS`, which ends in it or in a sentence, and never writes NaN as JSON."""
    done = CliRunner().invoke(app, [*words])
    if isinstance(done.exception, TmsslError):
        assert len(str(done.exception).splitlines()) == 1
        return done.exception.exit_code
    assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
    assert done.exit_code in (0, 1, 2)
    if "--json" in words:
        assert "NaN" not in done.stdout
        assert "Infinity" not in done.stdout
    return done.exit_code


def places(tree: Any, prefix: Place = ()) -> Iterator[Place]:
    """The place of each field of a JSON value; of lists the first two items."""
    items: Sequence[tuple[str | int, Any]] = []
    if isinstance(tree, dict):
        items = list(tree.items())[:40]
    elif isinstance(tree, list):
        items = list(enumerate(tree))[:2]
    for key, value in items:
        yield (*prefix, key)
        yield from places(value, (*prefix, key))


def with_value(line: str, place: Place, value: str) -> str:
    """A line of JSON with one field replaced by other text."""
    tree = json.loads(line)
    inside = tree
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = _MARK
    return json.dumps(tree).replace(f'"{_MARK}"', value)


def drawn(path: Path, count: int, seed: int) -> Iterator[str]:
    """The content of a file with one field replaced, of every field and value or of some drawn ones."""
    lines = path.read_text("utf-8").splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    choices = [
        (number, place, value)
        for number, line in enumerate(lines)
        for place in places(json.loads(line))
        for value in _VALUES
    ]
    random.Random(seed).shuffle(choices)
    for number, place, value in choices[:count]:
        changed = [*lines]
        changed[number] = with_value(lines[number], place, value)
        yield "\n".join(changed) + "\n"


def look(run: Run) -> None:
    """Look at the evaluations as the monitor does."""
    for height in (20, 60):
        loaded = load_evaluation(run.eval, -1)
        for at in range(len(loaded.evaluations)):
            head_lines(loaded.evaluations, at, 80, height)


def read_with(run: Run, pattern: str, world: Path) -> None:
    """What reads the files of a pattern."""
    name, runs = str(run.path), str(run.path.parent)
    logo = str(world / "marks" / "images" / "0000.png")
    if pattern == "metrics.jsonl":
        run_command("tail", "--run", name, "--no-follow", "-n", "1000")
        run_command("report", "--run", name, "-o", "-")
        run_command("watch", name, "--once", "--json")
        run_command("watch", name, "--once")
        run_command("export", "--run", name, "--journal", "csv", "-o", str(run.path / "x.csv"))
    elif pattern == "lock":
        run_command("watch", name, "--once", "--json")
        run_command("stop", name, "--timeout", "0")
    elif pattern.startswith("index"):
        run_command("search", logo, "--run", name, "--json")
    elif pattern.startswith(("eval/references", "eval/duplicates")):
        run_command("eval", name, "-k", "5", "10", "--json")
    elif pattern.startswith("eval"):
        look(run)
    else:
        run_command("report", "--run", name, "-o", "-")
    run_command("runs", "--runs", runs, "--json")


KINDS = [
    "metrics.jsonl",
    "lock",
    "checkpoints/*.json",
    "index/*.card.json",
    "index/digests.json",
    "eval/epoch-*.json",
    "eval/*.matches.jsonl",
    "eval/references-*.json",
    "eval/duplicates-*.json",
]


def try_all(world: Path, folder: Path, pattern: str, count: int, seed: int) -> None:
    """Replace drawn fields of a file one by one, and read the run with each."""
    shutil.copytree(world / "runs", folder / "runs", symlinks=True)
    run = Run(folder / "runs" / "r")
    path = sorted(run.path.glob(pattern))[0]
    whole = path.read_bytes()
    for content in drawn(path, count, seed):
        path.write_text(content)
        read_with(run, pattern, world)
        path.write_bytes(whole)
    assert run_command("report", "--run", str(run.path), "-o", "-") == 0


@pytest.mark.parametrize(
    "pattern", ["metrics.jsonl", "lock", "checkpoints/*.json", "eval/epoch-*.json"]
)
def test_some_fields_of_a_run_hold_anything(world: Path, tmp_path: Path, pattern: str) -> None:
    try_all(world, tmp_path, pattern, 3, 1)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("pattern", KINDS)
def test_many_fields_of_a_run_hold_anything(world: Path, tmp_path: Path, pattern: str) -> None:
    # A changed card is made again, from the weights.
    count = (
        15 if "card" in pattern else 40 if pattern.startswith(("eval/r", "eval/d", "m")) else 150
    )
    try_all(world, tmp_path, pattern, count, 2)


_ABSURD = [
    '{"kind":"step","step":1e300,"epoch":1,"loss":4,"t":1}',
    '{"kind":"step","step":9007199254740992,"epoch":1e9,"loss":1e308,"lr":1e308,"t":253402300799}',
    '{"kind":"step","step":3,"epoch":-5,"loss":4,"t":-9e18}',
    '{"kind":"step","step":4,"epoch":1,"loss":-1e308,"ce":Infinity,"step_s":1e308,"img_s":1e308,"t":9e18}',
    '{"kind":"step","step":5,"epoch":0.1,"loss":5e-324,"data_s":1e308,"step_s":5e-324,"mem_gib":-1e308,"t":2}',
    '{"kind":"epoch","epoch":-1,"step":2,"loss":4,"t":1}',
    '{"kind":"epoch","epoch":9007199254740992,"step":2,"loss":1e308,"seconds":1e308,"t":253402300799}',
    '{"kind":"segment","number":9007199254740992,"step":9007199254740992,"epochs":9007199254740992,'
    '"steps_per_epoch":9007199254740992,"chance":1e308,"solved":-1e308,"config":{"train":{"price_per_hour":1e308}}}',
    '{"kind":"segment","number":0,"step":0,"epochs":3,"steps_per_epoch":1,"chance":5e-324,"lr_after":NaN,'
    '"config":{"optim":{"lr":1e308,"warmup_epochs":1e308},"train":{"epochs":"x","batch_size":1e308}}}',
    '{"kind":"views","done":9007199254740992,"total":1,"seconds_left":1e308,"gib":1e308}',
    '{"kind":"eval","epoch":1e9,"queries":9007199254740992,"scores":[{"metric":"hit","level":"division",'
    '"codes":"figurative","k":10,"value":1e6,"chance":-1e6,"low":-1e6,"high":1e6,"queries":9007199254740992}]}',
    '{"kind":"checkpoint","step":9007199254740992,"epoch":1e9,"seconds":-1e308}',
    '{"kind":"end","status":"finished","t":253402300799}',
]


@pytest.mark.parametrize("last", range(1, len(_ABSURD) + 1, 3))
def test_a_journal_of_absurd_values_is_read_by_every_command(tmp_path: Path, last: int) -> None:
    run = Run(tmp_path / "runs" / "r")
    run.path.mkdir(parents=True)
    run.config.write_text("")
    begin = '{"kind":"segment","number":0,"step":0,"epochs":9,"steps_per_epoch":4,"chance":5}'
    run.journal.write_text("\n".join([begin, *_ABSURD[:last], *_ABSURD[last - 3 : last]]) + "\n")
    read_with(run, "metrics.jsonl", tmp_path)
