"""Which way a terminal gets its pictures."""

import pytest

from tmssl.errors import InputError
from tui.pictures.ways import ASKED, CELLS, DRAWN, check_way, choose_way, terminal_kind


@pytest.mark.parametrize(
    ("environment", "kind", "way"),
    [
        ({"TERM": "xterm-256color"}, "xterm-256color", "quadrant"),
        ({"TERM": "foot-extra"}, "foot", "sextant"),
        ({"TERM": "alacritty"}, "alacritty", "sextant"),
        ({"TERM": "linux"}, "linux", "half"),
        ({"TERM": "xterm-256color", "WT_SESSION": "1"}, "windows-terminal", "sextant"),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7603"}, "vte", "sextant"),
        ({"TERM": "xterm-256color", "VTE_VERSION": "5202"}, "vte", "quadrant"),
        ({"TERM": "xterm-256color", "VTE_VERSION": "new"}, "vte", "quadrant"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iTerm.app", "quadrant"),
        ({"TERM": "tmux-256color", "VTE_VERSION": "7603"}, "tmux", "quadrant"),
        ({"TERM": "screen-256color", "TMUX": "/tmp/x"}, "tmux", "quadrant"),
        ({"TERM": "screen", "STY": "1"}, "screen", "quadrant"),
        ({}, "dumb", "quadrant"),
    ],
)
def test_the_environment_names_the_terminal_and_its_finest_sure_way(
    environment: dict[str, str], kind: str, way: str
) -> None:
    assert terminal_kind(environment) == kind
    assert choose_way("auto", {}, environment=environment) == way


def test_a_choice_holds_for_its_kind_of_terminal_and_an_option_goes_before_it() -> None:
    chosen = {"foot": "octant", "tmux": "off"}
    foot, tmux = {"TERM": "foot"}, {"TERM": "tmux-256color"}
    assert choose_way("auto", chosen, environment=foot) == "octant"
    assert choose_way("auto", chosen, environment=tmux) == "off"
    assert choose_way("half", chosen, environment=foot) == "half"
    assert choose_way("auto", {"foot": "holograms"}, environment=foot) == "sextant"
    assert choose_way("octant", {}, ascii=True, environment=foot) == "letters"
    assert choose_way("off", {}, ascii=True, environment=foot) == "off"


def test_a_hostile_name_of_a_terminal_is_made_safe() -> None:
    assert "\x1b" not in terminal_kind({"TERM": "x\x1b[2J"})


def test_only_known_ways_are_taken() -> None:
    for asked in ASKED:
        check_way(asked)
    assert set(CELLS) < set(DRAWN)
    with pytest.raises(InputError, match="half, quadrant, sextant, octant"):
        check_way("sixel\x1b[2J")
