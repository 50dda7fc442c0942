import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.app import app
from tests.helpers.tiny_run import tiny_run
from tmssl.errors import InputError
from tmssl.files import cache_folder
from tmssl.retrieval.index.approximate import check_factory, factory_index, overlap_at_10
from tmssl.retrieval.index.faiss_index import build_index, open_index, save_index


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    drawn = np.random.default_rng(3).standard_normal((600, 16)).astype(np.float32)
    save_index(
        build_index(drawn / np.linalg.norm(drawn, axis=1, keepdims=True)), tmp_path / "a.faiss"
    )
    return tmp_path / "a.faiss"


def test_an_exact_factory_overlaps_wholly_and_a_coarse_one_by_what_is_told(kept: Path) -> None:
    exact = open_index(kept)
    assert overlap_at_10(exact, factory_index(exact, kept, "Flat")) == 1
    coarse = overlap_at_10(exact, factory_index(exact, kept, "IVF16,Flat"))
    wide = overlap_at_10(exact, factory_index(exact, kept, "IVF16,Flat;nprobe=16"))
    assert coarse < 0.95 < wide
    assert len(list(cache_folder().glob("indexes/*.ann"))) == 2  # nprobe is no index of its own


def test_an_index_is_built_once_and_never_read_from_a_runs_folder(kept: Path) -> None:
    exact = open_index(kept)
    reports: list[tuple[int, int]] = []
    factory_index(exact, kept, "SQ8", lambda *pair: reports.append(pair))
    factory_index(exact, kept, "SQ8", lambda *pair: reports.append(pair))
    assert reports == [(600, 600)]
    (made,) = cache_folder().glob("indexes/*.ann")
    made.rename(kept.with_name(made.name))
    factory_index(exact, kept, "SQ8", lambda *pair: reports.append(pair))
    assert reports == [(600, 600)] * 2


def test_only_the_newest_few_are_kept(kept: Path) -> None:
    exact = open_index(kept)
    for bits in ("Flat", "SQ8", "SQ4", "SQ6", "SQfp16"):
        factory_index(exact, kept, bits)
    assert len(list(cache_folder().glob("indexes/*.ann"))) == 4


@pytest.mark.parametrize("factory", ["Nonsense\x1b", "PQ4x12", "SQ8;nprobe=3", "Flat;x"])
def test_what_faiss_cannot_do_is_one_line(kept: Path, factory: str) -> None:
    with pytest.raises(InputError, match="faiss cannot make or read --index '"):
        factory_index(open_index(kept), kept, factory)
    assert not list(cache_folder().glob("indexes/.*"))


def test_a_search_by_it_says_what_it_loses_and_tells_true_similarities(tmp_path: Path) -> None:
    run = tiny_run(tmp_path)
    logo = str(tmp_path / "marks" / "images" / "0007.png")

    def searched(*words: str) -> tuple[list[tuple[int, float]], str]:
        done = CliRunner().invoke(app, ["search", logo, "--run", str(run.path), "--json", *words])
        assert done.exit_code == 0, done.output
        matches = json.loads(done.stdout)["answers"][0]["matches"]
        return [(match["row"], match["similarity"]) for match in matches], done.stderr

    exact, _ = searched()
    by_codes, words = searched("--index", "SQ4")
    assert "overlap@10 with exact 0." in words or "overlap@10 with exact 1." in words
    cosines = dict(exact)
    shared = [(row, similarity) for row, similarity in by_codes if row in cosines]
    assert len(shared) >= 5
    assert all(similarity == pytest.approx(cosines[row], abs=1e-5) for row, similarity in shared)
    assert by_codes == sorted(by_codes, key=lambda pair: -pair[1])


@pytest.mark.parametrize(
    ("factory", "told"),
    [
        ("IVF0,Flat", "has a IVF of 0"),
        ("IVF00,SQ8", "has a IVF of 0"),
        ("PQ0", "has a PQ of 0"),
        ("HNSW0", "has a HNSW of 0"),
        ("OPQ4_0,PQ4", "has a OPQ of 0"),
        ("PCA0,SQ8", "has a PCA of 0"),
        ("PQ5", "splits 16 features into 5 codes"),
        ("OPQ5,PQ5", "splits 16 features into 5 codes"),
        ("OPQ3_8,PQ4", "splits 8 features into 3 codes"),
        ("PCA8,PQ16", "splits 8 features into 16 codes"),
        ("IVF100,SQ8;nprobe=0", "sets nprobe to 0"),
        ("IVF100,SQ8;nprobe=-3", "sets nprobe to -3"),
        ("HNSW8;efSearch=0", "sets efSearch to 0"),
    ],
)
def test_zero_lists_codes_and_probes_are_refused_in_our_words(factory: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        check_factory(factory, 16, 5000)


@pytest.mark.parametrize(
    "factory",
    [
        "IVF4,SQ8;nprobe=2",
        "PQ4",
        "PQ8x4fs",
        "OPQ4_8,PQ4",
        "HNSW8",
        "PCA8,SQ8",
        "PCAR10,PQ5",
        "Flat",
    ],
)
def test_other_factories_go_on_to_faiss(factory: str) -> None:
    check_factory(factory, 16, 5000)


def test_more_lists_than_marks_are_refused_in_our_words() -> None:
    with pytest.raises(
        InputError, match="100 lists for 12 marks; give at most IVF12, or leave --index"
    ):
        check_factory("IVF100,Flat", 16, 12)
    check_factory("IVF12,Flat", 16, 12)
