"""Several vectors a mark: what stands apart in a mark, and its parts, are found and told."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cli.output.search import match_lines
from tests.helpers.given_lettering import give_lettering
from tests.helpers.in_process import tmssl_in_process
from tests.helpers.marks import draw_marks
from tests.helpers.tiny_run import tiny_run
from tmssl.data.lettering.line import Line
from tmssl.data.lettering.store import lettering_folder
from tmssl.errors import InputError
from tmssl.retrieval.evaluation.evaluate import evaluate
from tmssl.retrieval.evaluation.robustness import CHANGES
from tmssl.retrieval.html import data_uri
from tmssl.retrieval.index.regional import Penalties, RegionalIndex, regional_files
from tmssl.retrieval.index.regional_search import compare_rows, region_vectors
from tmssl.retrieval.search.compared import mark_regions
from tmssl.retrieval.search.frames import framed_region
from tmssl.retrieval.search.gallery import Gallery, open_gallery
from tmssl.retrieval.search.logos import read_logo
from tmssl.retrieval.search.page import search_page
from tmssl.retrieval.search.search import find_matches, new_record
from tmssl.retrieval.vectors.regions import find_regions
from tmssl.runs.eval_event import manner
from tmssl.runs.folder import Run

MARKS, VIEWS = 40, 8


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("views")
    draw_marks(folder / "marks", MARKS)
    return tiny_run(folder)


@pytest.fixture(scope="module")
def gallery(run: Run) -> Gallery:
    return open_gallery(run, views=VIEWS)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_mark_is_found_by_its_whole_as_without_views(run: Run, gallery: Gallery) -> None:
    images = Path(gallery.pack.source_root) / "images"
    for number in range(5):
        best = find_matches(gallery, read_logo(images / f"{number:04d}.png", 48), 3).matches[0]
        assert best.path == f"images/{number:04d}.png"
        assert (best.region, best.logo_region, best.compared()) == (None, None, "")
        assert best.similarity == pytest.approx(1, abs=5e-3)


def test_the_regions_that_were_compared_are_told(run: Run, tmp_path: Path) -> None:
    gallery = open_gallery(run, views=VIEWS)
    vars(gallery.index.regional)["penalties"] = Penalties(
        0.0, 0.0
    )  # the encoder tells little apart
    images = Path(gallery.pack.source_root) / "images"
    mark = Image.open(images / "0007.png").convert("RGB")
    canvas = Image.new("RGB", (mark.width, 2 * mark.height), "white")
    canvas.paste(mark, (0, 0))
    canvas.paste(Image.open(images / "0011.png").convert("RGB"), (0, mark.height))
    canvas.save(tmp_path / "both.png")
    logo = read_logo(tmp_path / "both.png", gallery.pack.size)
    answer = find_matches(gallery, logo, 10)
    told = [match for match in answer.matches if match.logo_region]
    assert told
    for match in told:
        assert match.logo_region is not None
        assert 0 <= match.logo_region.top < match.logo_region.bottom <= 1
        assert match.compared() in "\n".join(match_lines(answer))
    record = new_record(gallery, 10, MARKS, vienna=[], where=[])
    assert record.views == VIEWS
    record.answers.append(answer)
    page = search_page(record, [logo.pixels], gallery.images)
    assert told[0].compared() in page
    framed = framed_region(logo.pixels, told[0].logo_region)
    assert 0 < (framed != logo.pixels).any(2).mean() < 0.3
    assert data_uri(framed) in page


def test_similarities_are_those_of_comparing_every_region(gallery: Gallery) -> None:
    regional = gallery.index.regional
    assert regional is not None
    query = region_vectors(regional, 3)
    similarity, rows = gallery.index.nearest(query, 10)
    everything = compare_rows(regional, query, np.arange(MARKS))[0]
    assert np.allclose(similarity, np.sort(everything)[::-1][:10])
    assert rows[0] == 3


def test_views_are_kept_and_damaged_ones_are_told(run: Run, gallery: Gallery) -> None:
    files = regional_files(gallery.index.path, VIEWS)
    before = files.codes.stat().st_mtime_ns
    open_gallery(run, views=VIEWS)
    assert files.codes.stat().st_mtime_ns == before
    content = files.bits.read_bytes()
    files.bits.write_bytes(content[:-1])
    with pytest.raises(InputError, match="damaged"):
        open_gallery(run, views=VIEWS)
    files.bits.write_bytes(content)


def test_an_evaluation_by_views_says_so_and_compares_with_one_vector(run: Run) -> None:
    event = evaluate(run, topk=[5], views=3, robust=True)
    assert event.views == 3
    assert manner(event) == "with 3 views of each mark"
    assert event.matches == "eval/epoch-0001-views3.matches.jsonl"
    assert len(event.robustness) == len(CHANGES)
    assert all("one vector" in score.references for score in event.robustness)


def regional_of(gallery: Gallery) -> RegionalIndex:
    assert gallery.index.regional is not None
    return gallery.index.regional


def test_lines_that_were_read_cut_the_regions_that_are_compared_and_told(
    run: Run, gallery: Gallery
) -> None:
    pack, count, images = gallery.images, 5, Path(gallery.pack.source_root) / "images"
    row = next(
        row
        for row, pixels in enumerate(pack.read(range(MARKS)))
        if "figure" not in [region.kind for region in find_regions(pixels, count)]
    )
    side = pack.size
    line = Line("VELMORA", side // 8, side // 2, side * 7 // 8, side * 5 // 8, 1.0)
    give_lettering(pack, {row: [line]})
    try:
        kept, cut = (open_gallery(run, views=views) for views in (VIEWS, count))
        (regions,) = mark_regions(regional_of(cut), pack, [row])
        told = find_matches(cut, read_logo(images / f"{row:04d}.png", pack.size), 1).matches[0]
    finally:
        shutil.rmtree(lettering_folder(pack.folder, pack.info).parent)
    uncut = open_gallery(run, views=count)
    lettered = [regional_of(one).lettered for one in (kept, cut, uncut)]
    assert lettered == [False, True, False]  # what is kept is used as it is
    assert (told.row, told.lettering) == (row, "VELMORA")
    assert regions[1].kind == "figure"
    assert regions[1].read
    changed = (regional_of(cut).codes != regional_of(uncut).codes).any((1, 2))
    assert np.flatnonzero(changed).tolist() == [row]


def test_any_index_of_faiss_gives_the_candidates(run: Run) -> None:
    flat = open_gallery(run, views=VIEWS, factory="Flat").index
    exact = open_gallery(run, views=VIEWS).index
    assert flat.regional is not None
    assert flat.regional.approximate is not None
    assert flat.overlap == pytest.approx(1)
    for row in range(0, MARKS, 7):
        query = region_vectors(flat.regional, row)
        assert np.array_equal(flat.nearest(query, 8)[1], exact.nearest(query, 8)[1])
    coarse = open_gallery(run, views=VIEWS, factory="IVF4,SQ8;nprobe=4").index
    assert coarse.overlap is not None
    assert coarse.overlap > 0.9


@pytest.mark.parametrize("factory", ["IVF0,Flat", f"IVF{7 * MARKS + 1},Flat"])
def test_an_index_that_faiss_cannot_build_is_refused_before_views_are_embedded(
    run: Run, gallery: Gallery, factory: str
) -> None:
    phases: list[str] = []
    with pytest.raises(InputError, match="IVF"):
        open_gallery(run, views=7, factory=factory, phase=phases.append)
    assert phases == []
    assert not regional_files(gallery.index.path, 7).exist()


@pytest.mark.parametrize("words", [["--whiten", "8"]])
def test_what_says_otherwise_which_vectors_are_compared_is_refused(
    run: Run, gallery: Gallery, words: list[str]
) -> None:
    logo = Path(gallery.pack.source_root) / "images" / "0001.png"
    command = ["search", str(logo), "--run", str(run.path), "--views", "4", *words]
    with pytest.raises(InputError, match=f"--views and {words[0]} both"):
        tmssl_in_process(*command)


def test_every_vector_is_exported(run: Run, gallery: Gallery, tmp_path: Path) -> None:
    words = ["export", str(run.path), "--views", str(VIEWS), "--embeddings"]
    tmssl_in_process(*words, "npy", "--out", str(tmp_path / "all.npy"))
    vectors = np.load(tmp_path / "all.npy")
    regional = gallery.index.regional
    assert regional is not None
    assert vectors.shape == (MARKS, VIEWS, regional.whole.d)
    for row in range(0, MARKS, 9):
        there = vectors[row][np.abs(vectors[row]).sum(1) > 0]
        assert np.allclose(there, region_vectors(regional, row))
    tmssl_in_process(*words, "parquet", "--out", str(tmp_path / "all.parquet"))
    table = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "all.parquet")
    assert np.allclose(np.array(table["embedding"].to_pylist()), vectors[:, 0])
    assert np.allclose(np.array(table["regions"].to_pylist()), vectors[:, 1:].reshape(MARKS, -1))
