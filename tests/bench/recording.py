"""A short recording of the monitor: `python -m tests.bench.recording MARKS FILE.gif`.

It trains on a folder of marks for real, and shows the curves as they come, an evaluation, its matches and
the form that extends the run. Waiting is shown at a tenth of its time.
"""

import asyncio
import dataclasses
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from textual.pilot import Pilot

from tests.bench.terminal_picture import picture_of
from tmssl.children import python_module
from tmssl.runs.folder import Run, is_alive, open_run
from tui.app import WatchApp
from tui.options import FULL

_SIZE = (100, 30)
_OPTIONS = dataclasses.replace(FULL, pictures="octant")
_EVERY_S = 4.0  # between pictures of what goes on by itself
_SPEED = 10
_LOOK_S = 1.4  # for which a picture after a key stays
_COLOURS = 48


class Recording:
    """Pictures of an app and how long each is shown; one that equals the last makes that last longer."""

    def __init__(self, pilot: Pilot[None]) -> None:
        """Record the app that a pilot drives."""
        self._pilot = pilot
        self._pictures: list[Image.Image] = []
        self._shown_s: list[float] = []

    def take(self, shown_s: float) -> None:
        """Add what is on the screen."""
        picture = picture_of(self._pilot.app)
        if self._pictures and picture.tobytes() == self._pictures[-1].tobytes():
            self._shown_s[-1] += shown_s
            return
        self._pictures.append(picture)
        self._shown_s.append(shown_s)

    async def press(self, *keys: str) -> None:
        """Press keys one by one, with a picture after each."""
        for key in keys:
            await self._pilot.press(key)
            await self._pilot.pause(1.0)
            self.take(_LOOK_S)

    async def wait(self, condition: Callable[[], bool], longest_s: float) -> None:
        """Wait for a condition, with pictures of what goes on meanwhile."""
        end = time.monotonic() + longest_s
        while not condition() and time.monotonic() < end:
            await self._pilot.pause(_EVERY_S)
            self.take(_EVERY_S / _SPEED)

    def save(self, path: Path) -> None:
        """Write an animated GIF that repeats."""
        # With the same colours in all, what stays the same takes no room.
        width, height = self._pictures[0].size
        together = Image.new("RGB", (width, height * len(self._pictures)))
        for number, picture in enumerate(self._pictures):
            together.paste(picture, (0, number * height))
        palette = together.quantize(_COLOURS, dither=Image.Dither.NONE)
        first, *rest = [
            picture.quantize(palette=palette, dither=Image.Dither.NONE)
            for picture in self._pictures
        ]
        shown = [round(1000 * seconds) for seconds in self._shown_s]
        first.save(path, save_all=True, append_images=rest, duration=shown, loop=0, optimize=True)
        print(
            f"{path}: {len(shown)} pictures, {sum(shown) / 1000:.0f} s, {path.stat().st_size:,} bytes"
        )


async def record(run: Run, path: Path) -> None:
    """Watch a run that is in training, evaluate it, look at matches, and open the form that extends it."""
    app = WatchApp(run, _OPTIONS)
    async with app.run_test(size=_SIZE) as pilot:
        recording = Recording(pilot)
        await recording.wait(lambda: len(app.history.epochs) >= 6, 600)
        await recording.press("e", "enter")
        await recording.wait(lambda: bool(app.history.evals), 300)
        await recording.press("m", "n", "n", "n", "escape", "r")
        await recording.press("backspace", "backspace", *"50", "escape")
        recording.save(path)


def main(marks: Path, path: Path) -> None:
    """Start a run on the marks, record it, and stop it."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["--recipe", "toy", "--data", str(marks), "--name", "marks", "--epochs", "30"]
        train = python_module("cli", "train", *words, "--runs", folder, "--detach")
        subprocess.run(train, check=True)
        run = open_run(Path(folder) / "marks")
        try:
            asyncio.run(record(run, path))
        finally:
            if is_alive(run):
                subprocess.run(python_module("cli", "stop", str(run.path)), check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
