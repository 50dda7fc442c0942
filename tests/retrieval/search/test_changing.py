"""A gallery that grows and shrinks finds what one that is built anew finds, and the training keeps its marks."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.full_disk import full_disk
from tests.helpers.given_lettering import give_lettering
from tests.helpers.marks import draw_marks
from tests.helpers.tiny_run import tiny_run
from tests.helpers.training import history_of
from tmssl.config import changed, read_config, write_config
from tmssl.data.lettering.line import Line
from tmssl.data.lettering.pack_lettering import PackLettering
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.edits import addition, removal
from tmssl.data.pack.reader import open_pack
from tmssl.data.pack.searched import gallery_lock, searched_pack, trained_pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.sources.specification import join_sources
from tmssl.errors import InputError, PackError
from tmssl.retrieval.evaluation.evaluate import evaluate
from tmssl.retrieval.index.exact import half_vectors
from tmssl.retrieval.search.changing import Changed, change_gallery
from tmssl.retrieval.search.gallery import Gallery, open_gallery
from tmssl.retrieval.search.logos import read_logo
from tmssl.retrieval.search.search import find_matches
from tmssl.runs.eval_event import comparable, manner
from tmssl.runs.folder import Run
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("changing")
    draw_marks(folder / "more", 37, first=40)
    draw_marks(folder / "further", 33, first=77)
    return tiny_run(folder, 40)


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    """A copy of the run, whose marks were searched."""
    shutil.copytree(trained.path, tmp_path / "r")
    copy = Run(tmp_path / "r")
    open_gallery(copy)
    return copy


def add(
    run: Run,
    source: Path,
    seen: list[tuple[str, int]] | None = None,
    phases: list[str] | None = None,
) -> Changed:
    told = [] if phases is None else phases
    totals = [] if seen is None else seen
    return change_gallery(
        run,
        lambda pack: addition(pack, read_catalogue(source)).edit,
        phase=told.append,
        progress=lambda _done, total: totals.append((told[-1], total)),
    )


def remove(run: Run, *ids: str) -> Changed:
    return change_gallery(run, lambda pack: removal(pack, ids, None, " ".join(ids)))


def rebuilt(trained: Run, folder: Path, *, without: frozenset[str] = frozenset()) -> Gallery:
    """The gallery of a run whose pack is built anew from all sources, less some ids."""
    home = trained.path.parents[1]
    source = read_catalogue(join_sources([home / name for name in ("marks", "more", "further")]))
    marks = type(source.marks).of(mark for mark in source.marks if mark.id not in without)
    source = type(source)(source.container, marks, source.report)
    run = Run(folder / "anew")
    shutil.copytree(trained.path, run.path)
    pack = build_pack(source, folder / "anew-pack", open_pack(trained_pack(trained)).size)
    write_config(changed(read_config(run.config), {"data.pack": str(pack.folder)}), run.config)
    return open_gallery(run)


def found(gallery: Gallery, logo: Path) -> list[tuple[str, float, str]]:
    read = read_logo(str(logo), gallery.pack.size)
    matches = find_matches(gallery, read, gallery.pack.count).matches
    root = Path(gallery.pack.source_root)
    return [(m.id, m.similarity, str((root / m.path).resolve())) for m in matches]


def check_same(ours: Gallery, anew: Gallery, home: Path) -> None:
    assert [mark.id for mark in ours.marks] == [mark.id for mark in anew.marks]
    assert np.array_equal(half_vectors(ours.index.exact), half_vectors(anew.index.exact))
    assert ours.manifest.holders == anew.manifest.holders
    for name in ("marks/images/0003.png", "further/images/0080.png"):
        assert found(ours, home / name) == found(anew, home / name)


def test_what_is_found_after_additions_and_removals_is_what_a_rebuilt_gallery_finds(
    trained: Run, run: Run, tmp_path: Path
) -> None:
    home = trained.path.parents[1]
    seen: list[tuple[str, int]] = []
    one, two = add(run, home / "more", seen), add(run, home / "further")
    assert (one.after.count, two.after.count) == (77, 110)
    assert {total for phase, total in seen if phase == "embedding"} == {37}
    check_same(open_gallery(run), rebuilt(trained, tmp_path), home)
    gone = ("m0", "m39", "m50", "m51", "m109")
    assert remove(run, *gone).after.count == 105
    check_same(
        open_gallery(run), rebuilt(trained, tmp_path / "less", without=frozenset(gone)), home
    )


@pytest.mark.slow
def test_whitened_vectors_are_those_of_a_rebuilt_gallery_and_are_made_at_once(
    trained: Run, run: Run, tmp_path: Path
) -> None:
    home = trained.path.parents[1]
    open_gallery(run, whiten=8)
    phases: list[str] = []
    for name in ("more", "further"):
        add(run, home / name, phases=phases)
    assert phases.count("whitening") == 2
    anew = open_gallery(rebuilt(trained, tmp_path).run, whiten=8)
    check_same(open_gallery(run, whiten=8), anew, home)


def test_the_training_keeps_its_marks_and_goes_on_while_the_gallery_grows(
    trained: Run, run: Run
) -> None:
    pack = trained_pack(run)
    before = {path.name: path.read_bytes() for path in pack.iterdir()}
    add(run, trained.path.parents[1] / "more")
    remove(run, "m1")
    assert {path.name: path.read_bytes() for path in pack.iterdir()} == before
    assert trained_pack(run) == pack != searched_pack(run)
    write_config(changed(read_config(run.config), {"epochs": 2}), run.config)
    train(run, SignalFlags())
    assert history_of(run).end is not None
    assert open_gallery(run, checkpoint="last").pack.count == 76


@pytest.mark.slow
def test_an_evaluation_tells_the_gallery_and_the_trainers_own_keeps_to_its_marks(
    trained: Run, run: Run
) -> None:
    plain = evaluate(run, queries=4)
    add(run, trained.path.parents[1] / "more")
    grown = evaluate(run, queries=4)
    assert (plain.gallery, plain.changes) == (40, 0)
    assert (grown.gallery, grown.changes) == (77, 1)
    assert grown.fingerprint == open_pack(searched_pack(run)).fingerprint != plain.fingerprint
    assert grown.matches != plain.matches
    assert manner(grown) == f"in a changed gallery ({grown.fingerprint[:8]})"
    trainers = evaluate(run, queries=4, gallery=trained_pack(run))
    assert (trainers.fingerprint, trainers.matches) == (plain.fingerprint, plain.matches)
    assert comparable([plain, grown, trainers], "mrr") == [plain, trainers]


@pytest.mark.slow
def test_the_regions_of_marks_are_those_of_a_rebuilt_gallery_and_only_new_ones_are_embedded(
    trained: Run, run: Run, tmp_path: Path
) -> None:
    home = trained.path.parents[1]
    open_gallery(run, views=4)
    seen: list[tuple[str, int]] = []
    for name in ("more", "further"):
        add(run, home / name, seen)
    totals = {total for phase, total in seen if "regions" in phase}
    assert totals == {37, 33}
    ours = open_gallery(run, views=4)
    anew = open_gallery(rebuilt(trained, tmp_path).run, views=4)
    check_same(ours, anew, home)
    for one, other in ((ours, anew), (anew, ours)):
        assert one.index.regional is not None
        assert other.index.regional is not None
        assert np.array_equal(one.index.regional.codes, other.index.regional.codes)
        assert np.array_equal(one.index.regional.bits, other.index.regional.bits)


@pytest.mark.slow
def test_regions_that_were_cut_by_lettering_are_so_after_an_addition(
    trained: Run, run: Run, tmp_path: Path
) -> None:
    pack = open_pack(shutil.copytree(searched_pack(run), tmp_path / "pack"))  # others use its own
    write_config(changed(read_config(run.config), {"data.pack": str(pack.folder)}), run.config)
    line = Line("VELMORA", pack.size // 8, pack.size // 2, pack.size, pack.size * 5 // 8, 1.0)
    open_gallery(run, views=3)
    give_lettering(pack, {7: [line]})
    open_gallery(run, views=4)
    phases: list[str] = []
    seen: list[tuple[str, int]] = []
    add(run, trained.path.parents[1] / "more", seen, phases)
    assert {total for phase, total in seen if "regions" in phase} == {37}
    assert "reading lettering" in phases
    three, four = (open_gallery(run, views=views).index.regional for views in (3, 4))
    assert three is not None
    assert four is not None
    assert (three.lettered, four.lettered) == (False, True)
    after = open_pack(searched_pack(run))
    assert PackLettering(after.folder, after.info).lines([7, 8]) == [[line], []]


@pytest.mark.slow
def test_only_the_two_newest_packs_of_a_run_are_kept(trained: Run, run: Run) -> None:
    add(run, trained.path.parents[1] / "more")
    first = searched_pack(run)
    for number in range(3):
        remove(run, f"m{number}")
    assert not first.exists()
    kept = [path for path in (run.path / "gallery").iterdir() if path.is_dir()]
    assert len(kept) == 2
    assert searched_pack(run) in kept
    assert trained_pack(run).exists()


def test_a_change_of_nothing_leaves_everything(trained: Run, run: Run) -> None:
    add(run, trained.path.parents[1] / "more")
    before = sorted((str(p), p.stat().st_mtime_ns) for p in run.path.rglob("*") if p.is_file())
    again = add(run, trained.path.parents[1] / "more")
    assert again.after.fingerprint == again.before.fingerprint
    after = sorted((str(p), p.stat().st_mtime_ns) for p in run.path.rglob("*") if p.is_file())
    lock = str(run.path / "gallery" / "lock")
    assert [row for row in after if row[0] != lock] == [row for row in before if row[0] != lock]


def test_two_changes_at_once_are_refused(run: Run) -> None:
    with gallery_lock(run), pytest.raises(PackError, match="another command changes the gallery"):
        remove(run, "m1")


def test_the_old_marks_are_searched_until_the_new_ones_are_complete(
    trained: Run, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tmssl.retrieval.search.changing.search_from_now", interrupted)
    with pytest.raises(KeyboardInterrupt):
        add(run, trained.path.parents[1] / "more")
    assert open_gallery(run).pack.count == 40
    monkeypatch.undo()
    seen: list[tuple[str, int]] = []
    assert add(run, trained.path.parents[1] / "more", seen).after.count == 77
    assert seen == []  # all was made already
    assert open_gallery(run).pack.count == 77


@pytest.mark.slow
@pytest.mark.parametrize("room_kib", [0, 4, 40, 120])
def test_a_full_disk_loses_nothing_and_the_command_works_once_there_is_room(
    trained: Run, run: Run, tmp_path: Path, room_kib: int
) -> None:
    home = trained.path.parents[1]
    shutil.copytree(run.path, tmp_path / "other")
    with full_disk("limit", tmp_path / "disk") as disk:
        disk.fill(room_kib)
        with pytest.raises((InputError, OSError)):  # the command line tells either in one line
            add(run, home / "more")
        assert open_gallery(run).pack.count == 40
    assert add(run, home / "more").after.count == 77
    add(Run(tmp_path / "other"), home / "more")
    check_same(open_gallery(run), open_gallery(Run(tmp_path / "other")), home)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"pack": "../../x"}', b'{"pack": "/etc"}', b'{"pack": 3}', b"[" * 99]
)
def test_a_name_of_a_pack_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    run = Run(tmp_path)
    (run.path / "gallery").mkdir()
    (run.path / "gallery" / "current.json").write_bytes(content)
    with pytest.raises(PackError, match="remove it"):
        searched_pack(run)


def test_a_pack_that_is_gone_is_told_with_the_way_back(trained: Run, run: Run) -> None:
    add(run, trained.path.parents[1] / "more")
    shutil.rmtree(searched_pack(run))
    with pytest.raises(PackError, match="to search the marks that the run was trained on"):
        open_gallery(run)
    (run.path / "gallery" / "current.json").unlink()
    assert open_gallery(run).pack.count == 40


@pytest.mark.slow
def test_a_damaged_index_of_the_parent_is_told(trained: Run, run: Run) -> None:
    (index,) = run.index.glob("*.faiss")
    content = bytearray(index.read_bytes())
    content[-5] ^= 1
    index.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        add(run, trained.path.parents[1] / "more")
    index.unlink()
    assert add(run, trained.path.parents[1] / "more").after.count == 77
