"""The runs that a sweep's file makes, their names, and one line for each mistake in it."""

import itertools
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmssl.config import Config, changed
from tmssl.errors import ConfigError
from tmssl.runs.sweep.grid import MOST_RUNS, PlannedRun, parse_sweep, plan_runs, read_sweep

DATA = '[data]\nsource = "marks"\n'


def planned(text: str) -> list[PlannedRun]:
    sweep = parse_sweep(tomllib.loads(text))
    return plan_runs(sweep, Config())


def test_a_grid_makes_every_combination_and_names_it_by_its_settings() -> None:
    runs = planned(DATA + "[grid]\nlr = [1e-3, 0.01]\nseed = [0, 1]\n[train]\nepochs = 7\n")
    expected = list(itertools.product([1e-3, 0.01], [0, 1]))
    assert [(run.config.optim.lr, run.config.train.seed) for run in runs] == expected
    assert [run.name for run in runs] == [
        "lr-0.001-seed-0",
        "lr-0.001-seed-1",
        "lr-0.01-seed-0",
        "lr-0.01-seed-1",
    ]
    assert {run.config.train.epochs for run in runs} == {7}
    assert {run.config.data.source for run in runs} == {"marks"}


def test_a_name_stays_when_the_grid_grows() -> None:
    few = planned(DATA + "[grid]\nlr = [0.1]\nseed = [0]\n")
    more = planned(DATA + "[grid]\nlr = [1, 0.1]\nseed = [0, 1]\n")
    assert [run.name for run in few] == ["lr-0.1-seed-0"]
    assert few[0] in more


def test_tables_make_a_run_each_and_are_crossed_with_the_grid() -> None:
    text = (
        DATA
        + '[grid]\nseed = [0, 1]\n[[runs]]\n[[runs]]\npositives = "instance=0.6,group=0.4"\n'
        + '[[runs]]\n"optim.lr" = 1\n[runs.data]\nviews = "mild"\n'
    )
    runs = planned(text)
    assert [run.name for run in runs] == [
        "seed-0",
        "seed-1",
        "positives-instance-0.6-group-0.4-seed-0",
        "positives-instance-0.6-group-0.4-seed-1",
        "lr-1-views-mild-seed-0",
        "lr-1-views-mild-seed-1",
    ]
    assert runs[4].config.optim.lr == 1.0
    assert runs[4].config.data.views == "mild"


def test_each_run_is_evaluated_at_its_end_unless_the_file_says_otherwise() -> None:
    once = planned(DATA + "[grid]\nepochs = [3, 5]\n")
    assert [run.config.train.eval_every for run in once] == [3, 5]
    never = planned(DATA + "[train]\neval_every = 0\n[grid]\nepochs = [3, 5]\n")
    assert [run.config.train.eval_every for run in never] == [0, 0]


def test_names_stay_short_and_unique() -> None:
    texts = ["a" * 90, "a" * 90 + "b", "ä/b", "ö/b"]
    runs = planned(DATA + f"[grid]\nimages_under = {texts!r}\n")
    names = [run.name for run in runs]
    assert len(set(names)) == 4
    assert all(len(name) < 80 and name.isascii() and "/" not in name for name in names)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no run; add \\[grid\\]"),
        ("[grid]\n", "\\[grid\\] is empty"),
        ("runs = []\n", "runs is empty"),
        ("runs = 3\n", "runs is no list of tables"),
        ("[grid]\nlr = []\n", "lr of \\[grid\\] is an empty list"),
        ("[grid]\nlr = 0.1\n", "give a list, such as lr = \\[0.1\\]"),
        ("[grid]\nlrr = [1]\n", "unknown setting 'lrr'.*'lr'"),
        ("[gird]\nlr = [1]\n", "unknown 'gird'.*grid"),
        ("[grid]\nlr = [0.1, 'x']\n", "run lr-x: bad setting: lr is 'x'; give a number"),
        ("[grid]\nepochs = [0]\n", "epochs is 0; give a whole number from 1 to 100000"),
        ("[grid]\nlr = [0.1, 0.10]\n", "runs 1 and 2 have the same settings \\(lr-0.1\\)"),
        ("[[runs]]\n[[runs]]\nlr = 5e-4\n", "runs 1 and 2 have the same settings"),
        ("[[runs]]\n[[runs]]\n", "runs 1 and 2 have the same settings \\(the shared ones\\)"),
        ("[grid]\nlr = [1]\n[[runs]]\nlr = 2\n", "is in \\[grid\\] and in a table"),
        ("[grid]\nlr = [1]\n'optim.lr' = [2]\n", "sets optim.lr twice"),
        ("data = 3\n[grid]\nlr = [1]\n", "data of the file is no table"),
        ("recipe = 3\n[grid]\nlr = [1]\n", "recipe is 3"),
        ("[grid]\nseed = [" + ",".join(map(str, range(MOST_RUNS + 1))) + "]\n", "has 257 runs"),
    ],
)
def test_a_mistake_is_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        planned(text)
    assert "\n" not in str(refused.value)


def test_a_product_of_millions_is_refused_before_it_is_made() -> None:
    values = str(list(range(1000)))
    with pytest.raises(ConfigError, match=r"1,000,000,000 runs, and 256 are the most"):
        planned(f"[grid]\nseed = {values}\nepochs = {values}\nbatch_size = {values}\n")


def test_a_file_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b"\xff[grid\n")
    for path, said in ((tmp_path / "bad.toml", "is not TOML"), (tmp_path / "none", "cannot read")):
        with pytest.raises(ConfigError, match=said):
            read_sweep(path)


VALUES = st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=5), st.none())
TREES = st.dictionaries(
    st.sampled_from(["grid", "runs", "data", "optim", "recipe", "x"]),
    st.recursive(
        VALUES,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(["lr", "seed", "stages", "optim.lr", "y"]), inner),
        ),
        max_leaves=6,
    ),
)


@given(TREES)
def test_any_tree_is_planned_or_refused(tree: dict[str, object]) -> None:
    try:
        runs = plan_runs(parse_sweep(tree), Config())
    except ConfigError:
        return
    assert len({run.name for run in runs}) == len(runs)
    assert all(changed(run.config, {}) == run.config for run in runs)
