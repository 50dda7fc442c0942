"""The README's two pictures, from a real run: `python -m tests.bench.screenshots RUN FOLDER`.

Needs a monospace font that has braille and block characters, such as DejaVu Sans Mono.
"""

import asyncio
import re
import sys
from pathlib import Path

import resvg_py

from tmssl.runs.folder import open_run
from tui.app import WatchApp

_SIZE = (110, 34)


async def take(run: Path, folder: Path) -> None:
    """The curves and a page of matches as PNG."""
    app = WatchApp(open_run(run))
    async with app.run_test(size=_SIZE) as pilot:
        await pilot.pause(2.5)
        save(app.export_screenshot(title=f"tmssl watch {run.name}"), folder / "monitor.png")
        await pilot.press("m")
        await pilot.pause(2.0)
        await pilot.press("a", "a")
        await pilot.pause(1.0)
        await pilot.press(*"nnnnnnn")
        await pilot.pause(1.5)
        save(app.export_screenshot(title="matches"), folder / "matches.png")


def save(svg: str, path: Path) -> None:
    """An SVG of Textual's as PNG, with a font that is installed instead of one from the network."""
    plain = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.S).replace(
        "Fira Code", "DejaVu Sans Mono"
    )
    path.write_bytes(bytes(resvg_py.svg_to_bytes(svg_string=plain, width=1320)))
    print(path, path.stat().st_size)


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]), Path(sys.argv[2])))
