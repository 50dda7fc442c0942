"""`tmssl export`: a run's encoder, the embeddings of its marks, or its journal, for other programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.commands.eval import check_device, phases
from cli.follow import say
from cli.options import (
    RUNS_DEFAULT,
    CheckpointName,
    JsonOutput,
    RunPath,
    RunsFolder,
    Whiten,
    chosen_run,
)
from cli.output.evaluation import say_data
from cli.signals import end_in_order
from tmssl.errors import ConfigError, InputError
from tmssl.runs.folder import Run, open_run
from tmssl.text import count, safe

_ENCODERS = ("timm", "safetensors", "onnx", "torchscript")
_EMBEDDINGS = ("npy", "parquet")
_JOURNALS = ("csv", "parquet", "tensorboard")


def export(
    run: RunPath = None,
    to: Annotated[
        str, typer.Option("--to", metavar="|".join(_ENCODERS), help="Write the encoder.")
    ] = "",
    embeddings: Annotated[
        str,
        typer.Option(
            "--embeddings", metavar="|".join(_EMBEDDINGS), help="Write the vectors of every mark."
        ),
    ] = "",
    journal: Annotated[
        str,
        typer.Option("--journal", metavar="|".join(_JOURNALS), help="Write the journal's figures."),
    ] = "",
    checkpoint: CheckpointName = "best",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="File, or folder for timm and tensorboard.  [default: in RUN/export]"
        ),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="auto|cpu|cuda", help="Where marks are embedded.")
    ] = "auto",
    whiten: Whiten = 0,
    json_output: JsonOutput = False,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Write a run's encoder with its preprocessing, its embeddings or its journal; prints the path."""
    wanted = {
        "--to": (to, _ENCODERS),
        "--embeddings": (embeddings, _EMBEDDINGS),
        "--journal": (journal, _JOURNALS),
    }
    kind = _asked(wanted)
    if whiten and kind != "--embeddings":
        raise InputError(f"--whiten is for --embeddings; {kind} has no vectors to whiten")
    check_device(device)
    opened = open_run(chosen_run(run, runs_folder))
    end_in_order()
    if kind == "--to":
        _export_encoder(opened, to, checkpoint, out, json_output)
    elif kind == "--journal":
        _export_journal(opened, journal, out, json_output)
    else:
        _export_embeddings(opened, embeddings, checkpoint, out, device, whiten, json_output)


def _asked(wanted: Mapping[str, tuple[str, Sequence[str]]]) -> str:
    """The one option that says what to export, with a value that it can have."""
    given = [name for name, (value, _) in wanted.items() if value]
    if len(given) != 1:
        ways = " or ".join(f"{name} {'|'.join(values)}" for name, (_, values) in wanted.items())
        raise InputError(f"give one of {ways}; got {' and '.join(given) or 'none'}")
    name = given[0]
    value, values = wanted[name]
    if value not in values:
        raise ConfigError(f"{name} is '{safe(value, 60)}'; give one of {', '.join(values)}")
    return name


def _export_encoder(
    run: Run, form: str, checkpoint: str, out: Path | None, json_output: bool
) -> None:
    """Write the encoder, read it back and compare."""
    import msgspec

    from tmssl.retrieval.export.encoder import checked, export_encoder, export_path, preprocessing
    from tmssl.retrieval.vectors.embed import trained_encoder
    from tmssl.runs.checkpoints import find_checkpoint
    from tmssl.training.checkpoints.store import load_weights

    weights = load_weights(find_checkpoint(run, checkpoint))
    encoder, told = trained_encoder(weights).eval(), preprocessing(run, weights)
    target = out or export_path(run.path / "export", weights.path.stem, form)
    say(f"writing {safe(told.model)} of epoch {told.epoch:.4g} as {form}")
    export_encoder(encoder, told, form, target)
    lowest = checked(encoder, form, target, told.image_size)
    if lowest is None:
        say("not read back: onnxruntime is not installed (pip install 'tmssl[onnx]')")
    else:
        say(f"read back: lowest cosine to the encoder's own features {lowest:.6f}")
    facts = {"path": str(target), "form": form, "lowest_cosine": lowest, "preprocessing": told}
    say_data(msgspec.json.encode(facts).decode() if json_output else safe(target))


def _export_journal(run: Run, form: str, out: Path | None, json_output: bool) -> None:
    """Write the figures of the journal; needs neither torch nor the images."""
    import msgspec

    from tmssl.runs.export import write_csv, write_parquet, write_tensorboard
    from tmssl.runs.history import read_history
    from tmssl.runs.journal import read_journal

    writers = {"csv": write_csv, "parquet": write_parquet, "tensorboard": write_tensorboard}
    history = read_history(read_journal(run.journal))
    target = out or run.path / "export" / (
        "tensorboard" if form == "tensorboard" else f"journal.{form}"
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make {safe(target.parent)}: {error.strerror}; choose another --out"
        ) from error
    written = writers[form](history, target)
    say(count(written, "figure" if form == "tensorboard" else "row") + " written")
    facts = {"path": str(target), "form": form, "written": written}
    say_data(msgspec.json.encode(facts).decode() if json_output else safe(target))


def _export_embeddings(
    run: Run,
    form: str,
    checkpoint: str,
    out: Path | None,
    device: str,
    whiten: int,
    json_output: bool,
) -> None:
    """Write the vectors of the run's index, which is built first where there is none."""
    import msgspec

    from tmssl.retrieval.export.embeddings import export_embeddings
    from tmssl.retrieval.search.gallery import open_gallery

    with phases() as (phase, progress):
        gallery = open_gallery(
            run, checkpoint=checkpoint, whiten=whiten, device=device, phase=phase, progress=progress
        )
        whitened = f"-whitened{whiten}" if whiten else ""
        target = out or run.path / "export" / f"{Path(checkpoint).stem}{whitened}.{form}"
        phase("writing")
        provenance = export_embeddings(gallery, form, target, progress)
    say(f"{count(provenance.marks, 'vector')} of {provenance.features} features written")
    facts = {"path": str(target), "form": form, "provenance": provenance}
    say_data(msgspec.json.encode(facts).decode() if json_output else safe(target))
