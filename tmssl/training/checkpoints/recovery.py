"""What a trainer that was killed while it saved has left half done: finished where it can be, else removed."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from tmssl.runs.checkpoints import digest, find_sidecar, valid_checkpoints
from tmssl.training.checkpoints.store import link_checkpoint, rotate


def settle(folder: Path) -> None:
    """Finish the renaming of a checkpoint whose sidecar has its name already, and remove what else is unfinished.

    To be called before anything is read or saved. Without it a name that no later checkpoint gets would keep
    its unfinished file for ever, or be without the file that its sidecar describes.
    """
    for fresh in folder.glob(".*.pt.new"):
        name = fresh.name.removeprefix(".").removesuffix(".pt.new")
        sidecar = find_sidecar(folder, name)
        with contextlib.suppress(OSError):
            if sidecar is not None and digest(fresh) == sidecar.sha256:
                fresh.replace(folder / f"{name}.pt")
    for fresh in folder.glob(".*.new"):
        with contextlib.suppress(OSError):
            fresh.unlink()


def finish_names(folder: Path, step: int, names: Sequence[str]) -> list[str]:
    """Give the newest checkpoint the name `last`, and those names that its save did not get to.

    Args:
        folder: the run's checkpoint folder.
        step: of the newest checkpoint.
        names: that a save of this step gives beside `last` and `best`, such as `epoch-0010`.

    Returns:
        those of `names` that it had not; none where the save got to its end, or the disk refuses.
    """
    last = find_sidecar(folder, "last")
    if last is not None and last.step == step and (folder / "last.pt").exists():
        return []
    newest, path = next(iter(valid_checkpoints(folder)), (0, folder))
    if newest != step or path.stem in ("last", "previous"):
        return []
    given = [name for name in names if not (folder / f"{name}.pt").exists()]
    with contextlib.suppress(OSError):
        for name in given:
            link_checkpoint(folder, path.stem, name)
        rotate(folder)
        link_checkpoint(folder, path.stem, "last")
        return given
    return []
