"""`tmssl train`: start or resume a run as a detached child, and follow it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.command import OUTPUT, RUN
from cli.config_options import with_settings
from cli.follow import follow
from cli.options import RUNS_DEFAULT, RunPath, RunsFolder, Workers, accept_run_option, find_run
from cli.output.console import say, say_data
from cli.signals import end_with_terminal, outlive_terminal
from cli.start import (
    has_finished,
    last_sidecar,
    planned_resume,
    resume_run,
    run_settings,
    start_run,
    with_pack,
)
from tmssl.config import Config, changed, parse_setting, read_config
from tmssl.errors import ConfigError, RunError
from tmssl.recipes import recipe_path
from tmssl.runs.folder import Run, is_alive, open_run
from tmssl.text import pasted, safe


def _option(*names: str, heading: str = RUN, metavar: str | None = None, help: str) -> Any:
    """An option of this command under a heading of its help."""
    return typer.Option(*names, metavar=metavar, rich_help_panel=heading, help=help)


_Recipes = Annotated[
    list[str] | None,
    _option(
        "-r",
        "--recipe",
        "--config",
        metavar="NAME|FILE",
        help="Shipped recipe, or TOML file such as another run's config.toml; options override it.",
    ),
]
_Assignments = Annotated[
    list[str] | None,
    _option("--set", metavar="NAME=VALUE", help="Any setting, such as lr=1e-4; repeatable."),
]
_Name = Annotated[
    str, _option("--name", metavar="NAME", help="Name of a new run.  [default: date-time-data]")
]
_Resume = Annotated[bool, _option("--resume", help="Resume RUN instead of starting a run.")]
_ResumeIfAny = Annotated[
    bool,
    _option(
        "--resume-if-any",
        help="Resume the run if there is one, else start it; for the start script of a machine.",
    ),
]
_RestartSchedule = Annotated[
    bool, _option("--restart-schedule", help="Restart the cosine schedule where the run resumes.")
]
_Detach = Annotated[bool, _option("--detach", help="Return as soon as training has begun.")]
_DryRun = Annotated[
    bool,
    _option(
        "--dry-run",
        heading=OUTPUT,
        help="Measure a few seconds, estimate time, memory and disk, and exit.",
    ),
]
_PreviewViews = Annotated[
    Path | None,
    _option(
        "--preview-views",
        heading=OUTPUT,
        metavar="FILE",
        help="Write a PNG of the views that training would see, and exit.",
    ),
]
_AsJson = Annotated[
    bool, _option("--json", heading=OUTPUT, help="Print the estimate of --dry-run as JSON.")
]


@with_settings
@accept_run_option
def train(
    *,
    settings: dict[str, Any],
    run: RunPath = None,
    recipes: _Recipes = None,
    assignments: _Assignments = None,
    name: _Name = "",
    resume: _Resume = False,
    resume_if_any: _ResumeIfAny = False,
    restart_schedule: _RestartSchedule = False,
    detach: _Detach = False,
    runs_folder: RunsFolder = RUNS_DEFAULT,
    workers: Workers = 0,
    dry_run: _DryRun = False,
    preview_views: _PreviewViews = None,
    json_output: _AsJson = False,
) -> None:
    """Train on a folder or table of images, or resume RUN; Ctrl-C stops with a checkpoint."""
    terminal_is_lost = outlive_terminal()
    settings = {**dict(map(parse_setting, assignments or ())), **settings}
    recipe = _only(recipes or [])
    existing = _existing_run(run, name, runs_folder) if resume_if_any else None
    if existing is not None:
        source = settings.get("data.source") or (recipe and _base_config(recipe).data.source)
        has_work = not is_alive(existing) and not _is_done(existing, settings)
        _check_same_images(existing, source, may_move=has_work)
        if not has_work:
            _leave(existing, detach or terminal_is_lost(), begun=False)
        resume = True
        run, recipe, name = existing.path, "", ""  # what remains is for a start alone
        settings.pop("model.init", None)
    _check_options(
        resume=resume,
        for_a_start=[recipe, name, preview_views],
        for_a_resume=[run if not resume_if_any else None, restart_schedule],
    )
    if json_output and not dry_run:
        raise ConfigError("--json prints the estimate of --dry-run; add that, or leave --json out")
    if resume:
        opened = find_run(run, runs_folder)
        if dry_run:
            _estimate_resume(opened, settings, restart_schedule, json_output)
            return
        target = resume_run(opened, settings, restart_schedule)
    else:
        config = changed(_base_config(recipe), settings)
        if preview_views is not None:
            _write_preview(with_pack(config, workers), preview_views)
            return
        if dry_run:
            _estimate(with_pack(config, workers), 0.0, json_output)
            return
        target = start_run(config, runs_folder, name, workers)
    _leave(target, detach or terminal_is_lost(), begun=True)


def _check_options(*, resume: bool, for_a_start: list[object], for_a_resume: list[object]) -> None:
    """Refuse options of a start at a resume, and the other way round."""
    if resume and any(for_a_start):
        raise ConfigError("--recipe, --name and --preview-views are for a new run; leave them out")
    if not resume and any(for_a_resume):
        raise ConfigError(
            "RUN and --restart-schedule belong to --resume; add it (--data names the images)"
        )


def _only(recipes: list[str]) -> str:
    """The one recipe that is given, or nothing."""
    if len(recipes) > 1:
        raise ConfigError(
            f"--recipe (or --config) is given {len(recipes)} times, and each one sets every setting; "
            "leave one out"
        )
    return recipes[0] if recipes else ""


def _base_config(recipe: str) -> Config:
    """The settings that options change: those of a recipe or file, or the defaults.

    What a resume wrote into the settings of another run is reset.
    """
    if not recipe:
        return Config()
    config = read_config(recipe_path(recipe))
    reset: dict[str, object] = {"data.pack": "", "optim.rewarm_steps": 0}
    reset |= {"optim.rewarm_step": 0, "optim.rewarm_lr": 0.0}
    if config.optim.anchor:
        say(
            f"the cosine begins with the run, not at epoch {config.optim.anchor:g} as in the file; "
            f"--set anchor={config.optim.anchor:g} keeps that"
        )
        reset["optim.anchor"] = 0.0
    return changed(config, reset)


def _existing_run(run: Path | None, name: str, runs_folder: Path) -> Run | None:
    """The run to resume: RUN, the run of a name, or the latest; None if there is none yet.

    Raises:
        RunError: RUN does not exist; a start would not create it.
    """
    if run is not None:
        return find_run(run, runs_folder)
    try:
        return open_run(runs_folder / (name or "latest"))
    except RunError:
        return None


def _check_same_images(run: Run, source: str, *, may_move: bool) -> None:
    """Refuse to resume a run of other images than the given ones.

    Images that moved are compared later, by their pack, when the run resumes.

    Raises:
        ConfigError: the source is another one than the run's.
    """
    old = run_settings(run).data.source
    moved = may_move and not Path(old).exists()
    if source and old and Path(source).resolve() != Path(old) and not moved:
        raise ConfigError(
            f"{safe(run.path)} trains on {safe(old)}, not on {safe(source)}; "
            "give --name to start a run of its own for these images"
        )


def _is_done(run: Run, settings: dict[str, Any]) -> bool:
    """Whether a run has trained for all epochs it would have with these settings."""
    sidecar, planned = last_sidecar(run), run_settings(run).train.epochs
    if sidecar is None:
        return False
    epochs = settings.get("train.epochs", planned)
    step, end = sidecar.step, epochs * sidecar.steps_per_epoch
    return bool(step > end or (step == end and (epochs != planned or has_finished(run))))


def _leave(run: Run, detach: bool, *, begun: bool) -> None:
    """Follow a run to its end, or say how to watch it; then end the command."""
    if detach:
        status = "training in" if is_alive(run) else "nothing is left to do in"
        say(f"{status} {safe(run.path)}; watch it with: tmssl watch {pasted(run.path)}")
        say_data(str(run.path))
        raise typer.Exit
    end_with_terminal()  # the run goes on
    raise typer.Exit(follow(run, begun=begun))


def _write_preview(config: Config, path: Path) -> None:
    """Write a picture of the views that a configuration makes of its marks."""
    from tmssl.data.pack.reader import open_pack
    from tmssl.data.views.preview import preview_views

    data = config.data
    preview_views(
        open_pack(Path(data.pack)),
        path,
        views=data.views,
        size=data.image_size,
        seed=config.train.seed,
    )
    say(f"each row is a packed mark and its `{data.views}` views, two per epoch: {safe(path)}")
    say_data(str(path))


def _estimate(config: Config, epochs_done: float, as_json: bool) -> None:
    """Print what a run with this configuration would take."""
    from cli.dry_run import dry_run

    dry_run(config, epochs_done, as_json=as_json)


def _estimate_resume(run: Run, settings: dict[str, Any], restart: bool, as_json: bool) -> None:
    """Print what the rest of a run would take with these settings."""
    plan = planned_resume(run, settings, restart)
    config = plan.config if plan else changed(run_settings(run), settings)
    _estimate(config, plan.epoch if plan else 0.0, as_json)
