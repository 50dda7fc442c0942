"""The store that a run's settings call for: its key, its folder, and what becomes of other stores."""

import dataclasses
import hashlib
import os
from pathlib import Path

from torch import nn

from tmssl.config import Config
from tmssl.data.pack.reader import Pack
from tmssl.files import cannot_write
from tmssl.runs.launch import BRIEF_VARIABLE
from tmssl.training.encoder.backbone import feature_count
from tmssl.training.encoder.teacher import Teacher, weights_digest
from tmssl.training.features.store import (
    FeatureStore,
    StoreShape,
    create_store,
    is_store,
    store_key,
)
from tmssl.training.features.usage import (
    StoredViews,
    add_user,
    remove_unused,
    store_folder,
)
from tmssl.types import Indices


@dataclasses.dataclass(frozen=True)
class OpenedStore:
    """A run's store, and the other stores of its pack."""

    store: FeatureStore
    brief_s: float | None = None
    """seconds after which the computation ends, for a dry run"""
    removed: tuple[StoredViews, ...] = ()
    """stores that no run uses any more"""
    kept: tuple[StoredViews, ...] = ()
    """stores of other runs"""


@dataclasses.dataclass(frozen=True)
class _Described:
    """A frozen network that describes views: the encoder without its head, or a teacher."""

    facts: dict[str, object]
    """what its features of a view depend on"""
    width: int
    """features that it gives"""


def open_stores(
    run: Path,
    config: Config,
    pack: Pack,
    rows: Indices,
    encoder: nn.Module,
    teacher: Teacher | None,
    *,
    precision: str,
    creates: bool,
) -> list[OpenedStore]:
    """A store for each network that describes the views of a run's marks; they may be empty yet.

    Args:
        run: folder of the run.
        config: its settings.
        pack: its marks.
        rows: those that it trains on.
        encoder: the frozen encoder; of its weights the `head` does not count.
        teacher: the teacher, if there is one; its store comes second.
        precision: in which both compute.
        creates: whether this process makes the folders; another one only opens them.

    Raises:
        InputError: the disk has too little room, or a folder cannot be written or is foreign.
    """
    brief = os.environ.get(BRIEF_VARIABLE)
    described = [_encoder_described(config, encoder, precision)]
    described += [_teacher_described(teacher, precision)] if teacher else []
    stores: list[tuple[Path, StoreShape, dict[str, object]]] = []
    for network in described:
        shape = StoreShape(len(rows), config.data.cached_views, network.width)
        facts = _facts(config, pack, rows) | network.facts
        folder = store_folder(pack.folder, run, store_key(facts))
        if brief is not None and not _is_computed(folder, shape):
            folder = run / folder.name
        stores.append((folder, shape, facts))
    if not creates:
        return [OpenedStore(FeatureStore(folder, shape)) for folder, shape, _ in stores]
    folders = [folder for folder, _, _ in stores]
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            if brief is None:
                add_user(folder, run)
        removed, kept = remove_unused(pack.folder, run, *folders) if brief is None else ([], [])
        for folder, shape, facts in stores:
            create_store(folder, shape, facts, may_lack_space=brief is not None)
    except OSError as error:
        raise cannot_write(folders[0], error) from error
    brief_s = float(brief) if brief else None
    first, *others = (FeatureStore(folder, shape) for folder, shape, _ in stores)
    told = OpenedStore(first, brief_s, (*removed,), (*kept,))
    return [told, *(OpenedStore(store, brief_s) for store in others)]


def _is_computed(folder: Path, shape: StoreShape) -> bool:
    """Whether a store has all its features."""
    return is_store(folder) and len(FeatureStore(folder, shape).written()) == shape.blocks


def _facts(config: Config, pack: Pack, rows: Indices) -> dict[str, object]:
    """All that the cached features of any network depend on."""
    return {
        "pack": str(pack.folder),
        "pixels": pack.identity,
        "rows": hashlib.sha256(rows.tobytes()).hexdigest(),
        "views": config.data.views,
        "count": config.data.cached_views,
        "seed": config.train.seed,
    }


def _encoder_described(config: Config, encoder: nn.Module, precision: str) -> _Described:
    """The encoder of some settings, without its head, which learns."""
    facts: dict[str, object] = {
        "encoder": weights_digest(encoder, without="head."),
        "model": config.model.name,
        "stages": list(config.model.stages),
        "grid": config.model.grid,
        "image_size": config.data.image_size,
        "precision": precision,
    }
    return _Described(facts, feature_count(encoder))


def _teacher_described(teacher: Teacher, precision: str) -> _Described:
    """A teacher, which has views of its own size."""
    facts: dict[str, object] = {
        "teacher": teacher.digest,
        "image_size": teacher.size,
        "precision": precision,
    }
    return _Described(facts, teacher.width)
