"""`tmssl train`: start, resume or branch off a run as a detached child, and follow it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.command import OUTPUT, RUN
from cli.config_options import with_settings
from cli.follow import follow
from cli.options import RUNS_DEFAULT, RunPath, RunsFolder, Workers, accept_run_option, find_run
from cli.output.console import say, say_data
from cli.packing import base_config, with_pack
from cli.signals import end_without_terminal, interrupt_in_order, outlive_terminal
from cli.start import (
    children,
    has_finished,
    last_sidecar,
    planned_resume,
    resume_run,
    run_settings,
    start_run,
)
from tmssl.config import Config, changed, parse_setting
from tmssl.data.sources.specification import resolve_sources, sources_exist
from tmssl.errors import ConfigError, RunError
from tmssl.runs.folder import LATEST, Run, is_alive, open_run
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
_Branch = Annotated[
    Path | None,
    _option(
        "--branch",
        metavar="RUN",
        help="Start a run that goes on from a checkpoint of RUN to another end, with its past.",
    ),
]
_From = Annotated[
    str,
    _option(
        "--from",
        metavar="NAME|STEP",
        help="Checkpoint for --branch: `stable`, `best`, `last`, `epoch-0030`, or a number of steps.  "
        "[default: the last one before the decay]",
    ),
]
_RestartSchedule = Annotated[
    bool, _option("--restart-schedule", help="Restart the schedule where the run resumes.")
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
_FindLr = Annotated[
    bool,
    _option(
        "--find-lr",
        heading=OUTPUT,
        help="Train 100 steps at rising learning rates, print the losses and a rate to begin with, and exit.",
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
    bool, _option("--json", heading=OUTPUT, help="Print what --dry-run or --find-lr finds as JSON.")
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
    branch: _Branch = None,
    from_checkpoint: _From = "",
    restart_schedule: _RestartSchedule = False,
    detach: _Detach = False,
    runs_folder: RunsFolder = RUNS_DEFAULT,
    workers: Workers = 0,
    dry_run: _DryRun = False,
    find_lr: _FindLr = False,
    preview_views: _PreviewViews = None,
    json_output: _AsJson = False,
) -> None:
    """Train on a folder or table of images, resume RUN, or branch off one; Ctrl-C stops with a checkpoint."""
    terminal_is_lost = outlive_terminal()
    end_without_terminal()
    settings = {**dict(map(parse_setting, assignments or ())), **settings}
    recipe = _only(recipes or [])
    if json_output and not (dry_run or find_lr):
        raise ConfigError("--json is for --dry-run and --find-lr; add one, or leave --json out")
    if branch is not None or from_checkpoint:
        others: list[object] = [run, recipe, resume, resume_if_any, preview_views, find_lr]
        parent = _branched_from(branch, others, runs_folder)
        if dry_run:
            _estimate_branch(parent, settings, from_checkpoint, restart_schedule, json_output)
            return
        target = _start_branch(
            parent, settings, from_checkpoint, restart_schedule, runs_folder, name
        )
        _leave(target, detach or terminal_is_lost(), begun=True)
    existing = _existing_run(run, name, runs_folder) if resume_if_any else None
    if existing is not None:
        if not _has_work(existing, settings, recipe):
            _leave(existing, detach or terminal_is_lost(), begun=False)
        resume = True
        run, recipe, name = existing.path, "", ""  # what remains is for a start alone
        settings.pop("model.init", None)
    _check_options(
        resume=resume,
        for_a_start=[recipe, name, preview_views, find_lr],
        for_a_resume=[run if not resume_if_any else None, restart_schedule],
    )
    if resume:
        opened = find_run(run, runs_folder)
        if dry_run:
            _estimate_resume(opened, settings, restart_schedule, json_output)
            return
        target = resume_run(opened, settings, restart_schedule)
    else:
        config = changed(base_config(recipe), settings)
        if find_lr or dry_run or preview_views is not None:
            _look_ahead(with_pack(config, workers), find_lr, preview_views, json_output)
            return
        target = start_run(config, runs_folder, name, workers)
    _leave(target, detach or terminal_is_lost(), begun=True)


def _branched_from(branch: Path | None, others: list[object], runs_folder: Path) -> Run:
    """The run that --branch names, unless other options contradict it.

    Raises:
        ConfigError: they do, or --from stands alone.
        RunError: there is no such run.
    """
    if branch is None:
        raise ConfigError(
            "--from names a checkpoint for --branch; add --branch RUN, or leave it out"
        )
    if any(others):
        raise ConfigError(
            "--branch starts a run from another: RUN, --recipe, --resume, --resume-if-any, --find-lr and "
            "--preview-views do not go with it; leave them out"
        )
    return find_run(branch, runs_folder)


def _start_branch(
    source: Run,
    settings: dict[str, Any],
    which: str,
    restart: bool,
    runs_folder: Path,
    name: str,
) -> Run:
    """Start the branch of a run; see `cli.branch.branch_run`."""
    from cli.branch import branch_run

    return branch_run(
        source, settings, runs_folder, name=name, which=which, restart_schedule=restart
    )


def _check_options(*, resume: bool, for_a_start: list[object], for_a_resume: list[object]) -> None:
    """Refuse options of a start at a resume, and the other way round."""
    if resume and any(for_a_start):
        raise ConfigError(
            "--recipe, --name, --find-lr and --preview-views are for a new run; leave them out"
        )
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


def _existing_run(run: Path | None, name: str, runs_folder: Path) -> Run | None:
    """The run to resume: RUN, the run of a name, or the latest; None if there is none yet.

    Raises:
        RunError: RUN does not exist; a start would not create it.
    """
    if run is not None:
        return find_run(run, runs_folder)
    try:
        return open_run(runs_folder / (name or LATEST))
    except RunError:
        return None


def _has_work(run: Run, settings: dict[str, Any], recipe: str) -> bool:
    """Whether a run of the given images is to be resumed: it is not in training, and not at its end.

    Raises:
        ConfigError: the images are others than the run's.
    """
    source = settings.get("data.source") or (recipe and base_config(recipe).data.source)
    has_work = not is_alive(run) and not _is_done(run, settings)
    _check_same_images(run, source, may_move=has_work)
    return has_work


def _check_same_images(run: Run, source: str, *, may_move: bool) -> None:
    """Refuse to resume a run of other images than the given ones.

    Images that moved are compared later, by their pack, when the run resumes.

    Raises:
        ConfigError: the source is another one than the run's.
    """
    old = run_settings(run).data.source
    moved = may_move and not sources_exist(old)
    if source and old and not moved and not _is_same(resolve_sources(source), Path(old)):
        raise ConfigError(
            f"{safe(run.path)} trains on {safe(old)}, not on {safe(source)}; "
            "give --name to start a run of its own for these images"
        )


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths name one source, also where a disk takes A and a for the same letter."""
    return one == other or (one.exists() and other.exists() and one.samefile(other))


def _is_done(run: Run, settings: dict[str, Any]) -> bool:
    """Whether a run has trained for all epochs it would have with these settings."""
    sidecar, planned = last_sidecar(run), run_settings(run).train.epochs
    if sidecar is None:
        return False
    epochs = settings.get("train.epochs", planned)
    if has_finished(run) and sidecar.step < planned * sidecar.steps_per_epoch:  # it ended early
        stop = run_settings(run).train.stop_when
        return bool(epochs == planned and settings.get("train.stop_when", stop) == stop)
    step, end = sidecar.step, epochs * sidecar.steps_per_epoch
    return bool(step > end or (step == end and (epochs != planned or has_finished(run))))


def _leave(run: Run, detach: bool, *, begun: bool) -> None:
    """Follow a run to its end, or say how to watch it; then end the command."""
    if detach:
        status = "training in" if is_alive(run) else "nothing is left to do in"
        say(f"{status} {safe(run.path)}; watch it with: tmssl watch {pasted(run.path)}")
        say_data(str(run.path))
        raise typer.Exit
    interrupt_in_order()
    child = children.get(run.path)
    try:
        code = follow(run, begun=begun, child=child)
    finally:
        if child is not None and not is_alive(run):
            child.wait_for_notices()
    raise typer.Exit(code)


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


def _look_ahead(config: Config, finds_lr: bool, preview: Path | None, as_json: bool) -> None:
    """Look at what a run with these settings would be: its learning rate, its views, or what it takes."""
    if finds_lr:
        from cli.find_lr import find_lr

        find_lr(config, as_json=as_json)
    elif preview is not None:
        _write_preview(config, preview)
    else:
        _estimate(config, 0.0, as_json)


def _estimate(config: Config, epochs_done: float, as_json: bool) -> None:
    """Print what a run with this configuration would take."""
    from cli.dry_run import dry_run

    dry_run(config, epochs_done, as_json=as_json)


def _estimate_resume(run: Run, settings: dict[str, Any], restart: bool, as_json: bool) -> None:
    """Print what the rest of a run would take with these settings."""
    plan = planned_resume(run, settings, restart)
    config = plan.config if plan else changed(run_settings(run), settings)
    _estimate(config, plan.epoch if plan else 0.0, as_json)


def _estimate_branch(
    source: Run, settings: dict[str, Any], which: str, restart: bool, as_json: bool
) -> None:
    """Print where a branch would begin, and what it would take."""
    from cli.branch import branch_lines, planned_branch

    plan = planned_branch(source, settings, which, restart)
    for line in branch_lines(source, plan):
        say(line)
    _estimate(plan.resume.config, plan.resume.epoch, as_json)
