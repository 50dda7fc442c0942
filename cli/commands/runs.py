"""`tmssl runs`: every run with its state, loss and best evaluation."""

import json

from cli.follow import say
from cli.options import RUNS_DEFAULT, JsonOutput, RunsFolder
from tmssl.errors import JournalError
from tmssl.runs.folder import Run, is_alive, list_runs
from tmssl.runs.history import History, read_history, summary
from tmssl.runs.journal import read_journal
from tmssl.runs.main_figure import best_score, short_name
from tmssl.text import number, safe


def runs(runs_folder: RunsFolder = RUNS_DEFAULT, json_output: JsonOutput = False) -> None:
    """List the runs: state, epoch, loss against chance, best evaluation, newest finding."""
    found = [(run, _history(run)) for run in list_runs(runs_folder)]
    if json_output:
        told = [{"path": str(r.path), **summary(h, is_alive(r)), "name": r.name} for r, h in found]
        print(json.dumps(told))  # noqa: T201 - stdout is data
        return
    if not found:
        say(
            f"no runs in {safe(runs_folder)}; start one with `tmssl train --data DIR` or `tmssl demo`"
        )
        return
    print(f"{'run':32}{'state':>10}{'epoch':>12}{'loss':>9}{'chance':>9}{'best':>21}{'chance':>8}")  # noqa: T201 - stdout is data
    for run, history in found:
        print(run_line(run, history))  # noqa: T201 - stdout is data


def _history(run: Run) -> History:
    """The history of a run, empty when it has not written yet."""
    try:
        return read_history(read_journal(run.journal) if run.journal.exists() else [])
    except JournalError as error:  # the others are listed all the same
        say(f"{safe(run.name, 60)}: {error}")
        return History()


def run_line(run: Run, history: History) -> str:
    """One run as a line of the table."""
    told = summary(history, is_alive(run))
    best = best_score(history.evals)
    loss, chance = told["loss"], told["chance"]
    cells = [
        f"{safe(run.name, 31):32}",
        f"{told['state']:>10}",
        f"{history.epoch:>8.2f}/{told['epochs'] or '-'!s:<3}",
        f"{number(loss if isinstance(loss, float) else None):>9}",
        f"{number(chance if isinstance(chance, float) else None):>9}",
        f"{short_name(best) if best else '':>14}",
        f"{number(best.value if best else None, 3):>7}",
        f"{number(best.chance if best else None, 3):>8}",
    ]
    line = "".join(cells)
    return f"{line}  {safe(told['finding'], 80)}" if told["finding"] else line
