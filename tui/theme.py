"""How the monitor looks, in one place: its colours and what each means, its frames, its spacing, its widths.

The style sheet `app.tcss` holds the frames and the spacing, since Textual reads those from there:

* a panel is a thin round frame with its title in the frame; on a narrow screen only its top line is drawn;
* one cell is free between a frame and its text, none between two panels;
* the panel that has the keys has a frame in the accent colour; the accent is used for nothing but that,
  keys and titles;
* figures are right-aligned; what they are compared with (chance, untrained) is in the colour `reference`,
  as a dotted line or as a quiet stroke, everywhere;
* a state or a level is a sign and a word, so that it shows without colours.

No widget library is imported here: the command line draws charts in the same colours.
"""

from collections.abc import Callable

from tui.options import DisplayOptions

StyleOf = Callable[[str], str]
"""style of a colour's name; empty without colours"""

GROUND = ("#121212", "#fbfbfb")
"""the background of the dark and of the light theme"""

COLOURS = {
    "accent": ("#f2b84b", "#7a4b00"),
    "title": ("#e6edf3", "#1b1f24"),
    "quiet": ("#8e99a4", "#606975"),  # units, asides, frames
    "reference": ("#b3a1ab", "#75606b"),  # chance, untrained, before training
    "axis": ("#8e99a4", "#636c77"),
    "gray": ("#828d99", "#606975"),
    "cyan": ("#4cc9f0", "#006a9c"),
    "red": ("#ff6b6b", "#c1121f"),
    "green": ("#7bd88f", "#22763a"),
    "gold": ("#ffd166", "#7d5500"),
    "yellow": ("#ffd166", "#7d5500"),
    "magenta": ("#c792ea", "#7b2cbf"),
    "orange": ("#ff9f6b", "#a63f06"),
    "blue": ("#82aaff", "#1d4ed8"),
    "ground": GROUND,
}
"""the colours by name, on a dark and on a light background; each has a contrast of 4.5 and more there"""

RUN_COLOURS = ("cyan", "orange", "green", "magenta", "gold", "blue")
"""of several runs in one chart, the first one's first; each has a letter besides"""

WIDTHS = [(0, "-narrow"), (100, "-medium"), (160, "-wide")]
"""the class of a screen from so many columns on: without frames, framed, with more panels side by side"""
HEIGHTS = [(0, "-low"), (20, "-short"), (30, "-tall")]
"""the class of a screen from so many rows on"""


def size_classes(width: int, height: int) -> list[str]:
    """The classes of a screen of so many columns and rows.

    Textual gives them with the first resize, after it has styled every widget; a screen that opens the monitor
    takes them before.
    """
    return [
        [name for least, name in classes if size >= least][-1]
        for size, classes in ((width, WIDTHS), (height, HEIGHTS))
    ]


QUIET = "bright_black"
"""the terminal's own colour for secondary text; `dim` would halve its contrast"""


def colour_styles(options: DisplayOptions) -> StyleOf:
    """A function from a colour's name to its style on the theme's background; no style without colours."""
    ground = 0 if options.dark else 1
    return lambda name: COLOURS[name][ground] if options.colour and name else ""
