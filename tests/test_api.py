"""The public API gives from Python what the commands print."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tmssl
from tests.helpers.tiny_run import tiny_run
from tmssl.errors import InputError, PackError, RunError

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tmssl.TrainedRun:
    return tmssl.TrainedRun(tiny_run(tmp_path_factory.mktemp("api")))


def python(code: str, *arguments: str) -> str:
    """What a fresh process prints."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ).stdout


def test_importing_loads_nothing_and_every_name_is_there() -> None:
    code = "import sys, tmssl; print(*sorted(m for m in sys.modules if m.split('.')[0] in ('numpy', 'torch', 'msgspec')))"
    assert python(code).strip() == ""
    assert {name for name in tmssl.__all__ if getattr(tmssl, name)} == set(tmssl.__all__)
    assert set(tmssl.__all__) <= set(dir(tmssl))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tmssl.nothing  # noqa: B018 - the access is the test


def test_history_is_read_without_torch() -> None:
    code = (
        "import sys, tmssl; print(*tmssl.open_run('runs/training-log').history.epochs['loss']);"
        "print('torch' in sys.modules, 'faiss' in sys.modules)"
    )
    losses, loaded = python(code).splitlines()
    assert len(losses.split()) > 10
    assert loaded == "False False"


def test_columns_hold_what_the_events_say(run: tmssl.TrainedRun) -> None:
    history = run.history
    assert history.epochs["epoch"].tolist() == [epoch.epoch for epoch in history.events.epochs]
    assert history.steps["loss"].tolist() == pytest.approx(
        [step.loss for step in history.events.steps]
    )
    assert len({len(column) for column in history.steps.values()}) == 1
    assert np.isnan(history.steps["gpu_util"]).all()
    assert tmssl.read_history(run.folder.journal).epochs.keys() == history.epochs.keys()
    assert history.scores == {}
    assert history.findings == history.events.findings


def test_scores_stand_beside_their_chance(tmp_path: Path) -> None:
    run = tmssl.TrainedRun(tiny_run(tmp_path))
    event = tmssl.evaluate(run, topk=[5], checkpoint="last")
    scores = tmssl.open_run(run.path).history.scores
    assert len(scores["value"]) == len(event.scores)
    assert {"metric", "level", "k", "value", "chance", "low", "high", "untrained"} <= set(scores)
    assert scores["k"].dtype == np.int64


def test_vectors_of_images_are_those_of_the_index(run: tmssl.TrainedRun) -> None:
    pack = tmssl.open_pack(run)
    encoder = tmssl.load_encoder(run, device="cpu")
    told: list[tuple[int, int]] = []
    paths = [Path(pack.source_root) / pack.marks[row].path for row in range(5)]
    vectors = tmssl.embed(
        encoder, paths, batch_size=2, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    index = run.gallery().index.exact
    assert (np.sum(index.reconstruct_n(0, 5) * vectors, axis=1) > 0.999).all()
    opened = [Image.open(path) for path in paths]
    assert np.allclose(tmssl.embed(encoder, opened), vectors, atol=1e-5)
    assert tmssl.embed(encoder, []).shape == (0, 0)


def test_a_search_finds_the_image_itself_first(run: tmssl.TrainedRun) -> None:
    pack = tmssl.open_pack(run)
    path = Path(pack.source_root) / pack.marks[3].path
    matches = tmssl.search(run, path, topk=4)
    assert [match.rank for match in matches] == [1, 2, 3, 4]
    assert matches[0].row == 3
    assert matches[0].own
    with Image.open(path) as image:
        assert [match.row for match in tmssl.search(run.path, image, topk=4)] == [
            match.row for match in matches
        ]
    code = pack.marks[3].vienna[0]
    assert all(code in match.vienna for match in tmssl.search(run, path, vienna=[code]))
    assert tmssl.search(run, path, where=["path=nowhere"]) == []
    best, *_ = tmssl.search(run, text="mark 3", topk=4)
    assert (best.title, best.parts) == ("mark 3", {"text": 1})
    both = tmssl.search(run, path, text="mark 3", codes=["3.1"], weights="picture=1,text=9,codes=1")
    assert sorted(both[0].parts) == ["codes", "picture", "text"]
    with pytest.raises(InputError, match="give an image or a text"):
        tmssl.search(run)


def test_what_is_missing_is_one_error_of_the_tree(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run"):
        tmssl.open_run(tmp_path / "none")
    with pytest.raises(PackError, match="there is no pack"):
        tmssl.open_pack(tmp_path)
    assert issubclass(RunError, tmssl.TmsslError)
    assert tmssl.list_runs(tmp_path) == []


def test_the_page_runs_as_written(run: tmssl.TrainedRun, tmp_path: Path) -> None:
    page = (ROOT / "docs/python.md").read_text("utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    (tmp_path / "runs").symlink_to(run.path.parent)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "1 1.0" in done.stdout
    for name in tmssl.__all__:
        assert name in page
