"""`tmssl export` on a run that was trained once: what other programs read is what the encoder says."""

import builtins
import csv
import json
import warnings
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from pyarrow import parquet
from safetensors import safe_open
from torch import Tensor, nn

from tests.helpers.in_process import tmssl_in_process
from tests.helpers.tiny_run import tiny_run
from tmssl.config import read_config
from tmssl.data.pack.reader import open_pack
from tmssl.data.picture import picture_square
from tmssl.data.views.augment import MEAN, STD, plain_view
from tmssl.errors import InputError, TmsslError
from tmssl.retrieval.export.encoder import (
    Preprocessing,
    check_export,
    export_encoder,
    load_export,
    lowest_cosine,
    preprocessing,
)
from tmssl.retrieval.vectors.embed import embed_views, trained_encoder
from tmssl.runs.folder import Run
from tmssl.training.checkpoints.store import load_weights


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return tiny_run(tmp_path_factory.mktemp("x"))


@pytest.fixture(scope="module")
def encoder(run: Run) -> nn.Module:
    return trained_encoder(load_weights(run.checkpoints / "best.pt")).eval()


@pytest.fixture(scope="module")
def view(run: Run) -> Tensor:
    """The run's first marks as its encoder gets them."""
    pack = open_pack(Path(read_config(run.config).data.pack))
    return plain_view(torch.from_numpy(pack.read(range(5))), 32)


def exported(run: Run, *words: str) -> tuple[str, str]:
    """Stdout and stderr of `tmssl export RUN WORDS`."""
    return tmssl_in_process("export", str(run.path), *words)


FORMS = ["timm", "safetensors", "torchscript", pytest.param("onnx", marks=pytest.mark.slow)]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_read_back_says_what_the_encoder_says(
    run: Run, encoder: nn.Module, view: Tensor, form: str
) -> None:
    told = json.loads(exported(run, "--to", form, "--json")[0])
    assert told["lowest_cosine"] >= 0.9999
    target = Path(told["path"])
    assert target.parent == run.path / "export"
    read = load_export(form, target)
    assert read is not None
    assert lowest_cosine(encoder, read, view) >= 0.9999
    assert lowest_cosine(encoder, read, view[:1]) >= 0.9999  # any batch size
    assert not list(target.parent.rglob(".*"))


@pytest.mark.parametrize("form", FORMS)
def test_the_preprocessing_goes_with_every_form(run: Run, form: str) -> None:
    target = Path(exported(run, "--to", form)[0].strip())
    beside = target / "preprocessing.json" if form == "timm" else Path(f"{target}.json")
    told = msgspec.json.decode(beside.read_bytes(), type=Preprocessing)
    assert (told.model, told.image_size, told.pack_size) == ("test_efficientnet", 32, 48)
    assert (told.mean, told.std, told.checkpoint) == (MEAN, STD, "best.pt")
    inside = msgspec.json.decode(_inside(form, target), type=Preprocessing)
    assert inside == told


def _inside(form: str, target: Path) -> str | bytes:
    """The preprocessing in the metadata of an exported file, read as its own library reads it."""
    if form == "onnx":
        import onnx

        return {one.key: one.value for one in onnx.load(target).metadata_props}["preprocessing"]
    if form == "torchscript":
        found: dict[str, str | bytes] = {"preprocessing.json": ""}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # newer torch announces torch.jit's end
            torch.jit.load(str(target), _extra_files=found)  # type: ignore[no-untyped-call]  # torch.jit has no types
        return found["preprocessing.json"]
    with safe_open(target / "model.safetensors" if form == "timm" else target, "pt") as file:
        return file.metadata()["preprocessing"]


def test_who_follows_the_recorded_steps_gets_the_input_of_the_encoder(run: Run) -> None:
    told = preprocessing(run, load_weights(run.checkpoints / "best.pt"))
    pack = open_pack(Path(read_config(run.config).data.pack))
    square = picture_square(Path(pack.source_root) / pack.marks[3].path, told.pack_size)
    assert np.array_equal(square, pack.read([3])[0])
    small = torch.nn.functional.interpolate(
        torch.from_numpy(square.copy()).permute(2, 0, 1)[None].float(),
        (32, 32),
        mode="bilinear",
        antialias=True,
    )
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (told.mean, told.std))
    expected = plain_view(torch.from_numpy(pack.read([3])), told.image_size)
    assert torch.allclose((small / 255 - mean) / std, expected, atol=1e-5)


def test_an_export_that_reads_back_wrong_is_refused(
    run: Run, encoder: nn.Module, tmp_path: Path
) -> None:
    told = preprocessing(run, load_weights(run.checkpoints / "best.pt"))
    export_encoder(encoder, told, "safetensors", tmp_path / "e")
    other = trained_encoder(load_weights(run.checkpoints / "best.pt")).eval()
    with torch.no_grad():
        for weight in other.parameters():
            weight.add_(torch.randn_like(weight))
    with pytest.raises(TmsslError, match="do not use it"):
        check_export(other, "safetensors", tmp_path / "e", 32)


@pytest.mark.parametrize("form", ["npy", "parquet"])
def test_embeddings_are_the_encoders_in_the_order_of_the_marks(
    run: Run, encoder: nn.Module, view: Tensor, form: str, tmp_path: Path
) -> None:
    target = tmp_path / "new" / f"v.{form}"
    told = json.loads(exported(run, "--embeddings", form, "--out", str(target), "--json")[0])
    assert told["provenance"]["marks"] == 40
    vectors, names, note = _read_embeddings(form, target)
    assert vectors.shape == (40, told["provenance"]["features"])
    assert vectors.dtype == np.float32
    assert (vectors[:5] * embed_views(encoder, view)).sum(1).min() > 0.9999
    assert names[:2] == [("m0", "images/0000.png", "mark 0"), ("m1", "images/0001.png", "mark 1")]
    assert note == told["provenance"]
    assert not [path for path in target.parent.iterdir() if path.name.startswith(".")]


def _read_embeddings(form: str, target: Path) -> tuple[Any, list[tuple[str, str, str]], object]:
    """Vectors, (id, path, title) and provenance, read without any code of ours."""
    if form == "npy":
        with Path(f"{target}.csv").open(newline="") as file:
            names = [(row["id"], row["path"], row["title"]) for row in csv.DictReader(file)]
        return np.load(target), names, json.loads(Path(f"{target}.json").read_text())
    table = parquet.read_table(target)
    names = list(zip(*(table[name].to_pylist() for name in ("id", "path", "title")), strict=True))
    vectors = np.stack(table["embedding"].to_numpy())
    return vectors, names, json.loads(table.schema.metadata[b"tmssl"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            [],
            "give one of --to timm|safetensors|onnx|torchscript or --embeddings npy|parquet.*; got none",
        ),
        (["--to", "timm", "--embeddings", "npy"], "got --to and --embeddings"),
        (["--to", "tiff\x1b"], "--to is 'tiff\u241b'; give one of timm, "),
        (["--embeddings", "xls"], "--embeddings is 'xls'; give one of npy, parquet"),
        (["--to", "timm", "--checkpoint", "epoch-0099"], "no checkpoint 'epoch-0099'"),
        (["--to", "safetensors", "--out", "/proc/x/y"], "cannot make /proc/x"),
        (["--embeddings", "npy", "--out", "/proc/x/y"], "cannot write /proc/x/y"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, words: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        exported(run, *words)


def test_a_missing_package_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = builtins.__import__

    def lacking(name: str, *rest: Any, **named: Any) -> Any:
        if name.split(".")[0] in ("onnxscript", "pyarrow"):
            raise ImportError(name=name.split(".")[0])
        return found(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(
        InputError, match=r"needs onnxscript; install it with pip install 'tmssl\[onnx\]'"
    ):
        exported(run, "--to", "onnx", "--out", str(tmp_path / "e"))
    with pytest.raises(InputError, match=r"needs pyarrow; .* 'tmssl\[parquet\]'"):
        exported(run, "--embeddings", "parquet", "--out", str(tmp_path / "v"))
    assert list(tmp_path.iterdir()) == []
