"""`tmssl eval` on a run that was trained once: what it prints, and how it ends."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from cli.commands.eval import truncation_lines
from cli.output.evaluation import picture_lines
from cli.output.pictures import PictureStyle
from tests.helpers.command import environment
from tests.helpers.in_process import tmssl_in_process
from tests.helpers.marks import draw_marks
from tests.helpers.tiny_run import train_on
from tests.helpers.waiting import DEADLINE_S
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.reader import Pack, open_pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.errors import ConfigError, InputError
from tmssl.retrieval.evaluation.matches import Match, MatchesHeader, QueryMatches, read_matches
from tmssl.retrieval.evaluation.table import table_lines
from tmssl.runs.events import Eval, Score
from tmssl.runs.folder import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    marks = draw_marks(tmp_path_factory.mktemp("m"), 40, validation=8)
    (marks / "ATTRIBUTION.txt").write_text("Drawings by Somebody, CC BY 4.0\n")
    folder = tmp_path_factory.mktemp("p") / "pack"
    build_pack(read_catalogue(marks), folder, pack_size(32))
    return train_on(folder, tmp_path_factory.mktemp("r"))


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """`tmssl eval` sets handlers; give back those before."""
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def evaluated(run: Run, *words: str) -> tuple[str, str]:
    """Stdout and stderr of `tmssl eval RUN WORDS`."""
    return tmssl_in_process("eval", str(run.path), *words)


def test_json_is_one_object_whose_matches_can_be_read(run: Run) -> None:
    out, words = evaluated(run, "--topk", "5", "100", "--json")
    told = json.loads(out)
    assert told["gallery"] == 40
    assert {score["k"] for score in told["scores"]} == {0, 5, 39}
    header, queries = read_matches(run.path / told["matches"])
    assert header.topk == [5, 39]
    assert len(queries) == told["queries"] == 8
    assert words.splitlines() == [
        "--topk 100 is above the 39 marks that a query can find; its list ends there"
    ]


def test_only_lists_that_were_cut_are_told() -> None:
    assert truncation_lines([10, 39], 40) == []
    assert len(truncation_lines([40, 100, 100], 40)) == 2


def test_fewer_queries_and_pictures_are_what_was_asked_for(run: Run) -> None:
    out, _ = evaluated(run, "-k", "3", "--queries", "4", "--show", "2")
    assert out.startswith("4 queries (validation) against 40 marks, checkpoint checkpoints/")
    assert out.count("\nquery m") == 2
    assert out.endswith("Drawings by Somebody, CC BY 4.0\n")
    silent, _ = evaluated(run, "-k", "3", "--show", "0")
    assert "query m" not in silent
    assert "Somebody" not in silent  # none of the drawings is shown


def test_a_device_that_is_none_is_refused(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"--device is 'tpu'; give one of auto, cpu, cuda"):
        evaluated(run, "--device", "tpu")


def test_any_checkpoint_can_be_named(run: Run) -> None:
    for name in ("last", "best", str(run.checkpoints / "last.pt")):
        told = json.loads(evaluated(run, "-k", "3", "--checkpoint", name, "--json")[0])
        assert (told["epoch"], told["checkpoint"].startswith("checkpoints/")) == (1, True)


END = """
import os, sys
def hook(event, arguments):
    if event == "open" and sys.argv[1] in str(arguments[0]):
        sys.argv[1] = "\\0"
        os.kill(os.getpid(), int(sys.argv[2]))
sys.addaudithook(hook)
from cli.app import app, main
import cli.app
cli.app.app = lambda **given: app(sys.argv[3:], **given)
main()
"""


def signalled(
    run: Run, number: signal.Signals, moment: str, *words: str
) -> subprocess.CompletedProcess[str]:
    """`tmssl eval`, with a signal when it opens a file of such a name."""
    return subprocess.run(
        [sys.executable, "-c", END, moment, str(int(number)), "eval", str(run.path), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
        env=environment(),
    )


def test_a_page_without_a_folder_is_told_before_the_work(run: Run, tmp_path: Path) -> None:
    journal = run.journal.read_bytes()
    with pytest.raises(InputError, match=r"--html is .* and its folder does not exist"):
        evaluated(run, "--html", str(tmp_path / "none" / "x.html"))
    assert run.journal.read_bytes() == journal


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_hang_up_and_a_call_for_a_checkpoint_leave_it_at_work(
    run: Run, number: signal.Signals
) -> None:
    done = signalled(run, number, ".matches.jsonl.tmssl-", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["queries"] > 0


@pytest.mark.parametrize(
    ("number", "code", "moment"),
    [(signal.SIGINT, 130, ".matches.jsonl.tmssl-"), (signal.SIGTERM, 143, ".references-")],
)
def test_a_signal_ends_it_in_order_with_nothing_half_written(
    run: Run, number: signal.Signals, code: int, moment: str
) -> None:
    journal = run.journal.read_bytes()
    before = {path: path.read_bytes() for path in run.eval.iterdir()}
    done = signalled(run, number, moment, "-k", str(code % 7), "2")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert run.journal.read_bytes() == journal
    for path in run.eval.iterdir():
        assert not path.name.startswith(".")
        kept = path.name.startswith(("references-", "duplicates-"))  # whole, and of use next time
        assert kept or path.read_bytes() == before[path]


def an_eval(value: float) -> Eval:
    """An evaluation with every kind of row, all of one size."""
    scores = [
        Score(
            metric=metric,
            level=level,
            codes=codes,
            k=100,
            value=value,
            chance=value / 3,
            low=value * 0.9,
            high=value * 1.1,
            queries=2000,
            references={"untrained": value / 2, "perceptual hash": value / 4},
        )
        for level in ("category", "division", "group")
        for codes in ("all", "figurative", "macro")
        for metric in ("hit", "precision", "recall", "map", "ndcg", "group_recall", "group_nar")
    ]
    return Eval(queries=2000, gallery=538_770, scores=scores, checkpoint="checkpoints/best.pt")


@pytest.mark.parametrize("value", [1.0, 0.5432, 0.000123456, 1.86e-5])
def test_the_table_fits_eighty_columns_and_no_two_cells_touch(value: float) -> None:
    lines = table_lines(an_eval(value))
    assert max(map(len, lines)) < 80
    row = next(line for line in lines if line.startswith("recall@100"))
    assert len(row.split()) == 1 + 3 + 3 + 2
    assert "division, mean over divisions (2,000 divisions)" in "\n".join(lines)
    assert lines[-1] == "section: no two marks share codes of this depth"


def test_lower_is_better_for_nar_so_it_has_no_lift() -> None:
    row = next(line for line in table_lines(an_eval(0.3)) if line.startswith("nar@100"))
    assert row.split()[3] == "-"


STYLE = PictureStyle("half", "true")


@pytest.fixture(scope="module")
def pack(run: Run) -> Pack:
    return open_pack(Path(read_header(run).pack))


def read_header(run: Run) -> MatchesHeader:
    """The header of the newest matches of a run."""
    out, _ = evaluated(run, "-k", "3", "--json")
    return read_matches(run.path / json.loads(out)["matches"])[0]


@pytest.mark.parametrize("width", [34, 60, 80, 200])
def test_pictures_and_words_stay_within_the_terminal(pack: Pack, width: int) -> None:
    matches = [
        Match(row=i, rank=i, similarity=0.5, shared=["01.01", "26.11"], hit=True)
        for i in range(1, 9)
    ]
    told = QueryMatches(row=0, id="q", title="\u5546\u6a19\x1b[2J" * 40, matches=matches)
    lines = picture_lines(told, pack, width, STYLE)
    plain = [strip_colours(line) for line in lines]
    assert max(cell_len(line) for line in plain) <= width
    assert "\x1b" not in "".join(plain)
    assert any("01.01 Stars, comets" in line for line in " ".join(plain).split("shared: "))
    pictures = [line for line in lines if "\x1b[38;2;" in line or "\x1b[48;2;" in line]
    assert len(pictures) == 8


def strip_colours(line: str) -> str:
    """A line without its colour codes."""
    import re

    return re.sub(r"\x1b\[[\d;]*m", "", line)


def test_pixels_of_the_query_come_first(pack: Pack) -> None:
    told = QueryMatches(row=3, id="q", matches=[Match(row=5, rank=1)])
    lines = picture_lines(told, pack, 80, STYLE)
    swapped = picture_lines(
        QueryMatches(row=5, id="q", matches=[Match(row=3, rank=1)]), pack, 80, STYLE
    )
    assert lines != swapped
    assert np.array_equal(pack.read([3, 5])[0], pack.read([3])[0])
