"""Start or resume a run; shared by `tmssl train` and the demo. Following it is in `cli.follow`."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.follow import Child
from cli.output.console import say
from cli.output.progress import fitting_bar
from cli.packing import prepare_pack, warn_of_new_labels, with_pack
from tmssl.children import torchrun_variables
from tmssl.config import (
    Config,
    ModelConfig,
    changed,
    differences,
    from_dict,
    read_config,
    scheme,
    write_config,
)
from tmssl.data.sources.specification import resolve_sources, source_name, sources_exist
from tmssl.doctor.machine import memory_kills, usable_cores
from tmssl.errors import ConfigError, PackError, RunError, TmsslError, TrainingError
from tmssl.locks import is_at
from tmssl.runs.events import Axes, End, Event, Segment, Started
from tmssl.runs.folder import (
    Run,
    check_entries,
    claimed_run,
    create_run,
    is_alive,
    make_folders,
    new_run,
    point_latest,
    run_name,
    taken_words,
)
from tmssl.runs.journal import read_journal
from tmssl.runs.launch import log_tail, start_trainer, wait_until_begun
from tmssl.runs.notices.address import address_of, check_address
from tmssl.text import learning_rate, pasted, safe
from tmssl.unfinished import is_unfinished, sweep

if TYPE_CHECKING:
    from tmssl.runs.checkpoints import Sidecar
    from tmssl.runs.resume_plan import ResumePlan

children: dict[Path, Child] = {}
"""the trainers that this process has started, by the run's folder"""


def start_run(config: Config, runs_folder: Path, name: str = "", workers: int = 0) -> Run:
    """Make the pack, the run folder and the trainer; returns once training has begun.

    A run that never begins leaves no folder behind, and `latest` stays as it was.

    Raises:
        InputError: data or settings that cannot be used.
    """
    check_notices(config)
    sweep(runs_folder)
    if name and not is_abandoned(Run(runs_folder / name)):
        new_run(runs_folder, name)  # refuses a bad name before an hour of packing
    return start_packed(with_pack(config, workers), runs_folder, name)


def start_packed(
    config: Config,
    runs_folder: Path,
    name: str = "",
    environment: dict[str, str] | None = None,
) -> Run:
    """Make the run folder and the trainer of settings that `with_pack` gave; see `start_run`.

    The trainer's variables are those of this process and of `environment`.

    Raises:
        InputError: settings that cannot be used.
    """
    name = name or run_name(source_name(config.data.source))
    run = Run(runs_folder.resolve() / name)
    if not is_abandoned(run):
        run = create_run(runs_folder.resolve(), name, latest=False)
    with claimed_run(run) as folder:
        if not is_abandoned(run, claimed=True):  # another start was faster
            raise RunError(taken_words(run))
        make_folders(run)
        run.journal.unlink(missing_ok=True)  # of a killed start, perhaps on other images
        begun = False
        try:
            write_config(config, run.config)
            say(f"starting the trainer: {encoder_words(config.model)}")
            if config.model.features == "grid" and config.model.whiten:
                say("it first fits the whitening on a sample of the marks")
            launch(run, 0, folder, environment)
            begun = True
        finally:
            if not begun and is_at(run.path, folder):
                shutil.rmtree(run.path)
    name_latest(run)
    return run


def check_notices(config: Config) -> None:
    """Refuse an address that nothing can be sent to, and say which service a run's notices go to."""
    address = address_of(config.train.notify)
    check_address(address)
    if address:
        say(f"notices go to {safe(scheme(address))}")


def is_abandoned(run: Run, *, claimed: bool = False) -> bool:
    """Whether a folder is that of a start that was killed before the first step: nothing is lost with it.

    `claimed` says that this process has locked the folder, so that nobody else is starting there.
    """
    try:
        names = {path.name for path in run.path.iterdir()}
        inside = {path.name for path in run.checkpoints.glob("*")}
        trained = any(not isinstance(event, Started | Axes | Segment) for event in events_of(run))
    except (OSError, TmsslError):
        return False
    ours = {run.config.name, run.log.name, run.lock.name, run.journal.name}
    ours |= {run.checkpoints.name, run.eval.name, run.index.name}
    foreign = [name for name in names - ours if not is_unfinished(Path(name))]
    return not (foreign or inside or trained) and (claimed or not is_alive(run))


def name_latest(run: Run) -> None:
    """Let `latest` name a run that has begun; where that fails, say so, as training goes on."""
    try:
        point_latest(run)
    except RunError as error:
        say(f"{error}; {safe(run.name)} is in training, name it in other commands")


def encoder_words(model: ModelConfig) -> str:
    """What the encoder of some settings is, what it begins from and what of it is trained."""
    begun = {"": "from nothing", "none": "from nothing", "imagenet": "from ImageNet's weights"}
    weights = begun.get(model.init, f"from {safe(model.init)}")
    if model.features == "pooled":
        return f"{safe(model.name)} {weights}, features pooled, all of it trained"
    stages = f"stage{'s' * (len(model.stages) > 1)} {', '.join(map(str, model.stages))}"
    whitened = f" whitened to {model.whiten} features each" if model.whiten else ""
    trained = "a linear head over it" if model.train == "head" else "all of it and a linear head"
    return (
        f"{safe(model.name)} {weights}, {stages} on a {model.grid} x {model.grid} grid{whitened}; "
        f"trained: {trained}"
    )


def planned_resume(
    run: Run, settings: dict[str, Any], restart_schedule: bool = False
) -> "ResumePlan | None":
    """What a resume would change; None for a run without a checkpoint.

    Raises:
        RunError: the run has already trained for those epochs.
        ConfigError: a setting that cannot change within a run.
    """
    from tmssl.runs.resume_plan import plan_resume

    sidecars = _sidecars(run)
    if not sidecars:
        return None
    newest = sidecars[0]
    return plan_resume(
        run_settings(run),
        settings,
        step=newest.step,
        steps_per_epoch=newest.steps_per_epoch,
        restart_schedule=restart_schedule,
        trained=from_dict(newest.config) if newest.config is not None else None,
        unended=not has_finished(run),
        checkpoints=sidecars,
    )


def resume_run(
    run: Run,
    settings: dict[str, Any],
    restart_schedule: bool = False,
    environment: dict[str, str] | None = None,
) -> Run:
    """Print what a resume changes, write the settings and start the trainer again, as `start_packed` does.

    Raises:
        RunError: the run is being trained, or has already trained for those epochs.
        ConfigError: a setting that cannot change within a run.
    """
    if is_alive(run):
        raise RunError(
            f"{safe(run.path)} is being trained now; stop it first with `tmssl stop {pasted(run.path)}`"
        )
    sweep(run.path.parent)
    with claimed_run(run) as folder:
        check_entries(run)
        _resume(run, settings, folder, restart_schedule, environment)
    name_latest(run)
    return run


def _resume(
    run: Run,
    settings: dict[str, Any],
    folder: int,
    restart_schedule: bool,
    environment: dict[str, str] | None,
) -> None:
    """`resume_run` of a run whose folder this process has locked and opened."""
    old = run_settings(run)
    warn_of_new_labels(run)
    segments = sum(isinstance(event, Segment) for event in events_of(run))
    settings = {**settings, **absolute_paths(settings)}
    settings |= locate_images(run, old, settings)
    plan = planned_resume(run, settings, restart_schedule)
    if plan is not None:
        config, changes = plan.config, plan.changed
        say(f"resuming {safe(run.path)} at epoch {plan.epoch:.4g}, to epoch {config.train.epochs}")
    else:
        config = changed(old, settings)
        changes = differences(old, config)
        say(f"{safe(run.path)} has no checkpoint yet; it starts again at epoch 0")
    check_notices(config)
    for setting, (before, after) in changes.items():
        say(f"  {setting}: {safe(before)} -> {safe(after)}")
    if plan is not None:
        rates = f"old {learning_rate(plan.lr_before)}, new {learning_rate(plan.lr_after)}"
        say(f"  learning rate: {rates}, {plan.jump_words}")
        if plan.back_words:
            say(f"  {plan.back_words}; --restart-schedule goes on where it was instead")
    write_config(config, run.config)
    begun = False
    try:
        launch(run, segments, folder, environment)
        begun = True
    finally:
        if not begun and is_at(run.path, folder):
            write_config(old, run.config)  # a resume that never began changes nothing


def absolute_paths(settings: dict[str, Any]) -> dict[str, Any]:
    """Those settings that are paths, made absolute."""
    paths = {
        name: settings.get(name) for name in ("model.init", "model.teacher", "data.images_under")
    }
    return {
        name: str(Path(path).resolve())
        for name, path in paths.items()
        if path and path not in ("imagenet", "none") and not path.startswith("timm:")
    }


def locate_images(run: Run, old: Config, settings: dict[str, Any]) -> dict[str, Any]:
    """Where the images of a run are on this machine, as settings; empty if nothing moved.

    A moved run finds its images by `--data`, and packs them again if its pack did not move with it.

    Raises:
        RunError: neither the pack nor its source exists.
        ConfigError: they are other images.
    """
    from tmssl.data.pack.reader import open_pack

    given = settings.get("data.source")
    source = resolve_sources(given or old.data.source)
    if given is None or str(source) == old.data.source:
        try:
            open_pack(Path(old.data.pack))
        except PackError:
            pass  # it is built again below
        else:
            return {"data.source": old.data.source} if given else {}
    if not sources_exist(source):
        raise RunError(
            f"the images of {safe(run.path)} are not here: no pack at {safe(old.data.pack)} and nothing "
            f"at {safe(source)}; give --data with their place on this machine"
        )
    data = changed(old, settings).data
    pack, _ = prepare_pack(
        source,
        data.image_size,
        images_under=data.images_under,
        columns=data.columns,
        folders=data.folders,
    )
    known = {e.data_fingerprint for e in events_of(run) if isinstance(e, Started)} - {""}
    if known and pack.fingerprint not in known:
        raise ConfigError(
            f"{safe(source)} holds other images than {safe(run.path)} was trained on; give --data "
            "with the same images, or start a new run"
        )
    return {"data.source": str(source), "data.pack": str(pack.folder)}


def launch(run: Run, segments: int, folder: int, environment: dict[str, str] | None = None) -> None:
    """Start the trainer, leave it the locked folder, and wait for its segment; end it if waiting fails."""
    foreign = torchrun_variables(os.environ)
    if "WORLD_SIZE" in foreign or "TORCHELASTIC_RUN_ID" in foreign:
        say(f"{', '.join(sorted(foreign))} of another job are left out; --gpus says how many train")
    kills = memory_kills()
    trainer = start_trainer(run, cores=usable_cores(), folder=folder, environment=environment)
    children[run.path] = Child(trainer, kills)
    try:
        with fitting_bar() as fitting:
            wait_until_begun(run, trainer, segments, fitting=fitting)
    except BaseException as error:
        if trainer.poll() is None:
            trainer.terminate()
            trainer.wait()
        if not isinstance(error, TrainingError):
            raise
        for line in log_tail(run.log):  # a first start deletes it
            say(f"  {line}")
        raise TrainingError(f"{error}{children[run.path].memory_words()}") from error


def events_of(run: Run) -> list[Event]:
    """The events of a run; empty before its journal exists."""
    return read_journal(run.journal) if run.journal.exists() else []


def run_settings(run: Run) -> Config:
    """The settings of a run.

    Raises:
        RunError: an imported log, which has none.
        ConfigError: they cannot be read.
    """
    if not run.config.is_file():
        raise RunError(
            f"{safe(run.path)} has no settings, as it is an imported log; "
            "start a run with `tmssl train --data DIR`"
        )
    return read_config(run.config)


def has_finished(run: Run) -> bool:
    """Whether the newest segment of a run finished, its evaluations included."""
    events = [event for event in events_of(run) if isinstance(event, Segment | End)]
    return bool(events) and isinstance(events[-1], End) and events[-1].status == "finished"


def last_sidecar(run: Run) -> "Sidecar | None":
    """The sidecar of the newest checkpoint that a run has; None without one."""
    return next(iter(_sidecars(run)), None)


def _sidecars(run: Run) -> "list[Sidecar]":
    """The sidecars of the checkpoints from which a run may go on, newest first."""
    from tmssl.runs.checkpoints import resumable_checkpoints

    segments = [event for event in events_of(run) if isinstance(event, Segment)]
    return [sidecar for sidecar, _ in resumable_checkpoints(run, segments)]
