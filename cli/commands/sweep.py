"""`tmssl sweep`: train runs of different settings one after another, and compare them in a table."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cli.command import OUTPUT, RUN
from cli.options import RUNS_DEFAULT, JsonOutput, RunsFolder, Workers
from cli.output.console import say, say_data, say_json
from cli.packing import absolute, base_config, with_pack
from cli.signals import end_in_order, interrupt_but_outlive_terminal, outlive_terminal
from cli.start import check_notices, has_finished, is_abandoned
from tmssl.claims import claimed
from tmssl.config import Config, OptimConfig, changed, differences, read_config
from tmssl.errors import ConfigError, RunError, TrainingError
from tmssl.runs.folder import Run, is_alive, is_run, list_runs, new_run
from tmssl.runs.history import read_history
from tmssl.runs.journal import read_journal
from tmssl.runs.sweep.grid import PlannedRun, plan_runs, read_sweep, runs_words
from tmssl.runs.sweep.table import Result, ranked, result_of, table_lines
from tmssl.text import count, duration, pasted, safe

_SET_LATER = {"optim.anchor", "optim.rewarm_steps", "optim.rewarm_step", "optim.rewarm_lr"}
"""settings that a resume writes"""


def sweep(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="TOML: shared settings, [grid] and [[runs]].")
    ],
    name: Annotated[
        str,
        typer.Option(
            "--name",
            metavar="NAME",
            rich_help_panel=RUN,
            help="Folder of the sweep's runs inside RUNS.  [default: the file's name]",
        ),
    ] = "",
    runs_folder: RunsFolder = RUNS_DEFAULT,
    workers: Workers = 0,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            rich_help_panel=OUTPUT,
            help="List the runs, measure a few seconds, estimate the time, and exit.",
        ),
    ] = False,
    json_output: JsonOutput = False,
) -> None:
    """Train runs of different settings one after another, or go on with them, and compare them.

    Where there are several GPUs, each trains a run. The same command again goes on where it was.
    """
    described = read_sweep(file)
    try:
        planned = plan_runs(described, base_config(described.recipe))
        for run in planned:
            absolute(run.config)
    except ConfigError as error:
        raise ConfigError(f"{safe(file)}: {error}") from error
    folder = _folder(runs_folder, name or file.stem)
    left = _left(planned, folder)
    say(f"{safe(folder)}: {runs_words(planned)}, {len(planned) - len(left)} finished already")
    if dry_run:
        end_in_order()
        _estimate(planned, left, folder, workers, json_output)
        return
    for notified in {run.config.train.notify: run.config for run in left}.values():
        check_notices(notified)
    outlive_terminal()
    code, failed = (
        _train(left, folder, workers, _again(file, name, runs_folder)) if left else (0, [])
    )
    if not code:
        _print(ranked([_result(run, folder) for run in planned]), json_output)
    if failed:
        raise TrainingError(
            f"{count(len(failed), 'run')} failed ({', '.join(map(safe, failed))}); the same command tries again"
        )
    raise typer.Exit(code)


def _again(file: Path, name: str, runs_folder: Path) -> str:
    """The command that goes on with a sweep, to paste into a shell."""
    named = f" --name {pasted(name)}" * bool(name)
    place = f" --runs {pasted(runs_folder)}" * (runs_folder != RUNS_DEFAULT)
    return f"tmssl sweep {pasted(file)}{named}{place}"


def _folder(runs_folder: Path, name: str) -> Path:
    """The folder of a sweep's runs.

    Raises:
        RunError: the name is not usable, or is that of a run.
    """
    folder = runs_folder.resolve() / name
    if not folder.exists():
        new_run(runs_folder, name)  # refuses a bad name
    elif not folder.is_dir() or is_run(folder):
        raise RunError(
            f"{safe(folder)} is no folder of a sweep's runs; give the sweep another --name"
        )
    return folder


def _left(planned: list[PlannedRun], folder: Path) -> list[PlannedRun]:
    """The runs that have not finished, after a look at what the folder holds.

    Raises:
        RunError: a run has other settings than planned.
    """
    left = []
    for plan in planned:
        run = Run(folder / plan.name)
        if run.config.is_file() and not is_abandoned(run):
            _check_unchanged(run, plan.config)
        if not has_finished(run):
            left.append(plan)
    names = {plan.name for plan in planned}
    others = [run.name for run in list_runs(folder) if run.name not in names]
    if others:
        say(
            f"{safe(folder)} has {count(len(others), 'other run')}, such as {safe(others[0])}; they stay as "
            "they are, and the table leaves them out"
        )
    return left


def _check_unchanged(run: Run, config: Config) -> None:
    """Refuse to go on with a run of other settings than those that are planned under its name.

    Raises:
        RunError: they differ.
    """
    pairs = differences(read_config(run.config), absolute(config))
    pairs = {key: pair for key, pair in pairs.items() if key not in {*_SET_LATER, "data.pack"}}
    if pairs:
        setting, (old, new) = next(iter(pairs.items()))
        more = f" and {len(pairs) - 1} more" * (len(pairs) > 1)
        raise RunError(
            f"{safe(run.path)} has {setting} {safe(old, 60)}, and the file says {safe(new, 60)}{more}; "
            "put it back, or give the changed sweep another --name"
        )


def _train(left: list[PlannedRun], folder: Path, workers: int, again: str) -> tuple[int, list[str]]:
    """Pack the images and train what is left; the exit code of an interruption, and what failed."""
    from cli.sweep_follow import Sweeper
    from tmssl.doctor.machine import usable_cores

    with _claimed(folder):
        configs = _packed(left, workers)
        sweeper = Sweeper(folder, configs, _gpus(list(configs.values())), usable_cores())
        interrupt_but_outlive_terminal()
        try:
            sweeper.train_all()
        except KeyboardInterrupt as interrupt:
            code = sweeper.stop(interrupt)
            say(f"stopped; go on with: {again}")
            return code, []
    return 0, sweeper.failed


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Hold the folder of a sweep, so that no second command begins the same runs.

    Raises:
        RunError: another one holds it, or it cannot be made.
    """
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(claimed(folder, 2.0))
        except BlockingIOError as error:
            raise RunError(
                f"{safe(folder)} is trained by another `tmssl sweep` already; watch it with "
                f"`tmssl watch {pasted(folder)}`"
            ) from error
        except OSError as error:
            raise RunError(
                f"cannot make {safe(folder)}: {error.strerror}; choose another --runs"
            ) from error
        yield


def _packed(plans: list[PlannedRun], workers: int) -> dict[str, Config]:
    """The settings of each run with its pack, by its name; each source is read once for each size."""
    packs: dict[tuple[object, ...], str] = {}
    configs = {}
    for plan in plans:
        config = absolute(plan.config)
        data = config.data
        key = (data.source, data.image_size, data.images_under, data.columns, data.folders)
        if key not in packs:
            packs[key] = with_pack(config, workers).data.pack
        configs[plan.name] = changed(config, {"data.pack": packs[key]})
    return configs


def _gpus(configs: list[Config]) -> list[str]:
    """The GPUs on which runs are trained at the same time; one empty id where there are not several.

    Raises:
        ConfigError: a run wants more than there are.
    """
    from cli.sweep_follow import GPUS_VARIABLE
    from tmssl.doctor.probe import probe_torch

    if all(config.train.device == "cpu" for config in configs):
        return [""]
    seen = len(probe_torch().gpus)
    named = [gpu for gpu in os.environ.get(GPUS_VARIABLE, "").split(",") if gpu.strip()]
    gpus = named[:seen] if named else list(map(str, range(seen)))
    most = max(config.train.gpus for config in configs)
    if 1 < len(gpus) < most:
        raise ConfigError(f"gpus is {most}, and this machine has {len(gpus)}; lower it")
    return gpus if len(gpus) > 1 else [""]


def _result(plan: PlannedRun, folder: Path) -> Result:
    """The result of a run so far."""
    run = Run(folder / plan.name)
    history = read_history(read_journal(run.journal) if run.journal.exists() else [])
    train = plan.config.train
    return result_of(run, plan.settings, train.best_by, train.epochs, history, is_alive(run))


def _print(results: list[Result], json_output: bool) -> None:
    """Print the results as a table or as JSON."""
    if json_output:
        say_json(results)
        return
    for line in table_lines(results):
        say_data(line)


def _estimate(
    planned: list[PlannedRun],
    left: list[PlannedRun],
    folder: Path,
    workers: int,
    json_output: bool,
) -> None:
    """List the runs with the time that each takes, by a measurement for each kind of them."""
    from cli.dry_run import Estimate, measured

    configs = _packed(left, workers)
    gpus = _gpus(list(configs.values())) if configs else [""]
    estimates: dict[Config, Estimate] = {}
    cached: set[Config] = set()
    rows = []
    for plan in planned:
        result, hours = _result(plan, folder), 0.0
        if plan.name in configs:
            config = configs[plan.name]
            pace = _paced(config)
            if pace not in estimates:
                say(f"measuring the trainer for a few seconds, as for {safe(plan.name)}")
                estimates[pace] = measured(config)
            estimate, views = estimates[pace], changed(pace, {"seed": config.train.seed})
            hours = estimate.hours_per_epoch * max(0.0, result.epochs - result.epoch)
            hours += estimate.views_hours * (views not in cached)
            cached.add(views)
        rows.append({**msgspec.to_builtins(result), "hours": hours})
    hours = sum(row["hours"] for row in rows) / len(gpus)
    if json_output:
        say_json({"hours": hours, "runs": rows})
        return
    width = max(len(plan.name) for plan in planned)
    for row in rows:
        left_words = duration(3600 * row["hours"]) if row["hours"] else "nothing"
        say_data(
            f"{safe(row['name']):{width}}  {row['state']:>9}  {row['epochs']} epochs, {left_words} left"
        )
    on = f" on {len(gpus)} GPUs" * (len(gpus) > 1)
    say_data(f"all of it: {duration(3600 * hours)}{on}, evaluations not counted")


def _paced(config: Config) -> Config:
    """The settings of a run that decide how long a step takes; the others have one value."""
    optim = OptimConfig(optimizer=config.optim.optimizer)
    train = {"seed": 0, "epochs": 1, "eval_every": 0, "keep_every": 0, "best_by": "auto"}
    train |= {"stop_when": ""}
    data = msgspec.structs.replace(config.data, positives="instance")
    same = msgspec.structs.replace(config, optim=optim, data=data)
    return msgspec.structs.replace(same, train=msgspec.structs.replace(config.train, **train))
