"""The settings of a run as frozen structs, with their defaults, ranges and meanings."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

ViewSet = Literal["logo", "colour", "turned", "published", "mild"]
OptimizerName = Literal["sgd", "lars", "adamw"]
ScheduleName = Literal["cosine", "constant", "wsd", "range-test"]
DecayShape = Literal["linear", "cosine", "1-sqrt"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Features = Literal["auto", "pooled", "grid"]
Trained = Literal["auto", "head", "all"]
Heads = Literal["auto", "mlp", "none"]
Normalization = Literal["model", "imagenet"]
BestBy = Literal[
    "auto", "loss", "figurative-map", "group-map", "figurative-hit", "group-recall", "invariance"
]
Level = Literal["category", "division", "section"]

RANDOM = ("", "none")
"""values of `model.init` that mean random weights"""
MOST_EPOCHS = 100_000
MOST_STEPS = 1 << 53
"""beyond it, numbers of steps are no longer exact in a double"""
ChunkSize = Literal["auto"] | Annotated[int, Meta(ge=0, le=1 << 20)]
Width = Annotated[int, Meta(ge=1, le=1 << 16)]
Rate = Annotated[float, Meta(ge=1e-12, le=1e6)]
RateOrNone = Annotated[float, Meta(ge=0, le=1e6)]
Epochs = Annotated[float, Meta(ge=0, le=MOST_EPOCHS)]
WholeEpochs = Annotated[int, Meta(ge=0, le=MOST_EPOCHS)]
Steps = Annotated[int, Meta(ge=0, le=MOST_STEPS)]
Share = Annotated[float, Meta(ge=0, le=1)]


class DataConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Images, views and positives."""

    source: str = ""
    """Folder, archive, shards or table of images; several, given one by one, are read as one."""
    pack: str = ""
    """Folder of the pack made from the source."""
    images_under: str = ""
    """A further folder that links and tables of the source may point into."""
    columns: str = ""
    """Names of a table's columns where they differ, such as `path=filename,vienna=code_list`."""
    folders: str = ""
    """What folders of images say: `group` (a folder for each class), `split` (train, val), or both."""
    image_size: Annotated[int, Meta(ge=32, le=1024)] = 96
    """Side of a view in pixels."""
    views: ViewSet = "logo"
    """Augmentations: `logo`, `colour` (`logo` without stylings, for short runs), `turned` (`logo`, mirrored
    and turned by quarters), `published` (MoCo v3) or `mild`."""
    positives: str = "instance"
    """Two views of one image (`instance`), or of two that share a Vienna code (`vienna`), their `group` or
    their text (`title`); or a mixture by shares, such as `instance=0.6,group=0.3,vienna=0.1`."""
    vienna_share: Share = 0.5
    """Share of Vienna positives in `mixed`, the mixture of them and `instance`."""
    vienna_level: Level = "division"
    """Level at which two images share a code."""
    cached_views: Annotated[int, Meta(ge=2, le=64)] = 4
    """Views of each mark whose features are computed once, where the head alone is trained."""


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The encoder and its heads."""

    name: str = "tf_efficientnet_lite0"
    """Any timm model."""
    hidden: Width = 4096
    """Width of the hidden layers of projector and predictor."""
    dimensions: Width = 256
    """Dimensions in which views are compared."""
    init: str = "auto"
    """Initial weights: `imagenet`, `none` for random ones, a file of timm or tmssl weights, or a run.
    `auto` is `imagenet` for the default model, whose weights pip brings, else `none`."""
    normalization: Normalization = "model"
    """Mean and deviation of pixels: those of the model's own training, or ImageNet's."""
    features: Features = "auto"
    """What the model gives: `pooled` over the image, or stages of it on a `grid`, which keeps the layout
    of a mark. `auto` is `grid`, but `pooled` for random weights, whose stages tell nothing yet."""
    stages: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=255)], ...], Meta(min_length=1, max_length=16)
    ] = (3, 4)
    """Stages of the model that the grid takes, as timm numbers them: blocks of an EfficientNet from 0."""
    grid: Annotated[int, Meta(ge=1, le=32)] = 4
    """Cells along a side of the grid."""
    whiten: Annotated[int, Meta(ge=0, le=1 << 16)] = 512
    """Features of each stage that PCA-whitening keeps, fewer where there are too few marks; 0 keeps all,
    and whitens none."""
    train: Trained = "auto"
    """What learns: the linear `head` over the grid, with the model frozen, or `all`. `auto` is `head` for a
    grid, else `all`."""
    teacher: str = ""
    """A frozen network whose features are learned too: `timm:NAME`, a run or a checkpoint; empty for none."""
    heads: Heads = "auto"
    """Projector and predictor: of two layers each (`mlp`), or `none`, which departs from MoCo v3: features
    are compared after BN alone. `auto` is `none` where the head alone is trained, else `mlp`."""


class OptimConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Optimizer, learning-rate schedule, loss and momentum encoder."""

    optimizer: OptimizerName = "adamw"
    """Optimizer; `sgd` is with Nesterov momentum."""
    lr: Rate = 5e-4
    """Highest learning rate; it is not scaled by the batch size."""
    min_lr: RateOrNone = 1e-6
    """Learning rate at the end of the cosine or of the decay."""
    schedule: ScheduleName = "cosine"
    """Learning-rate schedule: a `cosine` to the end, a `constant`, or `wsd`: warm-up, a stable rate, and
    a decay over the last epochs, which alone moves with the end. `range-test` is that of --find-lr: a rise
    from `min_lr` to `lr` by equal factors over 100 steps."""
    decay_epochs: Epochs = 0.0
    """Epochs that the decay of `wsd` takes; 0 is a fifth of all."""
    decay_shape: DecayShape = "1-sqrt"
    """How the rate falls in the decay of `wsd`: `linear`, along a `cosine`, or by one minus the root."""
    warmup_epochs: Epochs = 1.0
    """Epochs of linear warm-up at the start of the run."""
    anchor: Epochs = 0.0
    """Epoch at which the cosine begins; under `wsd`, at which the stable rate was taken up again."""
    rewarm_steps: Steps = 0
    """Steps over which a resume spreads a jump of the learning rate; 0 jumps at once."""
    rewarm_step: Steps = 0
    """Step at which that spread begins; set by a resume."""
    rewarm_lr: RateOrNone = 0.0
    """Learning rate from which it begins; set by a resume."""
    weight_decay: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    """Weight decay; BN and biases have none."""
    temperature: Annotated[float, Meta(ge=1e-3, le=1e3)] = 0.1
    """Temperature of the softmax."""
    momentum: Share = 0.95
    """Initial momentum of the momentum encoder; it rises to 1 along a cosine, under `wsd` in the decay."""
    teacher_share: Share = 0.5
    """Share of the teacher in the loss, where there is one; the rest is the contrast of views."""
    trunk_lr_scale: Rate = 0.1
    """Learning rate of the model under a grid, in shares of `lr`, where all is trained."""


class TrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Length, batches, hardware, checkpoints and evaluations."""

    epochs: Annotated[int, Meta(ge=1, le=MOST_EPOCHS)] = 30
    """Epoch at which training ends."""
    batch_size: Annotated[int, Meta(ge=2, le=1 << 20)] = 512
    """Images per batch, and so the keys that each query is compared with."""
    chunk_size: ChunkSize = 0
    """Images that pass through the encoder at once: a number, 0 for the whole batch, or `auto` for
    as many as the memory holds."""
    seed: Annotated[int, Meta(ge=0, le=(1 << 32) - 1)] = 0
    """Seed of order, views and initial weights."""
    gpus: Annotated[int, Meta(ge=1, le=1024)] = 1
    """GPUs of this machine to train on, one process each; they share the batch. Processes on a CPU."""
    device: Device = "auto"
    """Device for training; `auto` takes CUDA if there is a GPU."""
    precision: Precision = "auto"
    """Number format for training; `auto` is bfloat16 on a GPU that has it, float16 on other GPUs, float32
    on a CPU. With bfloat16 on CUDA the views are made in bfloat16 too."""
    deterministic: bool = False
    """Give bitwise the same losses on every run; a little slower."""
    compile: bool = False
    """Compile the encoders with torch.compile."""
    log_every: Annotated[int, Meta(ge=1, le=MOST_STEPS)] = 10
    """Steps between step events."""
    checkpoint_minutes: Annotated[float, Meta(ge=1e-9, le=1e6)] = 10.0
    """Minutes between checkpoints within an epoch."""
    eval_every: WholeEpochs = 0
    """Epochs between evaluations during training, with one at the end; 0 makes none."""
    best_by: BestBy = "auto"
    """Figure of these evaluations that chooses `best`; `auto` is figurative division mAP or group mAP if
    the labels allow it, else the loss."""
    stop_when: str = ""
    """Figure of these evaluations and a number, such as `group-recall:3`: training ends early when it has not
    improved for so many, and it chooses `best` unless `best_by` does. `none` trains to the end."""
    keep_every: WholeEpochs = 10
    """Epochs between checkpoints that are kept for good; 0 keeps none."""
    price_per_hour: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    """Price of the machine per hour, for the cost of a run so far and to its end; 0 is unknown."""
    notify: str = ""
    """Address that is told of the end, of failure and of bad findings, such as `ntfy://TOPIC`: any that
    apprise takes (extra `notify`). It is kept in the run's config.toml alone; TMSSL_NOTIFY names it for
    every run."""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides a run."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "data": DataConfig,
    "model": ModelConfig,
    "optim": OptimConfig,
    "train": TrainConfig,
}
