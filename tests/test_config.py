import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.config_options import field_docs, option_names
from tmssl.config import (
    SECTIONS,
    Config,
    changed,
    differences,
    from_dict,
    read_config,
    resolved,
    section_of,
    to_dict,
    write_config,
)
from tmssl.errors import ConfigError
from tmssl.positives import parse_positives
from tmssl.recipes import recipe_names, recipe_path


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "epochs": st.integers(1, 1000),
            "lr": st.floats(1e-5, 10),
            "seed": st.integers(0, 2**32 - 1),
            "views": st.sampled_from(["logo", "colour", "turned", "published", "mild"]),
            "deterministic": st.booleans(),
            "data.source": st.text(max_size=20).filter(lambda s: s.isprintable()),
        },
    )
)
def test_settings_survive_toml(changes: dict[str, object]) -> None:
    import tempfile

    config = changed(Config(), changes)
    with tempfile.TemporaryDirectory() as folder:
        write_config(config, Path(folder) / "config.toml")
        assert read_config(Path(folder) / "config.toml") == config
        assert [p.name for p in Path(folder).iterdir()] == ["config.toml"]


def test_every_setting_is_documented_and_has_its_option() -> None:
    for kind in SECTIONS.values():
        assert set(field_docs(kind)) == set(kind.__struct_fields__)
    assert option_names()["data"] == "data.source"
    assert option_names()["epochs"] == "train.epochs"


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"optim": {"lrr": 1.0}}, r"unknown setting 'optim.lrr' \(did you mean 'lr'\?\)"),
        ({"optimm": {}}, r"unknown section \[optimm\] \(did you mean 'optim'\?\)"),
        ({"optim": {"lr": -1.0}}, "bad setting"),
        ({"optim": {"lr": "fast"}}, "bad setting"),
        ({"optim": {"lr": float("inf")}}, "bad setting"),
        ({"optim": {"lr": float("nan")}}, "bad setting"),
        ({"optim": {"optimizer": "adam"}}, "bad setting: .*give one of sgd, lars, adamw$"),
        ({"optim": {"lr": 1e-4, "min_lr": 1e-3}}, "make it smaller than lr"),
        ({"optim": {"anchor": 40.0}}, "give more --epochs"),
        ({"train": {"chunk_size": 1000}}, "above batch_size"),
        ({"optim": {"decay_epochs": 3}}, "only the schedule wsd has a decay"),
        ({"optim": {"schedule": "wsd", "decay_epochs": 99}}, "give a shorter decay"),
    ],
)
def test_bad_settings_are_refused_by_name(tree: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(tree)


def test_settings_are_found_by_name_alone_or_with_their_section() -> None:
    assert section_of("lr") == section_of("optim.lr") == "optim"
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        section_of("epoch")


def test_differences_name_old_and_new() -> None:
    new = changed(Config(), {"epochs": 50, "lr": 0.1})
    assert differences(Config(), new) == {"optim.lr": [5e-4, 0.1], "train.epochs": [30, 50]}
    assert to_dict(new)["train"]["epochs"] == 50


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[train\n", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"[train]\nepoch=1", "did you mean"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(path)
    assert "c.toml" in str(caught.value)
    with pytest.raises(ConfigError, match="cannot read"):
        read_config(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"train": {"epochs": 0}}, "epochs is 0; give a whole number from 1 to 100000"),
        ({"train": {"epochs": 1.5}}, "epochs is 1.5; give a whole number from 1 to 100000"),
        ({"optim": {"lr": 0}}, "lr is 0; give a number from 1e-12 to 1000000"),
        ({"optim": {"lr": "fast"}}, "lr is 'fast'; give a number"),
        ({"data": {"vienna_share": 2}}, "vienna_share is 2; give a number from 0 to 1"),
        (
            {"data": {"views": "zz"}},
            "views is 'zz'; give one of logo, colour, turned, published, mild",
        ),
        ({"train": {"chunk_size": "big"}}, "chunk_size is 'big'; give `auto` or a whole number"),
        ({"train": {"compile": 3}}, "compile is 3; give true or false"),
        ({"data": {"source": 3}}, "source is 3; give text"),
        ({"train": {"chunk_size": 1}}, "chunk_size is 1, and BN cannot train on one image"),
        ({"train": 5}, "[train] is no table of settings"),
        ({"data": {"positives": 3}}, "positives is 3; give text"),
        ({"data": {"positives": "vienn"}}, "positives are 'vienn' (did you mean 'vienna'?); give"),
        ({"data": {"positives": "group="}}, "the share of group positives is ''; give a number"),
        ({"data": {"positives": "group=nan"}}, "the share of group positives is 'nan'"),
        ({"data": {"positives": "group=-1,title=2"}}, "the share of group positives is '-1'"),
        ({"data": {"positives": "group=0.5,group=0.5"}}, "positives name group twice"),
        ({"data": {"positives": "group=0.5,=0.5"}}, "positives are ''; give instance, vienna"),
        ({"data": {"positives": "group=0.5,title=0.4"}}, "add up to 0.9; make them add up to 1"),
        ({"data": {"positives": "\x1b[2J"}}, "positives are '"),
    ],
)
def test_a_bad_setting_is_told_with_what_it_is_and_may_be(
    tree: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        from_dict(tree)


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("instance", {"instance": 1.0}),
        ("title", {"title": 1.0}),
        ("mixed", {"instance": 0.75, "vienna": 0.25}),
        ("instance=0.6,group=0.3,vienna=0.1", {"instance": 0.6, "group": 0.3, "vienna": 0.1}),
        (" group = 1 , title = 0", {"group": 1.0}),
        ("instance=.1,group=.2,title=.3,vienna=.4", None),
    ],
)
def test_positives_are_a_kind_or_shares(text: str, shares: dict[str, float] | None) -> None:
    told = parse_positives(text, vienna_share=0.25)
    assert sum(told.values()) == pytest.approx(1)
    assert shares is None or told == shares


@given(st.text(max_size=40))
def test_any_other_text_for_positives_is_refused_in_one_line(text: str) -> None:
    told = ""
    try:
        parse_positives(text)
    except ConfigError as error:
        told = str(error)
    assert len(told.splitlines()) == (text not in ("instance", "vienna", "group", "title", "mixed"))
    assert "\x1b" not in told


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_opens_with_what_to_expect(name: str) -> None:
    read_config(recipe_path(name))
    head = recipe_path(name).read_text().split("\n\n")[0]
    assert all(line.startswith("# ") for line in head.splitlines())
    assert f"tmssl train --recipe {name} --data " in head
    assert "Time: " in head
    assert "Expected" in head


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(ConfigError, match="no recipe 'tyo'"):
        recipe_path("tyo")


@pytest.mark.parametrize(
    ("settings", "init", "features", "train", "heads"),
    [
        ({}, "imagenet", "grid", "head", "none"),
        ({"train": "all"}, "imagenet", "grid", "all", "mlp"),
        ({"features": "pooled"}, "imagenet", "pooled", "all", "mlp"),
        ({"init": "none"}, "none", "pooled", "all", "mlp"),
        ({"name": "resnet10t"}, "none", "pooled", "all", "mlp"),
        ({"name": "resnet10t", "init": "imagenet"}, "imagenet", "grid", "head", "none"),
        ({"init": "w.pt", "heads": "mlp"}, "w.pt", "grid", "head", "mlp"),
        ({"init": "none", "features": "grid", "train": "all"}, "none", "grid", "all", "mlp"),
    ],
)
def test_auto_follows_the_initial_weights(
    settings: dict[str, object], init: str, features: str, train: str, heads: str
) -> None:
    changes = {f"model.{name}": value for name, value in settings.items()}
    model = resolved(changed(Config(), changes)).model
    assert (model.init, model.features, model.train, model.heads) == (init, features, train, heads)
