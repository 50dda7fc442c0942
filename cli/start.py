"""Start a run, or go on with one: what `tmssl train`, the demo and the monitor's forms share."""

import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.follow import say
from cli.options import say_of_labels
from tmssl.config import Config, changed, differences, from_dict, read_config, write_config
from tmssl.errors import ConfigError, PackError, RunError, TrainingError
from tmssl.runs.events import End, Event, Segment, Started
from tmssl.runs.folder import Run, create_run, is_alive, new_run, point_latest, run_name
from tmssl.runs.journal import read_journal
from tmssl.runs.launch import start_trainer, wait_until_begun
from tmssl.text import learning_rate, pasted, safe

if TYPE_CHECKING:
    from tmssl.runs.checkpoints import Sidecar
    from tmssl.runs.resume_plan import ResumePlan

_MANY = 5000  # images whose packing takes longer than to ask the trainer first


def start_run(config: Config, runs_folder: Path, name: str = "", workers: int = 0) -> Run:
    """Make the pack, the run's folder and its trainer; returns once training has begun.

    A run that never begins leaves no folder behind, and `latest` stays where it was.

    Raises:
        InputError: data or settings that cannot be used.
    """
    if name:
        new_run(runs_folder, name)  # a bad name is told before an hour of packing
    config = with_pack(config, workers)
    name = name or run_name(Path(config.data.source).stem)
    run = create_run(runs_folder.resolve(), name, latest=False)
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


def with_pack(config: Config, workers: int = 0) -> Config:
    """The configuration with its images packed, and where they and their pack are.

    Raises:
        InputError: no images, or none that can be read.
    """
    from cli.commands.pack import prepare_pack

    if not config.data.source:
        raise ConfigError(
            "there is nothing to train on; give --data with a folder, an archive or a table of images"
        )
    source = Path(config.data.source).resolve()
    config = changed(config, {"model.init": _starting_weights(config.model.init)})
    under = config.data.images_under and str(Path(config.data.images_under).resolve())
    pack = prepare_pack(
        source,
        config.data.image_size,
        workers=workers,
        also_under=under,
        before=partial(_check_before_packing, config),
    )
    return changed(
        config,
        {"data.source": str(source), "data.pack": str(pack.folder), "data.images_under": under},
    )


def _check_before_packing(config: Config, images: int) -> None:
    """Ask the trainer whether it would take the settings, where packing first would take long.

    Raises:
        ConfigError: it would not.
        TrainingError: it broke.
    """
    if images < _MANY:
        return
    say("  asking the trainer about the settings, since packing takes a while")
    with tempfile.TemporaryDirectory(prefix="tmssl-check-") as folder:
        settings = Path(folder) / "config.toml"
        write_config(config, settings)
        words = [sys.executable, "-m", "tmssl.training", "--check", str(settings)]
        done = subprocess.run(
            words, stderr=subprocess.PIPE, text=True, check=False, start_new_session=True
        )
    said = [line for line in done.stderr.splitlines() if line.startswith("tmssl: ")]
    if done.returncode == ConfigError.exit_code and said:
        raise ConfigError(safe(said[-1].removeprefix("tmssl: ")))
    if done.returncode:
        told = (done.stderr.strip().splitlines() or [""])[-1]
        raise TrainingError(
            f"the trainer broke over these settings (exit code {done.returncode}; {safe(told, 200)}); "
            "`tmssl doctor` looks at the machine"
        )


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


def planned_resume(
    run: Run, settings: dict[str, Any], restart_schedule: bool = False
) -> "ResumePlan | None":
    """What going on with a run would change; None for one without a checkpoint.

    Raises:
        RunError: the run has done those epochs already.
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
        unended=not has_ended(run),
    )


def resume_run(run: Run, settings: dict[str, Any], restart_schedule: bool = False) -> Run:
    """Show what a resume changes, write it down and start the trainer again.

    Raises:
        RunError: the run is being trained, or has done those epochs already.
        ConfigError: a setting that cannot change within a run.
    """
    if is_alive(run):
        raise RunError(
            f"{safe(run.path)} is being trained now; stop it first with `tmssl stop {pasted(run.path)}`"
        )
    old = run_settings(run)
    say_of_labels(run)
    segments = _segments(run)
    settings = {**settings, **_absolute(settings)}
    settings |= _images_here(run, old, settings)
    plan = planned_resume(run, settings, restart_schedule)
    if plan is not None:
        config = plan.config
        say(f"resuming {safe(run.path)} at epoch {plan.epoch:.4g}, to epoch {config.train.epochs}")
        for setting, (before, after) in plan.changed.items():
            say(f"  {setting}: {safe(before)} -> {safe(after)}")
        say(
            f"  learning rate: old {learning_rate(plan.lr_before)}, new {learning_rate(plan.lr_after)}, "
            f"{plan.jump_words}"
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


def _absolute(settings: dict[str, Any]) -> dict[str, Any]:
    """Those settings that are paths, as a run's settings hold them."""
    paths = {name: settings.get(name) for name in ("model.init", "data.images_under")}
    return {
        name: str(Path(path).resolve())
        for name, path in paths.items()
        if path and path != "imagenet"
    }


def _images_here(run: Run, old: Config, settings: dict[str, Any]) -> dict[str, Any]:
    """Where the images of a run are on this machine, as settings; empty when they are where they were.

    A run that moved finds its images by `--data`, or packs them again where a cache did not move.

    Raises:
        RunError: neither the pack nor its source is there.
        ConfigError: they are other images.
    """
    from cli.commands.pack import prepare_pack
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
    pack = prepare_pack(source, old.data.image_size, also_under=under)
    known = {e.data_fingerprint for e in _events(run) if isinstance(e, Started)} - {""}
    if known and pack.fingerprint not in known:
        raise ConfigError(
            f"{safe(source)} holds other images than {safe(run.path)} was trained on; give --data "
            "with the same images, or start a new run"
        )
    return {"data.source": str(source), "data.pack": str(pack.folder)}


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


def _events(run: Run) -> list[Event]:
    """What the journal holds, nothing when there is none yet."""
    return read_journal(run.journal) if run.journal.exists() else []


def _segments(run: Run) -> int:
    """How many segments the journal holds."""
    return sum(isinstance(event, Segment) for event in _events(run))


def run_settings(run: Run) -> Config:
    """The settings in force.

    Raises:
        RunError: it has none, being a log that was imported.
        ConfigError: they cannot be read.
    """
    if not run.config.is_file():
        raise RunError(
            f"{safe(run.path)} has no settings, as an imported log has none; "
            "start a run with `tmssl train --data DIR`"
        )
    return read_config(run.config)


def has_ended(run: Run) -> bool:
    """Whether the last life of a run did all it was to do, its evaluations too."""
    told = [event for event in _events(run) if isinstance(event, Segment | End)]
    return bool(told) and isinstance(told[-1], End) and told[-1].status == "finished"


def last_sidecar(run: Run) -> "Sidecar | None":
    """The sidecar of the checkpoint that a resume starts from; None without one."""
    from tmssl.runs.checkpoints import find_checkpoint, read_sidecar

    if not any(run.checkpoints.glob("*.pt")):
        return None
    return read_sidecar(find_checkpoint(run, "last"))
