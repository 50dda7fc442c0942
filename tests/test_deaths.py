"""A command that dies at any of its file operations, given again, ends as if it had never died.

Every operation on files is tried, and every write also half done; of more than three writes in a row to one
file, the first, the second and the last (all of them with TMSSL_EVERY_WRITE=1). What a death leaves is compared with what an undisturbed command
leaves: nothing may be missing, nothing more may stay, and every loss is the same.
"""

import dataclasses
import os
import random
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.command import COMMAND, environment
from tests.helpers.deaths.client import Commands, Ended, commands, copied, names
from tests.helpers.marks import draw_marks
from tests.helpers.training import history_of, losses
from tests.helpers.waiting import wait_for
from tmssl.data.pack.reader import open_pack
from tmssl.data.pack.searched import searched_pack
from tmssl.runs.checkpoints import valid_checkpoints
from tmssl.runs.folder import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SETTINGS = (
    "--model test_efficientnet --hidden 32 --dimensions 16 --image-size 32 --batch-size 8 --log-every 1 "
    "--device cpu --lr 0.05 --optimizer sgd --temperature 0.2 --momentum 0.99 --init none --features pooled "
    "--train all --deterministic --keep-every 1"
)
HEAD = (
    "--features grid --train head --stages 4 --grid 2 --whiten 8 --views mild --set cached_views=2"
)
IN_A_ROW = 3
EVERY_WRITE = "TMSSL_EVERY_WRITE" in os.environ
SLICES = {
    "start": 4,
    "resume": 4,
    "eval": 3,
    "search": 1,
    "pack": 2,
    "views": 4,
    "add": 1,
    "remove": 1,
}
SAMPLED = {"add": 20, "remove": 10}  # moments, drawn at random


@dataclasses.dataclass(frozen=True)
class Command:
    """A command, and the folder as it finds it and leaves it."""

    words: str
    before: Path
    after: Path
    ended: Ended


@dataclasses.dataclass(frozen=True)
class World:
    """Commands, and what each does when nothing disturbs it."""

    folder: Path
    server: Commands
    known: dict[str, Command]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("deaths").resolve()
    marks = draw_marks(folder / "marks", 24, validation=8)
    start = f"train --data {marks} {SETTINGS} --runs runs --name a --epochs 1"
    with commands(folder, folder / "cache") as server:
        nothing, begun = folder / "nothing", folder / "begun"
        nothing.mkdir()
        packed = folder / "packed"
        known = {"pack": f"pack {marks} --image-size 32 --out p", "start": start}
        known |= {"resume": "train --resume --run runs/a --epochs 2", "eval": "eval runs/a"}
        known["search"] = f"search {marks}/images/0001.png --run runs/a"
        (folder / "begun").mkdir()
        assert server.run(begun, start).code == 0
        shutil.copytree(folder / "cache", packed / "cache")
        known["views"] = f"{start} {HEAD}"
        more = draw_marks(folder / "more", 12, first=24)
        known |= {"add": f"add {more} --run runs/a", "remove": "remove m3 --run runs/a"}
        done = {}
        for name, words in known.items():
            before = {
                "pack": nothing,
                "start": nothing,
                "views": packed,
                "remove": folder / "add-undisturbed",
            }.get(name, begun)
            after = copied(before, folder / f"{name}-undisturbed")
            ended = server.run(after, words)
            assert ended.code == 0, ended.said
            done[name] = Command(words, before, after, ended)
        yield World(folder, server, done)


def moments(operations: list[str]) -> list[tuple[int, bool]]:
    """The operations at which to die, numbered from 1, and whether half of the write is done."""
    chosen: list[tuple[int, bool]] = []
    for number, told in enumerate(operations, 1):
        around = [operations[n - 1 : n] for n in (number - 2, number - 1, number + 1)]
        inside = told.startswith("write ") and around == [[told]] * IN_A_ROW and number > IN_A_ROW
        if inside and not EVERY_WRITE:
            continue
        chosen.append((number, False))
        if told.startswith("write ") and [told] not in around[:2]:
            chosen.append((number, True))
    return chosen


def complaints(command: Command, folder: Path, again: Ended) -> list[str]:
    """What is not as it would be without the death."""
    left, wanted = without_digests(names(folder)), without_digests(names(command.after))
    found = [f"more: {name}" for name in left - wanted] + [
        f"less: {name}" for name in wanted - left
    ]
    run, whole = Run(folder / "runs" / "a"), Run(command.after / "runs" / "a")
    found += galleries(run, whole)
    if whole.journal.exists() and run.journal.exists():
        history, undisturbed = history_of(run), history_of(whole)
        told = {
            "losses": losses(run) != losses(whole),
            "evaluations": {e.step for e in history.evals} != {e.step for e in undisturbed.evals},
            "checkpoints": saved(run) != saved(whole),
            "latest": (folder / "runs" / "latest").resolve() != run.path,
            "end": history.end != undisturbed.end
            and getattr(history.end, "status", "") != "finished",
        }
        found += [f"another {what}" for what, differs in told.items() if differs]
    if again.code:
        found.append(f"exit code {again.code}: {again.said.splitlines()[-1:]}")
    return found


def galleries(run: Run, whole: Run) -> list[str]:
    """What differs between the marks and vectors that two runs search."""
    found = []
    for one in whole.index.glob("*.faiss"):
        other = run.index / one.name
        if other.exists() and other.read_bytes() != one.read_bytes():
            found.append(f"other vectors in {one.name}")
    if (whole.path / "gallery").exists():
        folders = [searched_pack(one) for one in (whole, run)]
        packs = [open_pack(folder) for folder in folders]
        if (
            packs[0].info.fingerprint != packs[1].info.fingerprint
            or packs[0].marks != packs[1].marks
        ):
            found.append("other marks")
        elif (packs[0].read(range(packs[0].count)) != packs[1].read(range(packs[1].count))).any():
            found.append("other pixels")
    return found


def without_digests(found: set[str]) -> set[str]:
    """The names of cached views, which tell where a pack and a run lie, are not those of another folder."""
    return {
        re.sub(r"[0-9a-f]{16}", "#", name) if name.startswith("cache/") else name for name in found
    }


def saved(run: Run) -> list[tuple[int, str]]:
    """The step and name of every whole checkpoint."""
    return [(step, path.name) for step, path in valid_checkpoints(run.checkpoints)]


def given_again(world: World, command: Command, folder: Path) -> Ended:
    """The same command once more; a start that had begun is refused, and goes on with --resume-if-any.

    Where the trainer went on after the command that had started it died, nothing is left to do.
    """
    again = world.server.run(folder, command.words)
    if again.code == 2 and "exists already" in again.said:
        again = world.server.run(folder, f"{command.words} --resume-if-any")
    if again.code == 2 and "epochs already" in again.said:
        again = dataclasses.replace(again, code=0)
    return again


@pytest.mark.parametrize(
    ("name", "part"), [(name, part) for name, parts in SLICES.items() for part in range(parts)]
)
def test_a_command_that_died_at_any_file_operation_works_when_it_is_given_again(
    world: World, name: str, part: int
) -> None:
    command, failed = world.known[name], []
    chosen = moments(command.ended.operations)[part :: SLICES[name]]
    if name in SAMPLED and not EVERY_WRITE:
        chosen = sorted(random.Random(0).sample(chosen, SAMPLED[name]))
    for number, torn in chosen:
        folder = copied(command.before, world.folder / "tried")
        first = world.server.run(folder, command.words, die_at=number, torn=torn)
        again = given_again(world, command, folder)
        if first.code == 1 and "SIGKILL" not in first.said:
            failed.append(f"{number}: nothing says that the trainer was killed: {first.said}")
        told = complaints(command, folder, again)
        if told:
            at = first.operations[number - 1 : number]
            failed.append(f"{number} {'half ' * torn}{at} died={first.died}: {told}")
    shutil.rmtree(world.folder / "tried")
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("name", ["start", "resume"])
def test_of_several_at_once_exactly_one_says_that_it_won(world: World, name: str) -> None:
    command = world.known[name]
    folder = copied(command.before, world.folder / "at-once")
    every = world.server.run_at_once(folder, command.words, 4)
    assert sorted(one.code for one in every) == [0, 2, 2, 2], every
    for one in every:
        refusals = ("is being trained", "exists already", "epochs already")
        assert any(words in one.said for words in refusals) == bool(one.code), one.said
    winner = next(one for one in every if not one.code)
    assert complaints(command, folder, winner) == []


def test_two_starts_in_one_second_without_a_name_never_share_a_run(world: World) -> None:
    words = world.known["start"].words.replace(" --name a", "")
    folder = copied(world.known["start"].before, world.folder / "unnamed")
    every = world.server.run_at_once(folder, words, 3)
    made = [path for path in (folder / "runs").iterdir() if not path.is_symlink()]
    assert len(made) == sum(one.code == 0 for one in every) >= 1
    for path in made:
        assert len(history_of(Run(path)).segments) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_a_foreground_command_is_its_trainers_and_is_waited_for(
    world: World, number: signal.Signals
) -> None:
    words = world.known["start"].words.replace("--epochs 1", "--epochs 4000")
    folder = copied(world.known["start"].before, world.folder / "signalled")
    ended = world.server.signal(folder, words, number, "epoch 3:")
    assert ended.code == 128 + number, ended.said
    assert "resume with: tmssl train --resume" in ended.said
    history = history_of(Run(folder / "runs" / "a"))
    assert history.end is not None
    assert history.end.status == "stopped"
    last = history.checkpoints[-1]
    assert (last.step, last.reason) == (history.end.step, "stop")


def test_as_process_1_of_a_container_a_signal_stops_the_trainer_with_a_checkpoint(
    world: World,
) -> None:
    """A real command: process 1 has no default handlers, and no parent that reaps for it."""
    unshare = ["unshare", "-U", "-r", "-p", "-f", "--mount-proc", "--kill-child"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*unshare, "true"], check=False).returncode
    ):
        pytest.skip("this machine lets no process have a namespace of its own")
    words = world.known["start"].words.replace("--epochs 1", "--epochs 4000").split()
    folder = copied(world.known["start"].before, world.folder / "contained")
    variables = environment(TMSSL_CACHE=str(world.folder / "cache"))
    command = [*unshare, *COMMAND, *words]
    with subprocess.Popen(command, cwd=folder, env=variables, stderr=subprocess.PIPE) as outside:
        run = Run(folder / "runs" / "a")
        wait_for(lambda: run.journal.exists() and history_of(run).step > 3, outside)
        (first,) = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
        os.kill(int(first), signal.SIGTERM)
        assert outside.wait(60) == 128 + signal.SIGTERM
    history = history_of(run)
    assert history.end is not None
    assert history.end.status == "stopped"
    assert history.checkpoints[-1].step == history.end.step
