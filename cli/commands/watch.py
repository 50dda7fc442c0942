"""`tmssl watch`: the monitor, or one snapshot of it as text or JSON."""

import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import (
    RUNS_DEFAULT,
    JsonOutput,
    Pictures,
    RunPath,
    RunsFolder,
    accept_run_option,
    find_run,
)
from cli.output.console import say, say_data, say_json
from cli.streams import draws_unicode
from tmssl.errors import InputError, RunError
from tmssl.files import is_folder
from tmssl.runs.cost import cost, cost_words
from tmssl.runs.findings.standing import finding_facts
from tmssl.runs.folder import Run, is_alive, list_runs
from tmssl.runs.history import read_history, summary
from tmssl.runs.journal import read_journal
from tmssl.text import pasted, safe

if TYPE_CHECKING:
    from tui.options import DisplayOptions

_ASCII_NOTE = "ASCII, as the locale has no UTF-8: set LANG=C.UTF-8 (tmux: `tmux -u`)"


@accept_run_option
def watch(
    run: RunPath = None,
    once: Annotated[bool, typer.Option("--once", help="Print one snapshot and exit.")] = False,
    json_output: JsonOutput = False,
    ascii_only: Annotated[
        bool, typer.Option("--ascii", help="Draw charts and frames in ASCII only.")
    ] = False,
    low_bandwidth: Annotated[
        bool, typer.Option("--low-bandwidth", help="Redraw every 10 s, for a slow link.")
    ] = False,
    notify: Annotated[
        bool, typer.Option("--notify", help="Ring at the end of the run and at bad findings.")
    ] = False,
    images: Annotated[
        str,
        typer.Option(
            "--images",
            metavar="auto|block|kitty|iterm2|off",
            help="How key `i` draws marks at full size; the terminal is not queried.",
        ),
    ] = "auto",
    pictures: Pictures = "auto",
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Watch a run, or all runs of a folder; leaving never touches the trainer."""
    from tui.options import FULL, LOW_BANDWIDTH_S, DisplayOptions, graphics_protocol
    from tui.pictures.ways import check_way

    graphics_protocol(images)  # raises before anything opens
    check_way(pictures)
    lacks_unicode = not draws_unicode(sys.stderr)  # on which the monitor draws
    options = DisplayOptions(
        ascii=ascii_only or lacks_unicode,
        note=_ASCII_NOTE if lacks_unicode and not ascii_only else "",
        colour=not os.environ.get("NO_COLOR"),
        notify=notify,
        redraw_s=LOW_BANDWIDTH_S if low_bandwidth else FULL.redraw_s,
        images=images,
        pictures=pictures,
    )
    folder = _folder_of_runs(run, runs_folder)
    why_not = _why_not_drawn()
    if folder is not None and not once and not json_output and not why_not:
        _open_monitor(None, folder, options)
        return
    opened = find_run(run if folder is None else None, folder or runs_folder)
    has_events = opened.journal.exists() and opened.journal.stat().st_size > 0
    if not has_events and (once or json_output or not is_alive(opened)):
        raise RunError(
            f"{safe(opened.path)} has not written yet and has no trainer; start it with "
            f"`tmssl train --resume {pasted(opened.path)}`"
        )
    if json_output:
        history = read_history(read_journal(opened.journal))
        money = cost(history)
        costs = {
            "spent": money.spent if money else None,
            "to_come": money.to_come if money else None,
        }
        say_json({**summary(history, is_alive(opened)), **finding_facts(history), **costs})
    elif once or why_not:
        if not once:
            say(f"{why_not}, so this is one snapshot, as with --once")
        say_data("\n".join(snapshot(opened, ascii_only or not draws_unicode(sys.stdout))))
    else:
        _open_monitor(opened, opened.path.parent, options)


def _why_not_drawn() -> str:
    """Why the monitor cannot be drawn here; empty where it can."""
    if not sys.stdout.isatty():
        return "stdout is not a terminal"
    return "TERM=dumb draws no screens" if os.environ.get("TERM") == "dumb" else ""


def _folder_of_runs(run: Path | None, runs_folder: Path) -> Path | None:
    """The folder of runs to list, or None to show one run."""
    if run is None:
        return runs_folder if is_folder(runs_folder) else None
    return run if list_runs(run) else None


def _open_monitor(run: Run | None, runs_folder: Path, options: "DisplayOptions") -> None:
    """Open the monitor on a run or on the list of runs."""
    from tui.options import FULL

    _read_keys_from_terminal()
    # Textual draws only on a change: the curves redraw once a second, keys answer at once.
    frames = "60" if options.redraw_s == FULL.redraw_s else "15"
    os.environ.setdefault("TEXTUAL_FPS", frames)
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    from tui.watch import watch as open_monitor

    open_monitor(run, options, runs_folder)


def _read_keys_from_terminal() -> None:
    """Let stdin be the terminal, as `less` does, where it comes from a pipe or a file.

    Raises:
        InputError: there is no terminal to read keys from.
    """
    if os.isatty(0):
        return
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError as error:
        raise InputError(
            "the monitor has no terminal to read keys from; --once prints a snapshot"
        ) from error
    if terminal != 0:
        os.dup2(terminal, 0)
        os.close(terminal)


def snapshot(run: Run, ascii_only: bool = False) -> list[str]:
    """The state of a run as lines of text, with a small chart of its loss."""
    from tui.charts.chart import loss_chart
    from tui.charts.render import render_string
    from tui.live.run_text import (
        evaluation_spans,
        finding_lines,
        learning_spans,
        machine_spans,
        plain_text,
        progress_spans,
        state_text,
    )
    from tui.options import DisplayOptions

    history, alive = read_history(read_journal(run.journal)), is_alive(run)
    lines = [
        f"run         {safe(run.name)}",
        f"state       {state_text(history, alive)}",
        f"progress    {plain_text(progress_spans(history, alive, 68))}",
        f"learning    {plain_text(learning_spans(history))}",
        f"machine     {plain_text(machine_spans(history))}",
    ]
    money = cost(history)
    lines += [f"cost        {cost_words(money)}"] if money else []
    evaluation = plain_text(evaluation_spans(history, 68)).removesuffix("; press e")
    lines.append(f"evaluation  {evaluation}")
    for finding in history.findings:
        first, advice = finding_lines(finding)
        lines.append(f"finding     {first}")
        lines += [f"            {advice.strip()}"] if advice else []
    chart = loss_chart(history, axis="epoch", weight=0.9)
    lines = [part for line in lines for part in folded(line)]
    return [
        *lines,
        "",
        render_string(chart, 78, 14, DisplayOptions(ascii=ascii_only, colour=False)).rstrip(),
    ]


def folded(line: str) -> list[str]:
    """Fold a line of the snapshot at 80 columns; continuation lines start in the second column."""
    return textwrap.wrap(
        line, 80, subsequent_indent=" " * 12, break_long_words=False, break_on_hyphens=False
    )
