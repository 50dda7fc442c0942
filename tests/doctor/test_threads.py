"""How the threads of a process that computes wait, and how many they are."""

import sys
from pathlib import Path

import pytest

from tests.helpers.command import run_checked
from tmssl.children import python_module
from tmssl.config import Config, write_config
from tmssl.doctor import threads
from tmssl.doctor.threads import share_cores


def test_threads_spin_briefly_unless_the_person_says_how_they_wait() -> None:
    environment: dict[str, str] = {}
    share_cores(environment)
    assert environment["GOMP_SPINCOUNT"] == "10000"
    assert environment["KMP_BLOCKTIME"] == "1"
    for own in ({"GOMP_SPINCOUNT": "7"}, {"KMP_BLOCKTIME": "infinite"}):
        environment = dict(own)
        share_cores(environment)
        assert environment.items() >= own.items()
    for own in ({"OMP_WAIT_POLICY": "ACTIVE"}, {"KMP_LIBRARY": "turnaround"}):
        environment = dict(own)
        share_cores(environment)
        assert not {"GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & set(environment)


@pytest.mark.parametrize(("cores", "threads_told"), [(0.5, "1"), (2.5, "2"), (64.0, None)])
def test_a_quota_below_the_affinity_limits_the_threads(
    cores: float, threads_told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: cores)
    monkeypatch.setattr(threads, "allowed_cores", lambda: set(range(64)))
    environment: dict[str, str] = {}
    share_cores(environment)
    assert environment.get("OMP_NUM_THREADS") == threads_told
    own = {"OMP_NUM_THREADS": "5"}
    share_cores(own)
    assert own["OMP_NUM_THREADS"] == "5"


def test_the_runtime_of_a_trainer_is_told_before_it_loads(tmp_path: Path) -> None:
    settings = tmp_path / "config.toml"
    write_config(Config(), settings)
    command = [sys.executable, "-c", CHECK, str(settings)]
    told = run_checked(command, tmp_path, OMP_DISPLAY_ENV="VERBOSE").stderr
    if "GOMP" not in told:
        pytest.skip("torch has another OpenMP than GNU's here")
    assert "GOMP_SPINCOUNT = '10000'" in told


# The suite has set the variable for its children; a person's shell has not.
CHECK = (
    "import os, sys; del os.environ['GOMP_SPINCOUNT']; "
    "sys.argv = ['tmssl.training', '--check', sys.argv[1]]; "
    "from tmssl.training.__main__ import main; sys.exit(main())"
)


@pytest.mark.slow
def test_a_module_in_the_current_folder_is_not_run_by_a_child(tmp_path: Path) -> None:
    for name in ("timm", "cli", "tmssl", "json", "random"):
        (tmp_path / f"{name}.py").write_text(f"open('RAN', 'a').write('{name}')\n")
    run_checked(python_module("cli", "doctor", "--json"), tmp_path)
    assert not (tmp_path / "RAN").exists()


def test_workers_of_a_pool_import_nothing_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("open('RAN', 'w').write('x')\n")
    (tmp_path / "multiprocessing.py").write_text("open('RAN', 'w').write('x')\n")
    marks = "from tests.helpers.marks import draw_marks; from pathlib import Path; "
    run_checked([sys.executable, "-P", "-c", marks + "draw_marks(Path('marks'), 600)"], tmp_path)
    words = ("pack", "marks", "--image-size", "32", "--workers", "2", "--out", "p")
    run_checked(python_module("cli", *words), tmp_path)
    assert not (tmp_path / "RAN").exists()
    assert any((tmp_path / "p").iterdir())
