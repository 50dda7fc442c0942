"""`tmssl demo`: toy trademarks, pack, training, evaluation and matches, with one command."""

from pathlib import Path
from typing import Annotated

import typer

from cli.follow import follow
from cli.options import RUNS_DEFAULT, RunsFolder
from cli.output.console import say
from cli.output.progress import progress_bar
from tmssl.errors import TrainingError
from tmssl.runs.events import Eval
from tmssl.runs.folder import Run
from tmssl.runs.main_figure import FIGURATIVE_HIT, GROUP_RECALL, TOPK
from tmssl.text import number, pasted, safe

_FOLDER = Path("demo/toy-marks")
_SHOWN = 4  # queries shown with their matches


def demo(
    count: Annotated[
        int, typer.Option("--marks", min=300, metavar="N", help="Marks to draw.")
    ] = 3000,
    epochs: Annotated[
        int | None,
        typer.Option(
            "-e", "--epochs", min=1, metavar="N", help="Epochs to train.  [default: recipe]"
        ),
    ] = None,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Draw toy trademarks, train on them, evaluate, and show matches: about four minutes on two cores."""
    from cli.output.evaluation import print_matches, print_table
    from cli.start import run_settings, start_run
    from tmssl.config import changed, read_config
    from tmssl.data.pack.reader import open_pack
    from tmssl.recipes import recipe_path

    settings = {"data.source": str(_FOLDER), **({"epochs": epochs} if epochs else {})}
    config = changed(read_config(recipe_path("toy")), settings)
    _draw(count)
    say(
        f"recipe: {config.model.name} at {config.data.image_size} px, {config.optim.optimizer} "
        f"{config.optim.lr:g}, batches of {config.train.batch_size}, {config.train.epochs} epochs "
        "(chosen by measurement; see tests/bench/recipes.py)"
    )
    run = start_run(config, runs_folder)
    code = follow(run, begun=True)
    if code:
        raise typer.Exit(code)
    event = _evaluate(run)
    print_table(event)
    pack = open_pack(Path(run_settings(run).data.pack))
    print_matches(run.path / event.matches, pack, _SHOWN)
    _summarize(run, event)


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
    """Print three figures that show what the run learnt, and what to run next."""
    from tmssl.runs.history import read_history
    from tmssl.runs.journal import read_journal

    history = read_history(read_journal(run.journal))
    last, segment = history.epochs[-1], history.segments[-1]
    share = (last.ce or 0) / (segment.chance_ce or 1)
    lines = [
        "",
        "what it learnt:",
        f"  cross-entropy {number(last.ce)} nats, {100 * share:.0f} % of chance "
        f"(ln {segment.batch_size} = {number(segment.chance_ce)})",
    ]
    for figure, name in (
        (FIGURATIVE_HIT, "hit@10, a figurative Vienna division shared"),
        (GROUP_RECALL, "same-group recall@10"),
    ):
        score = figure.score(event)
        if score is None:
            raise TrainingError(f"the evaluation has no {name}")
        untrained = number(score.references.get("untrained"), 3)
        value, chance = number(score.value, 3), number(score.chance, 3)
        lines.append(f"  {name}: {value} (chance {chance}, untrained {untrained})")
    lines += [
        "",
        "next:",
        f"  tmssl watch {pasted(run.path)}       look at the curves and page through the matches",
        "  tmssl train --epochs 60 --resume   train on to epoch 60",
        "  tmssl train --data DIR             train on your own marks",
    ]
    for line in lines:
        say(line)
