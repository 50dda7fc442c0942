"""Every recipe of docs/own-data.md reads the form that its row describes."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.helpers.in_process import tmssl_in_process
from tests.helpers.l3d import l3d
from tests.helpers.own_data import COUNT, write_forms, write_my_marks

PAGE = (Path(__file__).parents[1] / "docs" / "own-data.md").read_text("utf-8")
RECIPES = dict(re.findall(r"^\| ([\w ]+) \|.*\| `(tmssl data [^`]+)` \|$", PAGE, re.M))
WITH_CODES = {
    "folder with a table": 40,
    "table alone": 40,
    "archive": 40,
    "L3D": 18,
    "class and split folders": 0,
    "some of the shards": COUNT,
    "several sources": 40 + COUNT,
}
TOLD = {
    "image folder of Hugging Face": "Hugging Face's image folders",
    "Parquet of Hugging Face": "read as 2 Parquet shards",
    "WebDataset": "read as 2 shards of WebDataset",
    "some of the shards": "read as 2 shards of WebDataset",
    "several sources": "read as 2 sources in one",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    write_my_marks(folder)
    shutil.move(l3d(folder / "published"), folder / "l3d")
    write_forms(folder)
    return folder


def test_there_is_a_recipe_for_each_form() -> None:
    assert len(RECIPES) == 12
    assert not (WITH_CODES.keys() | TOLD.keys()) - RECIPES.keys()


@pytest.mark.parametrize("form", RECIPES)
def test_a_recipe_reads_its_form(home: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    words = [*shlex.split(RECIPES[form])[1:], "--sample", "0", "--json"]
    join = json.loads(tmssl_in_process(*words)[0])["join"]
    assert join["with_codes"] == WITH_CODES.get(form, COUNT)
    assert TOLD.get(form, "") in "\n".join(join["notes"])
    if form == "class and split folders":
        assert (join["with_group"], join["validation"]) == (COUNT, COUNT // 4)
