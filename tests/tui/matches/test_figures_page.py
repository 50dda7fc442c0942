"""The page of figures: every score as a bar from its chance level to 1."""

import pytest

from tests.helpers.scores import division_hit, group_recall
from tmssl.runs.events import Division, Eval
from tui.matches.figures_page import division_bars, figure_bars
from tui.options import FULL
from tui.theme import colour_styles

STYLE_OF = colour_styles(FULL)
EVENT = Eval(
    scores=[
        division_hit(0.75, 0.5, {"untrained": 0.6}, low=0.7, high=0.8),
        group_recall(0.1, 0.2, {}),
    ],
    divisions=[
        Division(code="03.01", title="Quadrupeds", k=10, queries=9, value=0.2, chance=0.1),
        Division(code="26.01", title="Circles", k=10, queries=9, value=0.9, chance=0.5),
        Division(code="05.01", title="Trees", k=10, queries=1, value=1.0, chance=0.1),
    ],
)


@pytest.mark.parametrize("width", [70, 80, 100, 190])
def test_a_bar_fills_what_the_figures_leave(width: int) -> None:
    head, hit, group = figure_bars(EVENT, width, STYLE_OF)
    assert head.plain.split()[:4] == ["figure", "value", "chance", "lift"]
    assert max(len(hit), len(group)) <= max(width, 74)
    assert ("0.70 to 0.80" in hit.plain) == (width >= 96)
    assert "0.60" in hit.plain
    assert "<" in group.plain  # below chance
    filled = hit.plain.count("━") + hit.plain.count("┃")
    cells = filled + hit.plain.count("─") + hit.plain.count("╸")
    assert filled / cells == pytest.approx(0.5, abs=0.15)


def test_divisions_are_sorted_by_how_far_they_are_above_chance() -> None:
    _, head, first, second = division_bars(EVENT, 100, STYLE_OF)
    assert head.plain.startswith("hit@10 by division")
    assert first.plain.startswith("26.01 Circles")
    assert second.plain.startswith("03.01 Quadrupeds")
    assert division_bars(Eval(), 100, STYLE_OF) == []
