"""An encoder in the forms that other programs read, with what must be done to an image before it."""

import copy
import json
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import msgspec
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from tmssl.data.pack.cache import pack_size
from tmssl.data.phash import l2_normalize
from tmssl.data.preprocess import FORMATS, INK, MARGIN
from tmssl.data.views.augment import MEAN, STD, plain_view
from tmssl.errors import InputError, TmsslError
from tmssl.files import write_atomic
from tmssl.retrieval.vectors.embed import embed_views
from tmssl.runs.checkpoints import digest
from tmssl.runs.folder import Run
from tmssl.text import safe
from tmssl.training.backbone import create_encoder, feature_count
from tmssl.training.checkpoints.store import Weights

FORMS = ("timm", "safetensors", "onnx", "torchscript")
LEAST = 0.9999
"""cosine between the features of an encoder and of what was exported, at least"""

_SUFFIX = {"safetensors": ".safetensors", "onnx": ".onnx", "torchscript": ".pt"}
_KEY = "preprocessing"  # name of the preprocessing inside a file
_CHECKED = 4  # images

Encoder = Callable[[Tensor], Tensor]


class Preprocessing(msgspec.Struct, frozen=True, kw_only=True):
    """How an image becomes the input of an encoder, and which encoder that is."""

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
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD
    steps: tuple[str, ...] = ()
    """the same in words, in their order"""


def preprocessing(run: Run, weights: Weights) -> Preprocessing:
    """What must be known to feed the encoder of a checkpoint of a run."""
    size, path = weights.config.data.image_size, weights.path
    square = pack_size(size)
    return Preprocessing(
        model=weights.config.model.name,
        features=feature_count(create_encoder(weights.config.model.name)),
        run=run.name,
        checkpoint=path.name,
        checkpoint_sha256=digest(path),
        epoch=weights.epoch,
        step=weights.step,
        version=version("tmssl"),
        image_size=size,
        pack_size=square,
        steps=(
            f"read the first frame ({', '.join(FORMATS)}), upright by its EXIF orientation",
            "RGB over white; over black where the drawing would vanish on white",
            f"crop to the box of the ink, pixels more than {INK} of 255 from the median of the border in "
            f"a channel, with {MARGIN:g} of its longer side around it; no crop where the border is not even",
            f"fit undistorted into a square of {square} px, bicubic, filled with the border's median "
            "colour, or white where the border is not even",
            f"resize to {size} px, bilinear with antialiasing, where the square has another size",
            "divide by 255, subtract the mean and divide by the deviation of each channel",
        ),
    )


def export_encoder(encoder: nn.Module, told: Preprocessing, form: str, target: Path) -> None:
    """Write an encoder; each file appears complete or not at all, a JSON of `told` beside it.

    Args:
        encoder: on the CPU, from (n, 3, s, s) to (n, f).
        told: what is recorded with it.
        form: `timm` (a folder for `timm.create_model("local-dir:TARGET")`), `safetensors` (its state
            dict), `onnx` or `torchscript`.
        target: the file or, for timm, the folder.

    Raises:
        InputError: a package is missing, or the disk is full.
        TmsslError: the encoder has no such form.
    """
    encoder = copy.deepcopy(encoder).cpu().eval()  # the caller's may be on a GPU
    note = msgspec.json.encode(told).decode()
    beside = msgspec.json.format(msgspec.json.encode(told), indent=1)
    view = torch.zeros(2, 3, told.image_size, told.image_size)
    _make_room(target if form == "timm" else target.parent)
    if form == "timm":
        write_atomic(target / "config.json", json.dumps(_timm_config(told), indent=1).encode())
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


def export_path(folder: Path, stem: str, form: str) -> Path:
    """Where a form goes when nobody says: `best.onnx`, or the folder `best-timm`."""
    return folder / (f"{stem}-timm" if form == "timm" else f"{stem}{_SUFFIX[form]}")


def _make_room(folder: Path) -> None:
    """Make a folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make {safe(folder)}: {error.strerror}; give another --out"
        ) from error


def _weights(encoder: nn.Module, note: str) -> bytes:
    """The state dict as a safetensors file."""
    held = {name: value.contiguous() for name, value in encoder.state_dict().items()}
    return save(held, metadata={"format": "pt", _KEY: note})


def _timm_config(told: Preprocessing) -> dict[str, object]:
    """What timm reads beside the weights; its transforms know no ink crop, so that stays in the JSON."""
    return {
        "architecture": told.model,
        "num_classes": 0,
        "num_features": told.features,
        "pretrained_cfg": {
            "input_size": [3, told.image_size, told.image_size],
            "mean": told.mean,
            "std": told.std,
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
            # The exporter warns of its own parts, which nobody here can change.
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
        raise _no_form("ONNX", error) from error
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, {_KEY: note})
    return model.SerializeToString()


def _torchscript(encoder: nn.Module, view: Tensor, note: str) -> bytes:
    """A traced module, with the preprocessing as an extra file in it."""
    import io

    written = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # torch would rather have torch.export; who asks for TorchScript has a reader of it.
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(encoder, view)  # type: ignore[no-untyped-call]  # torch.jit has no types
            torch.jit.save(traced, written, _extra_files={f"{_KEY}.json": note.encode()})
    except (RuntimeError, TypeError, ValueError) as error:
        raise _no_form("TorchScript", error) from error
    return written.getvalue()


def _no_form(name: str, error: Exception) -> TmsslError:
    """What to say of an encoder that torch cannot write down."""
    return TmsslError(
        f"torch cannot write this encoder as {name}: {safe(error, 200)}; try --to timm"
    )


def open_exported(form: str, target: Path) -> Encoder | None:
    """What was exported as a function from a view to features, or None where its reader is not installed.

    Args:
        form: as for `export_encoder`.
        target: the file or folder.
    """
    if form == "timm":
        import timm

        return timm.create_model(f"local-dir:{target}", pretrained=True).eval()
    if form == "safetensors":
        held = msgspec.json.decode(target.with_name(f"{target.name}.json").read_bytes())
        encoder = create_encoder(held["model"])
        encoder.load_state_dict(load_file(target))
        return encoder.eval()
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
    """The lowest cosine over some images between what an encoder says and what was exported says.

    Args:
        encoder: on the CPU, for evaluation.
        exported: what was exported of it.
        view: float32 (n, 3, s, s).
    """
    with torch.inference_mode():
        theirs = l2_normalize(exported(view).float().numpy())
    return float((embed_views(encoder, view) * theirs).sum(1).min())


def checked(encoder: nn.Module, form: str, target: Path, image_size: int) -> float | None:
    """Reload what was exported and return its lowest cosine on images of noise, or None without a reader.

    Raises:
        TmsslError: it is below `LEAST`.
    """
    exported = open_exported(form, target)
    if exported is None:
        return None
    noise = torch.randint(0, 256, (_CHECKED, image_size, image_size, 3), dtype=torch.uint8)
    lowest = lowest_cosine(encoder, exported, plain_view(noise, image_size))
    if not lowest >= LEAST:
        raise TmsslError(
            f"{safe(target)} reads back with features of cosine {lowest:.5f} to the encoder's, below "
            f"{LEAST}; do not use it, try another form"
        )
    return lowest
