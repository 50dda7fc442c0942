"""`tmssl train`: start or resume a run as a detached child, and follow it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.config_options import with_settings
from cli.follow import follow, say
from cli.options import RUNS_DEFAULT, RunsFolder, chosen_run
from cli.signals import end_with_terminal, outlive_terminal
from cli.start import (
    has_ended,
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

_Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with a run instead of starting one.")
]
_ResumeIfAny = Annotated[
    bool,
    typer.Option(
        "--resume-if-any",
        help="Go on with the run if there is one, else start it: for a machine's on-start script.",
    ),
]
_ResumedRun = Annotated[
    Path | None, typer.Option("--run", help="The run to resume.  [default: RUNS/latest]")
]
_Restart = Annotated[
    bool, typer.Option("--restart-schedule", help="Begin the cosine anew at the point of resume.")
]
_Recipe = Annotated[
    str,
    typer.Option(
        "--recipe", help="A shipped recipe or a .toml file of settings; options override it."
    ),
]
_ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="A TOML file of settings, such as another run's config.toml."),
]
_Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any setting, such as lr=1e-4; repeatable."),
]
_Name = Annotated[
    str, typer.Option("--name", help="Name of the run.  [default: date, time and data]")
]
_Workers = Annotated[
    int, typer.Option("--workers", min=0, help="Processes that decode images; 0 is one a core.")
]
_DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Measure a few seconds, say what the whole takes, and leave."),
]
_Preview = Annotated[
    Path | None,
    typer.Option(
        "--preview-views",
        metavar="FILE.png",
        help="Write a picture of the views that training would see, and leave.",
    ),
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print what --dry-run measured as JSON.")]
_Detach = Annotated[bool, typer.Option("--detach", help="Return once training has begun.")]


@with_settings
def train(
    *,
    settings: dict[str, Any],
    resume: _Resume = False,
    resume_if_any: _ResumeIfAny = False,
    run: _ResumedRun = None,
    restart_schedule: _Restart = False,
    recipe: _Recipe = "",
    config_file: _ConfigFile = None,
    assignments: _Assignments = None,
    name: _Name = "",
    runs_folder: RunsFolder = RUNS_DEFAULT,
    workers: _Workers = 0,
    dry_run: _DryRun = False,
    preview_views: _Preview = None,
    json_output: _AsJson = False,
    detach: _Detach = False,
) -> None:
    """Train on a folder or table of images, or resume a run; Ctrl-C stops with a checkpoint."""
    lost = outlive_terminal()
    settings = {**dict(map(parse_setting, assignments or ())), **settings}
    found = _existing(run, name, runs_folder) if resume_if_any else None
    if found is not None:
        left = not is_alive(found) and not _is_done(found, settings)
        base = _base(recipe, config_file).data.source if recipe or config_file else ""
        _check_same_images(found, settings.get("data.source") or base, left=left)
        if not left:
            _leave(found, detach or lost(), begun=False)
        resume = True
        run, recipe, name, config_file = found.path, "", "", None  # the rest is for a start
        settings.pop("model.init", None)
    _check_use(
        resume=resume,
        starting=[recipe, name, config_file, preview_views],
        resuming=[None if resume_if_any else run, restart_schedule],
    )
    if json_output and not dry_run:
        raise ConfigError("--json prints what --dry-run measures; add that, or leave it out")
    if resume:
        opened = open_run(chosen_run(run, runs_folder))
        if dry_run:
            _measure_resume(opened, settings, restart_schedule, json_output)
            return
        target = resume_run(opened, settings, restart_schedule)
    else:
        config = changed(_base(recipe, config_file), settings)
        if preview_views is not None:
            _preview(with_pack(config, workers), preview_views)
            return
        if dry_run:
            _measure(with_pack(config, workers), 0.0, json_output)
            return
        target = start_run(config, runs_folder, name, workers)
    _leave(target, detach or lost(), begun=True)


def _base(recipe: str, config_file: Path | None) -> Config:
    """The settings that options change: a recipe's, a file's, or the defaults."""
    if recipe and config_file:
        raise ConfigError("--recipe and --config both give all settings; leave one out")
    given = recipe_path(recipe) if recipe else config_file
    return _afresh(read_config(given)) if given is not None else Config()


def _afresh(config: Config) -> Config:
    """Settings for a new run, without what resumes leave in those of an old one."""
    left = {
        "data.pack": "",
        "optim.rewarm_steps": 0,
        "optim.rewarm_step": 0,
        "optim.rewarm_lr": 0.0,
    }
    if config.optim.anchor:
        say(
            f"the cosine begins with the run, not at epoch {config.optim.anchor:g} as in the file; "
            f"--set anchor={config.optim.anchor:g} keeps that"
        )
        left["optim.anchor"] = 0.0
    return changed(config, dict(left))


def _check_use(*, resume: bool, starting: list[object], resuming: list[object]) -> None:
    """Options of a start have no place at a resume, and the other way round."""
    if resume and any(starting):
        raise ConfigError(
            "--recipe, --config, --name and --preview-views are for a start; leave them out with --resume"
        )
    if not resume and any(resuming):
        raise ConfigError("--run and --restart-schedule belong to --resume; add it")


def _existing(run: Path | None, name: str, runs_folder: Path) -> Run | None:
    """The run to go on with: the one named, else the latest; None where none has begun.

    Raises:
        RunError: `--run` names none, which is not for a start to make.
    """
    if run is not None:
        return open_run(chosen_run(run, runs_folder))
    try:
        return open_run(runs_folder / (name or "latest"))
    except RunError:
        return None


def _check_same_images(run: Run, given: str, *, left: bool) -> None:
    """Refuse to take a run of other images for the one that was meant.

    Whether images that moved are the same is told by their pack, when a run with something left to do goes on.

    Raises:
        ConfigError: what is given is not where its images are.
    """
    own = run_settings(run).data.source
    moved = left and not Path(own).exists()
    if given and own and Path(given).resolve() != Path(own) and not moved:
        raise ConfigError(
            f"{safe(run.path)} trains on {safe(own)}, not on {safe(given)}; "
            "give --name, of a run of its own for these images"
        )


def _is_done(run: Run, settings: dict[str, Any]) -> bool:
    """Whether a run has done all the epochs it would have."""
    sidecar, planned = last_sidecar(run), run_settings(run).train.epochs
    if sidecar is None:
        return False
    epochs = settings.get("train.epochs", planned)
    step, end = sidecar.step, epochs * sidecar.steps_per_epoch
    return bool(step > end or (step == end and (epochs != planned or has_ended(run))))


def _leave(run: Run, detach: bool, *, begun: bool) -> None:
    """Follow a run, whose trainer was just begun or not, to its end, or say how to watch it; ends the command."""
    if detach:
        doing = "training in" if is_alive(run) else "nothing is left to do in"
        say(f"{doing} {safe(run.path)}; watch it with: tmssl watch {pasted(run.path)}")
        print(run.path)  # noqa: T201 - stdout is data
        raise typer.Exit
    end_with_terminal()  # the run goes on
    raise typer.Exit(follow(run, begun=begun))


def _preview(config: Config, path: Path) -> None:
    """Show what a configuration makes of its marks without starting its run."""
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
    say(f"a row is a mark as packed and its `{data.views}` views, two an epoch: {safe(path)}")
    print(path)  # noqa: T201 - stdout is data


def _measure(config: Config, epochs_done: float, as_json: bool) -> None:
    """Measure a configuration without starting its run."""
    from cli.commands.dry_run import dry_run

    dry_run(config, epochs_done, as_json=as_json)


def _measure_resume(run: Run, settings: dict[str, Any], restart: bool, as_json: bool) -> None:
    """Measure what is left of a run under the settings it would go on with."""
    plan = planned_resume(run, settings, restart)
    config = plan.config if plan else changed(run_settings(run), settings)
    _measure(config, plan.epoch if plan else 0.0, as_json)
