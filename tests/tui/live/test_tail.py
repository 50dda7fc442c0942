"""A journal as the monitor reads it: the newest at once, all of it in the end, whatever happens to it."""

import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tmssl.runs.events import End, Epoch, Segment, Started, Step
from tmssl.runs.folder import Run, create_run, hold_lock
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import JournalWriter, encode, last_segment, read_journal, sample
from tui.live.messages import JournalUpdate
from tui.live.tail import follow

PER_EPOCH = 100


def write(run: Run, count: int, resumed_at: int = 0) -> None:
    """A journal of so many steps; a second segment takes over at a step."""
    with run.journal.open("wb") as file:
        file.write(encode(Started(name=run.name)))
        file.write(encode(Segment(epochs=999, steps_per_epoch=PER_EPOCH, chance=5.5, t=0.5)))
        for number in range(1, count + 1):
            if number == resumed_at:
                later = Segment(
                    number=1,
                    step=number - 1,
                    epochs=5000,
                    steps_per_epoch=PER_EPOCH,
                    t=number - 0.5,
                )
                file.write(encode(later))
            file.write(
                encode(Step(step=number, epoch=number / PER_EPOCH, loss=5.0, t=float(number)))
            )
            if number % PER_EPOCH == 0:
                file.write(encode(Epoch(epoch=number // PER_EPOCH, step=number, t=float(number))))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "runs", "r")


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    """Whether the monitor was left; it is, after a test."""
    event = threading.Event()
    yield event
    event.set()


def until_whole(updates: Iterator[JournalUpdate]) -> tuple[list[JournalUpdate], History]:
    """The updates before a whole history, and that history."""
    before: list[JournalUpdate] = []
    for update in updates:
        if update.history is not None and update.share == 1.0:
            return before, update.history
        before.append(update)
    raise AssertionError("no history")


def test_a_large_journal_shows_its_newest_step_before_it_is_read(
    run: Run, stop: threading.Event
) -> None:
    write(run, 60_000, resumed_at=30_001)
    before, history = until_whole(follow(run, stop))
    first = before[0].history
    assert first is not None
    assert before[0].share == 0.0
    assert first.step == 60_000
    assert first.steps[0].step == 1
    assert len(first.steps) < 20_000
    latest = [update.history for update in before if update.history is not None][-1]
    assert (latest.segment or Segment()).epochs == 5000
    whole = read_history(read_journal(run.journal))
    assert history.steps.numbers == whole.steps.numbers
    assert (history.segments, history.epochs) == (whole.segments, whole.epochs)


def test_a_sample_holds_the_ends_and_whole_lines_in_order(run: Run) -> None:
    write(run, 30_000)
    events = sample(run.journal, blocks=20, block_bytes=4096)
    steps = [event.step for event in events if isinstance(event, Step)]
    assert isinstance(events[0], Started)
    assert (steps[0], steps[-1]) == (1, 30_000)
    assert steps == sorted(set(steps))
    assert max(after - before for before, after in itertools.pairwise(steps)) < 2000


@pytest.mark.parametrize("block", [40, 1000, 1 << 20])
def test_the_segment_in_force_is_found_from_the_end(run: Run, block: int) -> None:
    write(run, 500, resumed_at=300)
    found = last_segment(run.journal, block)
    assert found is not None
    assert (found.number, found.step) == (1, 299)
    run.journal.write_bytes(b"")
    assert last_segment(run.journal) is None


def test_what_is_appended_follows_the_history_and_a_new_file_begins_anew(
    run: Run, stop: threading.Event
) -> None:
    write(run, 3)
    updates = follow(run, stop)
    _, history = until_whole(updates)
    assert history.step == 3
    journal = JournalWriter(run.journal)
    journal.write(Step(step=4))
    journal.close()
    update = next(updates)
    assert [event.step for event in update.events if isinstance(event, Step)] == [4]
    fresh = run.path / "fresh"
    fresh.write_bytes(encode(Step(step=9)))
    fresh.replace(run.journal)
    _, history = until_whole(updates)
    assert [step.step for step in history.steps] == [9]


def test_a_trainer_that_comes_and_goes_is_told(run: Run, stop: threading.Event) -> None:
    write(run, 3)
    updates = follow(run, stop)
    with hold_lock(run):
        until_whole(updates)
    assert not next(updates).alive
    with hold_lock(run):
        assert next(updates).alive


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_journal_that_may_not_be_read_is_a_problem_told(run: Run, stop: threading.Event) -> None:
    write(run, 3)
    run.journal.chmod(0)
    assert "cannot read the journal" in next(follow(run, stop)).problem


def test_a_folder_where_the_journal_should_be_is_a_problem_told(
    run: Run, stop: threading.Event
) -> None:
    run.journal.mkdir()
    assert "cannot read the journal" in next(follow(run, stop)).problem


def test_a_run_without_a_journal_waits_for_it(run: Run, stop: threading.Event) -> None:
    updates = follow(run, stop)
    _, history = until_whole(updates)
    assert history.step == 0
    write(run, 2)
    steps = [event.step for event in next(updates).events if isinstance(event, Step)]
    assert steps == [1, 2]
    with run.journal.open("ab") as file:
        file.write(encode(End(status="finished"))[:-5])  # torn: it waits
        file.flush()
        stop.set()
    assert not any(isinstance(e, End) for update in updates for e in update.events)
