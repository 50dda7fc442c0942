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
    section_of,
    to_dict,
    write_config,
)
from tmssl.errors import ConfigError
from tmssl.recipes import recipe_names, recipe_path


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "epochs": st.integers(1, 1000),
            "lr": st.floats(1e-5, 10),
            "seed": st.integers(0, 2**32 - 1),
            "views": st.sampled_from(["logo", "colour", "published", "mild"]),
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
    assert differences(Config(), new) == {"optim.lr": [0.2, 0.1], "train.epochs": [30, 50]}
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
        ({"train": {"epochs": 0}}, "epochs is 0; give a whole number, at least 1"),
        ({"train": {"epochs": 1.5}}, "epochs is 1.5; give a whole number"),
        ({"optim": {"lr": 0}}, "lr is 0; give a number, above 0.0"),
        ({"optim": {"lr": "fast"}}, "lr is 'fast'; give a number"),
        ({"data": {"vienna_share": 2}}, "vienna_share is 2; give a number, at most 1.0"),
        ({"data": {"views": "zz"}}, "views is 'zz'; give one of logo, colour, published, mild"),
        ({"train": {"chunk_size": "big"}}, "chunk_size is 'big'; give `auto` or a whole number"),
        ({"train": {"compile": 3}}, "compile is 3; give true or false"),
        ({"data": {"source": 3}}, "source is 3; give text"),
        ({"train": {"chunk_size": 1}}, "chunk_size is 1, and BN cannot train on one image"),
        ({"train": 5}, "[train] is no table of settings"),
    ],
)
def test_a_bad_setting_is_told_with_what_it_is_and_may_be(
    tree: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        from_dict(tree)


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
