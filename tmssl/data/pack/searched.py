"""Which pack a run searches: the one that it was trained on, or one of its own that grew out of that.

The run's folder `gallery` holds the packs that `tmssl add` and `tmssl remove` made, and `current.json`, which
names one of them. It is replaced atomically, once the new pack and its index are complete. The pack that the
run trains on is never changed, and its trainer reads no other.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tmssl.config import read_config
from tmssl.data.pack.info import INFO_FILE
from tmssl.errors import PackError
from tmssl.files import cannot_write, make_plain_folder, open_plain, write_atomic
from tmssl.locks import hold
from tmssl.runs.folder import Run
from tmssl.text import safe

_FOLDER, _CURRENT, _LOCK = "gallery", "current.json", "lock"
_PACK = re.compile(r"[0-9a-f]{16}-\d{1,5}")
_LARGEST = 1 << 12  # bytes of current.json
_MOST_KEPT = (
    2  # packs of a run's own: the current one, and the one before, for evaluations that show it
)


class _Current(msgspec.Struct, frozen=True):
    """The contents of current.json."""

    pack: str
    """name of a folder beside it"""


def trained_pack(run: Run) -> Path:
    """The folder of the pack that a run trains on.

    Raises:
        ConfigError: the settings of the run are missing or damaged.
    """
    return Path(read_config(run.config).data.pack)


def searched_pack(run: Run) -> Path:
    """The folder of the pack that a run searches.

    Raises:
        ConfigError: the settings of the run are missing or damaged.
        PackError: the file that names the pack is damaged, or the pack is gone.
    """
    name = _current(run)
    if not name:
        return trained_pack(run)
    # By the run's name, since evaluations and records of searches tell it.
    folder = run.path / _FOLDER / name
    if not (folder / INFO_FILE).is_file():
        raise PackError(
            f"there is no pack at {safe(folder)}, which {safe(run.name)} searches; bring it back, or remove "
            f"{safe(run.path / 'gallery' / _CURRENT)} to search the marks that the run was trained on"
        )
    return folder


def _current(run: Run) -> str:
    """The name in current.json; empty where there is none."""
    path = run.file(_FOLDER) / _CURRENT
    try:
        with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file:
            name = msgspec.json.decode(file.read(_LARGEST), type=_Current).pack
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, RecursionError) as error:
        raise PackError(
            f"{safe(path)} is damaged ({safe(error, 100)}); remove it to search the marks that the run was "
            "trained on"
        ) from error
    if not _PACK.fullmatch(name):
        raise PackError(f"{safe(path)} names no pack of the run; remove it")
    return name


@contextlib.contextmanager
def gallery_lock(run: Run) -> Iterator[Path]:
    """Hold the gallery of a run to change it; yields its folder, made if it was missing.

    Raises:
        PackError: another command changes it.
        InputError: the folder cannot be written.
    """
    folder = run.path / _FOLDER
    with contextlib.ExitStack() as held:
        try:
            make_plain_folder(folder)
            held.enter_context(hold(folder / _LOCK))
        except BlockingIOError as error:
            raise PackError(
                f"another command changes the gallery of {safe(run.name)}; wait until it has finished"
            ) from error
        except OSError as error:
            raise cannot_write(folder, error) from error
        yield folder


def search_from_now(run: Run, folder: Path) -> None:
    """Let a run search a pack of its own.

    Raises:
        InputError: the disk is full.
    """
    write_atomic(run.file(_FOLDER) / _CURRENT, msgspec.json.encode(_Current(folder.name)))


def own_packs(run: Run) -> list[Path]:
    """The folders of the packs of a run's own, the newest first."""
    folder = run.path / _FOLDER
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _PACK.fullmatch(path.name)]
    found = [path for path in found if not path.is_symlink() and (path / INFO_FILE).is_file()]
    return sorted(found, key=lambda path: -(path / INFO_FILE).stat().st_mtime_ns)


def remove_unused(run: Run) -> None:
    """Remove the packs of a run's own but for the current one and the newest other, and unfinished ones.

    What was made beside a pack, as its lettering, goes with it.
    """
    current = _current(run)
    others = [path.name for path in own_packs(run) if path.name != current]
    kept = {current, *others[: _MOST_KEPT - bool(current)]}
    for path in (run.path / _FOLDER).iterdir():
        name, _, suffix = path.name.partition(".")
        unused = name not in kept or suffix == "building"
        if _PACK.fullmatch(name) and unused and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
