"""`tmssl demo`: toy trademarks, pack, training, evaluation and matches, with one command."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.follow import follow
from cli.options import RUNS_DEFAULT, RunsFolder
from cli.output.console import say
from cli.output.progress import progress_bar
from tmssl.errors import TrainingError
from tmssl.runs.events import Eval
from tmssl.runs.folder import Run
from tmssl.runs.main_figure import BEFORE, FIGURATIVE_HIT, GROUP_RECALL, TOPK
from tmssl.settings import MOST_EPOCHS
from tmssl.text import number, pasted, safe

if TYPE_CHECKING:
    from tmssl.config import Config

_FOLDER = Path("demo/toy-marks")
_SHOWN = 4  # queries shown with their matches
# What the demo does besides views and steps, measured on two cores: loading torch twice, and evaluating,
# which describes each mark twice by this encoder and by what it is compared with.
_OTHERS_S, _OTHER_VIEWS = 25.0, 6
_GAINED = (
    ("untrained", "random weights"),
    ("perceptual hash", "perceptual hash"),
    ("HOG", "HOG"),
    ("HOG whitened", "HOG, whitened"),
    (BEFORE, "the grid before training"),
)


def demo(
    count: Annotated[
        int, typer.Option("--marks", min=300, max=10_000_000, metavar="N", help="Marks to draw.")
    ] = 3000,
    epochs: Annotated[
        int | None,
        typer.Option(
            "-e",
            "--epochs",
            min=1,
            max=MOST_EPOCHS,
            metavar="N",
            help="Epochs to train.  [default: as many as --minutes allows]",
        ),
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(
            "--minutes",
            min=1,
            max=100_000,
            metavar="N",
            help="Minutes for all of it, from now to the matches.",
        ),
    ] = 4.0,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Draw toy trademarks, train on them, evaluate, and show matches, in about four minutes on two cores."""
    from cli.output.evaluation import print_matches, print_table
    from cli.output.pictures import picture_style
    from cli.packing import with_pack
    from cli.start import start_packed
    from tmssl.config import changed, read_config
    from tmssl.data.pack.reader import open_pack
    from tmssl.recipes import recipe_path

    deadline = time.monotonic() + 60 * minutes
    config = read_config(recipe_path("toy"))
    smaller = min(config.train.batch_size, 1 << (2 * count // 3).bit_length() - 1)
    config = changed(config, {"data.source": str(_FOLDER), "batch_size": smaller})
    _draw(count)
    config = _fitted(with_pack(config), epochs, deadline)
    run = start_packed(config, runs_folder)
    code = follow(run, begun=True)
    if code:
        raise typer.Exit(code)
    event = _evaluate(run)
    print_table(event)
    pack = open_pack(Path(config.data.pack))
    print_matches(run.path / event.matches, pack, _SHOWN, style=picture_style("auto"))
    _summarize(run, event)


def _fitted(config: "Config", epochs: int | None, deadline: float) -> "Config":
    """The settings with as many views and epochs as this machine computes before the deadline.

    Args:
        config: the recipe, with its pack.
        epochs: to train in any case, if they are given.
        deadline: by `time.monotonic()`, for everything.
    """
    from tmssl.config import changed
    from tmssl.data.pack.reader import open_pack
    from tmssl.training.pace import fit_run, measure_pace

    say("measuring this machine")
    pack = open_pack(Path(config.data.pack))
    marks = pack.count - pack.marks.column("split", str, "").count("validation")
    pace = measure_pace(config, pack)
    others_s = _OTHERS_S + pace.view_s * _OTHER_VIEWS * pack.count
    fitted = fit_run(
        pace,
        marks=marks,
        seconds=deadline - time.monotonic() - others_s,
        views=config.data.cached_views,
        epochs=epochs or config.train.epochs,
        steps_per_epoch=marks // config.train.batch_size,
    )
    chosen = {"cached_views": fitted.views, "epochs": epochs or fitted.epochs}
    config = changed(config, dict(chosen))
    say(
        f"recipe: {config.model.name} at {config.data.image_size} px, frozen; {fitted.views} views of each "
        f"mark at {1 / pace.view_s:.0f}/s, then {config.train.epochs} epochs of one linear layer in batches "
        f"of {config.train.batch_size}, {pace.step_s:.2f} s a step (by measurement; docs/experiments.md)"
    )
    return config


def _draw(count: int) -> None:
    """Draw the marks, unless they are there already."""
    from tmssl.toy.make import make_toy

    with progress_bar("drawing toy marks") as progress:
        make_toy(_FOLDER, count=count, size=128, seed=0, progress=progress)
    attribution = (_FOLDER / "ATTRIBUTION.txt").read_text("utf-8").splitlines()[0]
    say(safe(attribution))


def _evaluate(run: Run) -> Eval:
    """Evaluate the last checkpoint."""
    from tmssl.retrieval.evaluation.evaluate import evaluate

    with progress_bar("evaluating") as progress:
        return evaluate(run, checkpoint="last", topk=TOPK, progress=progress)


def _summarize(run: Run, event: Eval) -> None:
    """Print what was gained, by the rows of what it is compared with, and what to run next."""
    from tmssl.runs.history import read_history
    from tmssl.runs.journal import read_journal

    history = read_history(read_journal(run.journal))
    last, segment = history.epochs[-1], history.segments[-1]
    share = (last.ce or 0) / (segment.chance_ce or 1)
    lines = [
        "",
        f"cross-entropy {number(last.ce)} nats, {100 * share:.0f} % of chance "
        f"(ln {segment.batch_size} = {number(segment.chance_ce)})",
        "",
        *gained_lines(event),
        "",
        "next:",
        f"  tmssl watch {pasted(run.path)}       look at the curves and page through the matches",
        f"  tmssl train --epochs {2 * segment.epochs} --resume   train on to epoch {2 * segment.epochs}",
        "  tmssl train --data DIR             train on your own marks",
    ]
    for line in lines:
        say(line)


def gained_lines(event: Eval) -> list[str]:
    """What was gained, as a table: what the encoder is compared with, and last the encoder.

    Raises:
        TrainingError: the evaluation lacks a figure.
    """
    scores = []
    for figure, name in (
        (FIGURATIVE_HIT, "figurative division hit@10"),
        (GROUP_RECALL, "group recall"),
    ):
        score = figure.score(event)
        if score is None:
            raise TrainingError(f"the evaluation has no {name}")
        scores.append(score)
    lines = [
        f"what was gained, of {scores[0].queries} queries:",
        f"{'':24}{'division hit@10':>26}{'same-group recall@10':>26}",
    ]
    rows = [("chance", [_cell(score.chance) for score in scores])]
    for reference, title in _GAINED:
        if any(reference in score.references for score in scores):
            rows.append((title, [_cell(score.references.get(reference)) for score in scores]))
    rows.append(("the grid after training", [_cell(s.value, s.low, s.high) for s in scores]))
    lines += [f"{title:24}" + "".join(f"{cell:>26}" for cell in cells) for title, cells in rows]
    return [f"  {line}" if at else line for at, line in enumerate(lines)]


def _cell(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """`0.684 (0.641 to 0.722)`, or the value alone."""
    interval = f" ({number(low, 3)} to {number(high, 3)})" if low is not None else ""
    return f"{number(value, 3)}{interval}"
