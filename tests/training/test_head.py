"""Training the head alone, from cached views."""

import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.training import draw_pack, history_of, losses, new_run
from tests.helpers.waiting import wait_for
from tmssl.config import changed, read_config, write_config
from tmssl.errors import InputError
from tmssl.runs.events import Axes, Segment, Started, Views
from tmssl.runs.folder import Run, is_alive
from tmssl.runs.journal import read_journal
from tmssl.runs.launch import start_trainer, wait_until_begun
from tmssl.training.checkpoints.store import load_payload
from tmssl.training.features.store import BLOCK, FEATURES_FILE, FeatureStore, StoreShape
from tmssl.training.features.usage import build_lock, stored_views
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

MARKS = 5 * BLOCK // 2
HEAD: dict[str, object] = {
    "model.features": "grid",
    "model.train": "head",
    "model.stages": [1, 2],
    "model.grid": 2,
    "model.whiten": 12,
    "model.heads": "none",
    "batch_size": 32,
    "cached_views": 3,
    "optimizer": "adamw",
    "lr": 1e-3,
    "epochs": 3,
}
PER_EPOCH = MARKS // 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("head")
    draw_pack(folder, MARKS)
    return folder


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> Run:
    run = head_run(folder)
    assert train(run, SignalFlags()) == 0
    return run


def head_run(folder: Path, name: str = "", **settings: object) -> Run:
    return new_run(folder, folder / "pack", name, **{**HEAD, **settings})


def copied_world(folder: Path, target: Path) -> Path:
    """The pack alone, somewhere else, without the stores beside it."""
    shutil.copytree(folder / "pack", target / "pack")
    return target


def views_of(run: Run) -> list[Views]:
    return [event for event in read_journal(run.journal) if isinstance(event, Views)]


def store_of(run: Run) -> FeatureStore:
    return FeatureStore(Path(views_of(run)[-1].path), StoreShape(MARKS, 3, 24))


def head_of(run: Run) -> torch.Tensor:
    weights: torch.Tensor = load_payload(run.checkpoints / "last.pt")["encoder"]["head.weight"]
    return weights


def test_the_head_learns_and_the_rest_stays(undisturbed: Run) -> None:
    payload = load_payload(undisturbed.checkpoints / "last.pt")
    encoder = payload["encoder"]
    assert not torch.equal(encoder["head.weight"], torch.eye(24))
    assert set(payload["momentum_encoder"]) == {"weight"}
    assert float(encoder["stages.0.axes"].abs().sum()) > 0
    history = history_of(undisturbed)
    assert [step.step for step in history.steps] == list(range(1, 3 * PER_EPOCH + 1))
    assert history.epochs[0].seconds is not None
    assert history.views is not None
    assert history.views.seconds is not None
    assert history.epochs[0].seconds < history.views.seconds  # views are not part of the epoch


def test_views_are_journaled_from_none_to_all(undisturbed: Run) -> None:
    told = views_of(undisturbed)
    assert told[0].done == 0
    assert {event.total for event in told} == {3 * MARKS}
    assert told[-1].done == told[-1].total
    assert [event.done for event in told] == sorted(event.done for event in told)
    assert store_of(undisturbed).unsound().all == []


def test_a_long_fit_of_the_whitening_is_journaled_before_the_segment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmssl.training.trainer_journal._TOLD_S", 1e-9)
    run = head_run(copied_world(folder, tmp_path), epochs=1)
    train(run, SignalFlags())
    events = read_journal(run.journal)
    told = [event for event in events if isinstance(event, Axes)]
    assert [type(event) for event in events[: len(told) + 2]] == [
        *(Started, *[Axes] * len(told), Segment)
    ]
    assert [(axes.done, axes.total) for axes in told] == [
        (min(MARKS, done), MARKS) for done in range(32, MARKS + 32, 32)
    ]
    assert told[-1].seconds_left == 0


def test_a_cached_view_is_what_the_encoder_makes_of_it(undisturbed: Run, folder: Path) -> None:
    from tmssl.data.pack.reader import open_pack
    from tmssl.data.views.augment import augmented_view
    from tmssl.data.views.recipe import VIEW_SETS
    from tmssl.training.encoder.backbone import restored_encoder
    from tmssl.training.encoder.grid import GridEncoder

    config = read_config(undisturbed.config)
    state = load_payload(undisturbed.checkpoints / "last.pt")["encoder"]
    encoder = restored_encoder(config.model, state).eval()
    assert isinstance(encoder, GridEncoder)
    rows = np.array([0, 7, MARKS - 1])
    view = augmented_view(
        torch.from_numpy(open_pack(folder / "pack").read(rows)),
        rows,
        seed=config.train.seed,
        epoch=1,
        view=0,
        recipe=VIEW_SETS["logo"][0],
        size=32,
    )
    with torch.inference_mode():
        expected = encoder.describe(view).numpy()
    cached = store_of(undisturbed).read(rows, np.full(3, 2))
    np.testing.assert_allclose(cached.astype(np.float32), expected, atol=2e-3)


def test_a_second_run_finds_the_views_and_takes_the_same_steps(
    undisturbed: Run, folder: Path
) -> None:
    again = head_run(folder)
    train(again, SignalFlags())
    assert [event.found for event in views_of(again)] == [3 * MARKS]
    assert losses(again) == losses(undisturbed)


def test_views_that_are_computed_anew_give_the_same_steps(
    undisturbed: Run, folder: Path, tmp_path: Path
) -> None:
    again = head_run(copied_world(folder, tmp_path))
    train(again, SignalFlags())
    assert views_of(again)[0].found == 0
    assert losses(again) == losses(undisturbed)
    assert torch.equal(head_of(again), head_of(undisturbed))


class StopAfter(SignalFlags):
    """Flags that a signal sets after so many looks at them."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        super().__init__()

    @property
    def stop(self) -> signal.Signals | None:
        self.looks -= 1
        return signal.SIGTERM if self.looks < 0 else None

    @stop.setter
    def stop(self, value: signal.Signals | None) -> None:
        pass


@pytest.mark.parametrize("positives", ["group", "instance=0.2,group=0.5,vienna=0.3"])
def test_pairs_of_two_marks_come_from_cached_views_and_resume_where_they_were(
    undisturbed: Run, folder: Path, positives: str
) -> None:
    whole = head_run(folder, positives=positives)
    assert train(whole, SignalFlags()) == 0
    stopped = head_run(folder, positives=positives)
    assert train(stopped, StopAfter(9)) == 143
    assert train(stopped, SignalFlags()) == 0
    assert losses(stopped) == losses(whole)
    assert losses(whole) != losses(undisturbed)
    assert len(views_of(whole)) == 1  # the views of the undisturbed run serve


@pytest.mark.parametrize("looks", [2, 9, 20, 30])
def test_stopped_anywhere_it_goes_on_where_it_was(
    undisturbed: Run, folder: Path, tmp_path: Path, looks: int
) -> None:
    run = head_run(copied_world(folder, tmp_path))
    assert train(run, StopAfter(looks)) == 143
    history = history_of(run)
    assert history.end is not None
    assert history.end.status == "stopped"
    assert train(run, SignalFlags()) == 0
    assert losses(run) == losses(undisturbed)
    assert torch.equal(head_of(run), head_of(undisturbed))


def test_a_damaged_file_is_a_finding_and_made_whole(
    undisturbed: Run, folder: Path, tmp_path: Path
) -> None:
    world = copied_world(folder, tmp_path)
    first = head_run(world)
    train(first, SignalFlags())
    path = store_of(first).folder / FEATURES_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"garbage" + whole[len(whole) // 2 + 7 :])
    again = head_run(world)
    assert train(again, SignalFlags()) == 0
    found = [finding for finding in history_of(again).findings if finding.code == "views-damaged"]
    assert len(found) == 1
    assert "\n" not in found[0].text
    assert str(path.parent) in found[0].text
    assert path.read_bytes() == whole
    assert losses(again) == losses(undisturbed)


@pytest.mark.parametrize(
    "setting",
    [
        {"views": "mild"},
        {"seed": 4},
        {"image_size": 40},
        {"cached_views": 2},
        {"model.stages": [2, 3]},
        {"model.whiten": 8},
        {"model.grid": 3},
        {"normalization": "imagenet"},
        {"precision": "bfloat16"},
    ],
    ids=str,
)
def test_other_settings_never_take_stale_views(
    undisturbed: Run, folder: Path, setting: dict[str, object]
) -> None:
    changes: dict[str, Any] = {"epochs": 1, **setting}
    run = head_run(folder, **changes)
    train(run, SignalFlags())
    if setting == {"normalization": "imagenet"}:  # the test model's own statistics are these
        assert views_of(run)[0].path == views_of(undisturbed)[0].path
        return
    assert views_of(run)[0].found == 0
    assert views_of(run)[0].path != views_of(undisturbed)[0].path


def test_other_weights_never_take_stale_views(
    undisturbed: Run, folder: Path, tmp_path: Path
) -> None:
    other = head_run(folder, seed=9, epochs=1)
    train(other, SignalFlags())
    run = head_run(folder, init=str(other.path), epochs=1)
    train(run, SignalFlags())
    assert views_of(run)[0].found == 0


def test_a_changed_view_set_removes_the_views_that_nobody_needs(
    folder: Path, tmp_path: Path
) -> None:
    world = copied_world(folder, tmp_path)
    run = head_run(world, epochs=1)
    train(run, SignalFlags())
    old = store_of(run).folder
    write_config(changed(read_config(run.config), {"views": "mild", "epochs": 2}), run.config)
    train(run, SignalFlags())
    removed = [f.text for f in history_of(run).findings if f.code == "views-removed"]
    assert len(removed) == 1
    assert not old.exists()
    assert [store.folder for store in stored_views(world / "pack")] == [store_of(run).folder]


def test_without_room_on_the_disk_nothing_begins(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    run = head_run(copied_world(folder, tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1 << 20))
    with pytest.raises(InputError, match=r"take .* and 1 MiB are free"):
        train(run, SignalFlags())
    assert not run.journal.exists() or read_journal(run.journal) == []


def test_a_second_run_waits_for_the_views_that_another_computes(
    undisturbed: Run, folder: Path, tmp_path: Path
) -> None:
    world = copied_world(folder, tmp_path)
    first = head_run(world)
    train(first, SignalFlags())
    store = store_of(first).folder
    (store / "digests").write_bytes(bytes((store / "digests").stat().st_size))
    second = head_run(world)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with build_lock(store) as is_builder:
            assert is_builder
            held.set()
            release.wait(60)

    holding = threading.Thread(target=hold)
    holding.start()
    held.wait(60)
    training = threading.Thread(target=train, args=(second, SignalFlags()))
    training.start()
    deadline = time.monotonic() + 60
    while not (second.journal.exists() and views_of(second)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert history_of(second).step == 0
    release.set()
    training.join(120)
    holding.join(60)
    assert losses(second) == losses(undisturbed)


def features_of(run: Run) -> list[bytes]:
    """The cached features of a run, the encoder's before the teacher's."""
    folders = dict.fromkeys(event.path for event in views_of(run))
    return [(Path(folder) / FEATURES_FILE).read_bytes() for folder in folders]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_share_the_views_and_the_steps_with_a_teacher_too(
    undisturbed: Run, folder: Path, tmp_path: Path
) -> None:
    taught: dict[str, object] = {"model.teacher": str(undisturbed.path), "epochs": 1}
    alone = head_run(copied_world(folder, tmp_path / "alone"), "", **taught)
    train(alone, SignalFlags())
    run = head_run(copied_world(folder, tmp_path / "ranks"), "", **taught, gpus=2)
    process = start_trainer(run)
    assert process.wait(timeout=240) == 0, run.log.read_text()
    assert views_of(run)[-1].done == 3 * MARKS
    both = features_of(run)
    assert both == features_of(alone)
    assert both[:1] == features_of(undisturbed)
    assert len(both) == 2
    # BN normalises over each process's half of the batch on a CPU, so losses are near, not equal; the
    # teacher's has no BN before it, and is of the same weights at the first step.
    assert len(losses(run)) == PER_EPOCH
    first, own = (history_of(each).steps[0].teacher_loss for each in (run, alone))
    assert first == pytest.approx(own, abs=1e-5)
    assert own is not None


def killed_at(run: Run, is_time: Any) -> bool:
    """Train in a child until a condition holds, and kill it then; whether it was still alive."""
    process = start_trainer(run)
    segments = len(history_of(run).segments) if run.journal.exists() else 0
    wait_until_begun(run, process, segments)
    wait_for(lambda: is_time() or process.poll() is not None)
    alive = process.poll() is None
    if alive:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not is_alive(run)
    return alive


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_at_20_random_moments_the_losses_are_bitwise_the_same(
    undisturbed: Run, folder: Path, tmp_path: Path
) -> None:
    """Half of the moments are while views are computed, half at steps."""
    world = copied_world(folder, tmp_path)
    dice, kills, number = random.Random(0), 0, 0
    while kills < 20:
        number += 1
        for store in stored_views(world / "pack"):
            shutil.rmtree(store.folder)
        run = head_run(world, f"killed-{number}", checkpoint_minutes=0.002)
        blocks = dice.randrange(1, -(-MARKS // BLOCK))

        def some_views(run: Run = run, blocks: int = blocks) -> bool:
            return len(store_of(run).written()) >= blocks if views_of(run) else False

        kills += killed_at(run, some_views)
        step = dice.randrange(1, 3 * PER_EPOCH)
        kills += killed_at(run, lambda run=run, step=step: history_of(run).step >= step)
        if (end := history_of(run).end) is None or end.status != "finished":
            assert train(run, SignalFlags()) == 0
        assert losses(run) == losses(undisturbed)
        assert torch.equal(head_of(run), head_of(undisturbed))
