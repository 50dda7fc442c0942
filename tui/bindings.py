"""The key bindings of every screen; the footer, the help page, the palette and docs/keys.md show these."""

import dataclasses
from collections.abc import Sequence
from functools import partial

from textual.binding import Binding, BindingType

_KEY_SIGNS = {
    "plus": "+",
    "equals_sign": "=",
    "minus": "-",
    "question_mark": "?",
    "slash": "/",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "escape": "esc",
    "comma": ",",
    "full_stop": ".",
}


def key_names(binding: Binding) -> list[str]:
    """The keys of a binding as a keyboard shows them, such as `n` and `right`."""
    return [_KEY_SIGNS.get(key, key) for key in binding.key.split(",")]


def _key(
    keys: str,
    action: str,
    label: str,
    help_text: str,
    *,
    footer: bool = True,
    priority: bool = False,
) -> Binding:
    """A binding with a short label for the footer, and a sentence for the help page and the palette.

    A `priority` binding acts before a text field sees its key, so that the next letters go to the new focus.
    """
    binding = Binding(keys, action, label, show=footer, priority=priority, tooltip=help_text)
    return binding.with_key(keys, key_display=key_names(binding)[0])


_hidden = partial(_key, footer=False)  # not in the footer, which has room for a few only

_HELP = _key("question_mark", "app.help", "Help", "Show this list of keys")
_QUIT = _key("q", "app.quit", "Quit", "Quit the monitor; training continues")
_CANCEL = _key("escape", "cancel", "Cancel", "Go back without a change")
PICTURE_KEY = _key("P", "app.pictures", "Pictures", "Choose how this terminal draws pictures")
_NEXT_FIELD = _key(
    "tab",
    "app.focus_next",
    "Next field",
    "Go to the next field; shift+tab goes to the previous one",
    priority=True,
)

LIVE: list[BindingType] = [
    _key("e", "app.evaluate", "Evaluate", "Evaluate a checkpoint now, while training continues"),
    _key("m", "app.matches", "Matches", "Page through the queries and their matches"),
    _key("r", "app.resume", "Resume", "Resume with more epochs; shows the learning rate first"),
    _key("s", "app.stop", "Stop", "Stop the trainer after its step and write a checkpoint"),
    _hidden("k", "app.checkpoint", "Checkpoint", "Write a checkpoint now and continue training"),
    _hidden("plus,equals_sign", "smooth(1)", "Smoother", "Smooth the curves more"),
    _hidden("minus", "smooth(-1)", "Rougher", "Smooth the curves less"),
    _hidden("x", "axis", "Axis", "Change the horizontal axis: epoch, step or time"),
    _hidden("l", "log_scale", "Log scale", "Switch the loss between a linear and a log scale"),
    _hidden("up", "zoom(1.5)", "Zoom in", "Zoom in on the crosshair or the newest point"),
    _hidden("down", "zoom(0.667)", "Zoom out", "Zoom out"),
    _hidden("left", "move(-1)", "Left", "Move the crosshair or the zoomed part to the left"),
    _hidden("right", "move(1)", "Right", "Move the crosshair or the zoomed part to the right"),
    _hidden("shift+left", "move(-10)", "Far left", "Move ten times as far to the left"),
    _hidden("shift+right", "move(10)", "Far right", "Move ten times as far to the right"),
    _key("slash", "app.search", "Search", "Search for the marks that a logo of the disk resembles"),
    _hidden("v", "crosshair", "Values", "Show or hide a crosshair that reads values"),
    _hidden("z", "enlarge", "Enlarge", "Show the selected chart alone, or all charts"),
    _hidden("tab", "app.focus_next", "Next chart", "Select the next chart; shift+tab goes back"),
    _hidden("y", "clip", "Range", "Show all values, or only the middle 98 %"),
    _hidden("0", "whole", "Whole run", "Show the whole run again"),
    _hidden("a", "overlay", "Overlay", "Draw other runs over this one"),
    _hidden("escape", "reset", "Reset", "Undo enlarging, the crosshair and the zoom, in turn"),
    _hidden("f", "app.findings", "Findings", "List every finding of this run, with advice"),
    _hidden("g", "app.log", "Log file", "Show what the trainer printed"),
    _hidden("c", "app.config", "Config", "Show the settings in force and what resumes changed"),
    _key("o", "app.runs", "Runs", "List the runs of this folder: open, compare, start"),
    _HELP,
    _QUIT,
]

OVERLAY: list[BindingType] = [
    _key("space", "mark", "On/off", "Add or remove the run under the cursor"),
    _key("enter", "confirm", "Draw", "Draw the selected runs"),
    _CANCEL,
]

RUNS: list[BindingType] = [
    _key("enter", "open", "Open", "Watch the run under the cursor"),
    _key("space", "mark", "Mark", "Mark a run; a wide screen draws all marked runs in one chart"),
    _key("c", "compare", "Compare", "Compare the figures and settings of the last two marked runs"),
    _key("t", "columns", "Columns", "Choose the columns, any figure or setting, and the order"),
    _key("n", "app.start", "New run", "Fill in a form to start a run"),
    _key(
        "slash",
        "search",
        "Filter",
        "Show only some runs, such as lr>=1e-3 state=running name~toy",
        priority=True,
    ),
    dataclasses.replace(PICTURE_KEY, show=False),
    _hidden("escape", "back", "Back", "Clear the filter, or go back"),
    _HELP,
    _QUIT,
]

COLUMNS: list[BindingType] = [
    _key("space", "mark", "On/off", "Show or hide the column under the cursor"),
    _key("s", "sort", "Sort", "Sort by it: largest first, smallest first, or the newest run first"),
    _key("enter", "confirm", "Use", "Use these columns, and keep them"),
    _CANCEL,
]

MATCHES: list[BindingType] = [
    _key("n,right,down", "move(1)", "Next", "Show the next query"),
    _hidden("p,left,up", "move(-1)", "Previous", "Show the previous query"),
    _hidden("pagedown", "turn(1)", "Next page", "Go to the next page of the list"),
    _hidden("pageup", "turn(-1)", "Previous page", "Go to the previous page of the list"),
    _hidden("home", "ends(0)", "First", "Show the first query of the list"),
    _hidden("end", "ends(-1)", "Last", "Show the last query of the list"),
    _key("a", "filter", "Filter", "Show all queries, misses, best first, worst first, or shuffled"),
    _key("slash", "search", "Search", "Find queries by name, title or Vienna code", priority=True),
    _key("t", "list", "List", "Show or hide the list of queries"),
    _key("d", "compare", "Compare", "Compare a query's matches in two evaluations"),
    _hidden("comma", "other(-1)", "Compare older", "Compare with the next older evaluation"),
    _hidden("full_stop", "other(1)", "Compare newer", "Compare with the next newer evaluation"),
    _hidden("left_square_bracket", "evaluation(-1)", "Older", "Show the previous evaluation"),
    _hidden("right_square_bracket", "evaluation(1)", "Newer", "Show the next evaluation"),
    _hidden("u", "figures", "Figures", "Show every figure of the evaluation, and its history"),
    _key("i", "full", "Full", "Show the query and a match at full resolution"),
    PICTURE_KEY,
    _hidden("plus,equals_sign", "size(-1)", "Larger", "Show fewer and larger pictures"),
    _hidden("minus", "size(1)", "Smaller", "Show more and smaller pictures"),
    _hidden("w", "export('html')", "Write page", "Write the listed queries to an HTML page"),
    _hidden("W", "export('png')", "Write sheet", "Write the listed queries to a PNG sheet"),
    _hidden("e", "app.evaluate", "Evaluate", "Evaluate a checkpoint now"),
    _hidden("escape", "back", "Back", "Close the search field, or go back to the curves"),
    _HELP,
    dataclasses.replace(_QUIT, show=False),
]

SEARCH: list[BindingType] = [
    _key("enter", "find", "Search", "Search for the logo in the field, or its parts"),
    _key("f2,c", "crop", "Parts", "Move rectangles over the logo, to search for these parts alone"),
    _key("n,right,down,pagedown", "turn(1)", "Next", "Show the next page of matches"),
    _hidden("p,left,up,pageup", "turn(-1)", "Previous", "Show the previous page of matches"),
    _hidden("home", "ends(0)", "First", "Show the first page of matches"),
    _hidden("end", "ends(-1)", "Last", "Show the last page of matches"),
    _hidden("full_stop", "answer(1)", "Next logo", "Show the next logo or part"),
    _hidden("comma", "answer(-1)", "Previous logo", "Show the previous logo or part"),
    _key("slash", "search", "Fields", "Go to the fields: logo, filters, least similarity"),
    _key("w", "save", "Save", "Write the search to the run: its record, and a page of it"),
    _hidden("left_square_bracket", "saved(-1)", "Older", "Show the saved search before this one"),
    _hidden("right_square_bracket", "saved(1)", "Newer", "Show the saved search after this one"),
    dataclasses.replace(PICTURE_KEY, show=False),
    _hidden("plus,equals_sign", "size(-1)", "Larger", "Show fewer and larger pictures"),
    _hidden("minus", "size(1)", "Smaller", "Show more and smaller pictures"),
    dataclasses.replace(_NEXT_FIELD, show=False),
    _key("escape", "back", "Back", "Go from the fields to the matches, or back to the curves"),
    _HELP,
    dataclasses.replace(_QUIT, show=False),
]

CROP: list[BindingType] = [
    _key("enter", "confirm", "Search", "Search for the parts in the rectangles"),
    _hidden("left", "move(-1, 0)", "Left", "Move the rectangle to the left"),
    _hidden("right", "move(1, 0)", "Right", "Move the rectangle to the right"),
    _hidden("up", "move(0, -1)", "Up", "Move the rectangle up"),
    _hidden("down", "move(0, 1)", "Down", "Move the rectangle down"),
    _hidden("shift+left,H", "resize(-1, 0)", "Narrower", "Make the rectangle narrower"),
    _hidden("shift+right,L", "resize(1, 0)", "Wider", "Make the rectangle wider"),
    _hidden("shift+up,K", "resize(0, -1)", "Lower", "Make the rectangle less high"),
    _hidden("shift+down,J", "resize(0, 1)", "Higher", "Make the rectangle higher"),
    _key("plus,equals_sign", "grow(1)", "Larger", "Make the rectangle larger on all sides"),
    _hidden("minus", "grow(-1)", "Smaller", "Make the rectangle smaller on all sides"),
    _key("a", "add", "Add", "Add another rectangle; each is searched for alone"),
    _key("d,delete,backspace", "remove", "Remove", "Remove the rectangle"),
    _key("tab", "next(1)", "Next", "Choose the next rectangle"),
    _hidden("shift+tab", "next(-1)", "Previous", "Choose the previous rectangle"),
    dataclasses.replace(PICTURE_KEY, show=False),
    _CANCEL,
    _HELP,
]

FINDINGS: list[BindingType] = [
    _key("enter", "go", "In the curves", "Show the curves at the step of the finding"),
    _key("escape,backspace", "app.pop_screen", "Back", "Go back"),
    _HELP,
    _QUIT,
]

TEXT_SCREEN: list[BindingType] = [
    _key("slash", "search", "Filter", "Show only lines that contain a text", priority=True),
    _key("escape", "back", "Back", "Clear the filter, or go back"),
    dataclasses.replace(_HELP, show=False),
    _QUIT,
]

START_FORM: list[BindingType] = [
    _key("enter", "start", "Start", "Start the run, once every field is valid"),
    _key("f2", "measure", "Dry run", "Train for some seconds, and say what the run would take"),
    _NEXT_FIELD,
    _key("escape", "app.pop_screen", "Cancel", "Go back without starting a run"),
]

STOP: list[BindingType] = [
    _key("y,enter", "answer(True)", "Stop", "Stop the trainer after its step, with a checkpoint"),
    _key("n,escape", "answer(False)", "Keep training", "Let the trainer continue"),
]

RESUME: list[BindingType] = [
    _key("enter", "confirm", "Resume", "Resume the run as planned"),
    _key("f2", "restart", "Restart", "Restart the schedule here, or keep it"),
    _key("f3", "branch", "Branch", "Go on in a run of its own and leave this one as it is, or not"),
    _NEXT_FIELD,
    _CANCEL,
]

PICTURES: list[BindingType] = [
    _key("1", "choose('half')", "half", "Draw two parts a cell: half blocks"),
    _key("2", "choose('quadrant')", "quadrant", "Draw 2 x 2 parts a cell: quadrants"),
    _key("3", "choose('sextant')", "sextant", "Draw 2 x 3 parts a cell: sextants"),
    _key("4", "choose('octant')", "octant", "Draw 2 x 4 parts a cell: octants"),
    _key(
        "5", "choose('kitty')", "pixels", "Draw pixels, in kitty, in Ghostty and over SSH or tmux"
    ),
    _key("6", "choose('off')", "no pictures", "Draw no pictures"),
    _key("0", "choose('auto')", "automatic", "Draw what the environment says of the terminal"),
    _CANCEL,
]

EVALUATE: list[BindingType] = [
    _key("enter", "confirm", "Evaluate", "Evaluate the checkpoint under the cursor"),
    _CANCEL,
]

GLOBAL: list[BindingType] = [
    _hidden(
        "ctrl+z",
        "app.suspend_process",
        "Suspend",
        "Suspend the monitor and go to the shell; `fg` goes back",
    ),
    _hidden("ctrl+t", "app.light", "Light or dark", "Switch between light and dark, and keep it"),
]

TABLES: tuple[tuple[str, list[BindingType]], ...] = (
    ("curves", LIVE),
    ("overlay of runs", OVERLAY),
    ("runs", RUNS),
    ("columns of the runs", COLUMNS),
    ("matches", MATCHES),
    ("search", SEARCH),
    ("parts of a logo", CROP),
    ("findings", FINDINGS),
    ("pages of text", TEXT_SCREEN),
    ("new run", START_FORM),
    ("stop", STOP),
    ("resume", RESUME),
    ("choice of a checkpoint", EVALUATE),
    ("choice of pictures", PICTURES),
    ("everywhere", GLOBAL),
)
"""Every screen's bindings under a heading; a screen has its own as `BINDINGS`."""

TEXTUAL_KEYS = (
    ("ctrl+p", "Open the palette: every action of the screen by name"),
    ("ctrl+q", "Quit the monitor, also while typing"),
    ("ctrl+c super+c", "Copy the text that the mouse selected"),
    ("tab shift+tab", "Go to the next or previous field or part"),
    ("up down pageup pagedown home end", "Scroll a text, or move in a list"),
    ("left right ctrl+pageup ctrl+pagedown", "Scroll a wide text sideways"),
)
"""Keys that Textual and its widgets bind on every screen that has no other use for them."""


def entries(bindings: Sequence[BindingType]) -> list[Binding]:
    """The bindings of a table, typed for reading."""
    return [binding for binding in bindings if isinstance(binding, Binding)]


def hint(bindings: Sequence[BindingType]) -> str:
    """The keys of a dialog in one line, such as `enter Resume   esc Cancel`."""
    return "   ".join(f"{key_names(entry)[0]} {entry.description}" for entry in entries(bindings))


def _key_help() -> list[tuple[str, list[BindingType], list[str], str]]:
    """Heading, table, keys and help text of every binding, Textual's own last."""
    own = [
        (heading, table, key_names(entry), entry.tooltip)
        for heading, table in TABLES
        for entry in entries(table)
    ]
    return own + [("everywhere", GLOBAL, keys.split(), text) for keys, text in TEXTUAL_KEYS]


def help_lines(first: Sequence[BindingType] = LIVE) -> list[str]:
    """The lines of the help page: every key and what it does, beginning with one screen's."""
    lines: list[str] = []
    shown = ""
    for heading, _, keys, text in sorted(_key_help(), key=lambda entry: entry[1] is not first):
        if heading != shown:
            lines += ["", heading]
            shown = heading
        lines.append(f"  {', '.join(keys):15} {text}")
    return lines[1:]


def key_table() -> str:
    """Every key as the Markdown table of docs/keys.md."""
    lines = ["| where | key | what it does |", "|---|---|---|"]
    for heading, _, keys, text in _key_help():
        lines.append(f"| {heading} | {' '.join(f'`{key}`' for key in keys)} | {text} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(key_table())  # noqa: T201 - `python -m tui.bindings` makes the table of docs/keys.md
