"""Bad input of `tmssl eval` and `tmssl search` through the command line: one line each, and exit code 2."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from cli.app import main
from tests.helpers.marks import draw_marks
from tests.helpers.tiny_run import tiny_run
from tmssl.config import changed, read_config, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.retrieval.evaluation.evaluate import evaluate
from tmssl.retrieval.index.faiss_index import build_index, save_index
from tmssl.runs.folder import Run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = tiny_run(tmp_path_factory.mktemp("trained"))
    evaluate(run, topk=[10])
    return run


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    return Run(shutil.copytree(trained.path, tmp_path / "run"))


def told(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> tuple[int, list[str]]:
    """Exit code of `tmssl WORDS`, and what it said last on stderr; stdout stays empty when it fails."""
    monkeypatch.setattr(sys, "argv", ["tmssl", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capfd.readouterr()
    code = int(ended.value.code or 0)
    assert not (code and out)
    assert "Traceback" not in err
    return code, err.splitlines()


def damage(run: Run) -> None:
    (index,) = run.index.glob("*.faiss")
    index.write_bytes(index.read_bytes()[:99])


def replace_by_another_corpus(run: Run) -> None:
    (index,) = run.index.glob("*.faiss")
    drawn = np.random.default_rng(0).standard_normal((7, 16)).astype(np.float32)
    save_index(build_index(drawn), index)


@pytest.mark.parametrize("command", ["eval", "search"])
@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (damage, "is damaged or no index of ours"),
        (replace_by_another_corpus, "holds 7 marks of 40"),
    ],
)
def test_an_index_that_is_not_this_runs_is_one_line(
    run: Run,
    trained: Run,
    command: str,
    break_it: object,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert callable(break_it)
    break_it(run)
    logo = str(trained.path.parents[1] / "marks" / "images" / "0007.png")
    asked = (
        ["eval", str(run.path)] if command == "eval" else ["search", logo, "--run", str(run.path)]
    )
    code, lines = told(asked, monkeypatch, capfd)
    assert code == 2
    assert lines[-1].startswith("tmssl: ")
    assert words in lines[-1]
    assert "; remove it and " in lines[-1]


def test_a_checkpoint_of_another_width_has_an_index_of_its_own_or_is_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "weights.pt"
    other.write_bytes(b"not a checkpoint")
    code, lines = told(["eval", str(run.path), "--checkpoint", str(other)], monkeypatch, capfd)
    assert (code, len(lines)) == (2, 1)
    (kept,) = run.index.glob("*.faiss")
    drawn = np.random.default_rng(0).standard_normal((40, 99)).astype(np.float32)
    save_index(build_index(drawn), kept)  # as wide as another model's
    logo = str(Path(read_config(run.config).data.source) / "images" / "0007.png")
    code, lines = told(["search", logo, "--run", str(run.path)], monkeypatch, capfd)
    assert code == 2
    assert "holds vectors of 99 features" in lines[-1]


def test_an_image_that_is_none_and_a_list_longer_than_the_gallery(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    code, lines = told(
        ["search", str(tmp_path / "bad.png"), "--run", str(run.path)], monkeypatch, capfd
    )
    assert code == 2
    assert "bad.png cannot be searched for: not an image of a known format" in lines[-1]
    code, lines = told(
        ["search", str(tmp_path / "bad.png"), "--run", str(run.path), "-k", "41"],
        monkeypatch,
        capfd,
    )
    assert code == 2
    assert "--topk is 41 and the gallery has 40 marks; ask for fewer" in lines[-1]


def over(run: Run, catalogue: Path, folder: Path) -> None:
    """The same encoder over other marks."""
    pack = build_pack(read_catalogue(catalogue), folder, pack_size(32))
    write_config(changed(read_config(run.config), {"data.pack": str(pack.folder)}), run.config)


@pytest.mark.parametrize("marks", [1, 6, 10])
def test_the_default_list_ends_where_the_gallery_does(
    run: Run,
    marks: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    images = draw_marks(tmp_path / "few", marks) / "images"
    over(run, images, tmp_path / "few-pack")
    logo = str(next(iter(images.glob("*.png"))))
    for words, listed in (([], marks), (["-k", "1"], 1)):
        monkeypatch.setattr(
            sys, "argv", ["tmssl", "search", logo, "--run", str(run.path), "--json", *words]
        )
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        out, err = capfd.readouterr()
        told_cut = "so each list has that many" in err
        assert told_cut == (listed == marks < 10 and not words)
        record = json.loads(out)
        assert record["topk"] == listed
        assert len(record["answers"][0]["matches"]) == listed
    words = ["search", logo, "--run", str(run.path), "-k", str(marks + 1)]
    code, lines = told(words, monkeypatch, capfd)
    assert code == 2
    assert "ask for fewer" in lines[-1]


def test_a_split_of_one_image_and_no_labels_at_all_are_evaluated_and_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    over(run, draw_marks(tmp_path / "one", 12, validation=1), tmp_path / "one-pack")
    monkeypatch.setattr(sys, "argv", ["tmssl", "eval", str(run.path), "-k", "5", "--show", "0"])
    main_ended(capfd, "1 query (validation) against 12 marks")
    images = draw_marks(tmp_path / "bare", 12) / "images"
    over(run, images, tmp_path / "bare-pack")
    main_ended(capfd, "12 queries (sample) against 12 marks", "invariance@1")
    over(run, draw_marks(tmp_path / "single", 1) / "images", tmp_path / "single-pack")
    code, lines = told(["eval", str(run.path)], monkeypatch, capfd)
    assert code == 2
    assert lines[-1] == "tmssl: the pack holds 1 mark; a search needs at least two"


def main_ended(capfd: pytest.CaptureFixture[str], *words: str) -> None:
    """Run what `sys.argv` says, which must succeed and print the words."""
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    out = capfd.readouterr().out
    for word in words:
        assert word in out
