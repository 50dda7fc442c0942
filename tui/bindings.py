"""One table of keys; the footer, the help screen and the palette are made from it."""

import dataclasses

from textual.binding import Binding


@dataclasses.dataclass(frozen=True)
class Key:
    """One key, what it does, and how it is told."""

    key: str
    action: str
    short: str
    """for the footer"""
    long: str
    """for the help screen and the palette"""
    footer: bool = True
    first: bool = False
    """whether it acts before a text field sees it, so that what is typed next goes where it leads"""


LIVE = (
    Key("e", "app.evaluate", "Evaluate", "Evaluate a checkpoint now, beside the training"),
    Key("m", "app.matches", "Matches", "Page through queries and their matches"),
    Key("r", "app.resume", "Resume", "Go on with more epochs, seeing the learning rate to come"),
    Key("s", "app.stop", "Stop", "Stop the trainer after its step, with a checkpoint"),
    Key("k", "app.checkpoint", "Checkpoint", "Write a checkpoint now and go on", footer=False),
    Key("plus,equals_sign", "smooth(1)", "Smoother", "Smooth the curves more", footer=False),
    Key("minus", "smooth(-1)", "Rougher", "Smooth the curves less", footer=False),
    Key("x", "axis", "Axis", "Horizontal axis: epoch, step or time", footer=False),
    Key("l", "log_scale", "Log", "Logarithmic loss, on or off", footer=False),
    Key(
        "up",
        "zoom(1.5)",
        "Closer",
        "Zoom in, around the crosshair or the newest point",
        footer=False,
    ),
    Key("down", "zoom(0.667)", "Farther", "Zoom out", footer=False),
    Key("left", "move(-1)", "Back", "Move the crosshair, or what is zoomed to", footer=False),
    Key("right", "move(1)", "On", "Move the crosshair, or what is zoomed to", footer=False),
    Key("shift+left", "move(-10)", "Far back", "The same, ten times as far", footer=False),
    Key("shift+right", "move(10)", "Far on", "The same, ten times as far", footer=False),
    Key("v", "crosshair", "Values", "A crosshair that reads values, on or off"),
    Key(
        "z", "enlarge", "Full", "The chosen chart on the whole screen, or all charts", footer=False
    ),
    Key(
        "tab",
        "app.focus_next",
        "Next chart",
        "Choose the next chart; shift+tab the one before",
        footer=False,
    ),
    Key("y", "clip", "Range", "Vertical range: all values, or the middle 98 %", footer=False),
    Key("0", "whole", "All", "All of the run again", footer=False),
    Key("a", "overlay", "Overlay", "Lay other runs over this one", footer=False),
    Key(
        "escape", "reset", "Reset", "Leave the whole screen, the crosshair, the zoom", footer=False
    ),
    Key(
        "f", "app.findings", "Findings", "Everything noticed in this run, with advice", footer=False
    ),
    Key("g", "app.log", "Log file", "What the trainer printed", footer=False),
    Key("c", "app.config", "Config", "The settings in force and what changed", footer=False),
    Key("o", "app.runs", "Runs", "Every run beside this one: open, compare, start"),
    Key("question_mark", "app.help", "Help", "This list of keys"),
    Key("q", "app.quit", "Quit", "Leave the monitor; training goes on"),
)

RUNS = (
    Key("enter", "open", "Open", "Watch the run under the cursor"),
    Key("space", "mark", "Mark", "Mark a run; two marked ones can be compared"),
    Key("c", "compare", "Compare", "How two marked runs differ: settings and figures"),
    Key("n", "app.start", "New run", "Start a run: a form over a recipe"),
    Key(
        "slash",
        "search",
        "Filter",
        "Only runs whose name, state or a setting holds what is typed",
        first=True,
    ),
    Key("escape", "back", "Back", "Clear the filter, or go back", footer=False),
    Key("question_mark", "app.help", "Help", "This list of keys"),
    Key("q", "app.quit", "Quit", "Leave the monitor; training goes on"),
)

START_FORM = (
    Key("enter", "start", "Start", "Start the run, once nothing is wrong"),
    Key(
        "tab",
        "app.focus_next",
        "Next field",
        "The next field; shift+tab is the one before",
        first=True,
    ),
    Key("escape", "app.pop_screen", "Cancel", "Back, without starting"),
)

MATCHES = (
    Key("n,right,down", "move(1)", "Next", "Next query"),
    Key("p,left,up", "move(-1)", "Previous", "Previous query", footer=False),
    Key("pagedown", "turn(1)", "Next page", "Next page of the list", footer=False),
    Key("pageup", "turn(-1)", "Page before", "The page of the list before", footer=False),
    Key("home", "ends(0)", "First", "First query of the list", footer=False),
    Key("end", "ends(-1)", "Last", "Last query of the list", footer=False),
    Key(
        "a", "filter", "Filter", "All queries, misses only, the best or the worst first, at random"
    ),
    Key("slash", "search", "Search", "Find queries by name, title or Vienna code", first=True),
    Key(
        "t",
        "list",
        "List",
        "The list of queries: beside the pictures or, on a narrow screen, instead",
    ),
    Key("d", "compare", "Compare", "The same query in two evaluations, one above the other"),
    Key(
        "comma",
        "other(-1)",
        "Other before",
        "Compare with the evaluation before that",
        footer=False,
    ),
    Key(
        "full_stop",
        "other(1)",
        "Other after",
        "Compare with the evaluation after that",
        footer=False,
    ),
    Key("left_square_bracket", "evaluation(-1)", "Older", "The evaluation before", footer=False),
    Key("right_square_bracket", "evaluation(1)", "Newer", "The evaluation after", footer=False),
    Key(
        "u",
        "figures",
        "Figures",
        "Every figure of the evaluation, and its history by epoch",
        footer=False,
    ),
    Key("i", "full", "Full", "The query and a match at full resolution, outside the monitor"),
    Key("plus,equals_sign", "size(-1)", "Larger", "Fewer and larger pictures", footer=False),
    Key("minus", "size(1)", "Smaller", "More and smaller pictures", footer=False),
    Key(
        "w", "export('html')", "Write page", "Write the shown queries as an HTML page", footer=False
    ),
    Key(
        "W", "export('png')", "Write sheet", "Write the shown queries as a PNG sheet", footer=False
    ),
    Key("e", "app.evaluate", "Evaluate", "Evaluate a checkpoint now", footer=False),
    Key("escape", "back", "Back", "Back to the curves", footer=False),
    Key("question_mark", "app.help", "Help", "This list of keys"),
    Key("q", "app.quit", "Quit", "Leave the monitor; training goes on", footer=False),
)

STOP = (
    Key("y,enter", "answer(True)", "Stop", "Stop the trainer after its step, with a checkpoint"),
    Key("n,escape", "answer(False)", "Leave it", "Let it train on"),
)

RESUME = (
    Key("enter", "confirm", "Go on", "Go on with the run as planned"),
    Key("f2", "restart", "Restart schedule", "Begin the cosine anew at this point, or not"),
    Key(
        "tab",
        "app.focus_next",
        "Next field",
        "The next field; shift+tab is the one before",
        first=True,
    ),
    Key("escape", "cancel", "Cancel", "Back, without a change"),
)

EVALUATE = (
    Key("enter", "confirm", "Evaluate", "Evaluate the checkpoint under the cursor"),
    Key("escape", "cancel", "Cancel", "Back, without an evaluation"),
)

OVERLAY = (
    Key("space", "mark", "On/off", "The run under the cursor, on or off"),
    Key("enter", "confirm", "Draw", "Draw the chosen runs"),
    Key("escape", "cancel", "Cancel", "Back, without a change"),
)

FINDINGS = (
    Key("enter", "go", "In the curves", "The curves at the place of the finding"),
    Key("escape,backspace", "app.pop_screen", "Back", "Back to where you came from"),
    Key("question_mark", "app.help", "Help", "This list of keys"),
    Key("q", "app.quit", "Quit", "Leave the monitor; training goes on"),
)

TEXT_SCREEN = (
    Key("slash", "search", "Filter", "Only lines that hold what is typed", first=True),
    Key("escape", "back", "Back", "Clear the filter, or back to where you came from"),
    Key("question_mark", "app.help", "Help", "This list of keys", footer=False),
    Key("q", "app.quit", "Quit", "Leave the monitor; training goes on"),
)

GLOBAL = (
    Key("ctrl+t", "app.light", "Light or dark", "Light or dark colours; remembered", footer=False),
)

TABLES: tuple[tuple[str, tuple[Key, ...]], ...] = (
    ("curves", LIVE),
    ("choosing runs to lay over each other", OVERLAY),
    ("runs", RUNS),
    ("matches", MATCHES),
    ("findings", FINDINGS),
    ("pages of text", TEXT_SCREEN),
    ("the form of a new run", START_FORM),
    ("the question before a stop", STOP),
    ("going on with a run", RESUME),
    ("choosing a checkpoint", EVALUATE),
    ("everywhere", GLOBAL),
)
"""Every screen's keys under its heading; a screen names its own as `TABLE`."""

TEXTUAL_KEYS = (
    ("ctrl+p", "Every action of the screen by name"),
    ("ctrl+q", "Leave the monitor, also while typing"),
    ("ctrl+c super+c", "Copy what is marked with the mouse"),
    ("tab shift+tab", "The next field or part, the one before"),
    ("up down pageup pagedown home end", "Scroll a text, or move in a list"),
    ("left right ctrl+pageup ctrl+pagedown", "Scroll a text that is wider than the screen"),
)
"""Keys that Textual and its widgets bring, on every screen where nothing else is on them."""

_NAMES = {
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
    "greater_than_sign": ">",
    "less_than_sign": "<",
}


def shown_keys(key: Key) -> str:
    """`n right`: the keys as a person knows them."""
    return " ".join(_NAMES.get(name, name) for name in key.key.split(","))


def bindings(table: tuple[Key, ...]) -> list[Binding]:
    """Textual's bindings of a table."""
    return [
        Binding(
            key.key,
            key.action,
            key.short,
            show=key.footer,
            key_display=shown_keys(key).split(" ")[0],
            priority=key.first,
        )
        for key in table
    ]


def hint(table: tuple[Key, ...]) -> str:
    """`enter Go on   esc Cancel`: the keys of a question, for a line of it."""
    return "   ".join(f"{shown_keys(key).split(' ')[0]} {key.short}" for key in table)


def help_lines(first: tuple[Key, ...] = LIVE) -> list[str]:
    """Every key with what it does, those of one screen first."""
    lines = []
    for heading, table in sorted(TABLES, key=lambda pair: pair[1] is not first):
        lines += ["", heading]
        lines += [f"  {shown_keys(key):15} {key.long}" for key in table]
    lines += [f"  {keys.replace(' ', ', '):15} {what}" for keys, what in TEXTUAL_KEYS]
    return lines[1:]


def key_table() -> str:
    """Every key as the Markdown table of docs/keys.md."""
    lines = ["| where | key | what it does |", "|---|---|---|"]
    for heading, table in TABLES:
        for key in table:
            keys = " ".join(f"`{one}`" for one in shown_keys(key).split(" "))
            lines.append(f"| {heading} | {keys} | {key.long} |")
    for given, what in TEXTUAL_KEYS:
        keys = " ".join(f"`{one}`" for one in given.split(" "))
        lines.append(f"| everywhere | {keys} | {what} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(key_table())  # noqa: T201 - `python -m tui.bindings` makes the table of docs/keys.md
