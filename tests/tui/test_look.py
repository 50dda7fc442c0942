"""Colours that can be read, keys that are written down, and a layout that is remembered."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import Color, ColorSystem, ColorType
from rich.style import Style
from rich.terminal_theme import DEFAULT_TERMINAL_THEME
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import Input

from tests.helpers.pilot import (
    strips,
    until,
    until_screen,
    until_shows,
    until_still,
    until_text,
)
from tests.helpers.screens import WAYS, Way, reach, steady
from tmssl.runs.folder import Run
from tui.app import WatchApp
from tui.bindings import GLOBAL, TEXTUAL_KEYS, entries, key_table
from tui.matches.screen import MatchesScreen
from tui.options import PLAIN, DisplayOptions
from tui.preferences import Preferences, preferences_path, read_preferences, write_preferences
from tui.signs import LEVELS, STATES, Sign, badge
from tui.textual_theme import DARK, LIGHT, default_theme
from tui.theme import COLOURS, GROUND, colour_styles

__all__ = ["steady"]  # a fixture

_BLOCKS = "".join(map(chr, range(0x2580, 0x25A0)))  # of pictures, bars and frames
_LEAST = 4.5  # WCAG 2.1, AA


def luminance(colour: tuple[int, ...]) -> float:
    """Relative luminance of sRGB, by WCAG 2.1."""
    parts = [c / 255 for c in colour]
    r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(style: Style) -> float:
    """Contrast of a style's colours, 1 to 21."""
    front, ground = style.color, style.bgcolor
    assert front is not None
    assert ground is not None
    assert front.type == ground.type == ColorType.TRUECOLOR, style
    first, second = (luminance(tuple(c.get_truecolor())) for c in (front, ground))
    low, high = sorted((first, second))
    return (high + 0.05) / (low + 0.05)


def in_front(app: WatchApp) -> list[Strip]:
    """The lines of the screen, or of the question in front of it: what is behind is meant to fade."""
    if not isinstance(app.screen, ModalScreen):
        return strips(app)
    region = app.screen.children[0].region
    rows = strips(app)[region.y : region.bottom]
    return [row.crop(region.x, region.right) for row in rows]


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast(Style(color="#ffffff", bgcolor="#000000")) == pytest.approx(21)
    assert contrast(Style(color="#777777", bgcolor="#ffffff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_every_word_of_a_screen_can_be_read_and_its_keys_are_written_down(
    steady: Run, way: Way
) -> None:
    app = WatchApp(steady)
    async with app.run_test(size=(100, 36)) as pilot:
        await reach(pilot, way)
        for theme in (DARK.name, LIGHT.name):
            app.theme = theme
            await until_still(pilot)
            assert not faint_words(app)
        if not isinstance(app.focused, Input):  # a text field has the usual keys of one
            check_keys(app)


def faint_words(app: WatchApp) -> dict[str, str]:
    """Words whose contrast is too low, with their style."""
    return {
        words: f"{contrast(style):.2f} {style}"
        for strip in in_front(app)
        for text, style, _ in strip
        if (words := text.strip(_BLOCKS + " ")) and style is not None and contrast(style) < _LEAST
    }


def check_keys(app: WatchApp) -> None:
    """Every key that does something is in a table, and every key of the screen's table does something."""
    own = {key for entry in entries(app.screen.BINDINGS) for key in entry.key.split(",")}
    everywhere = {key for entry in entries(GLOBAL) for key in entry.key.split(",")}
    everywhere |= {key for keys, _ in TEXTUAL_KEYS for key in keys.split()}
    bound = set(app.screen.active_bindings)
    assert own <= bound
    assert bound <= own | everywhere


def test_the_page_of_keys_is_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "keys.md").read_text("utf-8")
    begin = page.index("<!-- made by tui.bindings.key_table()")
    block = page[page.index("\n", begin) + 1 : page.index("<!-- end -->")]
    assert block.strip() == key_table()


async def test_what_was_chosen_is_there_the_next_time(steady: Run) -> None:
    app = WatchApp(steady)
    async with app.run_test(size=(80, 24)) as pilot:
        assert app.theme == DARK.name
        await pilot.press("ctrl+t")
        await pilot.press("m")
        await until_text(pilot, "query 1/4")
        await pilot.press("t", "minus")
        await until(pilot, lambda: app.preferences.size)
    kept = json.loads(preferences_path().read_text())
    assert kept == {"theme": "tmssl-light", "listed": True, "size": 3, "hinted": True}
    again = WatchApp(steady)
    async with again.run_test(size=(80, 24)) as pilot:
        assert again.theme == LIGHT.name
        await pilot.press("m")
        await until_screen(pilot, MatchesScreen)
        await until(pilot, lambda: again.screen.query_one("#beside").display)


@pytest.mark.parametrize("held", ["", "{", "[]", '{"weight": 9}', '{"size": 99}', '{"theme": 1}'])
async def test_a_damaged_layout_is_told_and_passed_over(steady: Run, held: str) -> None:
    preferences_path().parent.mkdir(parents=True)
    preferences_path().write_text(held)
    app = WatchApp(steady)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shows(pilot, "#status", "using the default layout")
        assert app.preferences == Preferences()


async def test_a_theme_that_is_gone_is_the_usual_one(steady: Run) -> None:
    write_preferences(preferences_path(), Preferences(theme="no such theme"))
    app = WatchApp(steady)
    async with app.run_test():
        assert app.theme == DARK.name


def test_a_layout_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "not saved" in write_preferences(tmp_path / "file" / "monitor.json", Preferences())


@given(st.binary(max_size=200))
def test_any_bytes_of_a_layout_are_read_or_told(
    tmp_path_factory: pytest.TempPathFactory, held: bytes
) -> None:
    path = tmp_path_factory.mktemp("state") / "monitor.json"
    path.write_bytes(held)
    kept, problem = read_preferences(path)
    assert isinstance(kept, Preferences)
    assert not re.search("[\x00-\x1f\x7f-\x9f]", problem)


@pytest.mark.parametrize(
    ("told", "found"),
    [("", DARK), ("15;0", DARK), ("0;15", LIGHT), ("0;default;7", LIGHT), ("x", DARK)],
)
def test_the_environment_says_whether_the_ground_is_light(told: str, found: object) -> None:
    assert default_theme({"COLORFGBG": told}) == found.name  # type: ignore[attr-defined]  # a Theme


@pytest.mark.parametrize("name", [name for name in COLOURS if name != "ground"])
@pytest.mark.parametrize("ground", [0, 1], ids=["dark", "light"])
def test_every_colour_of_the_theme_can_be_read(name: str, ground: int) -> None:
    style = Style(color=COLOURS[name][ground], bgcolor=GROUND[ground])
    assert contrast(style) >= _LEAST


@pytest.mark.parametrize("signs", [STATES, LEVELS], ids=["states", "levels"])
def test_no_sign_needs_its_colour(signs: dict[str, Sign]) -> None:
    assert len({sign.mark for sign in signs.values()}) >= len(signs) - 1
    assert len({sign.word for sign in signs.values()}) == len(signs)
    assert all(sign.text.isascii() for sign in signs.values())
    plain = [badge(sign, colour_styles(PLAIN)).plain for sign in signs.values()]
    assert len(set(plain)) == len(signs)


@pytest.mark.parametrize("theme", [DARK.name, LIGHT.name])
async def test_in_sixteen_colours_every_word_of_the_runs_can_be_read(
    steady: Run, theme: str
) -> None:
    app = WatchApp(None, runs_folder=steady.path.parent)
    async with app.run_test(size=(200, 60)) as pilot:
        await until_text(pilot, "10 runs")
        app.theme = theme
        await until_still(pilot)
        faint = {
            words: style
            for strip in strips(app)
            for text, style, _ in strip
            if (words := text.strip(_BLOCKS + " ")) and style and contrast(coarse(style)) < 3
        }
        assert not faint


def coarse(style: Style) -> Style:
    """A style as a terminal of sixteen colours shows it."""

    def nearest(colour: Color | None) -> Color | None:
        found = colour and colour.downgrade(ColorSystem.STANDARD)
        return found and Color.from_triplet(found.get_truecolor(DEFAULT_TERMINAL_THEME))

    return Style.from_color(nearest(style.color), nearest(style.bgcolor))


async def test_without_colour_every_sign_is_still_there(steady: Run) -> None:
    app = WatchApp(steady, DisplayOptions(colour=False))
    async with app.run_test(size=(80, 24)) as pilot:
        await reach(pilot, WAYS[0])
        for strip in strips(app):
            for _, style, _ in strip:
                for colour in (style.color, style.bgcolor) if style else ():
                    assert colour is None or len(set(colour.get_truecolor())) == 1  # grey
        assert "= stopped" in "\n".join(strip.text for strip in strips(app))
