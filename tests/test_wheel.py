"""What is installed from a wheel works outside the checkout."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_wheel_holds_every_file_of_the_packages_and_runs_without_the_checkout(
    tmp_path: Path,
) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "-q", "-w", str(tmp_path)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("tmssl-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    listed = subprocess.run(
        ["git", "ls-files", "tmssl", "tui", "cli"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert set(listed) <= held
    assert not any(name.startswith(("tests/", "runs/")) for name in held)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import tmssl, cli.app, tui.app\n"
        "from tmssl.recipes import recipe_names, recipe_path\n"
        "from tmssl.config import read_config\n"
        "from tmssl.data.vienna import title\n"
        "assert tmssl.__file__.startswith(sys.argv[1]), tmssl.__file__\n"
        "assert recipe_names() and all(read_config(recipe_path(name)) for name in recipe_names())\n"
        "assert title('26.01')\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path / "site")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not {"torch", "torchvision"} & brought_by(wheel)


def brought_by(wheel: Path) -> set[str]:
    """What pip would install for a wheel beside what is here, torch and all, as an image would have it."""
    told = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--dry-run",
            "--quiet",
            "--report",
            "-",
            f"{wheel}[demo]",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    names = {item["metadata"]["name"].lower() for item in json.loads(told)["install"]}
    assert "tmssl" in names
    return names
