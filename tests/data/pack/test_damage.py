"""Damage to a pack is a sentence: blosc2, which believes what a frame states, never ends the process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.helpers.command import environment
from tests.helpers.marks import draw_marks
from tmssl.data.pack import open_pack
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.frame import write_frame
from tmssl.data.pack.info import INFO_FILE, read_info, write_info
from tmssl.data.pack.layout import read_layout
from tmssl.data.pack.parts import _read_outcome, read_parts
from tmssl.data.pack.reader import FRAME_FILE
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.errors import PackError

SIZE, COUNT = 32, 300

# Each change is tried in a process of its own, which a signal may end; it prints the wait statuses.
CHILD = """
import os, random, sys
from collections import Counter
from pathlib import Path
from tmssl.data.pack.reader import open_pack
from tmssl.errors import PackError
folder, rounds, dice = Path(sys.argv[1]), int(sys.argv[2]), random.Random(sys.argv[3])
frame, found = folder / "images.b2frame", Counter()
whole = frame.read_bytes()
words = [bytes([255] * 8), bytes(8), b"\\x7f" + bytes([255] * 7), bytes([0, 0, 127, 255] * 2), bytes([1])]
ends = [*range(0, 142), *range(len(whole) - 140, len(whole))]
for _ in range(rounds):
    data = bytearray(whole)
    at = dice.choice(ends) if dice.random() < 0.7 else dice.randrange(len(data))
    kind = dice.randrange(4)
    if kind == 0:
        data[at] ^= 1 << dice.randrange(8)
    elif kind == 1 and dice.random() < 0.3:
        data = data[:at] + bytes(len(data) - at)
    else:
        word = dice.choice(words)
        data[at : at + len(word)] = word
    frame.write_bytes(data[: len(whole)])
    child = os.fork()
    if not child:
        try:
            pack = open_pack(folder)
            pack.read(range(pack.count))
            pack.read(range(pack.count - 1, -1, -7))
        except PackError:
            os._exit(2)
        except BaseException as error:
            print(at, repr(error), file=sys.stderr)
            os._exit(3)
        os._exit(0)
    found[os.waitpid(child, 0)[1]] += 1
print(dict(found))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of two chunks, as the present version builds it."""
    folder = tmp_path_factory.mktemp("built")
    return build_pack(
        read_catalogue(draw_marks(folder / "m", COUNT, size=24)), folder / "p", SIZE
    ).folder


@pytest.fixture(params=["with digests", "of an older version"])
def pack(request: pytest.FixtureRequest, built: Path, tmp_path: Path) -> Path:
    """A copy of it, also without digests."""
    copy = tmp_path / "p"
    copy.mkdir()
    for path in built.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    if request.param != "with digests":
        write_info(copy, msgspec.structs.replace(read_info(copy), digests=None))
    return copy


def statuses(pack: Path, rounds: int, seed: int) -> dict[int, int]:
    """How many processes that read a damaged pack ended with which wait status."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(pack), str(rounds), str(seed)],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    assert not done.stderr, done.stderr
    return {
        int(pair.split(":")[0]): int(pair.split(":")[1])
        for pair in done.stdout.strip("{}\n").split(", ")
    }


def test_a_changed_header_or_index_never_ends_the_process(pack: Path) -> None:
    found = statuses(pack, 40, 1)
    assert set(found) <= {0, 2 << 8}
    assert found[2 << 8] > 20


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_no_change_anywhere_ends_the_process(pack: Path) -> None:
    assert set(statuses(pack, 500, 2)) <= {0, 2 << 8}


def test_a_pack_of_an_older_version_opens_without_digests(pack: Path) -> None:
    assert open_pack(pack).read([0, COUNT - 1]).shape == (2, SIZE, SIZE, 3)


def test_every_changed_byte_of_a_pack_with_digests_is_told(built: Path, tmp_path: Path) -> None:
    whole = (built / FRAME_FILE).read_bytes()
    for path in built.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for at in np.random.default_rng(0).integers(0, len(whole), 25).tolist():
        changed = bytearray(whole)
        changed[at] ^= 0x10
        (tmp_path / FRAME_FILE).write_bytes(changed)
        with pytest.raises(PackError, match=r"is damaged .* remove the folder and"):
            open_pack(tmp_path).read(range(COUNT))


def test_a_pack_that_is_cut_or_changed_while_it_is_read_is_told(pack: Path) -> None:
    opened = open_pack(pack)
    opened.read(range(COUNT))
    whole = (pack / FRAME_FILE).read_bytes()
    os.truncate(pack / FRAME_FILE, len(whole) // 2)
    for rows in ([0], range(256), [COUNT - 1]):
        with pytest.raises(PackError, match="is truncated"):
            opened.read(rows)
    (pack / FRAME_FILE).write_bytes(whole)
    assert opened.read([COUNT - 1]).shape == (1, SIZE, SIZE, 3)
    if read_info(pack).digests is not None:
        (pack / FRAME_FILE).write_bytes(whole[:-3000] + bytes(1000) + whole[-2000:])
        with pytest.raises(PackError, match=r"digest of its chunk \d is not that of the packing"):
            opened.read(range(COUNT))


@pytest.mark.parametrize("value", [0, 255, 7])
def test_chunks_of_one_value_have_a_layout(value: int, tmp_path: Path) -> None:
    images = np.full((600, SIZE, SIZE, 3), value, np.uint8)
    images[256:300] = np.random.default_rng(0).integers(0, 255, images[256:300].shape)
    write_frame(tmp_path / "f", [images], SIZE)
    with (tmp_path / "f").open("rb") as file:
        layout = read_layout(file.fileno(), 600, SIZE, strict=True)
    assert set(layout.chunks) >= {1}
    assert layout.bounds[-1] == (tmp_path / "f").stat().st_size


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", 0),
        ("count", -1),
        ("count", 10**400),
        ("count", "x"),
        ("count", None),
        ("size", 0),
        ("size", 1 << 40),
        ("size", 1.5),
        ("frame_bytes", -1),
        ("frame_bytes", True),
        ("fingerprint", []),
        ("digests", [-1]),
        ("digests", [1 << 32]),
        ("digests", "x"),
        ("digests", []),
        ("digests", [0] * 9),
        ("unfinished", {}),
        ("format", 1e308),
        ("source_root", 5),
        ("kept", [[0, COUNT + 1]]),
        ("kept", [[2, 1]]),
        ("kept", [[0, 2], [1, 3]]),
        ("kept", [[-1, 1]]),
        ("kept", [5]),
        ("changes", [{"parent": "x"}]),
        ("changes", [{"parent": 1, "fingerprint": "y"}]),
        ("count", COUNT + 1),
        ("size", SIZE + 16),
    ],
)
def test_facts_that_cannot_be_are_one_line(
    built: Path, tmp_path: Path, field: str, value: object
) -> None:
    for path in built.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    facts = json.loads((built / INFO_FILE).read_bytes())
    assert field in facts
    (tmp_path / INFO_FILE).write_text(json.dumps({**facts, field: value}))
    with pytest.raises(PackError) as told:
        open_pack(tmp_path)
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"x": "y"}', b'{"999": "y"}', b'{"0": null}', b"\xff"]
)
def test_a_damaged_part_of_an_unfinished_pack_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "part-000000.b2").write_bytes(b"x")
    (tmp_path / "part-000000.b2.json").write_bytes(content)
    with pytest.raises(PackError, match=r"part-000000\.b2 of .* is damaged; remove that folder"):
        _read_outcome(tmp_path, range(1))
    with pytest.raises(PackError, match="is damaged"):
        next(read_parts(tmp_path, 1))
