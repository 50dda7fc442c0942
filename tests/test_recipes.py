"""Every recipe of docs/own-data.md does what the page shows, command by command."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.in_process import tmssl_in_process
from tests.helpers.l3d import images

PAGE = (Path(__file__).parents[1] / "docs" / "own-data.md").read_text("utf-8")
RECIPES = re.findall(r"^### (.+?)\n(.*?)(?=^#|\Z)", PAGE.partition("## Recipes")[2], re.M | re.S)
_IMAGES = (".png", ".jpg")


def steps(recipe: str) -> list[tuple[str, str]]:
    """Each command of a recipe and what the page shows of its output."""
    blocks = re.findall(r"^```console\n(.*?)^```", recipe, re.M | re.S)
    found = [
        step.partition("\n") for block in blocks for step in re.split(r"^\$ ", block, flags=re.M)
    ]
    joined: list[tuple[str, str]] = []
    for command, _, output in found:
        if command.count('"') % 2:  # a quoted script goes on until its closing quote
            script, _, rest = output.partition('"\n')
            joined.append((f'{command}\n{script}"', rest))
        elif command:
            joined.append((command, output))
    return joined


@pytest.mark.parametrize(("name", "recipe"), RECIPES, ids=[name for name, _ in RECIPES])
def test_a_recipe_does_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, recipe: str
) -> None:
    monkeypatch.chdir(tmp_path)
    images(tmp_path, "marks/images/0001.png", "marks/images/0002.png")
    ran = []
    for command, shown in steps(recipe):
        words = shlex.split(command)
        if words[0] == "find":  # what the reader has
            images(tmp_path, *(path for path in shown.split() if path.endswith(_IMAGES)))
        elif words[0] == "cat":
            Path(words[1]).write_text(shown, "utf-8")
        elif words[0] == "tmssl":
            ran.append(words[1])
            told, _ = tmssl_in_process(*words[1:])
            for line in filter(None, shown.replace(f"{words[2]}:", "").splitlines()):
                assert line.strip() in told, (name, told)
        else:
            words[0] = sys.executable if words[0] == "python" else words[0]
            subprocess.run(words, check=True)
    assert ran
