"""Every screen as it was when it was last looked at: SVGs of Textual's, without what changes by itself."""

import re
from pathlib import Path

import pytest
import textual
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.widgets import Input

from tests.helpers.pilot import until_still
from tests.helpers.screens import WAYS, Way, reach, steady, used_share
from tmssl.runs.folder import Run, open_run
from tui.app import WatchApp

__all__ = ["steady"]  # a fixture

_MADE_WITH = "8.2"  # another Textual draws its own widgets otherwise; update them with it
# On a wide screen the list is beside the pictures, and its key puts it away.
_WIDE = [way for way in WAYS if way.name != "list"]

pytestmark = pytest.mark.skipif(
    not textual.__version__.startswith(f"{_MADE_WITH}."),
    reason=f"the snapshots were made with Textual {_MADE_WITH}",
)


class Svg(SingleFileSnapshotExtension):
    """One SVG file for each screen."""

    _write_mode = WriteMode.TEXT
    file_extension = "svg"


def plain(svg: str) -> str:
    """An SVG without random names, fonts of the network, clip paths and empty text."""
    svg = re.sub(r"terminal-\d+", "t", svg)
    svg = re.sub(r"@font-face \{.*?\}|<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(
        r'<clipPath id="t-line.*?</clipPath>| clip-path="url\(#t-line[^"]*"', "", svg, flags=re.S
    )
    svg = re.sub(r'<text [^>]*>(&#160;)*</text>| shape-rendering="[^"]*"', "", svg)
    svg = re.sub(r'(="\d+\.\d)\d+"', r'\1"', svg)
    return re.sub(r"\n\s*\n+", "\n", svg.replace("><", ">\n<")).strip() + "\n"


async def picture(
    run: Run, way: Way, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> tuple[str, float]:
    """A screen as an SVG, and the share of it that is used; paths on it are relative, as a person would have typed them."""
    monkeypatch.chdir(run.path.parents[1])
    monkeypatch.setenv("TERM", "xterm-256color")  # what says how pictures are drawn
    for name in ("TMUX", "STY", "TERM_PROGRAM", "WT_SESSION", "VTE_VERSION"):
        monkeypatch.delenv(name, raising=False)
    app = WatchApp(open_run(Path("runs") / run.name))
    async with app.run_test(size=size) as pilot:
        await reach(pilot, way)
        for field in app.screen.query(Input):
            field.cursor_blink = False
        await until_still(pilot)
        return plain(app.export_screenshot(simplify=True)), used_share(app)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_at_80_by_24(
    steady: Run, way: Way, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    svg, _ = await picture(steady, way, (80, 24), monkeypatch)
    assert svg == snapshot(extension_class=Svg)


@pytest.mark.slow
@pytest.mark.parametrize("way", _WIDE, ids=lambda way: way.name)
async def test_at_120_by_40(
    steady: Run, way: Way, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    svg, _ = await picture(steady, way, (120, 40), monkeypatch)
    assert svg == snapshot(extension_class=Svg)


@pytest.mark.slow
@pytest.mark.parametrize("way", _WIDE, ids=lambda way: way.name)
async def test_at_200_by_60(
    steady: Run, way: Way, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    svg, used = await picture(steady, way, (200, 60), monkeypatch)
    assert used >= 0.5
    assert svg == snapshot(extension_class=Svg)
