"""The typed events of a journal, defined once; a field that is None was not measured or not finite."""

import msgspec

from tmssl.runs.eval_event import Count, Division, Eval, Score

__all__ = [
    "EVENT_TYPES",
    "SCHEMA_VERSION",
    "Checkpoint",
    "Count",
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
    "field_table",
]

SCHEMA_VERSION = 1


class Started(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="run"):
    """The first line of a journal: what this run is and where it began."""

    schema: int = SCHEMA_VERSION
    """version of this journal format"""
    name: str = ""
    """name of the run"""
    created: str = ""
    """ISO 8601 time of creation, UTC"""
    host: str = ""
    """name of the machine"""
    device: str = ""
    """the device in words, such as `NVIDIA GeForce RTX 4090` or `cpu, 2 cores`"""
    versions: dict[str, str] = {}
    """library name to version"""
    commit: str = ""
    """git commit of the code, when it runs from a checkout"""
    data_fingerprint: str = ""
    """fingerprint of the pack"""
    counts: dict[str, int] = {}
    """marks in all, in the training split, in the validation split, with Vienna codes"""
    notes: dict[str, str] = {}
    """what an imported log says of its experiment, heading to words"""


class Segment(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="segment"):
    """A stretch of a run under one configuration; each start or resume opens one."""

    number: Count = 0
    """0 for the start, then one more for each resume"""
    step: Count = 0
    """first step of the segment"""
    epoch: float = 0.0
    """the same in epochs"""
    reason: str = ""
    """`start`, `resume` or `rollback`"""
    title: str = ""
    """name of the phase, where an imported log gives one"""
    config: dict[str, object] = {}
    """the whole configuration"""
    changed: dict[str, list[object]] = {}
    """setting to [old, new], for those that changed"""
    chance: float | None = None
    """loss of a model that knows nothing: 4 tau ln N"""
    solved: float | None = None
    """loss of a perfect model: 4 tau ln(1 + (N - 1) exp(-1 / tau))"""
    chance_ce: float | None = None
    """cross-entropy of a model that knows nothing: ln N, nats"""
    batch_size: Count = 0
    """N, the keys each query is compared with"""
    chunk_size: Count = 0
    """images that go through the encoder at once"""
    steps_per_epoch: Count = 0
    """optimizer steps in an epoch"""
    epochs: Count = 0
    """epoch at which training ends"""
    lr_before: float | None = None
    """LR at this step under the configuration before"""
    lr_after: float | None = None
    """LR at this step under this configuration"""
    t: float = 0.0
    """Unix time, seconds"""

    def setting(self, section: str, name: str) -> object:
        """A setting, or an empty string where the journal does not record it."""
        settings = self.config.get(section)
        return settings.get(name, "") if isinstance(settings, dict) else ""


class Positives(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="positives"):
    """How alike the marks are that a segment's Vienna codes call positives."""

    segment: Count = 0
    """number of the segment"""
    step: Count = 0
    """its first step"""
    epoch: float = 0.0
    """the same in epochs"""
    level: str = ""
    """level at which partners share a code: `category`, `division` or `section`"""
    pairs: Count = 0
    """pairs that were looked at"""
    with_partner: float | None = None
    """share of marks that have a partner; the others are their own positive"""
    encoder_partners: float | None = None
    """mean cosine of partners under the encoder as it was"""
    encoder_random: float | None = None
    """mean cosine of the same marks paired at random"""
    encoder_auc: float | None = None
    """probability that partners are more alike than a random pair: 0.5 is no more alike"""
    hash_partners: float | None = None
    """mean cosine of partners under a perceptual hash"""
    hash_random: float | None = None
    """mean cosine of random pairs under it"""
    hash_auc: float | None = None
    """the probability under it"""
    noise: float | None = None
    """estimated share of partners no more alike than random pairs: 2 (1 - AUC) of the better one"""
    seconds: float | None = None
    """how long it took"""
    t: float = 0.0
    """Unix time, seconds"""


class Step(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="step"):
    """One logged optimizer step."""

    step: Count = 0
    """steps done, counted over the whole run"""
    epoch: float = 0.0
    """epochs done, a fraction"""
    loss: float | None = None
    """ctr(q1, k2) + ctr(q2, k1), each 2 tau times a cross-entropy"""
    ce: float | None = None
    """mean cross-entropy in nats, whose chance level is ln N"""
    top1: float | None = None
    """share of queries whose own positive is their nearest key, 0 to 1"""
    lr: float | None = None
    """learning rate of this step"""
    momentum: float | None = None
    """momentum of the momentum encoder in this step"""
    grad_norm: float | None = None
    """L2 norm of the gradient"""
    feature_std: float | None = None
    """standard deviation of unit projections times sqrt(dimensions): 1 is spread out, 0 collapsed"""
    positive_cosine: float | None = None
    """mean cosine of query and positive key"""
    negative_cosine: float | None = None
    """mean over queries of the cosine to the nearest wrong key"""
    img_s: float | None = None
    """source images per second since the last logged step"""
    data_s: float | None = None
    """mean seconds a step waited for pixels (of a GPU: stood idle for them); making views is the step"""
    step_s: float | None = None
    """seconds a step took, mean since the last logged step"""
    mem_gib: float | None = None
    """most memory in use, GiB: of the GPU, or of the process on a CPU"""
    gpu_util: float | None = None
    """GPU use, 0 to 1"""
    t: float = 0.0
    """Unix time, seconds"""


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
    lr: float | None = None
    """learning rate of the last step"""
    seconds: float | None = None
    """wall time of the epoch"""
    rank_me: float | None = None
    """RankMe, the effective rank of the features (Garrido et al. 2023)"""
    alignment: float | None = None
    """mean squared distance of positives on the sphere (Wang and Isola 2020)"""
    uniformity: float | None = None
    """log of the mean Gaussian potential between marks (Wang and Isola 2020)"""
    t: float = 0.0
    """Unix time, seconds"""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="checkpoint"):
    """A checkpoint that is safely on disk."""

    path: str = ""
    """path inside the run folder"""
    sha256: str = ""
    """digest of the file"""
    epoch: float = 0.0
    """epochs done"""
    step: Count = 0
    """steps done"""
    reason: str = ""
    """`epoch`, `time`, `stop`, `signal` or `end`"""
    best: bool = False
    """whether it is the best so far"""
    seconds: float | None = None
    """how long training stood still for it"""
    t: float = 0.0
    """Unix time, seconds"""


class Finding(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="finding"):
    """Something a person should know, with what to do about it."""

    code: str = ""
    """stable name such as `at-chance`"""
    level: str = "warning"
    """`good`, `info`, `warning` or `bad`"""
    text: str = ""
    """what was seen, in one line"""
    advice: str = ""
    """what to try, in one line"""
    step: Count = 0
    """where in the run"""
    epoch: float = 0.0
    """the same in epochs"""
    t: float = 0.0
    """Unix time, seconds"""


class End(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="end"):
    """The trainer left in an orderly way."""

    status: str = ""
    """`finished`, `stopped` or `failed`"""
    reason: str = ""
    """why, in one line"""
    step: Count = 0
    """steps done"""
    epoch: float = 0.0
    """epochs done"""
    t: float = 0.0
    """Unix time, seconds"""


Event = Started | Segment | Positives | Step | Epoch | Eval | Checkpoint | Finding | End

EVENT_TYPES: tuple[type[msgspec.Struct], ...] = (
    Started,
    Segment,
    Positives,
    Step,
    Epoch,
    Eval,
    Checkpoint,
    Finding,
    End,
)


def field_table() -> str:
    """The journal's fields as a Markdown table, read from the docstrings of the events."""
    import ast
    import inspect

    lines = ["| kind | field | meaning |", "|---|---|---|"]
    kinds: tuple[type[msgspec.Struct], ...] = (*EVENT_TYPES, Score, Division)
    for kind in kinds:
        tag = kind.__struct_config__.tag or f"({kind.__name__.lower()})"
        body = ast.parse(inspect.getsource(kind)).body[0]
        assert isinstance(body, ast.ClassDef)
        for line, following in zip(body.body, body.body[1:], strict=False):
            if isinstance(line, ast.AnnAssign) and isinstance(following, ast.Expr):
                name = ast.unparse(line.target)
                meaning = ast.literal_eval(following.value)
                lines.append(f"| `{tag}` | `{name}` | {meaning} |")
    return "\n".join(lines)
