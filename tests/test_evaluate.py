import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.marks import draw_marks
from tmssl.config import Config, changed, write_config
from tmssl.data.catalogue import read_catalogue
from tmssl.data.pack import Pack, build_pack, open_pack, pack_size
from tmssl.errors import CheckpointError, InputError, PackError
from tmssl.retrieval.embed import embed, hash_vectors, unit, untrained_encoder
from tmssl.retrieval.evaluate import choose_queries, evaluate
from tmssl.retrieval.index import build_index, mate_ranks, open_index, save_index, search
from tmssl.retrieval.matches import MatchesHeader, read_matches, write_matches
from tmssl.runs.events import Eval
from tmssl.runs.folder import Run, create_run
from tmssl.runs.journal import read_journal
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags


def unit_vectors(count: int, width: int = 24, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, width)))


def test_searching_finds_what_sorting_finds() -> None:
    vectors = unit_vectors(200)
    own = np.array([3, 77, 199])
    similarity, rows = search(build_index(vectors), vectors[own], own, 20)
    exact = vectors[own] @ vectors.T
    exact[np.arange(3), own] = -2
    expected = np.argsort(-exact, axis=1)[:, :20]
    overlap = np.mean(
        [len(set(a) & set(b)) / 20 for a, b in zip(rows.tolist(), expected.tolist(), strict=True)]
    )
    assert overlap >= 0.95  # half precision may swap near ties
    assert np.allclose(similarity, np.take_along_axis(exact, rows, 1), atol=2e-3)
    assert not (rows == own[:, None]).any()


def test_a_query_hidden_among_its_duplicates_is_still_left_out() -> None:
    vectors = np.repeat(unit_vectors(2), 6, axis=0)
    own = np.arange(12)
    _, rows = search(build_index(vectors), vectors, own, 3)
    assert rows.shape == (12, 3)
    assert not (rows == own[:, None]).any()


def test_ranks_of_mates_count_ties_worst() -> None:
    vectors = unit(np.array([[1, 0], [1, 0.1], [1, 0.1], [0, 1], [1, 2.0]], dtype=np.float64))
    assert mate_ranks(vectors, 0, np.array([0, 1, 3])).tolist() == [2, 4]


def test_an_index_survives_the_disk(tmp_path: Path) -> None:
    vectors = unit_vectors(50)
    save_index(build_index(vectors), tmp_path / "i.faiss")
    rows = search(open_index(tmp_path / "i.faiss"), vectors[:5], np.arange(5), 4)[1]
    assert np.array_equal(rows, search(build_index(vectors), vectors[:5], np.arange(5), 4)[1])
    assert [p.name for p in tmp_path.iterdir()] == ["i.faiss"]
    (tmp_path / "i.faiss").write_bytes(b"junk")
    with pytest.raises(InputError, match="is damaged"):
        open_index(tmp_path / "i.faiss")


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_marks(tmp_path_factory.mktemp("m"), 40, validation=8)


@pytest.fixture(scope="module")
def pack(marks: Path, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return build_pack(read_catalogue(marks), tmp_path_factory.mktemp("p") / "pack", pack_size(32))


def trained(folder: Path, pack: Pack) -> Run:
    run = create_run(folder / "runs", "r")
    settings = {
        "data.pack": str(pack.folder), "model.name": "test_efficientnet", "hidden": 32,
        "dimensions": 16, "image_size": 32, "batch_size": 8, "epochs": 1, "device": "cpu",
    }  # fmt: skip
    write_config(changed(Config(), settings), run.config)
    train(run, SignalFlags())
    return run


@pytest.fixture(scope="module")
def run(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("r"), pack)


def test_embeddings_are_unit_rows_in_the_order_of_the_pack(pack: Pack) -> None:
    encoder = untrained_encoder("test_efficientnet", 3)
    vectors = embed(encoder, pack, image_size=32, device=torch.device("cpu"), batch_size=7)
    assert vectors.shape[0] == 40
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    whole = embed(encoder, pack, image_size=32, device=torch.device("cpu"), batch_size=40)
    assert np.allclose(vectors, whole, atol=1e-5)
    again = untrained_encoder("test_efficientnet", 3).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in encoder.state_dict().items())


def test_the_hash_of_a_brighter_copy_is_the_same(pack: Pack) -> None:
    bits = hash_vectors(pack)
    assert bits.shape == (40, 64)
    assert set(np.unique(np.abs(bits))) == {np.float32(0.125)}
    assert len(np.unique(bits, axis=0)) > 30


def test_an_evaluation_is_written_everywhere_it_should_be(run: Run, pack: Pack) -> None:
    told: list[tuple[int, int]] = []
    event = evaluate(run, topk=[10, 100], progress=lambda done, total: told.append((done, total)))
    assert (event.queries, event.gallery, event.split, event.epoch) == (8, 40, "validation", 1)
    assert told[-1] == (80, 80)
    assert {score.k for score in event.scores} == {0, 10, 39}  # 100 is cut to what there is
    assert {score.level for score in event.scores} == {"category", "division", "group"}
    for score in event.scores:
        assert score.chance is not None
        assert set(score.references) == {"untrained", "perceptual hash"}
    assert read_journal(run.journal)[-1] == event
    assert json.loads((run.eval / "epoch-0001.json").read_text())["gallery"] == 40
    header, queries = read_matches(run.path / event.matches)
    assert header.fingerprint == pack.fingerprint
    assert len(queries) == 8
    for query in queries:
        assert [match.rank for match in query.matches] == list(range(1, 21))
        assert query.row not in [match.row for match in query.matches]
        first = next((match.rank for match in query.matches if match.hit), 0)
        assert query.first_hit == first or query.first_hit > 20
    assert len(list(run.index.glob("*.faiss"))) == 1


def test_evaluating_twice_gives_the_same_figures_from_the_kept_index(run: Run) -> None:
    first, second = evaluate(run, topk=[5]), evaluate(run, topk=[5])
    assert first.scores == second.scores
    assert len(list(run.index.glob("*.faiss"))) == 1


def test_fewer_queries_are_a_seeded_sample(pack: Pack) -> None:
    rows, split = choose_queries(pack, 3, seed=1)
    assert split == "validation"
    assert len(rows) == 3
    assert rows.tolist() == choose_queries(pack, 3, seed=1)[0].tolist()
    assert set(rows.tolist()) <= set(choose_queries(pack, 0, seed=0)[0].tolist())


def test_without_labels_copies_find_their_originals_or_not(tmp_path: Path) -> None:
    folder = draw_marks(tmp_path / "m", 24)
    (folder / "labels.csv").unlink()
    pack = build_pack(read_catalogue(folder), tmp_path / "p", pack_size(32))
    event = evaluate(trained(tmp_path, pack), topk=[10])
    assert event.split == "sample"
    assert [(s.metric, s.k) for s in event.scores] == [("invariance", 1)]
    assert event.scores[0].chance == pytest.approx(1 / 24)
    assert set(event.scores[0].references) == {"untrained"}


def test_a_missing_checkpoint_or_pack_is_told(tmp_path: Path, run: Run) -> None:
    empty = create_run(tmp_path / "runs", "e")
    write_config(Config(), empty.config)
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        evaluate(empty)
    config = run.config.read_bytes()
    try:
        write_config(changed(Config(), {"data.pack": str(tmp_path / "gone")}), run.config)
        with pytest.raises(PackError, match="there is no pack at"):
            evaluate(run)
    finally:
        run.config.write_bytes(config)


def test_matches_come_back_and_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_matches(path, MatchesHeader(pack="p", topk=[10]), [])
    assert read_matches(path) == (MatchesHeader(pack="p", topk=[10]), [])
    for content in (b"", b"{oops\n", b'{"pack": 3}\n'):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is damaged"):
            read_matches(path)
    with pytest.raises(InputError, match="cannot read"):
        read_matches(tmp_path / "none")


def test_the_pack_of_the_matches_can_be_opened(run: Run) -> None:
    event = evaluate(run, topk=[3])
    assert isinstance(event, Eval)
    header, queries = read_matches(run.path / event.matches)
    assert open_pack(Path(header.pack)).read([queries[0].row]).shape == (1, 48, 48, 3)
