"""The public API: runs and their history, packs, encoders, embeddings and searches from Python.

`import tmssl` offers these names. Only what a call needs is imported by it: history needs no torch.
"""

import functools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from tmssl.config import Config, read_config
from tmssl.errors import InputError
from tmssl.files import is_folder, is_there
from tmssl.runs import folder as run_folder
from tmssl.runs import history as run_history
from tmssl.runs.events import Eval, Finding
from tmssl.runs.folder import is_alive
from tmssl.runs.journal import read_journal
from tmssl.runs.main_figure import TOPK

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor, nn

    from tmssl.data.pack.reader import Pack
    from tmssl.retrieval.search.gallery import Gallery
    from tmssl.retrieval.search.results import SearchMatch
    from tmssl.types import Progress, Vectors

Columns = dict[str, npt.NDArray[Any]]
"""Column name to values, all of one length; `pandas.DataFrame` and `polars.DataFrame` take it as it is."""


class RunHistory:
    """What a journal records, as columns. After a resume, the later life of a repeated step counts."""

    def __init__(self, events: run_history.History) -> None:
        self.events = events
        """the same as events: segments, checkpoints, evaluations, findings, end"""

    @functools.cached_property
    def steps(self) -> Columns:
        """One row for each logged step: `step`, `epoch`, `loss`, `ce`, `top1`, `lr`...; NaN where not measured."""
        from tmssl.runs.steps import FIELDS

        steps = self.events.steps
        return {
            "step": np.array(steps.numbers, np.int64),
            **{name: np.array(steps.column(name), np.float64) for name in FIELDS},
        }

    @functools.cached_property
    def epochs(self) -> Columns:
        """One row for each finished epoch: `epoch`, `step`, `loss` (mean), `ce`, `top1`, `lr`, `seconds`..."""
        return _columns([msgspec.structs.asdict(epoch) for epoch in self.events.epochs])

    @functools.cached_property
    def scores(self) -> Columns:
        """One row for each figure of each evaluation, with its chance level and its interval."""
        rows = []
        for evaluation in self.events.evals:
            place = {"epoch": evaluation.epoch, "checkpoint": evaluation.checkpoint}
            for score in evaluation.scores:
                figures = msgspec.structs.asdict(score)
                references = figures.pop("references")
                rows.append({**place, **figures, "untrained": references.get("untrained")})
        return _columns(rows)

    @property
    def findings(self) -> list[Finding]:
        """What the run's journal warns of, with advice, oldest first."""
        return self.events.findings


def _columns(rows: Sequence[dict[str, Any]]) -> Columns:
    """Rows as columns; a missing number is NaN."""
    columns: Columns = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        if all(value is None or isinstance(value, int | float) for value in values):
            whole = all(isinstance(value, int) for value in values)
            numbers = [np.nan if value is None else value for value in values]
            columns[name] = np.array(numbers, np.int64 if whole else np.float64)
        else:
            columns[name] = np.array(values)
    return columns


class TrainedRun:
    """A run's folder, open for reading."""

    def __init__(self, run: run_folder.Run) -> None:
        self.folder = run
        """the paths of its files"""
        self._galleries: dict[str, Gallery] = {}

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @property
    def alive(self) -> bool:
        """Whether a trainer works on it now."""
        return is_alive(self.folder)

    @property
    def config(self) -> Config:
        """The settings in force.

        Raises:
            ConfigError: they are missing, as in an imported log, or damaged.
        """
        return read_config(self.folder.config)

    @functools.cached_property
    def history(self) -> RunHistory:
        """The journal, read once; open the run again for what was written since."""
        return read_history(self.folder.journal)

    def gallery(self, checkpoint: str = "best") -> "Gallery":
        """The index of the run's marks by a checkpoint's encoder; made first if it is missing, then kept open."""
        from tmssl.retrieval.search.gallery import open_gallery
        from tmssl.runs.workspace import workspace

        if checkpoint not in self._galleries:
            with workspace(self.folder, warnings.warn) as folder:
                self._galleries[checkpoint] = open_gallery(folder, checkpoint=checkpoint)
        return self._galleries[checkpoint]

    def __repr__(self) -> str:
        return f"TrainedRun({str(self.path)!r})"


def open_run(path: str | Path = "runs/latest") -> TrainedRun:
    """Open a run by its folder, or by the link `latest`.

    Raises:
        RunError: nothing is there, or it is no run.
    """
    return TrainedRun(run_folder.open_run(Path(path)))


def list_runs(folder: str | Path = "runs") -> list[TrainedRun]:
    """The runs of a folder, the newest name last; empty where there is none."""
    return [TrainedRun(run) for run in run_folder.list_runs(Path(folder))]


def read_history(path: str | Path) -> RunHistory:
    """Read a journal: a run's folder, or its `metrics.jsonl`.

    Raises:
        JournalError: it is missing or cannot be read.
    """
    path = Path(path)
    journal = path / "metrics.jsonl" if is_folder(path) else path
    return RunHistory(run_history.read_history(read_journal(journal)))


def open_pack(source: str | Path | TrainedRun) -> "Pack":
    """Open a pack by its folder, or the pack that a run searches; `pack.read([row])` gives uint8 (1, size, size, 3).

    Raises:
        PackError: it is missing, truncated or of another format.
    """
    from tmssl.data.pack import reader

    if isinstance(source, TrainedRun):
        from tmssl.data.pack.searched import searched_pack

        source = searched_pack(source.folder)
    return reader.open_pack(Path(source))


class Encoder:
    """A trained network with the preprocessing that it was trained under, for evaluation only."""

    def __init__(self, network: "nn.Module", image_size: int) -> None:
        self.network = network
        """from float32 (n, 3, image_size, image_size) to features (n, f)"""
        self.image_size = image_size

    def preprocess(self, images: "Sequence[Image | str | Path]") -> "Tensor":
        """Images as the network takes them: on white, cropped to their ink, fitted and normalised.

        Args:
            images: n PIL images or paths.

        Returns:
            float32 (n, 3, image_size, image_size) on the network's device.

        Raises:
            UnreadableError: a file is no image, or is damaged.
        """
        import torch

        from tmssl.data.pack.cache import pack_size
        from tmssl.data.views.augment import plain_view

        size = pack_size(self.image_size)
        pixels = torch.from_numpy(np.stack([_square(image, size) for image in images]))
        device = next(self.network.parameters()).device
        return plain_view(pixels.to(device), self.image_size)


def _square(image: "Image | str | Path", size: int) -> npt.NDArray[np.uint8]:
    """An image as a pack holds it, uint8 (size, size, 3)."""
    from tmssl.data.picture import picture_square

    return picture_square(Path(image) if isinstance(image, str) else image, size)


def load_encoder(
    source: str | Path | TrainedRun, *, checkpoint: str = "best", device: str = "auto"
) -> Encoder:
    """The encoder of a run's checkpoint, or of a checkpoint file.

    Args:
        source: a run, its folder, or a `.pt` file.
        checkpoint: of a run: `best`, `last`, `epoch-0010` or a path.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    from tmssl.retrieval.vectors.embed import inference_copy, trained_encoder
    from tmssl.runs.checkpoints import find_checkpoint
    from tmssl.training.checkpoints.store import load_weights
    from tmssl.training.learner import choose_device

    if isinstance(source, str | Path) and is_there(source) and Path(source).is_file():
        path = Path(source)
    else:
        run = source if isinstance(source, TrainedRun) else open_run(source)
        path = find_checkpoint(run.folder, checkpoint)
    weights = load_weights(path)
    network = inference_copy(trained_encoder(weights), choose_device(device))
    return Encoder(network, weights.config.data.image_size)


def embed(
    encoder: Encoder,
    images: "Sequence[Image | str | Path]",
    *,
    batch_size: int = 32,
    progress: "Progress | None" = None,
) -> "Vectors":
    """Unit vectors of images, whose inner products are the cosines that searches rank by.

    Args:
        encoder: from `load_encoder`.
        images: n PIL images or paths.
        batch_size: images decoded and computed together.
        progress: called with (images done, n).

    Returns:
        float32 (n, f), rows of norm 1.

    Raises:
        UnreadableError: a file is no image, or is damaged.
    """
    from tmssl.retrieval.vectors.embed import embed_views

    parts = []
    for begin in range(0, len(images), batch_size):
        part = images[begin : begin + batch_size]
        parts.append(embed_views(encoder.network, encoder.preprocess(part)))
        if progress:
            progress(begin + len(part), len(images))
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)


def search(
    run: str | Path | TrainedRun,
    image: "Image | str | Path | None" = None,
    *,
    text: str = "",
    codes: Sequence[str] = (),
    weights: str = "",
    topk: int = 10,
    checkpoint: str = "best",
    vienna: Sequence[str] = (),
    where: Sequence[str] = (),
) -> "list[SearchMatch]":
    """The marks of a run that an image or a text resembles most, as `tmssl search` finds them.

    Pass the same `TrainedRun` again for further images: its index stays open.

    Args:
        run: whose marks and encoder.
        image: what to search for; None searches for the text alone.
        text: to search for among the texts of the marks.
        codes: Vienna codes of the image, where they are known.
        weights: of picture, text and codes, such as `picture=1,text=0.3`; empty takes the usual ones.
        topk: marks wanted; fewer where the filters leave fewer.
        checkpoint: `best`, `last`, `epoch-0010` or a path.
        vienna: only marks with one of these codes.
        where: only marks for which all of these hold, such as `year>=2015`.

    Raises:
        InputError: neither image nor text, no checkpoint, no pack, a file that is no image, or a filter, a code
            or weights that are wrong.
    """
    from tmssl.retrieval.search.combined import open_comparison
    from tmssl.retrieval.search.filters import parse_condition, select
    from tmssl.retrieval.search.logos import Logo
    from tmssl.retrieval.search.search import find_matches
    from tmssl.retrieval.search.weights import choose_weights

    if image is None and not text:
        raise InputError("there is nothing to search for; give an image or a text")

    gallery = (run if isinstance(run, TrainedRun) else open_run(run)).gallery(checkpoint)
    mask = None
    if vienna or where:
        mask = select(gallery.marks, vienna, [parse_condition(text) for text in where])
    searched = gallery.pack.count if mask is None else int(mask.sum())
    if not searched:
        return []
    logo = None
    if image is not None:
        name = str(image) if isinstance(image, str | Path) else "-"
        logo = Logo(name, sha256="", pixels=_square(image, gallery.pack.size))
    weighed = choose_weights(weights, picture=logo is not None, text=bool(text), codes=bool(codes))
    comparison = weighed and open_comparison(gallery, weighed, text=text, codes=codes)
    return find_matches(gallery, logo, min(topk, searched), mask, comparison).matches


def evaluate(
    run: str | Path | TrainedRun, *, checkpoint: str = "best", topk: Sequence[int] = TOPK
) -> Eval:
    """Evaluate the retrieval of a checkpoint as `tmssl eval` does, and add the event to the run's journal.

    Raises:
        InputError: no checkpoint, no pack, or fewer than two marks.
    """
    from tmssl.retrieval.evaluation import evaluate as evaluation
    from tmssl.runs.workspace import workspace

    opened = run if isinstance(run, TrainedRun) else open_run(run)
    with workspace(opened.folder, warnings.warn) as folder:
        return evaluation.evaluate(folder, checkpoint=checkpoint, topk=topk)
