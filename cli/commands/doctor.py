"""`tmssl doctor`: whether this machine can train, what slows it, and settings to begin with."""

import typer

from cli.options import RUNS_DEFAULT, JsonOutput, RunsFolder
from cli.output.console import say, say_data, say_json

_SIGNS = {"good": "ok", "warning": "!", "bad": "!!"}


def doctor(runs_folder: RunsFolder = RUNS_DEFAULT, json_output: JsonOutput = False) -> None:
    """Check Python, torch, driver, GPU, memory, disk and terminal; exit 1 if training cannot work."""
    from tmssl.doctor.gather import gather
    from tmssl.doctor.probe import probe_torch
    from tmssl.doctor.verdicts import can_train, verdicts

    say("checking the machine; importing torch takes a few seconds")
    facts = gather(probe_torch(), runs_folder)
    checks = verdicts(facts)
    able = can_train(checks)
    if json_output:
        say_json({"can_train": able, "checks": checks, "facts": facts})
    else:
        for check in checks:
            say_data(f"{_SIGNS[check.level]:>2} {check.name:14}{check.found}")
            if check.advice:
                say_data(f"{'':17}-> {check.advice}")
        say(
            "training can work here" if able else "training cannot work here; see the lines with !!"
        )
    if not able:
        raise typer.Exit(1)
