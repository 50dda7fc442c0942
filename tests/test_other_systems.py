"""macOS, simulated: Linux's calls and /proc are missing and its answers are other ones. Windows, refused."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.command import COMMAND, TINY, environment, run_checked
from tests.helpers.histories import step
from tests.helpers.marks import draw_marks
from tmssl.config import Config, write_config
from tmssl.runs.folder import create_run
from tmssl.runs.journal import JournalWriter

ROOT = Path(__file__).parents[1]
MACOS = """
import os, pathlib, signal, types
for name in ("sched_getaffinity", "sched_setaffinity", "pidfd_open"):
    delattr(os, name)
del signal.pidfd_send_signal
import tmssl.system as system
system.sys = types.SimpleNamespace(platform="darwin")
nowhere = pathlib.Path("/nowhere")
system._PROC = system.CONTROL_GROUPS = system.OWN_GROUPS = system.NVIDIA_DRIVER = nowhere
system.SHARED_MEMORY = nowhere
"""
WINDOWS = """
import importlib.abc, os, signal, sys
sys.platform = "win32"
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ("fcntl", "resource", "termios", "pwd", "grp", "tty", "pty"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
for name in ("fcntl", "resource", "termios", "pwd", "grp", "tty", "pty"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
for name in ("sched_getaffinity", "O_NOFOLLOW", "O_DIRECTORY", "getuid", "mkfifo"):
    delattr(os, name)
del signal.SIGHUP, signal.SIGUSR1
"""
SENTENCE = "tmssl runs on Linux and macOS; on Windows, install and start it inside WSL"


@pytest.fixture
def macos(tmp_path: Path) -> dict[str, str]:
    """The environment of processes, and of their children, that find themselves on macOS."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(MACOS)
    return {"PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ROOT}"}


def test_only_one_file_asks_what_systems_answer_differently() -> None:
    asked = re.compile(
        r"""["'/]proc/|sys\.platform|sched_getaffinity|ru_maxrss|pidfd|"/dev/shm"|/sys/fs|platform\.system"""
    )
    for room in ("tmssl", "tui", "cli"):
        for path in (ROOT / room).rglob("*.py"):
            code = re.sub(r"\"\"\".*?\"\"\"", "", path.read_text("utf-8"), flags=re.DOTALL)
            assert path.name == "system.py" or not asked.search(code), path


def test_each_answer_has_another_one(tmp_path: Path, macos: dict[str, str]) -> None:
    code = """
import os, resource
from pathlib import Path
from tmssl import system
from tmssl.doctor.machine import memory_kills, usable_cores, usable_memory
assert len(system.allowed_cores()) == os.cpu_count() == usable_cores()
assert usable_memory() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
assert memory_kills() == 0
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30
assert abs(system.peak_memory_gib() / peak - 1) < 0.1
assert system.started_environment() is os.environ and system.started_environment(1) == {}
assert system.pid_space() == system.process_start(os.getpid()) == ""
assert not system.has_folder_paths() and not system.limits_address_space()
folder = os.open(".", os.O_RDONLY)
assert system.open_folder_path(folder) is None and system.present_path(folder) == ""
import fcntl
fcntl.F_GETPATH = fcntl.F_GETFD  # which answers a number, as macOS answers a path
fcntl.fcntl = lambda folder, command, room: b"/the/folder" + bytes(1013)
assert system.present_path(folder) == "/the/folder"
with system.opened_process(os.getpid()) as send:
    send(0)
"""
    run_checked([sys.executable, "-c", code], tmp_path, 0, **macos)


def test_a_run_is_looked_at(tmp_path: Path, macos: dict[str, str]) -> None:
    run = create_run(tmp_path / "runs", "r")
    write_config(Config(), run.config)
    journal = JournalWriter(run.journal)
    journal.write(step(1))
    journal.close()
    for words in ("runs", "watch runs/r --once", "tail runs/r", "report runs/r"):
        assert run_checked([*COMMAND, *words.split()], tmp_path, 0, **macos).stdout


def test_who_has_a_file_open_is_told_by_lsof(tmp_path: Path, macos: dict[str, str]) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    lsof = tools / "lsof"
    lsof.write_text('#!/bin/sh\n[ "$1 $2" = "-t --" ] && [ "${3##*/}" = lock ] && echo 4711\n')
    lsof.chmod(0o755)
    code = """
from pathlib import Path
from tmssl.errors import InputError
from tmssl.system import has_open
Path("lock").write_text("")
try:
    print(has_open(4711, Path("lock")), has_open(4712, Path("lock")))
except InputError as error:
    print(error)
"""
    told = run_checked([sys.executable, "-c", code], tmp_path, 0, **macos, PATH=f"{tools}:/bin")
    assert told.stdout == "True False\n"
    told = run_checked([sys.executable, "-c", code], tmp_path, 0, **macos, PATH=str(tmp_path))
    assert "neither /proc nor lsof" in told.stdout


@pytest.mark.slow
def test_a_run_is_trained_stopped_and_evaluated(tmp_path: Path, macos: dict[str, str]) -> None:
    draw_marks(tmp_path / "marks", 24, validation=8)
    macos |= {"TMSSL_CACHE": str(tmp_path / "cache")}
    train = [*COMMAND, "train", "--data", "marks", "--epochs", "1", "--name", "r", *TINY]
    assert "finished" in run_checked(train, tmp_path, 0, **macos).stderr
    for words in (
        "eval runs/r --topk 3",
        "search marks/images/0001.png --run runs/r --topk 2",
        "doctor",
        "doctor --json",
    ):
        assert run_checked([*COMMAND, *words.split()], tmp_path, 0, **macos).stdout
    if shutil.which("lsof"):
        run_checked(
            [*COMMAND, "train", "--resume", "runs/r", "--epochs", "500", "--detach"],
            tmp_path,
            0,
            **macos,
        )
        run_checked([*COMMAND, "stop", "runs/r"], tmp_path, 0, **macos)


@pytest.mark.parametrize(
    "program",
    [
        "import runpy, sys; sys.argv = ['tmssl', 'runs']; runpy.run_module('cli', run_name='__main__')",
        "import runpy, sys; sys.argv = ['x', 'r']; runpy.run_module('tmssl.training', run_name='__main__')",
        "import runpy, sys; sys.argv = ['x', 'r', 'l']; runpy.run_module('tmssl.retrieval', run_name='__main__')",
        "import tmssl; tmssl.open_run('r')",
    ],
)
def test_windows_is_refused_in_one_sentence(tmp_path: Path, program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS + program],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if "import tmssl;" in program:
        assert done.stderr.splitlines()[-1] == f"tmssl.errors.InputError: {SENTENCE}"
    else:
        assert (done.returncode, done.stderr) == (2, f"tmssl: {SENTENCE}\n")


def test_linux_inside_windows_is_linux(tmp_path: Path) -> None:
    told = {"WSL_DISTRO_NAME": "Ubuntu", "WSLENV": "", "WT_SESSION": "1"}
    assert run_checked([*COMMAND, "runs"], tmp_path, 0, **told).returncode == 0
