"""An encoder in file formats that other programs read, with the preprocessing of its inputs."""

import copy
import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from tmssl.config import EARLIER, ModelConfig
from tmssl.data.formats import FORMATS
from tmssl.data.pack.cache import pack_size
from tmssl.data.phash import l2_normalize
from tmssl.data.preprocess import INK, MARGIN
from tmssl.data.views.augment import MEAN, STD, plain_view
from tmssl.errors import InputError, TmsslError
from tmssl.files import unicode_path, write_atomic
from tmssl.retrieval.vectors.embed import embed_views
from tmssl.runs.checkpoints import digest
from tmssl.runs.folder import Run
from tmssl.text import safe
from tmssl.training.checkpoints.store import Weights
from tmssl.training.encoder.backbone import feature_count, restored_encoder
from tmssl.training.encoder.grid import GridEncoder
from tmssl.training.encoder.normalization import Normalization
from tmssl.version import __version__

FORMS = ("timm", "safetensors", "onnx", "torchscript")
MIN_COSINE = 0.9999
"""lowest cosine allowed between the features of an encoder and of its export"""

_SUFFIX = {"safetensors": ".safetensors", "onnx": ".onnx", "torchscript": ".pt"}
_KEY = "preprocessing"  # name of the preprocessing inside a file
_CHECK_IMAGES = 4

Encoder = Callable[[Tensor], Tensor]


class Preprocessing(msgspec.Struct, frozen=True, kw_only=True):
    """Which encoder was exported, and how an image becomes its input."""

    model: str
    """timm's name of it"""
    features: int
    """width of the output, which is pooled and not normalised; compare by cosine"""
    run: str
    checkpoint: str
    checkpoint_sha256: str
    epoch: float
    step: int
    version: str
    """of tmssl"""
    image_size: int
    """s: the input is float32 (n, 3, s, s), red, green, blue"""
    pack_size: int
    """side of the square that the cropped image is fitted into first, pixels"""
    ink_threshold: int = INK
    """grey levels from the ground colour (the median of the border) from which a pixel is ink"""
    ink_margin: float = MARGIN
    """left around the box of all ink, of its longer side"""
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    settings: dict[str, object] = {}
    """the run's [model] settings, by which tmssl builds the encoder again"""
    steps: tuple[str, ...] = ()
    """the preprocessing in words, in order"""


def preprocessing(run: Run, weights: Weights) -> Preprocessing:
    """The preprocessing of the encoder of a checkpoint of a run."""
    size, path = weights.config.data.image_size, weights.path
    square = pack_size(size)
    return Preprocessing(
        model=weights.config.model.name,
        features=feature_count(restored_encoder(weights.config.model, weights.encoder)),
        run=run.name,
        checkpoint=path.name,
        checkpoint_sha256=digest(path),
        epoch=weights.epoch,
        step=weights.step,
        version=__version__,
        image_size=size,
        pack_size=square,
        settings=msgspec.to_builtins(weights.config.model),
        steps=(
            f"read the first frame ({', '.join(FORMATS)}), upright by its EXIF orientation",
            "RGB over white; over black where that shows more of the opaque parts",
            f"crop to the box of the ink, pixels more than {INK} of 255 from the median of the border in "
            f"a channel, with {MARGIN:g} of its longer side around it; no crop where the border is not even",
            f"fit undistorted into a square of {square} px, bicubic, filled with the border's median "
            "colour, or white where the border is not even",
            f"resize to {size} px, bilinear with antialiasing, where the square has another size",
            "divide by 255, subtract the mean and divide by the deviation of each channel",
        ),
    )


def export_encoder(encoder: nn.Module, recipe: Preprocessing, form: str, target: Path) -> None:
    """Write an encoder, and the recipe as JSON beside it; each file appears complete or not at all.

    Args:
        encoder: on the CPU, from (n, 3, s, s) to (n, f).
        recipe: its preprocessing.
        form: `timm` (a folder for `timm.create_model("local-dir:TARGET")`), `safetensors` (its state
            dict), `onnx` or `torchscript`.
        target: the file or, for timm, the folder.

    Raises:
        InputError: a package is missing, the disk is full, or timm has no place for a grid.
        TmsslError: torch cannot write the encoder in that form.
    """
    encoder = copy.deepcopy(encoder).cpu().eval()  # the caller's may be on a GPU
    if form == "timm":
        encoder, recipe = _as_timm(encoder, recipe)
    note = msgspec.json.encode(recipe).decode()
    beside = msgspec.json.format(msgspec.json.encode(recipe), indent=1)
    view = torch.zeros(2, 3, recipe.image_size, recipe.image_size)
    folder = target if form == "timm" else target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make {safe(folder)}: {error.strerror}; give another --out"
        ) from error
    if form == "timm":
        write_atomic(target / "config.json", json.dumps(_timm_config(recipe), indent=1).encode())
        write_atomic(target / "model.safetensors", _weights(encoder, note))
        write_atomic(target / "preprocessing.json", beside)
        return
    if form == "safetensors":
        content = _weights(encoder, note)
    elif form == "onnx":
        content = _onnx(encoder, view, note)
    else:
        content = _torchscript(encoder, view, note)
    write_atomic(target, content)
    write_atomic(target.with_name(f"{target.name}.json"), beside)


def _as_timm(encoder: nn.Module, recipe: Preprocessing) -> tuple[nn.Module, Preprocessing]:
    """The timm model of a pooled encoder, with the mean and deviation that it wants itself.

    Raises:
        InputError: the encoder is a grid.
    """
    if isinstance(encoder, GridEncoder):
        raise InputError(
            "timm holds whole models, and this encoder is a grid of a model's stages; give --to "
            "safetensors, onnx or torchscript"
        )
    if not isinstance(encoder, nn.Sequential):
        return encoder, recipe
    normalization, trunk = encoder
    assert isinstance(normalization, Normalization)
    mean, std = (tuple(each.flatten().tolist()) for each in (normalization.mean, normalization.std))
    return trunk, msgspec.structs.replace(recipe, mean=mean, std=std)


def export_path(folder: Path, stem: str, form: str) -> Path:
    """Where a form is written by default: `best.onnx`, or the folder `best-timm`."""
    return folder / (f"{stem}-timm" if form == "timm" else f"{stem}{_SUFFIX[form]}")


def _weights(encoder: nn.Module, note: str) -> bytes:
    """The state dict as a safetensors file."""
    tensors = {name: value.contiguous() for name, value in encoder.state_dict().items()}
    return save(tensors, metadata={"format": "pt", _KEY: note})


def _timm_config(recipe: Preprocessing) -> dict[str, object]:
    """The config.json of timm; its transforms have no ink crop, so that is in the recipe alone."""
    return {
        "architecture": recipe.model,
        "num_classes": 0,
        "num_features": recipe.features,
        "pretrained_cfg": {
            "input_size": [3, recipe.image_size, recipe.image_size],
            "mean": recipe.mean,
            "std": recipe.std,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "num_classes": 0,
        },
    }


def _onnx(encoder: nn.Module, view: Tensor, note: str) -> bytes:
    """An ONNX model of any batch size, with the preprocessing in its metadata."""
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter imports it, and says so less clearly
    except ImportError as error:
        raise InputError(
            f"--to onnx needs {error.name}; install it with pip install 'tmssl[onnx]'"
        ) from error
    try:
        with warnings.catch_warnings():
            # The exporter warns of deprecations in its own code.
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                encoder,
                (view,),
                dynamo=True,
                verbose=False,
                input_names=["view"],
                output_names=["features"],
                dynamic_shapes=({0: torch.export.Dim("n")},),
            )
    except (RuntimeError, TypeError, ValueError) as error:
        raise _cannot_write("ONNX", error) from error
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, {_KEY: note})
    return model.SerializeToString()


def _torchscript(encoder: nn.Module, view: Tensor, note: str) -> bytes:
    """A traced module, with the preprocessing as an extra file in it."""
    file = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # torch recommends torch.export; whoever asks for TorchScript has a reader of it.
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(encoder, view)  # type: ignore[no-untyped-call]  # torch.jit has no types
            torch.jit.save(traced, file, _extra_files={f"{_KEY}.json": note.encode()})
    except (RuntimeError, TypeError, ValueError) as error:
        raise _cannot_write("TorchScript", error) from error
    return file.getvalue()


def _cannot_write(name: str, error: Exception) -> TmsslError:
    """The error of an encoder that torch cannot write in some form."""
    return TmsslError(
        f"torch cannot write this encoder as {name}: {safe(error, 200)}; try --to safetensors"
    )


def load_export(form: str, target: Path) -> Encoder | None:
    """An export as a function from views to features, or None where its reader is not installed.

    Args:
        form: as for `export_encoder`.
        target: the file or folder.
    """
    if form == "timm":
        import timm

        model = timm.create_model(f"local-dir:{target}", pretrained=True).eval()
        recipe = msgspec.json.decode((target / "preprocessing.json").read_bytes())
        return nn.Sequential(Normalization(recipe["mean"], recipe["std"]), model).eval()
    if form == "safetensors":
        recipe = msgspec.json.decode(target.with_name(f"{target.name}.json").read_bytes())
        settings = recipe.get("settings") or {**EARLIER, "name": recipe["model"]}
        return restored_encoder(msgspec.convert(settings, ModelConfig), load_file(target)).eval()
    if form == "torchscript":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated, as above
            return torch.jit.load(str(target))  # type: ignore[no-untyped-call]  # torch.jit has no types
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    return lambda view: torch.from_numpy(session.run(None, {"view": view.numpy()})[0])


def lowest_cosine(encoder: nn.Module, exported: Encoder, view: Tensor) -> float:
    """The lowest cosine over some views between the features of an encoder and of its export.

    Args:
        encoder: on the CPU, for evaluation.
        exported: its export.
        view: float32 (n, 3, s, s).
    """
    with torch.inference_mode():
        exported_vectors = l2_normalize(exported(view).float().numpy())
    return float((embed_views(encoder, view) * exported_vectors).sum(1).min())


def check_export(encoder: nn.Module, form: str, target: Path, image_size: int) -> float | None:
    """Load an export and return its lowest cosine on images of noise, or None without a reader.

    Raises:
        TmsslError: the cosine is below `MIN_COSINE`.
    """
    with unicode_path(target) as name:
        exported = load_export(form, Path(name))
    if exported is None:
        return None
    noise = torch.randint(0, 256, (_CHECK_IMAGES, image_size, image_size, 3), dtype=torch.uint8)
    lowest = lowest_cosine(encoder, exported, plain_view(noise, image_size))
    if not lowest >= MIN_COSINE:
        raise TmsslError(
            f"{safe(target)} reads back with features of cosine {lowest:.5f} to the encoder's, below "
            f"{MIN_COSINE}; do not use it, try another form"
        )
    return lowest
