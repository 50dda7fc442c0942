"""A figure as a bar from its chance level to 1, with a stroke at what it is compared with."""

from rich.text import Text

from tui.theme import StyleOf


def above_chance(value: float, chance: float | None) -> float:
    """Where a figure is between its chance level, 0, and 1; below 0 under chance."""
    chance = min(chance or 0.0, 1 - 1e-9)
    return (value - chance) / (1 - chance)


def bar(
    value: float | None,
    chance: float | None,
    began: float | None,
    cells: int,
    style_of: StyleOf,
) -> Text:
    """A bar of so many cells from the chance level to 1; a figure below chance has `<` in place of a bar.

    Args:
        value: the figure; None leaves the bar empty.
        chance: its chance level; None counts as 0.
        began: what the figure was untrained, drawn as a quiet stroke; None without one.
        cells: width.
        style_of: styles of colours by name.
    """
    share = 0.0 if value is None else above_chance(value, chance)
    halves = round(2 * cells * min(1.0, max(0.0, share)))
    drawn = "━" * (halves // 2) + "╸" * (halves % 2)
    text = Text("<" if value is not None and share < 0 else drawn, style_of("cyan"))
    text.append("─" * (cells - len(text)), style_of("reference"))
    if began is None:
        return text
    at = min(cells - 1, max(0, int(cells * above_chance(began, chance))))
    stroke = Text("┃", style_of("reference"))
    return Text.assemble(text[:at], stroke, text[at + 1 :])
