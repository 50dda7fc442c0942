"""Building the pack of a catalogue: decode in parts, join them into one frame, move it into place."""

import csv
import io
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tmssl.data.pack.frame import write_frame
from tmssl.data.pack.info import (
    FORMAT,
    INFO_FILE,
    MARKS_FILE,
    REMOVED_FILE,
    PackInfo,
    write_info,
)
from tmssl.data.pack.layout import digests, read_layout
from tmssl.data.pack.parts import (
    BuildOptions,
    build_lock,
    build_parts,
    check_free_space,
    is_part_file,
    parts_token,
    read_parts,
    remove_left_lock,
)
from tmssl.data.pack.reader import FRAME_FILE, QUARANTINE_FILE, Pack, open_pack
from tmssl.data.pack.workers import Stop
from tmssl.data.sources.catalogue import Catalogue
from tmssl.data.sources.marks import MarkTable
from tmssl.doctor.machine import worker_count
from tmssl.errors import PackError
from tmssl.files import atomic_path
from tmssl.text import count, safe, spreadsheet_cell
from tmssl.types import Progress
from tmssl.unfinished import is_unfinished

_TOKEN_FILE = "token"  # names the images and the size that the parts beside it are of
_PACK_FILES = frozenset({FRAME_FILE, MARKS_FILE, INFO_FILE, QUARANTINE_FILE, REMOVED_FILE})


def build_pack(
    catalogue: Catalogue,
    folder: Path,
    size: int,
    *,
    workers: int = 0,
    progress: Progress | None = None,
    stop: Stop = None,
) -> Pack:
    """Open the pack of a catalogue; build it first when it is missing, damaged or of other images.

    An interrupted build keeps its finished parts beside `folder`, and the next one continues from
    them. A damaged or outdated pack is replaced once the new one is complete.

    Args:
        catalogue: what to pack.
        folder: where the pack goes.
        size: side of the packed images in pixels.
        workers: processes that decode; 0 means one for each usable core.
        progress: called with (done, total), first with the images of an earlier build.
        stop: asked between parts; the build ends with KeyboardInterrupt once it returns True.

    Raises:
        PackError: no image can be read, the disk is too small, the folder is not a pack, or another
            process is building it.
    """
    options = BuildOptions(size, workers or worker_count(), progress, stop)
    building = folder.with_name(f"{folder.name}.building")
    try:
        if pack := _existing_pack(folder, catalogue, size):
            remove_left_lock(building)
            return pack
        with build_lock(building):
            # Another process may have built it between the first look and the lock.
            if pack := _existing_pack(folder, catalogue, size):
                return pack
            if not _holds_pack(building, catalogue, size):
                _build(catalogue, building, options)
            install(building, folder)
    except OSError as error:
        raise PackError(
            f"cannot write {safe(building)}: {safe(error.strerror or error)}; finished parts are "
            "kept; free some space or set TMSSL_CACHE to another disk, then start again"
        ) from error
    return open_pack(folder)


def _existing_pack(folder: Path, catalogue: Catalogue, size: int) -> Pack | None:
    """The pack in a folder if it is the wanted one; None where it may be built."""
    if not folder.exists():
        return None
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    if INFO_FILE in names and _holds_pack(folder, catalogue, size):
        return _with_current_source(open_pack(folder), catalogue)
    if names - _PACK_FILES or (names and INFO_FILE not in names):
        raise PackError(
            f"{safe(folder)} exists and is not a pack; choose another folder, nothing was changed"
        )
    return None


def _holds_pack(folder: Path, catalogue: Catalogue, size: int) -> bool:
    """Whether a folder holds the complete pack of a catalogue at a size."""
    try:
        pack = open_pack(folder)
    except PackError:
        return False
    return (pack.fingerprint, pack.size) == (catalogue.fingerprint, size)


def _with_current_source(pack: Pack, catalogue: Catalogue) -> Pack:
    """The pack, updated where the source has moved or has another attribution than when it was built."""
    info = msgspec.structs.replace(
        pack.info, source_root=str(catalogue.root), attribution=attribution(catalogue)
    )
    if info == pack.info:
        return pack
    write_info(pack.folder, info)
    return open_pack(pack.folder)


def _build(catalogue: Catalogue, building: Path, options: BuildOptions) -> None:
    """Make a complete pack in the folder `building`, starting from the parts of an earlier build."""
    prepare_folder(building, parts_token(catalogue.fingerprint, options.size))
    locations = catalogue.locations
    check_free_space(locations, building, options.size)
    quarantine, unfinished = build_parts(locations, building, options)
    marks = MarkTable.of(mark for i, mark in enumerate(catalogue.marks) if i not in quarantine)
    if not len(marks):
        first = min(quarantine)
        raise PackError(
            f"none of {count(len(quarantine), 'image')} can be read, such as "
            f"{safe(catalogue.marks[first].path)}: {quarantine[first]}"
        )
    write_frame(building / FRAME_FILE, read_parts(building, len(locations)), options.size)
    info = PackInfo(
        version=FORMAT,
        fingerprint=catalogue.fingerprint,
        size=options.size,
        count=len(marks),
        frame_bytes=0,
        source_root=str(catalogue.root),
        attribution=attribution(catalogue),
        unfinished=unfinished,
    )
    left_out = {catalogue.marks[i].path: quarantine[i] for i in sorted(quarantine)}
    complete(building, marks, left_out, info)


def complete(building: Path, marks: MarkTable, left_out: Mapping[str, str], info: PackInfo) -> None:
    """Write the small files of a pack whose frame is written; pack.json comes last.

    Args:
        building: the folder that holds the frame.
        marks: of the images of the frame, in their order.
        left_out: path and reason of each image that cannot be read.
        info: what pack.json will hold, without the length and the digests of the frame.

    Raises:
        OSError: the disk is full or fails.
    """
    with (building / FRAME_FILE).open("rb") as file:
        layout = read_layout(file.fileno(), info.count, info.size, strict=False)
        of_parts = digests(file.fileno(), layout)
    with atomic_path(building / MARKS_FILE) as fresh:
        fresh.write_bytes(marks.lines)
    _write_quarantine(building / QUARANTINE_FILE, left_out)
    length = (building / FRAME_FILE).stat().st_size
    write_info(building, msgspec.structs.replace(info, frame_bytes=length, digests=of_parts))


def prepare_folder(building: Path, token: str) -> None:
    """Make the folder to build in, and empty it first if its parts are of other images or another size."""
    path = building / _TOKEN_FILE
    if building.exists() and not (path.is_file() and path.read_text("utf-8") == token):
        _check_unfinished(building)
        shutil.rmtree(building)
    building.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as fresh:
        fresh.write_bytes(token.encode())


def _check_unfinished(building: Path) -> None:
    """Refuse to remove a folder that holds anything but an unfinished pack."""
    for path in building.iterdir():
        ours = path.name in _PACK_FILES or path.name == _TOKEN_FILE or is_part_file(path)
        if path.is_dir() or not (ours or path.suffix == ".new" or is_unfinished(path)):
            raise PackError(
                f"{safe(building)} holds {safe(path.name)}, which does not belong to a pack; "
                "move it away, nothing was changed"
            )


def _write_quarantine(path: Path, left_out: Mapping[str, str]) -> None:
    """Write path and reason of the images that cannot be read as CSV, for a person to open."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["path", "reason"])
    table.writerows(map(spreadsheet_cell, row) for row in left_out.items())
    with atomic_path(path) as fresh:
        fresh.write_bytes(text.getvalue().encode())


def install(building: Path, folder: Path) -> None:
    """Move a complete pack into place; after a kill in between, the next start does the rest."""
    for path in list(building.iterdir()):
        if path.name not in _PACK_FILES:
            path.unlink()
    if folder.exists():
        for name in (*_PACK_FILES - {INFO_FILE}, INFO_FILE):  # last, as it marks the folder a pack
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
    building.replace(folder)


def attribution(catalogue: Catalogue) -> str:
    """The first line of the source's ATTRIBUTION.txt, which is shown wherever its images are."""
    lines = catalogue.container.attribution().strip().splitlines()
    return lines[0] if lines else ""
