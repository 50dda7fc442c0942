import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cli.output.evaluation import robustness_bars, robustness_lines
from tests.helpers.marks import draw_marks
from tests.helpers.tiny_run import train_on
from tmssl.config import Config, changed, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.reader import Pack, open_pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.vienna import title
from tmssl.errors import CheckpointError, ConfigError, InputError, PackError
from tmssl.retrieval.evaluation.evaluate import eval_stem, evaluate
from tmssl.retrieval.evaluation.matches import read_matches
from tmssl.retrieval.evaluation.robustness import CHANGES
from tmssl.retrieval.evaluation.task import choose_queries
from tmssl.retrieval.index.digests import record_digest
from tmssl.retrieval.index.faiss_index import build_index, index_path, save_index
from tmssl.runs.events import Eval
from tmssl.runs.folder import Run, create_run
from tmssl.runs.journal import read_journal
from tmssl.training.checkpoints.store import load_weights

ROWS = ("HOG whitened", "untrained", "perceptual hash", "HOG")


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_marks(tmp_path_factory.mktemp("m"), 40, validation=8)


@pytest.fixture(scope="module")
def pack(marks: Path, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return build_pack(read_catalogue(marks), tmp_path_factory.mktemp("p") / "pack", pack_size(32))


def trained(folder: Path, pack: Pack) -> Run:
    return train_on(pack.folder, folder / "runs")


@pytest.fixture(scope="module")
def run(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("r"), pack)


def test_an_evaluation_is_written_everywhere_it_should_be(run: Run, pack: Pack) -> None:
    told: dict[str, tuple[int, int]] = {}
    event = evaluate(
        run,
        topk=[10, 100],
        phase=lambda name: told.update({name: (0, 0)}),
        progress=lambda done, total: told.update({list(told)[-1]: (done, total)}),
    )
    assert (event.queries, event.gallery, event.split, event.epoch) == (8, 40, "validation", 1)
    assert told["embedding"] == told["embedding, untrained"] == told["hashing"] == (40, 40)
    assert told["searching"] == (8, 8)
    assert {score.k for score in event.scores} == {0, 10, 39}  # 100 is cut to what there is
    assert {score.level for score in event.scores} == {"category", "division", "group"}
    for score in event.scores:
        assert score.chance is not None
        assert list(score.references) == [*ROWS]
    assert [e for e in read_journal(run.journal) if isinstance(e, Eval)] == [event]
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


def test_a_second_evaluation_embeds_nothing_and_gives_the_same_figures(run: Run) -> None:
    phases: list[str] = []
    first = evaluate(run, topk=[4], phase=phases.append)
    assert "embedding, untrained" in phases
    again: list[str] = []
    second = evaluate(run, topk=[4], phase=again.append)
    assert first.scores == second.scores
    assert not [name for name in again if "embedding" in name or "hash" in name]
    assert len(list(run.index.glob("*.faiss"))) == 1
    fewer: list[str] = []
    evaluate(run, topk=[4], queries=3, phase=fewer.append)
    assert "embedding, untrained" in fewer
    assert "embedding" not in fewer


def test_damaged_references_are_measured_again(run: Run) -> None:
    first = evaluate(run, topk=[6])
    for path in run.eval.glob("references-*.json"):
        path.write_bytes(b"{oops")
    assert evaluate(run, topk=[6]).scores == first.scores


def test_an_index_never_belongs_to_a_checkpoint_that_came_later(run: Run, pack: Pack) -> None:
    """A trainer may replace `last` while an evaluation is still embedding it."""
    copy = run.checkpoints / "copy.pt"
    copy.write_bytes((run.checkpoints / "last.pt").read_bytes())
    payload = torch.load(copy, weights_only=True)
    for tensor in payload["encoder"].values():
        if tensor.is_floating_point():
            tensor.mul_(-1)
    before = load_weights(copy)
    torch.save(payload, copy)
    after = load_weights(copy)
    assert before.path == after.path
    paths = {index_path(run.index, weights, pack.fingerprint) for weights in (before, after)}
    assert len(paths) == 2
    copy.unlink()


def test_evaluations_of_one_epoch_do_not_overwrite_each_other() -> None:
    names = [eval_stem(epoch) for epoch in (1.0, 1.25, 24.0, 24.4)]
    assert names == ["epoch-0001", "epoch-0001.25", "epoch-0024", "epoch-0024.40"]


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
    references = event.scores[0].references
    assert list(references) == ["HOG whitened", "HOG", "untrained", "perceptual hash"]
    assert all(value is not None and 0 <= value <= 1 for value in references.values())
    assert not list((tmp_path / "runs" / "r" / "eval").glob("references-*"))


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


def test_the_pack_of_the_matches_can_be_opened(run: Run) -> None:
    event = evaluate(run, topk=[3])
    assert isinstance(event, Eval)
    header, queries = read_matches(run.path / event.matches)
    assert open_pack(Path(header.pack)).read([queries[0].row]).shape == (1, 48, 48, 3)


def test_the_identity_of_a_pack_is_its_pixels_not_its_folder(marks: Path, tmp_path: Path) -> None:
    catalogue = read_catalogue(marks)
    first, moved, larger = (
        build_pack(catalogue, tmp_path / name, size)
        for name, size in (("a", 48), ("b", 48), ("c", 64))
    )
    assert first.identity == moved.identity
    assert first.identity != larger.identity


def doubled_marks(folder: Path) -> Path:
    """40 marks of which each of the last 8, the validation split, is there twice under another name."""
    marks = draw_marks(folder, 40, validation=8)
    lines = (marks / "labels.csv").read_text().splitlines()
    for i in range(32, 40):
        shutil.copy(marks / f"images/{i:04d}.png", marks / f"images/twin-{i:04d}.png")
        lines.append(f"images/twin-{i:04d}.png,t{i},{lines[i + 1].split(',')[2]},,train,twin")
    (marks / "labels.csv").write_text("\n".join(lines) + "\n")
    return marks


def test_near_duplicates_are_counted_and_left_out_when_asked(tmp_path: Path) -> None:
    pack = build_pack(read_catalogue(doubled_marks(tmp_path / "m")), tmp_path / "p", pack_size(32))
    run = trained(tmp_path, pack)
    twins = {i for i, mark in enumerate(pack.marks) if "twin" in mark.path}
    told = evaluate(run, topk=[5])
    assert (told.duplicated, told.duplicates, told.without_duplicates) == (8, 8, False)
    matches = read_matches(run.path / told.matches)[1]
    assert all(query.matches[0].duplicate for query in matches)
    left = evaluate(run, topk=[5, 100], exclude_duplicates=True)
    assert (left.duplicated, left.duplicates, left.without_duplicates) == (8, 8, True)
    for query in read_matches(run.path / left.matches)[1]:
        assert not twins & {match.row for match in query.matches} - {
            row for row in twins if pack.marks[row].path[-8:] != query.path[-8:]
        }
        assert not any(match.duplicate for match in query.matches)
    assert max(score.k for score in left.scores) == pack.count - 2
    before, after = (
        {(s.metric, s.level, s.codes, s.k): s for s in event.scores} for event in (told, left)
    )
    key = ("precision", "division", "all", 5)
    assert before[key].chance != after[key].chance
    assert before[key].references != after[key].references


def test_divisions_have_titles_and_stand_apart_from_the_figures(run: Run) -> None:
    event = evaluate(run, topk=[4, 8])
    assert {one.code for one in event.divisions} <= {"03.01", "04.02", "05.03", "26.01"} | {
        f"{c:02d}.{d:02d}" for c in (3, 4, 5) for d in (1, 2, 3, 4)
    }
    assert event.divisions
    for one in event.divisions:
        assert one.k == 4
        assert one.title == title(one.code)
        assert one.chance is not None
        assert list(one.references) == [*ROWS]
    assert not [score for score in event.scores if score.codes[:1].isdigit()]
    macro = next(s for s in event.scores if (s.codes, s.k) == ("macro", 4))
    values = [one.value or 0.0 for one in event.divisions]
    assert macro.value == pytest.approx(sum(values) / len(values))


def test_other_encoders_become_rows(run: Run, tmp_path: Path) -> None:
    payload = torch.load(run.checkpoints / "last.pt", weights_only=True)
    torch.save(payload["encoder"], tmp_path / "timm.pth")
    event = evaluate(
        run,
        topk=[4],
        compare=[str(run.path), str(run.checkpoints / "last.pt"), str(tmp_path / "timm.pth")],
    )
    for score in event.scores:
        told = [score.references.get(name) for name in (run.path.name, "last.pt", "timm.pth")]
        if score.metric != "stability":
            assert told == [pytest.approx(score.value)] * 3  # each is this very encoder
    with pytest.raises(ConfigError, match="neither a run nor a file"):
        evaluate(run, compare=["nowhere"])
    with pytest.raises(ConfigError, match=r"cannot be fetched|no weights"):
        evaluate(run, compare=["timm:resnet10t"])
    with pytest.raises(ConfigError, match="timm has no model"):
        evaluate(run, compare=["timm:resnet10000t"])


def test_without_scikit_image_the_hog_row_is_left_out_and_told(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    told: list[str] = []
    event = evaluate(run, topk=[4], warn=told.append)
    assert list(event.scores[0].references) == ["untrained", "perceptual hash"]
    assert len(told) == 1
    assert "scikit-image is not installed" in told[0]


def test_lists_are_compared_with_those_of_the_checkpoint_before(run: Run) -> None:
    later = torch.load(run.checkpoints / "last.pt", weights_only=True)
    evaluate(run, topk=[12])
    later["step"] += 10
    later["epoch"] = 2.0
    torch.save(later, run.checkpoints / "later.pt")
    same = evaluate(run, checkpoint=str(run.checkpoints / "later.pt"), topk=[12])
    (steady,) = (s for s in same.scores if s.metric == "stability")
    assert (steady.k, steady.value, steady.queries) == (10, 1.0, 8)
    assert steady.chance == pytest.approx(10 / 39)
    (run.eval / "epoch-0002.matches.jsonl").unlink()
    generator = torch.Generator().manual_seed(0)
    for tensor in later["encoder"].values():
        if tensor.is_floating_point():
            tensor.mul_(1 + torch.rand(tensor.shape, generator=generator))
    later["step"] += 10
    later["epoch"] = 3.0
    torch.save(later, run.checkpoints / "later.pt")
    other = evaluate(run, checkpoint=str(run.checkpoints / "later.pt"), topk=[12])
    (moved,) = (s for s in other.scores if s.metric == "stability")
    first, second = (
        {q.row: {m.row for m in q.matches[:10]} for q in read_matches(run.eval / name)[1]}
        for name in ("epoch-0001.matches.jsonl", "epoch-0003.matches.jsonl")
    )
    overlap = [len(first[row] & second[row]) / 10 for row in first]
    assert moved.value == pytest.approx(sum(overlap) / 8)
    (run.checkpoints / "later.pt").unlink()


def test_an_index_of_other_marks_is_refused(run: Run, pack: Pack) -> None:
    evaluate(run, topk=[3])
    path = index_path(run.index, load_weights(run.checkpoints / "last.pt"), pack.identity)
    kept = path.read_bytes()
    try:
        save_index(build_index(np.eye(8, dtype=np.float32)), path)
        with pytest.raises(InputError, match="holds 8 marks of 40; remove it"):
            evaluate(run, topk=[3])
        path.write_bytes(kept[:100])
        with pytest.raises(InputError, match="is damaged"):
            evaluate(run, topk=[3])
    finally:
        path.write_bytes(kept)
        record_digest(path)


def test_changed_queries_look_for_their_originals(run: Run) -> None:
    event = evaluate(run, topk=[1, 40], robust=True)
    assert {score.codes for score in event.robustness} == set(CHANGES)
    for score in event.robustness:
        assert score.chance == pytest.approx(score.k / 40)
        assert list(score.references) == [*ROWS]
    told = {(score.codes, score.k): score for score in event.robustness}
    assert told["JPEG", 1].references["HOG"] == 1  # it hardly changes a mark
    assert (told["inverted", 39].references["perceptual hash"] or 0) < 1
    lines = robustness_lines(event)
    assert [" ".join(line.split()) for line in lines if line.startswith("    ")] == [
        "value chance HOG whitened untrained hash",
        "HOG",
    ]
    assert len(lines) == 3 + len(CHANGES) + 2 + len(CHANGES)
    assert max(map(len, lines)) <= 80
    bars = robustness_bars(event)
    assert bars[0].startswith("known-item recall@1")
    assert len(bars) == 1 + len(CHANGES) * (1 + len(ROWS))
    assert max(map(len, bars)) <= 80
    first = [score for score in event.robustness if score.k == 1]
    for line, score in zip(bars[1 :: 1 + len(ROWS)], first, strict=True):
        assert line.startswith(score.codes)
        assert line.count("▇") == round(40 * (score.value or 0.0))


def test_a_split_of_one_mark_is_one_query(tmp_path: Path) -> None:
    marks = draw_marks(tmp_path / "m", 20, validation=1)
    pack = build_pack(read_catalogue(marks), tmp_path / "p", pack_size(32))
    event = evaluate(trained(tmp_path, pack), topk=[5])
    assert (event.queries, event.split) == (1, "validation")
    assert all(score.low == score.high == score.value for score in event.scores)


@pytest.mark.gpu
@pytest.mark.timeout(300)
def test_a_gpu_scores_what_a_cpu_scores(pack: Pack, tmp_path: Path) -> None:
    run = trained(tmp_path, pack)
    figures = {}
    for device in ("cpu", "cuda"):
        shutil.rmtree(run.index, ignore_errors=True)
        for kept in run.eval.glob("references-*"):
            kept.unlink()
        event = evaluate(run, topk=[10], device=device, robust=True)
        told = [*event.scores, *event.robustness]
        figures[device] = {(s.metric, s.level, s.codes, s.k): s.value or 0.0 for s in told}
    assert figures["cpu"].keys() == figures["cuda"].keys()
    # bfloat16 swaps near neighbours, of which 40 random marks have many.
    apart = [abs(figures["cpu"][key] - figures["cuda"][key]) for key in figures["cpu"]]
    assert np.mean(apart) < 0.05


def test_no_encoder_embeds_the_gallery_twice(pack: Pack, tmp_path: Path) -> None:
    run = trained(tmp_path, pack)
    told: list[str] = []
    evaluate(run, topk=[10], robust=True, phase=told.append)
    embedding = [name for name in told if name.startswith("embedding")]
    assert embedding == ["embedding", *(f"embedding, {name}" for name in ROWS)]
    changed = [name for name in told if name.startswith("changed")]
    assert changed == [f"changed queries, {name}" for name in ("this", *ROWS)]
    told.clear()
    evaluate(run, topk=[10], phase=told.append)
    assert not [name for name in told if name.startswith("embedding")]
