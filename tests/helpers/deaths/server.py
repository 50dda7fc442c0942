"""`python -m tests.helpers.deaths.server`: loads torch once, then forks a command for each line of stdin.

A line is a JSON object of the arguments of `Server.run`. The answer is one line: a list of objects with the
`code` of the command, the `operations` of all, whether one `died` at its operation, and what it `said`.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tmssl.runs import launch

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE_S = 120.0


class ForkedTrainer:
    """In place of Popen for `python -m tmssl.training RUN`: the same process without loading torch again."""

    def __init__(self, command: list[str], **options: Any) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _become(partial_trainer(command[-1]), **options)

    def poll(self) -> int | None:
        """The exit code, or None while it lives."""
        if self.returncode is None:
            with contextlib.suppress(ChildProcessError):
                ended, status = os.waitpid(self.pid, os.WNOHANG)
                if ended:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended."""
        deadline = time.monotonic() + (timeout or _PATIENCE_S)
        while (code := self.poll()) is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return code

    def terminate(self) -> None:
        """Ask it to stop."""
        os.kill(self.pid, signal.SIGTERM)


def partial_trainer(run: str) -> Callable[[], int]:
    """The trainer of a run as its command line calls it."""

    def trainer() -> int:
        from tmssl.training.__main__ import main

        sys.argv = ["tmssl.training", run]
        return main()

    return trainer


def _become(
    program: Callable[[], int],
    *,
    stdin: int,
    stdout: Any,
    stderr: Any,
    env: dict[str, str],
    pass_fds: tuple[int, ...] = (),
    start_new_session: bool = True,
) -> None:
    """Run a program in this forked process as after an exec, and end it."""
    assert start_new_session
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    for stream, file in enumerate(
        (os.open(os.devnull, os.O_RDONLY), stdout.fileno(), stderr.fileno())
    ):
        os.dup2(file, stream)
    for file in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if file > 2 and file not in pass_fds:
            with contextlib.suppress(OSError):
                os.close(file)
    for file in pass_fds:
        os.set_inheritable(file, True)
    os.environ.clear()
    os.environ.update(env)
    _end(program)


def _end(program: Callable[[], int]) -> None:
    """Run a program and end the process with its code."""
    code: Any = 1
    try:
        code = program()
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - the process ends here, and has said why
        traceback.print_exc()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _command(words: list[str], modules: Path) -> int:
    """`tmssl WORDS`; leaves the names of the modules that it loaded."""
    from cli.app import main

    sys.argv = ["tmssl", *words]
    try:
        main()
    finally:
        loaded = [name for name in sys.modules if name.partition(".")[0] in _PRELOADED]
        modules.write_text("\n".join(loaded))
    return 0


_PRELOADED = {"tmssl", "cli", "torch", "timm", "faiss", "numpy", "PIL", "blosc2", "typer", "rich"}


class Server:
    """The process that forks."""

    def __init__(self, library: str) -> None:
        self._library = ctypes.CDLL(library)
        self._library.deaths_log.restype = ctypes.c_char_p
        self._library.deaths_log.argtypes = [ctypes.c_long]
        self._library.deaths_count.restype = ctypes.c_long
        self._library.deaths_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int]
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._scratch = Path(tempfile.mkdtemp())

    def run(
        self,
        *,
        words: list[str],
        folder: str,
        die_at: int,
        torn: bool,
        copies: int,
        number: int,
        seen: str,
    ) -> list[dict[str, Any]]:
        """Fork a command, or copies of it, wait until all that they started has ended, and say what happened.

        Args:
            words: of the command.
            folder: where it runs; file operations below it are counted. A folder `cache` in it is the cache.
            die_at: the operation at which whoever does it is killed; 0 is never.
            torn: whether half of a write is done first.
            copies: how many begin at once.
            number: of the signal that the first copy gets; 0 is none.
            seen: the signal is sent once the first copy has said this.
        """
        modules = self._scratch / "modules"
        said = [self._scratch / f"said-{copy}" for copy in range(copies)]
        for path in said:
            path.write_text("")
        self._library.deaths_arm(os.fsencode(folder), die_at, int(torn))
        children = [self._fork(words, folder, path, modules) for path in said]
        codes = self._wait(children, signal.Signals(number) if number else None, said[0], seen)
        operations = range(1, self._library.deaths_count() + 1)
        if not die_at:  # the next one finds them loaded
            for name in modules.read_text().split():
                importlib.import_module(name)
        told = [self._library.deaths_log(n).decode("utf-8", "replace") for n in operations]
        died = bool(self._library.deaths_died())
        return [
            {
                "code": codes[child],
                "operations": told,
                "died": died,
                "said": path.read_text("utf-8", "replace"),
            }
            for child, path in zip(children, said, strict=True)
        ]

    def _fork(self, words: list[str], folder: str, said: Path, modules: Path) -> int:
        """The number of a new process that runs a command."""
        child = os.fork()
        if child == 0:
            os.chdir(folder)
            if Path("cache").is_dir():
                os.environ["TMSSL_CACHE"] = str(Path("cache").absolute())
            with said.open("wb") as file:
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            vars(launch)["subprocess"] = SimpleNamespace(  # all that launch uses of it
                Popen=ForkedTrainer, DEVNULL=subprocess.DEVNULL, run=subprocess.run
            )
            _end(lambda: _command(words, modules))
        return child

    def _wait(
        self, children: list[int], number: signal.Signals | None, said: Path, seen: str
    ) -> dict[int, int]:
        """The exit code of each child, once they and all that they started have ended."""
        codes: dict[int, int] = {}
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            if number and said.exists() and seen in said.read_text("utf-8", "replace"):
                os.kill(children[0], number)
                number = None
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return codes
            if ended in children:
                codes[ended] = os.waitstatus_to_exitcode(status)
            if not ended:
                time.sleep(0.002)
        raise TimeoutError(f"a command did not end in {_PATIENCE_S:.0f} s")


def main() -> None:
    """Serve until stdin ends."""
    server = Server(os.environ.pop("LD_PRELOAD"))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(server.run(**json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
