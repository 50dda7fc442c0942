"""Builds that are killed, crowded, starved of disk or of workers."""

import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.images import encoded, logo
from tests.helpers.marks import draw_marks
from tests.helpers.waiting import wait_for
from tmssl.data.inspect.summary import summarize
from tmssl.data.inspect.survey import survey_images
from tmssl.data.pack import parts as building
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.parts import build_lock, part_name
from tmssl.data.pack.reader import open_pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.errors import PackError

SIZE = 32


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 8 images, and worker processes for any number of them."""
    monkeypatch.setattr(building, "PER_PART", 8)
    monkeypatch.setattr(building, "_SERIAL_BELOW", 0)


def test_two_builders_of_one_pack_do_not_meet(tmp_path: Path) -> None:
    catalogue = read_catalogue(draw_marks(tmp_path / "m", 4))
    with (
        build_lock(tmp_path / "p.building"),
        pytest.raises(PackError, match=r"another process is building .*/p; wait"),
    ):
        build_pack(catalogue, tmp_path / "p", SIZE)
    assert build_pack(catalogue, tmp_path / "p", SIZE).count == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "p"]


def test_a_disk_without_room_is_refused_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = read_catalogue(draw_marks(tmp_path / "m", 40))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9, 9, 2000))
    done: list[int] = []
    with pytest.raises(PackError, match=r"packing 40 images at 32 px takes about .* are free in"):
        build_pack(catalogue, tmp_path / "p", SIZE, progress=lambda d, _: done.append(d))
    assert not done


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    catalogue = read_catalogue(draw_marks(tmp_path / "m", 4))
    (tmp_path / "file").write_text("x")
    with pytest.raises(PackError, match=r"cannot write .*; finished parts are kept") as caught:
        build_pack(catalogue, tmp_path / "file" / "p", SIZE)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(("limit", "parts"), [(2_000, 0), (10_000, 8)])
def test_a_disk_that_fills_up_is_one_line_and_nothing_is_lost(
    tmp_path: Path, limit: int, parts: int
) -> None:
    catalogue = read_catalogue(draw_marks(tmp_path / "m", 64))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))  # too small for a part, the frame
    try:
        with pytest.raises(PackError, match=r"cannot write .*finished parts are kept") as caught:
            build_pack(catalogue, tmp_path / "p", SIZE, workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert len(list((tmp_path / "p.building").glob("part-*.b2"))) == parts
    assert build_pack(catalogue, tmp_path / "p", SIZE, workers=1).count == 64


@pytest.mark.usefixtures("small_parts")
def test_a_worker_that_is_killed_is_told_and_its_build_goes_on(tmp_path: Path) -> None:
    catalogue = read_catalogue(draw_marks(tmp_path / "m", 64))

    def kill_one(done: int, _total: int) -> None:
        if done:
            for child in multiprocessing.active_children():
                child.kill()

    with pytest.raises(PackError, match=r"was killed.*fewer --workers, finished parts are kept"):
        build_pack(catalogue, tmp_path / "p", SIZE, workers=2, progress=kill_one)
    assert list((tmp_path / "p.building").glob("part-*.b2"))
    done: list[int] = []
    pack = build_pack(
        catalogue, tmp_path / "p", SIZE, workers=2, progress=lambda d, _: done.append(d)
    )
    assert done[0] >= 8
    assert pack.count == 64


@pytest.mark.usefixtures("small_parts")
def test_a_build_can_be_stopped_and_continued_from_a_thread(tmp_path: Path) -> None:
    catalogue = read_catalogue(draw_marks(tmp_path / "m", 64))
    stop = threading.Event()
    outcome: list[str] = []

    def work() -> None:
        try:
            build_pack(
                catalogue,
                tmp_path / "p",
                SIZE,
                workers=2,
                stop=stop.is_set,
                progress=lambda done, _: stop.set() if done else None,
            )
        except KeyboardInterrupt:
            outcome.append("stopped")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert outcome == ["stopped"]
    assert not (tmp_path / "p").exists()
    assert build_pack(catalogue, tmp_path / "p", SIZE, workers=1).count == 64


@pytest.mark.usefixtures("small_parts")
def test_a_complete_build_that_was_killed_before_its_move_is_moved(tmp_path: Path) -> None:
    catalogue = read_catalogue(draw_marks(tmp_path / "m", 20))
    build_pack(catalogue, tmp_path / "p", SIZE).folder.rename(tmp_path / "p.building")
    (tmp_path / "p.building" / part_name(0)).write_bytes(b"left over")
    (tmp_path / "p.building" / "token").write_text("1")
    done: list[int] = []
    pack = build_pack(catalogue, tmp_path / "p", SIZE, progress=lambda d, _: done.append(d))
    assert (pack.count, done) == (20, [])
    assert len(list(pack.folder.iterdir())) == 4


def test_parts_of_other_images_or_sizes_are_not_used(tmp_path: Path) -> None:
    for size, count in ((32, 5), (48, 5), (48, 7)):
        catalogue = read_catalogue(draw_marks(tmp_path / f"m{size}{count}", count))
        with pytest.raises(KeyboardInterrupt):
            build_pack(catalogue, tmp_path / "p", size, stop=lambda: True)
        (tmp_path / "p.building" / part_name(0)).write_bytes(b"of the build before")
        (tmp_path / "p.building" / f"{part_name(0)}.json").write_text("{}")
    catalogue = read_catalogue(draw_marks(tmp_path / "m", 6))
    assert build_pack(catalogue, tmp_path / "p", SIZE).count == 6


def test_a_damaged_pack_is_built_again_unless_others_files_are_there(tmp_path: Path) -> None:
    catalogue = read_catalogue(draw_marks(tmp_path / "m", 6))
    frame = build_pack(catalogue, tmp_path / "p", SIZE).folder / "images.b2frame"
    frame.write_bytes(frame.read_bytes()[:-9])
    (tmp_path / "p" / "notes.txt").write_text("mine")
    with pytest.raises(PackError, match="is not a pack; choose another folder"):
        build_pack(catalogue, tmp_path / "p", SIZE)
    (tmp_path / "p" / "notes.txt").unlink()
    assert build_pack(catalogue, tmp_path / "p", SIZE).read([5]).shape == (1, SIZE, SIZE, 3)


def test_damage_inside_a_pack_of_the_right_length_is_told_when_it_is_read(tmp_path: Path) -> None:
    catalogue = read_catalogue(draw_marks(tmp_path / "m", 40))
    frame = build_pack(catalogue, tmp_path / "p", 48).folder / "images.b2frame"
    data = bytearray(frame.read_bytes())
    data[len(data) // 4 : len(data) // 2] = b"\xff" * (len(data) // 2 - len(data) // 4)
    frame.write_bytes(data)
    with pytest.raises(PackError, match="build it again"):
        open_pack(tmp_path / "p").read(range(40))


def test_several_threads_read_one_pack(tmp_path: Path) -> None:
    pack = build_pack(read_catalogue(draw_marks(tmp_path / "m", 30)), tmp_path / "p", 48)
    expected = pack.read(range(30))

    def read(seed: int) -> bool:
        draws = np.random.default_rng(seed).integers(0, 30, (60, 7))
        return all(np.array_equal(pack.read(rows), expected[rows]) for rows in draws)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(read, range(4)))


CHILD = """
from pathlib import Path
from tmssl.data.inspect.summary import summarize
from tmssl.data.inspect.survey import survey_images
from tmssl.data.pack import parts as building
from tmssl.data.pack.builder import build_pack
from tmssl.data.sources.catalogue import read_catalogue
if __name__ == "__main__":
    building.PER_PART, building._SERIAL_BELOW = 8, 0
    m, p = Path({0!r}), Path({1!r})
    def hold(done, total):
        if done >= 16:
            print("ready", flush=True)
            __import__("signal").pause()
    build_pack(read_catalogue(m), p, 32, workers=2, progress=hold)
"""


@pytest.mark.usefixtures("small_parts")
def test_workers_end_with_a_builder_that_is_killed_and_its_parts_stay(tmp_path: Path) -> None:
    draw_marks(tmp_path / "m", 200)
    script = tmp_path / "child.py"
    script.write_text(CHILD.format(str(tmp_path / "m"), str(tmp_path / "p")))
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, start_new_session=True, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGKILL)
        # The pipe ends when the last process that inherited it does: builder, server and workers.
        assert child.stdout.read() == ""
    wait_for(lambda: not _is_alive(child.pid), what="builder, server and workers to end")
    assert not (tmp_path / "p").exists()
    done: list[int] = []
    catalogue = read_catalogue(tmp_path / "m")
    pack = build_pack(
        catalogue, tmp_path / "p", SIZE, workers=1, progress=lambda d, _: done.append(d)
    )
    assert done[0] >= 16
    assert pack.count == 200


def _is_alive(group: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_jpegs_without_their_end_marker_are_packed_and_counted(tmp_path: Path) -> None:
    source = draw_marks(tmp_path / "m", 3)
    data = encoded(logo(), "JPEG").getvalue()
    (source / "images" / "a.jpg").write_bytes(data[:-2])
    (source / "images" / "b.jpg").write_bytes(data)
    (source / "images" / "c.jpg").write_bytes(data[:-60])
    catalogue = read_catalogue(source)
    pack = build_pack(catalogue, tmp_path / "p", 32)
    assert (pack.count, pack.info.unfinished) == (5, 1)
    assert [path for path, _ in pack.quarantine] == ["images/c.jpg"]
    shapes = summarize(catalogue.marks, survey_images(catalogue.locations, np.arange(6)))
    assert (shapes.unfinished, shapes.unreadable_examples[0][0]) == (1, "images/c.jpg")
