import json
import math
import multiprocessing
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmssl.errors import JournalError
from tmssl.runs.events import EVENT_TYPES, Checkpoint, End, Event, Started, Step, field_table
from tmssl.runs.journal import JournalWriter, Tail, decode, encode, read_journal

figure = st.floats(allow_nan=True, allow_infinity=True) | st.none()
words = st.text(max_size=30)
events = st.one_of(
    st.builds(Step, step=st.integers(0, 10**9), loss=figure, lr=figure, t=st.floats(0, 1e10)),
    st.builds(Checkpoint, path=words, reason=words, best=st.booleans()),
    st.builds(End, status=words, reason=words),
)


def cleaned(event: Event) -> Event:
    """What a reader sees: figures that are not finite were not measured."""
    told: dict[str, Any] = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name in event.__struct_fields__
        for value in [getattr(event, name)]
    }
    return type(event)(**told)


@given(events)
def test_an_event_comes_back(event: Event) -> None:
    line = encode(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line)["kind"] == event.__struct_config__.tag
    assert next(iter(json.loads(line))) == "kind"
    assert decode(line) == cleaned(event)


@settings(deadline=None, max_examples=50)
@given(st.lists(events, max_size=20), st.integers(1, 200), st.randoms(use_true_random=False))
def test_any_slices_give_the_same_events(
    written: list[Event], most: int, dice: random.Random
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.jsonl"
        data = b"".join(map(encode, written))
        tail, seen = Tail(path), []
        assert tail.poll() == ([], False)
        with path.open("ab", buffering=0) as file:
            place = 0
            while place < len(data):
                size = dice.randrange(1, 300)
                file.write(data[place : place + size])
                place += size
                while tail.behind:
                    found, restarted = tail.poll(most)
                    assert not restarted
                    seen += found
        assert seen == [cleaned(event) for event in written]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"nonsense\n",
        b"{}\n",
        b'{"kind":"dance"}\n',
        b"[1]\n",
        b'{"kind":"step","step":"x"}\n',
        b'{"kind":"step","step":1',
        b"\xff\xfe\n",
        b'{"kind":"step","step":1e400}\n',
        b"[" * 100_000,
        b'{"kind":"end","status":"\xff"}\n',
    ],
)
def test_damage_is_passed_over(line: bytes) -> None:
    assert decode(line) is None


def test_foreign_json_with_nan_and_unknown_fields_is_read() -> None:
    line = b'{"kind":"step","step":4,"loss":NaN,"lr":Infinity,"ce":1.5,"mood":"fine"}'
    assert decode(line) == Step(step=4, loss=None, lr=None, ce=1.5)


def test_a_torn_line_waits_and_is_closed_by_the_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(encode(Step(step=1)) + b'{"kind":"step","st')
    tail = Tail(path)
    assert tail.poll()[0] == [Step(step=1)]
    writer = JournalWriter(path)
    writer.write(Step(step=2))
    writer.sync()
    writer.close()
    assert tail.poll()[0] == [Step(step=2)]
    assert tail.skipped == 1
    assert read_journal(path) == [Step(step=1), Step(step=2)]


def test_a_whole_last_line_without_its_newline_counts(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(encode(Step(step=1)) + encode(Step(step=2)).rstrip())
    assert read_journal(path) == [Step(step=1), Step(step=2)]


@pytest.mark.parametrize("how", ["cut", "replaced"])
def test_a_cut_or_replaced_journal_starts_over(tmp_path: Path, how: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(encode(Step(step=1)) * 5)
    tail = Tail(path)
    tail.poll()
    if how == "cut":
        path.write_bytes(encode(Step(step=7)))
    else:
        (tmp_path / "new").write_bytes(encode(Step(step=7)) * 9)
        (tmp_path / "new").replace(path)
    found, restarted = tail.poll()
    assert restarted
    assert found[0] == Step(step=7)


def test_a_line_of_ten_megabytes_is_skipped_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(encode(Step(step=1)) + b"x" * 10_000_000 + b"\n" + encode(Step(step=2)))
    tail, seen = Tail(path), []
    while tail.behind:
        seen += tail.poll(1 << 18)[0]
    assert seen == [Step(step=1), Step(step=2)]
    assert tail.skipped == 1


def append_many(path: str, number: int) -> None:
    writer = JournalWriter(Path(path))
    for i in range(200):
        writer.write(End(status=str(number), reason="x" * (i * 7 % 500), step=i))
    writer.close()


def test_writers_side_by_side_never_mix_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=append_many, args=(str(path), n)) for n in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    found = read_journal(path)
    assert len(found) == 600
    for number in range(3):
        own = [e.step for e in found if isinstance(e, End) and e.status == str(number)]
        assert own == list(range(200))


def test_no_journal_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal"):
        read_journal(tmp_path / "none.jsonl")
    with pytest.raises(JournalError, match="cannot write the journal"):
        JournalWriter(tmp_path / "no" / "folder.jsonl")


def test_every_field_of_every_event_is_in_the_table() -> None:
    table = field_table()
    for kind in EVENT_TYPES:
        for field in msgspec.structs.fields(kind):
            assert f"| `{kind.__struct_config__.tag}` | `{field.name}` |" in table


def test_a_number_beyond_a_float_is_not_measured() -> None:
    event = decode(b'{"kind":"step","step":3,"loss":1e400,"ce":-1e999,"lr":0.5}')
    assert event == Step(step=3, loss=None, ce=None, lr=0.5)


@pytest.mark.parametrize("schema", [0, 1, 99])
def test_journals_of_older_and_newer_versions_are_read(schema: int) -> None:
    """An older one lacks fields, which then were not measured; a newer one has more, which are passed over."""
    told = decode(json.dumps({"kind": "run", "schema": schema, "name": "r", "mood": 1}).encode())
    assert told == Started(schema=schema, name="r")
    for kind in EVENT_TYPES:
        line = json.dumps({"kind": kind.__struct_config__.tag, f"of-{schema}": [schema]}).encode()
        assert decode(line) == kind()
