"""Start or resume a run; shared by `tmssl train` and the demo. Following it is in `cli.follow`."""

import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.output.console import say
from cli.packing import prepare_pack, warn_of_new_labels
from tmssl.config import Config, changed, differences, from_dict, read_config, write_config
from tmssl.doctor.machine import usable_cores
from tmssl.errors import ConfigError, PackError, RunError, TrainingError
from tmssl.runs.events import End, Event, Segment, Started
from tmssl.runs.folder import Run, create_run, is_alive, new_run, point_latest, run_name
from tmssl.runs.journal import read_journal
from tmssl.runs.launch import start_trainer, wait_until_begun
from tmssl.text import learning_rate, pasted, safe

if TYPE_CHECKING:
    from tmssl.runs.checkpoints import Sidecar
    from tmssl.runs.resume_plan import ResumePlan

_MANY_IMAGES = 5000  # packing more takes longer than asking the trainer about the settings


def start_run(config: Config, runs_folder: Path, name: str = "", workers: int = 0) -> Run:
    """Make the pack, the run folder and the trainer; returns once training has begun.

    A run that never begins leaves no folder behind, and `latest` stays as it was.

    Raises:
        InputError: data or settings that cannot be used.
    """
    if name:
        new_run(runs_folder, name)  # refuses a bad name before an hour of packing
    config = with_pack(config, workers)
    name = name or run_name(Path(config.data.source).stem)
    run = create_run(runs_folder.resolve(), name, latest=False)
    begun = False
    try:
        write_config(config, run.config)
        say("starting the trainer")
        _launch(run, segments=0)
        begun = True
    finally:
        if not begun:
            shutil.rmtree(run.path)
    point_latest(run)
    return run


def with_pack(config: Config, workers: int = 0) -> Config:
    """Pack the images of a configuration; returns it with absolute paths and its pack.

    Raises:
        InputError: no images, or none that can be read.
    """
    if not config.data.source:
        raise ConfigError(
            "there is nothing to train on; give --data with a folder, an archive or a table of images"
        )
    source = Path(config.data.source).resolve()
    config = changed(config, {"model.init": _absolute_init(config.model.init)})
    under = config.data.images_under and str(Path(config.data.images_under).resolve())
    pack, _ = prepare_pack(
        source,
        config.data.image_size,
        images_under=under,
        workers=workers,
        before_packing=partial(_check_before_packing, config),
    )
    return changed(
        config,
        {"data.source": str(source), "data.pack": str(pack.folder), "data.images_under": under},
    )


def _check_before_packing(config: Config, images: int) -> None:
    """Let the trainer check the settings, where packing the images takes longer than that.

    Raises:
        ConfigError: the trainer refuses the settings.
        TrainingError: the trainer failed.
    """
    if images < _MANY_IMAGES:
        return
    say("  checking the settings with the trainer first, since packing takes a while")
    with tempfile.TemporaryDirectory(prefix="tmssl-check-") as folder:
        settings = Path(folder) / "config.toml"
        write_config(config, settings)
        command = [sys.executable, "-m", "tmssl.training", "--check", str(settings)]
        done = subprocess.run(
            command, stderr=subprocess.PIPE, text=True, check=False, start_new_session=True
        )
    errors = [line for line in done.stderr.splitlines() if line.startswith("tmssl: ")]
    if done.returncode == ConfigError.exit_code and errors:
        raise ConfigError(safe(errors[-1].removeprefix("tmssl: ")))
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise TrainingError(
            f"the trainer failed on these settings (exit code {done.returncode}; {safe(last, 200)}); "
            "`tmssl doctor` checks the machine"
        )


def _absolute_init(init: str) -> str:
    """The initial weights as an absolute path, or `imagenet`, or nothing.

    Raises:
        ConfigError: the path does not exist.
    """
    if init in ("", "imagenet"):
        return init
    if not Path(init).exists():
        raise ConfigError(
            f"init is '{safe(init)}', which does not exist; leave it empty, or give 'imagenet' or a path"
        )
    return str(Path(init).resolve())


def planned_resume(
    run: Run, settings: dict[str, Any], restart_schedule: bool = False
) -> "ResumePlan | None":
    """What a resume would change; None for a run without a checkpoint.

    Raises:
        RunError: the run has already trained for those epochs.
        ConfigError: a setting that cannot change within a run.
    """
    from tmssl.runs.resume_plan import plan_resume

    sidecar = last_sidecar(run)
    if sidecar is None:
        return None
    return plan_resume(
        run_settings(run),
        settings,
        step=sidecar.step,
        steps_per_epoch=sidecar.steps_per_epoch,
        restart_schedule=restart_schedule,
        trained=from_dict(sidecar.config) if sidecar.config is not None else None,
        unended=not has_finished(run),
    )


def resume_run(run: Run, settings: dict[str, Any], restart_schedule: bool = False) -> Run:
    """Print what a resume changes, write the settings and start the trainer again.

    Raises:
        RunError: the run is being trained, or has already trained for those epochs.
        ConfigError: a setting that cannot change within a run.
    """
    if is_alive(run):
        raise RunError(
            f"{safe(run.path)} is being trained now; stop it first with `tmssl stop {pasted(run.path)}`"
        )
    old = run_settings(run)
    warn_of_new_labels(run)
    segments = sum(isinstance(event, Segment) for event in _events(run))
    settings = {**settings, **_absolute_paths(settings)}
    settings |= _locate_images(run, old, settings)
    plan = planned_resume(run, settings, restart_schedule)
    if plan is not None:
        config, changes = plan.config, plan.changed
        say(f"resuming {safe(run.path)} at epoch {plan.epoch:.4g}, to epoch {config.train.epochs}")
    else:
        config = changed(old, settings)
        changes = differences(old, config)
        say(f"{safe(run.path)} has no checkpoint yet; it starts again at epoch 0")
    for setting, (before, after) in changes.items():
        say(f"  {setting}: {safe(before)} -> {safe(after)}")
    if plan is not None:
        rates = f"old {learning_rate(plan.lr_before)}, new {learning_rate(plan.lr_after)}"
        say(f"  learning rate: {rates}, {plan.jump_words}")
    write_config(config, run.config)
    begun = False
    try:
        _launch(run, segments)
        begun = True
    finally:
        if not begun:
            write_config(old, run.config)  # a resume that never began changes nothing
    point_latest(run)
    return run


def _absolute_paths(settings: dict[str, Any]) -> dict[str, Any]:
    """Those settings that are paths, made absolute."""
    paths = {name: settings.get(name) for name in ("model.init", "data.images_under")}
    return {
        name: str(Path(path).resolve())
        for name, path in paths.items()
        if path and path != "imagenet"
    }


def _locate_images(run: Run, old: Config, settings: dict[str, Any]) -> dict[str, Any]:
    """Where the images of a run are on this machine, as settings; empty if nothing moved.

    A moved run finds its images by `--data`, and packs them again if its pack did not move with it.

    Raises:
        RunError: neither the pack nor its source exists.
        ConfigError: they are other images.
    """
    from tmssl.data.pack.reader import open_pack

    given = settings.get("data.source")
    source = Path(given or old.data.source).resolve()
    if given is None or str(source) == old.data.source:
        try:
            open_pack(Path(old.data.pack))
        except PackError:
            pass  # it is built again below
        else:
            return {"data.source": old.data.source} if given else {}
    if not source.exists():
        raise RunError(
            f"the images of {safe(run.path)} are not here: no pack at {safe(old.data.pack)} and nothing "
            f"at {safe(source)}; give --data with their place on this machine"
        )
    under = str(settings.get("data.images_under", old.data.images_under))
    pack, _ = prepare_pack(source, old.data.image_size, images_under=under)
    known = {e.data_fingerprint for e in _events(run) if isinstance(e, Started)} - {""}
    if known and pack.fingerprint not in known:
        raise ConfigError(
            f"{safe(source)} holds other images than {safe(run.path)} was trained on; give --data "
            "with the same images, or start a new run"
        )
    return {"data.source": str(source), "data.pack": str(pack.folder)}


def _launch(run: Run, segments: int) -> None:
    """Start the trainer and wait for its segment; end it if waiting fails."""
    trainer = start_trainer(run, cores=usable_cores())
    try:
        wait_until_begun(run, trainer, segments)
    except BaseException:
        if trainer.poll() is None:
            trainer.terminate()
            trainer.wait()
        raise


def _events(run: Run) -> list[Event]:
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
    events = [event for event in _events(run) if isinstance(event, Segment | End)]
    return bool(events) and isinstance(events[-1], End) and events[-1].status == "finished"


def last_sidecar(run: Run) -> "Sidecar | None":
    """The sidecar of the checkpoint that a resume starts from; None without one."""
    from tmssl.runs.checkpoints import find_checkpoint, read_sidecar

    if not any(run.checkpoints.glob("*.pt")):
        return None
    return read_sidecar(find_checkpoint(run, "last"))
