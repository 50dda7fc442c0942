"""`tmssl data`: a source is known before anything heavy runs."""

import io
import itertools
import json
import os
import pty
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.command import COMMAND, environment, read_terminal, tmssl
from tests.helpers.l3d import l3d
from tests.helpers.marks import draw_marks
from tmssl.data.inspect.duplicates import exact_groups, near_groups
from tmssl.data.inspect.summary import summarize
from tmssl.data.inspect.survey import sample_rows, survey_images
from tmssl.data.phash import hamming_distances
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.sources.location import ImageLocation
from tmssl.retrieval.evaluation.corpus_chance import HitChance, corpus_hit_chances


def told(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    return tmssl(folder, "data", *words, code=code)


def test_l3d_in_miniature_is_told_with_every_defect_counted(tmp_path: Path) -> None:
    l3d(tmp_path / "l3d")
    facts = json.loads(told(tmp_path, "l3d", "--json").stdout)
    join = facts["join"]
    counts = {
        name: len(join[name])
        for name in ("labels_without_image", "images_without_label", "bad_codes", "unknown_codes")
    }
    assert list(counts.values()) == [3, 1, 1, 1]
    assert (join["labels"], join["joined"], join["respelled"]) == (23, 20, 20)
    assert (join["bare_codes"], join["untitled"]) == (5, 4)
    assert facts["codes"]["division"][0] == {
        "code": "26.01",
        "title": "Circles, ellipses",
        "marks": 11,
    }
    assert facts["images"]["looked_at"] == 21
    words = told(tmp_path, "l3d").stdout
    for line in (
        "3 labels without an image: 9000-AB.JPG",
        "26.01        11  61.1 %  Circles",
        "division                    98.6 %   100.0 %          16",
    ):
        assert line in words
    assert "\x1b" not in words  # no contact sheet in a pipe
    assert max(map(len, words.splitlines()[1:])) <= 80  # the first names the folder


def test_mangled_names_end_with_three_examples_of_each_side(tmp_path: Path) -> None:
    folder = l3d(tmp_path / "l3d")
    for path in list((folder / "images").iterdir()):
        path.rename(path.with_name(f"logo_{path.stem[::-1]}.jpg"))
    done = told(tmp_path, "l3d", code=2)
    assert done.stdout == ""
    assert "the labels name 0000-AB.JPG, 0001-AB.JPG, 0002-AB.JPG" in done.stderr
    assert done.stderr.count("images/logo_") == 3


def corpus(folder: Path) -> Path:
    """Marks of which some are copies, nearly copies, blank or damaged."""
    draw_marks(folder, 12, size=120, validation=3)
    images = folder / "images"
    (images / "copy.png").write_bytes((images / "0001.png").read_bytes())
    with Image.open(images / "0010.png") as image:  # a mark of validation, saved once more
        image.convert("RGB").resize((110, 110)).save(images / "again.jpg", quality=80)
    Image.new("RGB", (40, 10), "white").save(images / "white.png")
    Image.new("L", (40, 10), 7).save(images / "black.png")
    (images / "empty.png").write_bytes(b"")
    (images / "text.png").write_bytes(b"hello\x1b[31m")
    os.mkfifo(images / "pipe.png")
    return folder


@pytest.mark.timeout(30)  # a pipe would be waited for without end
def test_copies_blanks_and_damage_are_found(tmp_path: Path) -> None:
    catalogue = read_catalogue(corpus(tmp_path / "m"))
    found = summarize(
        catalogue.marks, survey_images(catalogue.locations, sample_rows(len(catalogue.marks), None))
    )
    assert (found.total, found.looked_at, sum(found.formats.values())) == (19, 19, 16)
    assert found.unreadable == {
        "not an image of a known format, or empty": 2,
        "not a regular file": 1,
    }
    assert found.formats == {"JPEG": 1, "PNG": 15}
    assert found.blank == 2
    assert found.exact.examples == [["images/0001.png", "images/copy.png"]]
    assert found.near.examples == [["images/0010.png", "images/again.jpg"]]
    assert (found.exact.across, found.near.across) == (0, 1)
    assert found.sizes[0] == (120, 120, 13)
    assert found.aspects == [0, 0, 0, 14, 0, 0, 2]


def test_a_sample_is_the_same_each_time_and_said_to_be_one(tmp_path: Path) -> None:
    draw_marks(tmp_path / "m", 30)
    first, second = (told(tmp_path, "m", "--sample", "10").stdout for _ in range(2))
    assert first == second
    assert "looked at a sample of 10 of 30 images" in first
    assert "copies are sought within the sample only" in first
    assert "looked at" not in told(tmp_path, "m", "--sample", "0").stdout
    assert len(set(sample_rows(1000, 100).tolist())) == 100


def places_of(folder: Path, **files: bytes) -> list[ImageLocation]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [str(folder / name) for name in files]


def test_the_shape_told_is_of_the_upright_file(tmp_path: Path) -> None:
    exif = Image.Exif()  # type: ignore[no-untyped-call]  # Pillow leaves it untyped
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (3000, 2000), "red").save(file, "JPEG", exif=exif)
    survey = survey_images(places_of(tmp_path, turned=file.getvalue()), np.arange(1))
    assert survey.images[["width", "height"]].tolist() == [(2000, 3000)]


def test_several_processes_see_the_same(tmp_path: Path) -> None:
    catalogue = read_catalogue(draw_marks(tmp_path / "m", 600, size=24))
    rows = sample_rows(600, None)
    alone, together = (
        survey_images(catalogue.locations, rows, workers=workers) for workers in (1, 2)
    )
    assert np.array_equal(alone.images, together.images)


def test_a_terminal_sees_pictures_and_no_line_is_wider_than_it(tmp_path: Path) -> None:
    draw_marks(tmp_path / "m", 20)
    for columns in (80, 200):
        leader, follower = pty.openpty()
        with subprocess.Popen(
            [*COMMAND, "data", "m"],
            cwd=tmp_path,
            stdout=follower,
            stderr=subprocess.DEVNULL,
            env=environment(TERM="xterm", COLUMNS=str(columns)),
        ) as child:
            os.close(follower)
            text = read_terminal(leader).decode()
        assert child.returncode == 0
        assert "▀" in text or "▄" in text
        plain = [line for line in text.splitlines() if "\x1b" not in line]
        assert max(map(len, plain)) <= max(columns, 85)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 63), max_size=5)), max_size=40),
)
def test_near_hashes_are_grouped_as_by_comparing_each_with_each(
    bases: list[int], changes: list[tuple[int, set[int]]]
) -> None:
    hashes = np.array(
        bases + [bases[i % len(bases)] ^ sum(1 << bit for bit in bits) for i, bits in changes],
        np.uint64,
    )
    label = list(range(len(hashes)))
    for one, other in itertools.combinations(range(len(hashes)), 2):
        if bin(int(hashes[one]) ^ int(hashes[other])).count("1") <= 4:
            low, high = sorted((label[one], label[other]))
            label = [low if each == high else each for each in label]
    assert near_groups(hashes).tolist() == label


def test_equal_digests_share_a_label_and_distances_are_counted_in_bits() -> None:
    assert exact_groups(np.array([7, 9, 7, 1], np.uint64)).tolist() == [0, 1, 0, 3]
    assert hamming_distances(
        np.array([0, 5], np.uint64), np.array([2**64 - 1, 4], np.uint64)
    ).tolist() == [64, 1]
    assert near_groups(np.empty(0, np.uint64)).tolist() == []
    with pytest.raises(ValueError, match="0 to 4 bits"):
        near_groups(np.arange(3, dtype=np.uint64), 5)


def drawn(vienna: list[tuple[str, ...]], k: int, length: int) -> float:
    """hit@k of random rankings, by drawing them."""
    generator = np.random.default_rng(0)
    cut = [{code[:length] for code in codes if len(code) >= length} for codes in vienna]
    hits = []
    for query, codes in enumerate(cut):
        relevant = [bool(codes & other) for other in cut]
        relevant[query] = False
        if any(relevant):
            gallery = np.delete(np.array(relevant), query)
            hits += [generator.permutation(gallery)[:k].any() for _ in range(400)]
    return float(np.mean(hits))


def test_the_chance_of_a_corpus_is_what_random_rankings_hit() -> None:
    generator = np.random.default_rng(1)
    pool = [f"{c:02d}.{d:02d}.{s:02d}" for c in (1, 2, 26) for d in (1, 2, 3) for s in (1, 2, 5)]
    vienna = [
        tuple(sorted(generator.choice(pool, generator.integers(0, 3), replace=False).tolist()))
        for _ in range(60)
    ]
    found = {
        (chance.level, chance.k): chance
        for chance in corpus_hit_chances(vienna, (3, 10))
        if chance.codes == "all"
    }
    for (level, length), k in itertools.product(
        (("category", 2), ("division", 5), ("section", 8)), (3, 10)
    ):
        chance = found[level, k]
        assert chance.chance == pytest.approx(drawn(vienna, k, length), abs=0.02)
        assert chance.sampled == chance.queries


def test_a_large_corpus_is_drawn_from_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    vienna = [(f"{1 + i % 5:02d}.{1 + i % 7:02d}", f"{10 + i % 13:02d}.01") for i in range(3000)]

    def divisions() -> HitChance:
        return next(c for c in corpus_hit_chances(vienna, (10,)) if c.level == "division")

    exact = divisions()
    monkeypatch.setattr("tmssl.retrieval.evaluation.corpus_chance._SAMPLE", 100)
    sampled = divisions()
    assert (exact.sampled, sampled.sampled, sampled.queries) == (3000, 100, 3000)
    assert sampled.chance == pytest.approx(exact.chance, abs=0.05)
