import json
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from cli.app import app
from tests.helpers.tiny_run import tiny_run
from tmssl.data import whitening
from tmssl.data.whitening import fit_whitening
from tmssl.errors import InputError
from tmssl.retrieval.evaluation.evaluate import evaluate
from tmssl.retrieval.evaluation.matches import read_matches
from tmssl.retrieval.evaluation.table import table_lines
from tmssl.retrieval.index.digests import DIGESTS_FILE, record_digest
from tmssl.retrieval.index.faiss_index import build_index, open_index, save_index, write_index
from tmssl.retrieval.vectors.whitening import whitened_index
from tmssl.runs.events import Eval
from tmssl.runs.folder import Run
from tmssl.types import Vectors


def skewed(count: int = 400, features: int = 12) -> Vectors:
    """Unit vectors that share strong directions, as a network's do."""
    dice = np.random.default_rng(7)
    mixed = dice.standard_normal((count, features)) @ dice.standard_normal((features, features))
    drawn = mixed * np.geomspace(1, 0.05, features) + 2
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def slowly_whitened(vectors: Vectors, kept: int) -> npt.NDArray[np.float64]:
    """As the definition says: covariance, its eigenvectors, one vector and one axis at a time."""
    centre = [float(np.mean([row[j] for row in vectors])) for j in range(vectors.shape[1])]
    moved = np.array([[row[j] - centre[j] for j in range(len(row))] for row in vectors], np.float64)
    covariance = np.array([[float(np.mean(a * b)) for b in moved.T] for a in moved.T])
    values, axes = np.linalg.eig(covariance)
    strongest = sorted(range(len(values)), key=lambda i: -float(values[i].real))[:kept]
    projected = [
        [float(row @ axes[:, i].real) / float(values[i].real) ** 0.5 for i in strongest]
        for row in moved
    ]
    return np.array([np.array(row) / np.linalg.norm(row) for row in projected])


@pytest.mark.parametrize("kept", [1, 3, 12])
def test_whitening_is_what_its_definition_says(kept: int) -> None:
    vectors = skewed()
    mine, slow = fit_whitening(vectors, kept)(vectors), slowly_whitened(vectors, kept)
    assert mine.shape == (400, kept)
    # An axis may point either way, which no cosine sees.
    assert np.allclose(mine @ mine.T, slow @ slow.T, atol=1e-3)


def test_whitened_directions_are_uncorrelated_and_count_alike() -> None:
    vectors = skewed()
    found = fit_whitening(vectors, 12)
    spread = np.cov((vectors - found.centre) @ found.axes, rowvar=False, bias=True)
    assert np.allclose(spread, np.eye(12), atol=1e-3)


def test_no_more_features_are_kept_than_vary() -> None:
    vectors = skewed(50, 6)
    flat = np.zeros((50, 10), np.float32)
    flat[:, :6] = vectors
    assert fit_whitening(flat, 99).axes.shape == (10, 6)
    assert fit_whitening(flat[:3], 99).axes.shape == (10, 2)
    alike = np.full((5, 4), 0.5, np.float32)
    assert np.isfinite(fit_whitening(alike, 3)(alike)).all()


def test_rounding_is_no_direction() -> None:
    dice = np.random.default_rng(1)
    flat = skewed(900, 6) @ np.linalg.qr(dice.standard_normal((40, 6)))[0].T
    assert fit_whitening(flat.astype(np.float32), 40).axes.shape == (40, 6)


def test_a_large_gallery_is_learnt_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = skewed(4000)
    whole = fit_whitening(vectors, 4)
    monkeypatch.setattr(whitening, "_SAMPLE", 3000)
    some = fit_whitening(vectors, 4)
    assert not np.array_equal(whole.centre, some.centre)
    assert np.array_equal(some.centre, fit_whitening(vectors, 4).centre)
    assert np.allclose(
        whole(vectors[:9]) @ whole(vectors[:9]).T, some(vectors[:9]) @ some(vectors[:9]).T, atol=0.2
    )


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    save_index(build_index(skewed()), tmp_path / "a-b.faiss")
    return tmp_path / "a-b.faiss"


def test_a_whitened_index_is_made_once_beside_the_exact_one_and_goes_with_it(kept: Path) -> None:
    exact = open_index(kept)
    reports: list[tuple[int, int]] = []
    index, found, path = whitened_index(exact, kept, 5, lambda *pair: reports.append(pair))
    again, same, _ = whitened_index(exact, kept, 5, lambda *pair: reports.append(pair))
    assert reports == [(400, 400)]
    assert np.array_equal(found.axes, same.axes)
    held = index.reconstruct_n(0, 400)
    assert np.array_equal(held, again.reconstruct_n(0, 400))
    assert np.allclose(held, found(exact.reconstruct_n(0, 400)), atol=1e-3)
    assert path.parent == kept.parent
    kept.unlink()
    save_index(build_index(skewed(30)), kept.with_name("c-d.faiss"))
    assert [file.name for file in kept.parent.iterdir() if file.name != DIGESTS_FILE] == [
        "c-d.faiss"
    ]


def test_a_whitening_of_an_older_version_is_made_again_and_goes_with_its_index(kept: Path) -> None:
    names = (
        "a-b-whitened1x5.ann",
        "a-b-whitened1x5.whitening",
        "a-b-principal1.ann",
        "a-b.directions",
    )
    for name in names:
        kept.with_name(name).write_bytes(b"by older code")
    assert whitened_index(open_index(kept), kept, 5)[0].d == 5
    kept.unlink()
    save_index(build_index(skewed(30)), kept.with_name("c-d.faiss"))
    assert [file.name for file in kept.parent.iterdir() if file.name != DIGESTS_FILE] == [
        "c-d.faiss"
    ]


@pytest.mark.parametrize("suffix", [".ann", ".whitening"])
def test_damage_is_told_in_one_line(kept: Path, suffix: str) -> None:
    exact = open_index(kept)
    _, _, path = whitened_index(exact, kept, 5)
    damaged = path.with_suffix(suffix)
    content = damaged.read_bytes()
    for bad in (content[: len(content) // 2], b"", b"\xff" * 64):
        damaged.write_bytes(bad)
        with pytest.raises(InputError, match=r"damaged.*; remove it and"):
            whitened_index(exact, kept, 5)


def test_a_whitening_for_vectors_of_another_width_is_refused(kept: Path) -> None:
    _, _, path = whitened_index(open_index(kept), kept, 5)
    write_index(build_index(skewed(400, 8)), kept)
    record_digest(kept)
    with pytest.raises(InputError, match="is for other vectors"):
        whitened_index(open_index(kept), kept, 5)
    # This removes what was derived from the index before.
    save_index(build_index(skewed(400, 8)), kept)
    assert not path.exists()
    assert whitened_index(open_index(kept), kept, 5)[0].d == 5


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return tiny_run(tmp_path_factory.mktemp("whitened"))


def value(event: Eval, metric: str, name: str = "") -> float:
    (score,) = [
        s
        for s in event.scores
        if s.metric == metric and s.level in ("division", "group") and (s.k, s.codes) == (10, "all")
    ]
    number = score.references[name] if name else score.value
    assert number is not None
    return number


def test_an_evaluation_whitens_its_encoders_and_says_so(run: Run) -> None:
    plain = evaluate(run, topk=[10])
    whitened = evaluate(run, topk=[10], whiten=8, robust=True)
    assert (plain.whitened, whitened.whitened) == (0, 8)
    assert set(whitened.scores[0].references) == {
        "HOG whitened",
        "untrained",
        "perceptual hash",
        "HOG",
        "not whitened",
    }
    assert value(whitened, "ndcg", "HOG whitened") == value(plain, "ndcg", "HOG whitened")
    assert value(whitened, "group_recall", "not whitened") == value(plain, "group_recall")
    assert value(whitened, "group_recall", "perceptual hash") == value(
        plain, "group_recall", "perceptual hash"
    )
    assert value(whitened, "ndcg") != value(plain, "ndcg")
    assert value(whitened, "ndcg", "HOG") != value(plain, "ndcg", "HOG")
    assert all(s.chance is not None for s in whitened.scores)
    assert "whitened to 8 features, as are the other encoders and HOG" in table_lines(whitened)
    assert read_matches(run.path / whitened.matches)[0].whitened == 8
    assert {"not whitened", "HOG"} < set(whitened.robustness[0].references)
    assert json.loads((run.eval / "epoch-0001-whitened8.json").read_text())["whitened"] == 8


def test_whitened_figures_are_those_of_whitened_vectors(run: Run) -> None:
    event = evaluate(run, topk=[10], whiten=8)
    (path,) = run.index.glob("*.faiss")
    vectors = open_index(path).reconstruct_n(0, 40)
    whitened = fit_whitening(vectors, 8)(vectors)
    for query in read_matches(run.path / event.matches)[1]:
        similarity = whitened @ whitened[query.row]
        similarity[query.row] = -np.inf
        listed = [match.row for match in query.matches]
        assert np.allclose(similarity[listed], np.sort(similarity)[::-1][: len(listed)], atol=2e-3)


def test_an_evaluation_by_a_factory_tells_its_overlap(run: Run) -> None:
    exact = evaluate(run, topk=[10])
    by_codes = evaluate(run, topk=[10], factory="SQ4")
    assert (exact.index, exact.overlap) == ("", None)
    assert by_codes.index == "SQ4"
    assert by_codes.overlap is not None
    assert 0.3 < by_codes.overlap <= 1
    assert any(
        "nearest marks by index SQ4, overlap@10 with exact search" in line
        for line in table_lines(by_codes)
    )
    flat = evaluate(run, topk=[10], factory="Flat", whiten=8)
    assert flat.overlap == 1
    # A rank among all marks is never approximate.
    nar = [[s.value for s in e.scores if s.metric == "group_nar"] for e in (exact, by_codes)]
    assert nar[0] == nar[1]


def test_a_search_by_whitened_vectors_finds_what_they_say(run: Run) -> None:
    logo = run.path.parents[1] / "marks" / "images" / "0007.png"

    def searched(*words: str) -> list[tuple[int, float]]:
        done = CliRunner().invoke(
            app, ["search", str(logo), "--run", str(run.path), "--json", "--whiten", "8", *words]
        )
        assert done.exit_code == 0, done.output
        record = json.loads(done.stdout)
        assert record["whitened"] == 8
        return [(match["row"], match["similarity"]) for match in record["answers"][0]["matches"]]

    found = searched()
    (path,) = run.index.glob("*.faiss")
    vectors = open_index(path).reconstruct_n(0, 40)
    whitened = fit_whitening(vectors, 8)(vectors)
    similarity = whitened @ whitened[7]
    assert found[0][0] == 7
    cosines = [cosine for _, cosine in found]
    assert np.allclose(cosines, np.sort(similarity)[::-1][:10], atol=5e-3)
    again = searched("--index", "Flat")
    assert [row for row, _ in again] == [row for row, _ in found]
    assert np.allclose([cosine for _, cosine in again], cosines)


def test_exported_embeddings_are_whitened_or_it_is_refused(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "vectors.npy"
    words = ["export", str(run.path), "--whiten", "8", "--out", str(target)]
    done = CliRunner().invoke(app, [*words, "--embeddings", "npy"])
    assert done.exit_code == 0, done.output
    (path,) = run.index.glob("*.faiss")
    vectors = open_index(path).reconstruct_n(0, 40)
    assert np.allclose(np.load(target), fit_whitening(vectors, 8)(vectors), atol=1e-3)
    assert json.loads(Path(f"{target}.json").read_text())["whitened"] == 8
    refused = CliRunner().invoke(app, [*words, "--to", "timm"])
    assert isinstance(refused.exception, InputError)
    assert str(refused.exception) == "--whiten is for --embeddings; --to has no vectors to whiten"


def test_an_index_that_finds_too_little_is_refused(run: Run, tmp_path: Path) -> None:
    copy = Run(shutil.copytree(run.path, tmp_path / "run"))
    with pytest.raises(InputError, match=r"finds fewer than 10 marks for \d of 8 queries"):
        evaluate(copy, topk=[10], factory="IVF16,Flat;nprobe=1")
