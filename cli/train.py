"""`tmssl train`: start or resume a run as a detached child, and follow it."""

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.follow import follow, say
from cli.options import RUNS_DEFAULT, RunsFolder, chosen_run
from cli.settings import with_settings
from tmssl.config import Config, changed, differences, read_config, write_config
from tmssl.errors import ConfigError, RunError
from tmssl.recipes import recipe_path
from tmssl.runs.events import Segment
from tmssl.runs.folder import Run, create_run, is_alive, open_run, point_latest, run_name
from tmssl.runs.journal import read_journal
from tmssl.runs.launch import start_trainer, wait_until_begun
from tmssl.text import learning_rate, number, safe


@with_settings
def train(
    *,
    settings: dict[str, Any],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run instead of starting one.")
    ] = False,
    run: Annotated[
        Path | None, typer.Option("--run", help="The run to resume.  [default: RUNS/latest]")
    ] = None,
    restart_schedule: Annotated[
        bool,
        typer.Option("--restart-schedule", help="Begin the cosine anew at the point of resume."),
    ] = False,
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe", help="A shipped recipe or a .toml file of settings; options override it."
        ),
    ] = "",
    name: Annotated[
        str, typer.Option("--name", help="Name of the run.  [default: date, time and data]")
    ] = "",
    runs_folder: RunsFolder = RUNS_DEFAULT,
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="Processes that decode images; 0 is one a core.")
    ] = 0,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once training has begun.")
    ] = False,
) -> None:
    """Train on a folder or table of images, or resume a run; Ctrl-C stops with a checkpoint."""
    if resume:
        if recipe or name:
            raise ConfigError("--recipe and --name start a run; leave them out with --resume")
        target = resume_run(open_run(chosen_run(run, runs_folder)), settings, restart_schedule)
    else:
        if run is not None or restart_schedule:
            raise ConfigError("--run and --restart-schedule belong to --resume; add it")
        base = read_config(recipe_path(recipe)) if recipe else Config()
        target = start_run(changed(base, settings), runs_folder, name, workers)
    if detach:
        say(f"training in {safe(target.path)}; watch it with: tmssl watch {safe(target.path)}")
        print(target.path)  # noqa: T201 - stdout is data
        return
    raise typer.Exit(follow(target))


def start_run(config: Config, runs_folder: Path, name: str = "", workers: int = 0) -> Run:
    """Make the pack, the run's folder and its trainer; returns once training has begun.

    A run that never begins leaves no folder behind, and `latest` stays where it was.

    Raises:
        InputError: data or settings that cannot be used.
    """
    from cli.pack import prepare_pack

    if not config.data.source:
        raise ConfigError("there is nothing to train on; give --data FOLDER, CSV or JSONL")
    source = Path(config.data.source).resolve()
    config = changed(config, {"model.init": _starting_weights(config.model.init)})
    pack = prepare_pack(source, config.data.image_size, workers=workers)
    config = changed(config, {"data.source": str(source), "data.pack": str(pack.folder)})
    run = create_run(runs_folder.resolve(), name or run_name(source.stem), latest=False)
    begun = False
    try:
        write_config(config, run.config)
        say("starting the trainer")
        _begin(run, segments=0)
        begun = True
    finally:
        if not begun:
            shutil.rmtree(run.path)
    point_latest(run)
    return run


def _starting_weights(init: str) -> str:
    """Where the weights to start from are, wherever the trainer runs; missed before an hour of packing.

    Raises:
        ConfigError: it is no file and no folder.
    """
    if init in ("", "imagenet"):
        return init
    if not Path(init).exists():
        raise ConfigError(
            f"init is '{safe(init)}', which is no file; leave it empty, or give 'imagenet' or a path"
        )
    return str(Path(init).resolve())


def resume_run(run: Run, settings: dict[str, Any], restart_schedule: bool = False) -> Run:
    """Show what a resume changes, write it down and start the trainer again.

    Raises:
        RunError: the run is being trained, or has done those epochs already.
        ConfigError: a setting that cannot change within a run.
    """
    from tmssl.training.resume import plan_resume

    if is_alive(run):
        raise RunError(
            f"{safe(run.path)} is being trained now; stop it first with `tmssl stop {safe(run.path)}`"
        )
    old = read_config(run.config)
    segments = _segments(run)
    step, per_epoch = _last_step(run)
    if per_epoch:
        plan = plan_resume(
            old, settings, step=step, steps_per_epoch=per_epoch,
            restart_schedule=restart_schedule,
        )  # fmt: skip
        config = plan.config
        say(f"resuming {safe(run.path)} at epoch {plan.epoch:.4g}, to epoch {config.train.epochs}")
        for setting, (before, after) in plan.changed.items():
            say(f"  {setting}: {safe(before)} -> {safe(after)}")
        say(
            f"  learning rate: old {learning_rate(plan.lr_before)}, new {learning_rate(plan.lr_after)}, "
            f"jump x{number(plan.jump, 3)}"
        )
    else:
        config = changed(old, settings)
        say(f"{safe(run.path)} has no checkpoint yet; it begins again at epoch 0")
        for setting, (before, after) in differences(old, config).items():
            say(f"  {setting}: {safe(before)} -> {safe(after)}")
    write_config(config, run.config)
    begun = False
    try:
        _begin(run, segments)
        begun = True
    finally:
        if not begun:
            write_config(old, run.config)  # a resume that never began changes nothing
    point_latest(run)
    return run


def _begin(run: Run, segments: int) -> None:
    """Start the trainer and wait for its segment; one that has not begun by then is ended."""
    trainer = start_trainer(run)
    try:
        wait_until_begun(run, trainer, segments)
    except BaseException:
        if trainer.poll() is None:
            trainer.terminate()
            trainer.wait()
        raise


def _segments(run: Run) -> int:
    """How many segments the journal holds."""
    if not run.journal.exists():
        return 0
    return sum(isinstance(event, Segment) for event in read_journal(run.journal))


def _last_step(run: Run) -> tuple[int, int]:
    """Steps done at the checkpoint a resume goes on from, and steps per epoch; zeros without one."""
    from tmssl.training.kept import find_checkpoint, read_sidecar

    if not any(run.checkpoints.glob("*.pt")):
        return 0, 0
    facts = read_sidecar(find_checkpoint(run, "last"))
    return int(facts["step"]), int(facts["steps_per_epoch"])
