"""`tmssl runs`: every run with its state, loss and best evaluation."""

from cli.options import RUNS_DEFAULT, JsonOutput, RunsFolder
from cli.output.console import say, say_data, say_json
from tmssl.errors import JournalError
from tmssl.runs.findings.standing import finding_facts
from tmssl.runs.folder import Run, is_alive, list_runs
from tmssl.runs.history import History, read_history, summary
from tmssl.runs.journal import read_journal
from tmssl.runs.main_figure import best_score, short_name
from tmssl.text import number, safe


def runs(runs_folder: RunsFolder = RUNS_DEFAULT, json_output: JsonOutput = False) -> None:
    """List the runs: state, epoch, loss against chance, best evaluation, the worst finding that is still true."""
    histories = [(run, _history(run)) for run in list_runs(runs_folder)]
    if json_output:
        say_json(
            [
                {
                    "path": str(run.path),
                    **summary(history, is_alive(run)),
                    **finding_facts(history),
                    "name": run.name,
                }
                for run, history in histories
            ]
        )
        return
    if not histories:
        say(
            f"no runs in {safe(runs_folder)}; start one with `tmssl train --data DIR` or `tmssl demo`"
        )
        return
    say_data(
        f"{'run':32}{'state':>10}{'epoch':>12}{'loss':>9}{'chance':>9}{'best':>21}{'chance':>8}"
    )
    for run, history in histories:
        say_data(run_line(run, history))


def _history(run: Run) -> History:
    """The history of a run; empty if it has no journal yet or a damaged one."""
    try:
        return read_history(read_journal(run.journal) if run.journal.exists() else [])
    except JournalError as error:  # the other runs are still listed
        say(f"{safe(run.name, 60)}: {error}")
        return History()


def run_line(run: Run, history: History) -> str:
    """One run as a line of the table."""
    facts = {**summary(history, is_alive(run)), **finding_facts(history)}
    best = best_score(history.evals)
    loss, chance = facts["loss"], facts["chance"]
    cells = [
        f"{safe(run.name, 31):32}",
        f"{facts['state']:>10}",
        f"{history.epoch:>8.2f}/{facts['epochs'] or '-'!s:<3}",
        f"{number(loss if isinstance(loss, float) else None):>9}",
        f"{number(chance if isinstance(chance, float) else None):>9}",
        f"{short_name(best) if best else '':>14}",
        f"{number(best.value if best else None, 3):>7}",
        f"{number(best.chance if best else None, 3):>8}",
    ]
    notes = [history.branch.words] if history.branch else []
    notes += [safe(facts["finding"], 80)] if facts["finding"] else []
    return "  ".join(["".join(cells), *notes])
