"""`tmssl export`: the encoder of a run, the embeddings of its marks, or its journal, for other programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.gallery import opened_gallery
from cli.options import (
    RUNS_DEFAULT,
    CheckpointName,
    DeviceName,
    JsonOutput,
    RunPath,
    RunsFolder,
    Views,
    Whiten,
    accept_run_option,
    check_device,
    find_run,
    refuse_beside_views,
)
from cli.output.console import say, say_data, say_json
from cli.qdrant import check_engine, export_to_qdrant
from cli.signals import end_in_order
from tmssl.errors import ConfigError, InputError
from tmssl.retrieval.qdrant.storage import QUANTIZATIONS, Storage
from tmssl.runs.folder import Run, check_entries
from tmssl.runs.workspace import is_read_only
from tmssl.text import count, safe

_ENCODERS = ("timm", "safetensors", "onnx", "torchscript")
_TARGETS = (*_ENCODERS, "qdrant")
_EMBEDDINGS = ("npy", "parquet")
_JOURNALS = ("csv", "parquet", "tensorboard")


@accept_run_option
def export(
    run: RunPath = None,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="|".join(_TARGETS),
            help="Write the encoder, or upload the vectors of all marks to Qdrant.",
        ),
    ] = "",
    embeddings: Annotated[
        str,
        typer.Option(
            "--embeddings", metavar="|".join(_EMBEDDINGS), help="Write the vectors of all marks."
        ),
    ] = "",
    journal: Annotated[
        str,
        typer.Option(
            "--journal", metavar="|".join(_JOURNALS), help="Write the figures of the journal."
        ),
    ] = "",
    checkpoint: CheckpointName = "best",
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE|DIR",
            help="What to write; a folder for timm and tensorboard.  [default: in RUN/export]",
        ),
    ] = None,
    url: Annotated[
        str,
        typer.Option(
            "--url",
            metavar="URL|DIR",
            help="Qdrant server, or a folder in its place; QDRANT_API_KEY holds the key.",
        ),
    ] = "",
    collection: Annotated[
        str, typer.Option("--collection", metavar="NAME", help="Collection of the Qdrant server.")
    ] = "",
    half: Annotated[
        bool, typer.Option("--half", help="Let a new collection keep half precision.")
    ] = False,
    quantization: Annotated[
        str,
        typer.Option(
            "--quantization",
            metavar="|".join(QUANTIZATIONS),
            help="Let a new collection keep small copies of its vectors in memory.",
        ),
    ] = "",
    shards: Annotated[
        int,
        typer.Option(
            "--shards",
            min=0,
            max=1024,
            metavar="N",
            help="Parts of a new collection; 0 is the server's choice.",
        ),
    ] = 0,
    device: DeviceName = "auto",
    whiten: Whiten = 0,
    views: Views = 1,
    json_output: JsonOutput = False,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Write the encoder of a run, its embeddings or its journal; prints the path."""
    option = _one_of(
        {
            "--to": (to, _TARGETS),
            "--embeddings": (embeddings, _EMBEDDINGS),
            "--journal": (journal, _JOURNALS),
        }
    )
    if whiten and option != "--embeddings" and to != "qdrant":
        raise InputError(f"--whiten is for --embeddings; {option} has no vectors to whiten")
    if views > 1 and option != "--embeddings" and to != "qdrant":
        raise InputError(f"--views is for --embeddings and --to qdrant; {option} writes no vectors")
    refuse_beside_views(views, whiten=whiten)
    storage = Storage(half, quantization, shards)
    check_engine(wanted=to == "qdrant", url=url, collection=collection, storage=storage)
    check_device(device)
    opened = find_run(run, runs_folder)
    if out is None and to != "qdrant":
        check_entries(opened)
        if is_read_only(opened):
            raise InputError(f"{safe(opened.path)} is read-only; give --out, a path elsewhere")
    end_in_order()
    if to == "qdrant":
        facts = export_to_qdrant(
            opened,
            checkpoint,
            device,
            whiten=whiten,
            views=views,
            url=url,
            collection=collection,
            storage=storage,
        )
    elif option == "--to":
        facts = _export_encoder(opened, to, checkpoint, out)
    elif option == "--journal":
        facts = _export_journal(opened, journal, out)
    else:
        facts = _export_embeddings(opened, embeddings, checkpoint, out, device, whiten, views)
    if json_output:
        say_json(facts)
    else:
        say_data(safe(facts["path"]))


def _one_of(options: Mapping[str, tuple[str, Sequence[str]]]) -> str:
    """The one option that is given, whose value must be among its choices."""
    given = [name for name, (value, _) in options.items() if value]
    if len(given) != 1:
        usage = " or ".join(f"{name} {'|'.join(values)}" for name, (_, values) in options.items())
        raise InputError(f"give one of {usage}; got {' and '.join(given) or 'none'}")
    name = given[0]
    value, values = options[name]
    if value not in values:
        raise ConfigError(f"{name} is '{safe(value, 60)}'; give one of {', '.join(values)}")
    return name


def _export_encoder(run: Run, form: str, checkpoint: str, out: Path | None) -> dict[str, object]:
    """Write the encoder, read it back and compare; returns what was written."""
    from tmssl.retrieval.export.encoder import (
        check_export,
        export_encoder,
        export_path,
        preprocessing,
    )
    from tmssl.retrieval.vectors.embed import trained_encoder
    from tmssl.runs.checkpoints import find_checkpoint
    from tmssl.training.checkpoints.store import load_weights

    weights = load_weights(find_checkpoint(run, checkpoint))
    encoder, recipe = trained_encoder(weights).eval(), preprocessing(run, weights)
    target = out or export_path(run.path / "export", weights.path.stem, form)
    say(f"writing {safe(recipe.model)} of epoch {recipe.epoch:.4g} as {form}")
    export_encoder(encoder, recipe, form, target)
    lowest = check_export(encoder, form, target, recipe.image_size)
    if lowest is None:
        say("not read back: onnxruntime is not installed (pip install 'tmssl[onnx]')")
    else:
        say(f"read back: lowest cosine to the encoder's own features {lowest:.6f}")
    return {"path": str(target), "form": form, "lowest_cosine": lowest, "preprocessing": recipe}


def _export_journal(run: Run, form: str, out: Path | None) -> dict[str, object]:
    """Write the figures of the journal, which needs neither torch nor images; returns what was written."""
    from tmssl.runs.export import write_csv, write_parquet, write_tensorboard
    from tmssl.runs.history import read_history
    from tmssl.runs.journal import read_journal

    writers = {"csv": write_csv, "parquet": write_parquet, "tensorboard": write_tensorboard}
    history = read_history(read_journal(run.journal))
    default = "tensorboard" if form == "tensorboard" else f"journal.{form}"
    target = out or run.path / "export" / default
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make {safe(target.parent)}: {error.strerror}; choose another --out"
        ) from error
    written = writers[form](history, target)
    say(count(written, "figure" if form == "tensorboard" else "row") + " written")
    return {"path": str(target), "form": form, "written": written}


def _export_embeddings(
    run: Run, form: str, checkpoint: str, out: Path | None, device: str, whiten: int, views: int
) -> dict[str, object]:
    """Write the vectors of the run's index, built first if needed; returns what was written."""
    from tmssl.retrieval.export.embeddings import export_embeddings

    with opened_gallery(run, checkpoint, device, whiten=whiten, views=views) as opened:
        gallery, phase, progress = opened
        whitened = f"-whitened{whiten}" if whiten else f"-views{views}" if views > 1 else ""
        target = out or run.path / "export" / f"{Path(checkpoint).stem}{whitened}.{form}"
        phase("writing")
        provenance = export_embeddings(gallery, form, target, progress)
    vectors = count(provenance.marks * provenance.views, "vector")
    say(f"{vectors} of {provenance.features} features written")
    return {"path": str(target), "form": form, "provenance": provenance}
