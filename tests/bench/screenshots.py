"""The README's two pictures, from a real run: `python -m tests.bench.screenshots RUN FOLDER`."""

import asyncio
import dataclasses
import sys
from pathlib import Path

from PIL import Image

from tests.bench.terminal_picture import picture_of
from tmssl.runs.folder import open_run
from tui.app import WatchApp
from tui.options import FULL

_SIZE = (120, 36)
_OPTIONS = dataclasses.replace(FULL, pictures="octant")


async def take(run: Path, folder: Path) -> None:
    """The curves and a page of matches as PNG."""
    app = WatchApp(open_run(run), _OPTIONS)
    async with app.run_test(size=_SIZE) as pilot:
        await pilot.pause(2.5)
        save(app, folder / "monitor.png")
        await pilot.press("m")
        await pilot.pause(2.0)
        await pilot.press("a", "a")
        await pilot.pause(1.0)
        await pilot.press(*"nnnnnnn")
        await pilot.pause(1.5)
        save(app, folder / "matches.png")


def save(app: WatchApp, path: Path) -> None:
    """What the app shows, in few colours: a terminal's screen has few."""
    picture_of(app).quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path, path.stat().st_size)


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]), Path(sys.argv[2])))
