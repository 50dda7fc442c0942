"""`tmssl doctor`: whether this machine can train, what slows it, and what to begin with."""

import typer

from cli.follow import say
from cli.options import RUNS_DEFAULT, JsonOutput, RunsFolder

_SIGNS = {"good": "ok", "warning": "!", "bad": "!!"}


def doctor(runs_folder: RunsFolder = RUNS_DEFAULT, json_output: JsonOutput = False) -> None:
    """Look at Python, torch, driver, GPU, memory, disk and terminal; exit 1 if training cannot work."""
    import msgspec

    from tmssl.doctor.gather import gather
    from tmssl.doctor.probe import probe_torch
    from tmssl.doctor.verdicts import can_train, verdicts

    say("looking at the machine; importing torch takes some seconds")
    facts = gather(probe_torch(), runs_folder)
    checks = verdicts(facts)
    able = can_train(checks)
    if json_output:
        told = {"can_train": able, "checks": checks, "facts": facts}
        print(msgspec.json.encode(told).decode())  # noqa: T201 - stdout is data
    else:
        for check in checks:
            print(f"{_SIGNS[check.level]:>2} {check.name:14}{check.found}")  # noqa: T201 - stdout is data
            if check.advice:
                print(f"{'':17}-> {check.advice}")  # noqa: T201 - stdout is data
        say(
            "training can work here" if able else "training cannot work here; see the lines with !!"
        )
    if not able:
        raise typer.Exit(1)
