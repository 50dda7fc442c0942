"""The events of a journal; a field that is None was not measured, or was not finite."""

import itertools
import math
from collections.abc import Iterator
from typing import get_args

import msgspec

from tmssl.runs.eval_event import Division, Eval, Measured, Score
from tmssl.runs.ranges import Count, EpochsDone, UnixTime
from tmssl.text import safe

__all__ = [
    "EVENT_TYPES",
    "SCHEMA_VERSION",
    "Axes",
    "Branch",
    "Checkpoint",
    "Division",
    "End",
    "Epoch",
    "Eval",
    "Event",
    "Finding",
    "Positives",
    "Score",
    "Segment",
    "Started",
    "Step",
    "Views",
    "field_table",
]

SCHEMA_VERSION = 1


class Started(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="run"):
    """The first line of a journal: the run, its machine and its data."""

    schema: int = SCHEMA_VERSION
    """version of this journal format"""
    name: str = ""
    """name of the run"""
    created: str = ""
    """ISO 8601 time of creation, UTC"""
    host: str = ""
    """name of the machine"""
    device: str = ""
    """the device, such as `NVIDIA GeForce RTX 4090` or `cpu, 2 cores`"""
    versions: dict[str, str] = {}
    """library name to version"""
    commit: str = ""
    """git commit of the code, if it runs from a checkout"""
    data_fingerprint: str = ""
    """fingerprint of the pack"""
    counts: dict[str, int] = {}
    """number of marks: all, in the training split, in the validation split, with Vienna codes"""
    notes: dict[str, str] = {}
    """description of the experiment in an imported log, heading to text"""


class Branch(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="branch"):
    """The end of the past that a run shares with another one, from a checkpoint of which it goes on."""

    run: str = ""
    """path of the other run's folder"""
    checkpoint: str = ""
    """name of the checkpoint there"""
    sha256: str = ""
    """digest of that file"""
    segment: Count = 0
    """number of the segment that follows, the first of this run's own"""
    step: Count = 0
    """steps done at the checkpoint"""
    epoch: EpochsDone = 0.0
    """the same in epochs"""
    t: UnixTime = 0.0
    """Unix time, seconds"""

    @property
    def words(self) -> str:
        """`branched from 20261123-1530-toy at epoch 30`; the name is a foreign string."""
        name = self.run.rstrip("/").rpartition("/")[2]
        return f"branched from {safe(name, 60)} at epoch {self.epoch:.4g}"


class Axes(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="axes"):
    """How far the fit of a grid's whitening is, before the first segment; none of one that takes no time."""

    segment: Count = 0
    """number of the segment that it comes before"""
    done: Count = 0
    """marks of the sample that are described"""
    total: Count = 0
    """marks of the sample"""
    seconds: float | None = None
    """wall time so far"""
    seconds_left: float | None = None
    """estimated wall time to its end"""
    t: UnixTime = 0.0
    """Unix time, seconds"""


class Segment(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="segment"):
    """A part of a run under one configuration; each start or resume opens one."""

    number: Count = 0
    """0 for the start, 1 for the first resume, and so on"""
    step: Count = 0
    """first step of the segment"""
    epoch: EpochsDone = 0.0
    """the same in epochs"""
    reason: str = ""
    """`start`, `resume`, `branch` or `rollback`"""
    title: str = ""
    """title of the phase in an imported log"""
    config: dict[str, object] = {}
    """the whole configuration"""
    changed: dict[str, list[object]] = {}
    """setting to [old, new], for settings that changed"""
    chance: float | None = None
    """loss of a model that has learned nothing: 4 tau ln N"""
    solved: float | None = None
    """loss of a perfect model: 4 tau ln(1 + (N - 1) exp(-1 / tau))"""
    chance_ce: float | None = None
    """cross-entropy of a model that has learned nothing: ln N, nats"""
    batch_size: Count = 0
    """N, the keys that each query is compared with"""
    chunk_size: Count = 0
    """images that pass through the encoder at once"""
    steps_per_epoch: Count = 0
    """optimizer steps in an epoch"""
    epochs: Count = 0
    """epoch at which training ends"""
    lr_before: float | None = None
    """LR at this step under the previous configuration"""
    lr_after: float | None = None
    """LR at this step under this configuration"""
    t: UnixTime = 0.0
    """Unix time, seconds"""

    def setting(self, section: str, name: str) -> object:
        """A setting, or an empty string where the journal does not record it."""
        settings = self.config.get(section)
        return settings.get(name, "") if isinstance(settings, dict) else ""

    def figure(self, section: str, name: str) -> float | None:
        """A setting that is a finite number; None where the journal has none, or something else."""
        value = self.setting(section, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            return float(value) if math.isfinite(value) else None
        except OverflowError:  # an integer of hundreds of digits
            return None


class Positives(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="positives"):
    """How similar the marks are that are positives of one kind, measured at the start of a segment."""

    segment: Count = 0
    """number of the segment"""
    step: Count = 0
    """its first step"""
    epoch: EpochsDone = 0.0
    """the same in epochs"""
    by: str = "vienna"
    """what partners share: a code (`vienna`), their `group`, or their text (`title`)"""
    share: float | None = None
    """share of all positives that are of this kind"""
    level: str = ""
    """level at which partners share a code: `category`, `division` or `section`; empty for other kinds"""
    pairs: Count = 0
    """pairs that were measured"""
    with_partner: float | None = None
    """share of marks that have a partner; the others are paired with themselves"""
    left_out: Count = 0
    """marks whose text is on too many marks to say that two are the same"""
    examples: list[str] = []
    """some of these texts, the most frequent first"""
    encoder_partners: float | None = None
    """mean cosine of partners under the encoder at that step"""
    encoder_random: float | None = None
    """mean cosine of the same marks in random pairs under that encoder"""
    encoder_auc: float | None = None
    """probability that partners are more similar than a random pair; 0.5 means no difference"""
    hash_partners: float | None = None
    """mean cosine of partners under a perceptual hash"""
    hash_random: float | None = None
    """mean cosine of random pairs under a perceptual hash"""
    hash_auc: float | None = None
    """the same probability under a perceptual hash"""
    noise: float | None = None
    """estimated share of partners no more similar than random pairs: 2 (1 - AUC), by the better of the two"""
    seconds: float | None = None
    """wall time of the measurement"""
    t: UnixTime = 0.0
    """Unix time, seconds"""


class Views(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="views"):
    """How far the cached views are, from which the head alone is trained; the last one when all are there."""

    segment: Count = 0
    """number of the segment"""
    step: Count = 0
    """its first step"""
    epoch: EpochsDone = 0.0
    """the same in epochs"""
    done: Count = 0
    """views whose features are there"""
    total: Count = 0
    """views of all marks"""
    found: Count = 0
    """views that were there before: of an earlier run, or of an interrupted one"""
    damaged: Count = 0
    """views that were there and damaged, and are computed again"""
    seconds: float | None = None
    """wall time of the computation so far"""
    seconds_left: float | None = None
    """estimated wall time to its end"""
    gib: float | None = None
    """size of the file of features in GiB"""
    path: str = ""
    """folder that holds it"""
    t: UnixTime = 0.0
    """Unix time, seconds"""


class Step(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="step"):
    """One logged optimizer step."""

    step: Count = 0
    """steps done since the start of the run"""
    epoch: EpochsDone = 0.0
    """epochs done, a fraction"""
    loss: float | None = None
    """ctr(q1, k2) + ctr(q2, k1); each is 2 tau times a cross-entropy"""
    ce: float | None = None
    """mean cross-entropy in nats; chance is ln N"""
    top1: float | None = None
    """share of queries whose positive is the nearest key, 0 to 1"""
    lr: float | None = None
    """learning rate of the step"""
    momentum: float | None = None
    """momentum of the momentum encoder at the step"""
    grad_norm: float | None = None
    """L2 norm of the gradient"""
    feature_std: float | None = None
    """standard deviation of the unit projections times sqrt(dimensions): 1 is spread out, 0 is collapsed"""
    positive_cosine: float | None = None
    """mean cosine between query and positive key"""
    negative_cosine: float | None = None
    """mean over queries of the cosine to the nearest negative key"""
    teacher_loss: float | None = None
    """mean of one minus the cosine to the teacher's features, 0 to 2; none without a teacher"""
    img_s: float | None = None
    """source images per second since the last logged step"""
    data_s: float | None = None
    """mean seconds that a step waits for pixels; making views counts as the step"""
    step_s: float | None = None
    """mean seconds of a step since the last logged step"""
    mem_gib: float | None = None
    """peak memory in GiB: of the GPU, or of the process on a CPU"""
    gpu_util: float | None = None
    """GPU use, 0 to 1"""
    t: UnixTime = 0.0
    """Unix time, seconds"""

    @property
    def data_share(self) -> float | None:
        """Share of the step that waits for data, 0 to 1; None if not measured."""
        return self.data_s / self.step_s if self.step_s and self.data_s is not None else None


class Epoch(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="epoch"):
    """The end of an epoch."""

    epoch: Count = 0
    """epochs done"""
    step: Count = 0
    """steps done"""
    loss: float | None = None
    """mean loss of the epoch"""
    ce: float | None = None
    """mean cross-entropy of the epoch, nats"""
    top1: float | None = None
    """mean instance discrimination accuracy, 0 to 1"""
    teacher_loss: float | None = None
    """mean of one minus the cosine to the teacher's features; none without a teacher"""
    lr: float | None = None
    """learning rate of the last step"""
    seconds: float | None = None
    """wall time of the epoch"""
    rank_me: float | None = None
    """RankMe: effective rank of the features (Garrido et al. 2023)"""
    alignment: float | None = None
    """mean squared distance of positives on the sphere (Wang and Isola 2020)"""
    uniformity: float | None = None
    """log of the mean Gaussian potential between marks (Wang and Isola 2020)"""
    t: UnixTime = 0.0
    """Unix time, seconds"""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="checkpoint"):
    """A checkpoint that was written completely."""

    path: str = ""
    """path inside the run folder"""
    sha256: str = ""
    """digest of the file"""
    epoch: EpochsDone = 0.0
    """epochs done"""
    step: Count = 0
    """steps done"""
    reason: str = ""
    """`epoch`, `time`, `stop`, `signal`, `end`, or `decay` for the last one before a decay"""
    best: bool = False
    """whether it was the best so far"""
    seconds: float | None = None
    """seconds that training paused for it"""
    t: UnixTime = 0.0
    """Unix time, seconds"""


class Finding(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="finding"):
    """Something that a person should know, with advice."""

    code: str = ""
    """stable name such as `at-chance`"""
    level: str = "warning"
    """`good`, `info`, `warning` or `bad`"""
    text: str = ""
    """the observation, in one line"""
    advice: str = ""
    """what to try, in one line"""
    step: Count = 0
    """step of the observation"""
    epoch: EpochsDone = 0.0
    """the same in epochs"""
    t: UnixTime = 0.0
    """Unix time, seconds"""


class End(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="end"):
    """The trainer ended in an orderly way."""

    status: str = ""
    """`finished`, `stopped` or `failed`"""
    reason: str = ""
    """the reason, in one line"""
    step: Count = 0
    """steps done"""
    epoch: EpochsDone = 0.0
    """epochs done"""
    t: UnixTime = 0.0
    """Unix time, seconds"""


Event = (
    Started
    | Branch
    | Axes
    | Segment
    | Positives
    | Views
    | Step
    | Epoch
    | Eval
    | Checkpoint
    | Finding
    | End
)

EVENT_TYPES: tuple[type[msgspec.Struct], ...] = get_args(Event)


def field_table() -> str:
    """The fields of the journal as a Markdown table, from the docstrings of the events."""
    lines = ["| kind | field | meaning |", "|---|---|---|"]
    kinds: tuple[type[msgspec.Struct], ...] = (*EVENT_TYPES, Score, Division)
    for kind in kinds:
        tag = kind.__struct_config__.tag or f"({kind.__name__.lower()})"
        parents: list[type[msgspec.Struct]] = [Measured] if issubclass(kind, Measured) else []
        for struct in (kind, *parents):
            lines += [f"| `{tag}` | `{name}` | {text} |" for name, text in _field_docs(struct)]
    return "\n".join(lines)


def _field_docs(kind: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    """Name and docstring of the fields that a class defines itself."""
    import ast
    import inspect

    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    for line, following in itertools.pairwise(body.body):
        if isinstance(line, ast.AnnAssign) and isinstance(following, ast.Expr):
            yield ast.unparse(line.target), ast.literal_eval(following.value)
