"""The settings and the pack that a new run gets, with the report of its join and the progress."""

import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cli.output.console import say
from cli.output.progress import progress_bar
from tmssl.children import python_module
from tmssl.config import Config, changed, read_config, resolved, write_config
from tmssl.data.sources.specification import resolve_sources
from tmssl.errors import ConfigError, TrainingError
from tmssl.recipes import recipe_path
from tmssl.runs.folder import Run
from tmssl.text import count, pasted, safe

if TYPE_CHECKING:
    from tmssl.data.pack.reader import Pack

_MANY_IMAGES = 5000  # packing more takes longer than asking the trainer about the settings


def prepare_pack(
    source: Path,
    image_size: int,
    *,
    images_under: str | Path | None = None,
    columns: str = "",
    folders: str = "",
    workers: int = 0,
    folder: Path | None = None,
    before_packing: Callable[[int], None] | None = None,
) -> tuple["Pack", int]:
    """Return the pack of a source, built if needed, and the number of images decoded for it now.

    Args:
        source: folder, archive or table of images.
        image_size: side of the views in pixels.
        images_under: a further folder that may hold images.
        columns: names of a table's columns where they differ.
        folders: what folders of images say.
        workers: processes that decode; 0 is one per core.
        folder: where to put the pack; by default in the cache.
        before_packing: called with the number of images when none of them is packed yet.

    Raises:
        InputError: a source or images that cannot be used.
        KeyboardInterrupt: Ctrl-C; finished parts stay, and the next call continues from them.
    """
    from tmssl.data.pack.builder import build_pack
    from tmssl.data.pack.cache import pack_folder, pack_size
    from tmssl.data.sources.catalogue import read_catalogue

    under = Path(images_under) if images_under else None
    catalogue = read_catalogue(source, under, columns=columns, folders=folders)
    for line in catalogue.report.lines():
        say(line)
    size = pack_size(image_size)
    folder = folder or pack_folder(catalogue, size)
    if before_packing and not folder.exists():
        before_packing(len(catalogue.marks))
    counts: list[int] = []
    with progress_bar("packing") as update:

        def progress(done: int, total: int) -> None:
            if not counts and done:
                say(f"  resuming: {count(done, 'image')} packed earlier")
            counts.append(done)
            update(done - counts[0], total - counts[0])  # speed and ETA of this build alone

        pack = build_pack(catalogue, folder, size, workers=workers, progress=progress)
    if not counts:
        say(f"  already packed: {safe(pack.folder)}")
    _say_quarantined(pack)
    _say_cached_views(pack)
    return pack, max(counts, default=0) - min(counts, default=0)


def _say_quarantined(pack: "Pack") -> None:
    """Say how many images were left out, with one example and the file that lists all."""
    if pack.info.unfinished:
        from cli.output.data import unfinished_message

        say(f"  {unfinished_message(pack.info.unfinished)}")
    left_out = pack.quarantine
    if left_out:
        path, reason = left_out[0]
        say(
            f"  {count(len(left_out), 'image')} left out, such as {safe(path)} "
            f"({safe(reason)}); all in {safe(pack.folder / 'quarantine.csv')}"
        )


def _say_cached_views(pack: "Pack") -> None:
    """Say how much disk the cached views beside a pack take, and where they are."""
    from tmssl.training.features.store import gib
    from tmssl.training.features.usage import stored_views

    stores = stored_views(pack.folder)
    if stores:
        size, where = gib(sum(store.size for store in stores)), f"{pack.folder}.views-*"
        say(f"  cached views beside it: {size} in {count(len(stores), 'folder')}, {safe(where)}")


def warn_of_new_labels(run: Run) -> None:
    """Say if the labels of a run were changed after it was packed; the run keeps the old ones."""
    from tmssl.data.pack.info import labels_changed

    if not run.config.is_file():
        return
    data = read_config(run.config).data
    if data.source and labels_changed(Path(data.source), Path(data.pack)):
        say(
            f"the labels in {safe(data.source)} changed after this run packed them, and the run keeps "
            f"the old ones; a new run reads the new ones: tmssl train --data {pasted(data.source)} "
            f"--init {pasted(run.path)}"
        )


def with_pack(config: Config, workers: int = 0) -> Config:
    """Pack the images of a configuration; returns it with absolute paths and its pack.

    Raises:
        InputError: no images, or none that can be read.
    """
    config = absolute(config)
    data = config.data
    pack, _ = prepare_pack(
        Path(data.source),
        data.image_size,
        images_under=data.images_under,
        columns=data.columns,
        folders=data.folders,
        workers=workers,
        before_packing=partial(_check_before_packing, config),
    )
    return changed(config, {"data.pack": str(pack.folder)})


def absolute(config: Config) -> Config:
    """The settings that a new run gets but for its pack: paths are absolute, and no model says `auto`.

    Raises:
        ConfigError: no source, or no initial weights at their path.
    """
    if not config.data.source:
        raise ConfigError(
            "there is nothing to train on; give --data with a folder, an archive or a table of images"
        )
    under = config.data.images_under and str(Path(config.data.images_under).resolve())
    places = {"data.source": str(resolve_sources(config.data.source)), "data.images_under": under}
    config = changed(resolved(config), dict(places))
    model = config.model
    weights = {
        "model.init": _absolute_init(model.init),
        "model.teacher": _absolute_teacher(model.teacher),
    }
    return changed(config, dict(weights))


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
        command = python_module("tmssl.training", "--check", str(settings))
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


def _absolute_teacher(teacher: str) -> str:
    """The teacher as an absolute path, or `timm:NAME`, or nothing; the trainer says if it is none."""
    return str(Path(teacher).resolve()) if teacher and Path(teacher).exists() else teacher


def _absolute_init(init: str) -> str:
    """The initial weights as an absolute path, or `imagenet`, or `none`.

    Raises:
        ConfigError: the path does not exist.
    """
    if init in ("", "none", "imagenet"):
        return init
    if not Path(init).exists():
        raise ConfigError(
            f"init is '{safe(init)}', which does not exist; give 'imagenet', 'none' or a path"
        )
    return str(Path(init).resolve())


def base_config(recipe: str) -> Config:
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
            f"the schedule begins with the run, not at epoch {config.optim.anchor:g} as in the file; "
            f"--set anchor={config.optim.anchor:g} keeps that"
        )
        reset["optim.anchor"] = 0.0
    return changed(config, reset)
