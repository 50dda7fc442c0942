"""`tmssl demo`: toy trademarks, pack, training, evaluation and matches, with one command."""

from pathlib import Path
from typing import Annotated

import typer

from cli.follow import follow, say
from cli.options import RUNS_DEFAULT, RunsFolder
from tmssl.errors import TrainingError
from tmssl.runs.events import Eval
from tmssl.runs.folder import Run
from tmssl.runs.main_figure import FIGURATIVE_HIT, GROUP_RECALL, TOPK
from tmssl.text import number, pasted, safe


def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where the toy marks are kept.")] = Path(
        "demo/toy-marks"
    ),
    count: Annotated[int, typer.Option("--marks", min=300, help="How many to draw.")] = 3000,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Train for this long.  [default: recipe]")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of marks and training.")] = 0,
    show: Annotated[int, typer.Option("--show", min=0, help="Queries shown as pictures.")] = 4,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Draw toy trademarks, train on them, evaluate, and show the matches: about four minutes on two cores."""
    from cli.output.evaluation import print_matches, print_table
    from cli.start import start_run
    from tmssl.config import changed, read_config
    from tmssl.data.pack.reader import open_pack
    from tmssl.recipes import recipe_path

    recipe = read_config(recipe_path("toy"))
    asked = {"data.source": str(folder), "seed": seed, **({"epochs": epochs} if epochs else {})}
    config = changed(recipe, asked)
    _draw(folder, count, seed)
    optim, settings = config.optim, config.train
    say(
        f"recipe: {config.model.name} at {config.data.image_size} px, {optim.optimizer} "
        f"{optim.lr:g}, batches of {settings.batch_size}, {settings.epochs} epochs "
        "(chosen by measurement; see tests/bench/recipes.py)"
    )
    run = start_run(config, runs_folder, workers=0)
    code = follow(run, begun=True)
    if code:
        raise typer.Exit(code)
    event = _evaluate(run)
    pack = open_pack(Path(config_pack(run)))
    print_table(event)
    print_matches(run.path / event.matches, pack, show)
    _close(run, event)


def config_pack(run: Run) -> str:
    """Folder of the pack that a run was trained on."""
    from tmssl.config import read_config

    return read_config(run.config).data.pack


def _draw(folder: Path, count: int, seed: int) -> None:
    """Draw the marks, or find them drawn."""
    from cli.output.progress import progress_bar
    from tmssl.toy.make import make_toy

    with progress_bar("drawing toy marks") as progress:
        make_toy(folder, count=count, size=128, seed=seed, progress=progress)
    attribution = (folder / "ATTRIBUTION.txt").read_text("utf-8").splitlines()[0]
    say(safe(attribution))


def _evaluate(run: Run) -> Eval:
    """The evaluation of the last checkpoint, with its progress."""
    from cli.output.progress import progress_bar
    from tmssl.retrieval.evaluation.evaluate import evaluate

    with progress_bar("evaluating") as progress:
        return evaluate(run, checkpoint="last", topk=TOPK, progress=progress)


def _close(run: Run, event: Eval) -> None:
    """The four figures that show it learnt, and what to run next."""
    from tmssl.runs.history import read_history
    from tmssl.runs.journal import read_journal

    history = read_history(read_journal(run.journal))
    last, segment = history.epochs[-1], history.segments[-1]
    share = (last.ce or 0) / (segment.chance_ce or 1)
    say("")
    say("what it learnt:")
    say(
        f"  cross-entropy {number(last.ce)} nats, {100 * share:.0f} % of chance "
        f"(ln {segment.batch_size} = {number(segment.chance_ce)})"
    )
    for figure, words in (
        (FIGURATIVE_HIT, "hit@10, a figurative Vienna division shared"),
        (GROUP_RECALL, "same-group recall@10"),
    ):
        score = figure.score(event)
        if score is None:
            raise TrainingError(f"the evaluation has no {words}")
        untrained = score.references.get("untrained")
        say(
            f"  {words}: {number(score.value, 3)} (chance {number(score.chance, 3)}, "
            f"untrained {number(untrained, 3)})"
        )
    say("")
    say("next:")
    say(f"  tmssl watch {pasted(run.path)}       look at the curves and page through the matches")
    say("  tmssl train --epochs 60 --resume   go on from here")
    say("  tmssl train --data DIR             train on your own marks")
