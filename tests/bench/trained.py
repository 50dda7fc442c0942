"""Whether training is worth it: `python -m tests.bench.trained [toy|logos ...] [--set NAME=VALUE ...]`.

Trains as `tmssl train` does by default, on a CPU, and prints as Markdown what the trained encoder finds beside
the encoder before training, an untrained one, a perceptual hash, HOG and whitened HOG. On 3,000 toy marks that
is same-group recall@10 of the marks that were not trained on, its mAP, and hit@10 over figurative divisions.
The logos and icons that `diagrams` ships have no groups; there it is known-item recall@10 for every change that
`tmssl eval --robustness` makes to a query. `tests.bench.known` asks the same of logos that other hands drew.
"""

import argparse
import math
import statistics
import tempfile
import time
from pathlib import Path

import torch

from tests.bench.ablation import sources
from tmssl.config import Config, changed, parse_setting, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.reader import Pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.retrieval.evaluation.evaluate import evaluate
from tmssl.runs.events import Eval, Score
from tmssl.runs.folder import Run, create_run
from tmssl.runs.history import read_history
from tmssl.runs.journal import read_journal
from tmssl.runs.main_figure import FIGURATIVE_HIT, GROUP_MAP, GROUP_RECALL
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

K = 10
_WARM_UP_STEPS = 10


def trained_run(config: Config, folder: Path) -> tuple[Run, float]:
    """A finished run, and the seconds that it took."""
    run = create_run(folder / "runs", str(time.monotonic_ns()))
    write_config(config, run.config)
    begun = time.monotonic()
    train(run, SignalFlags())
    return run, time.monotonic() - begun


def of_steps(steps: int, marks: int, batch_size: int) -> dict[str, object]:
    """Settings for so many steps, to the next epoch, of which ten warm up."""
    per_epoch = max(1, marks // batch_size)
    return {"epochs": math.ceil(steps / per_epoch), "warmup_epochs": _WARM_UP_STEPS / per_epoch}


def measure(data: str, pack: Pack, config: Config, folder: Path) -> None:
    """Train once, and print the table of what was found."""
    run, took = trained_run(changed(config, {"data.pack": str(pack.folder)}), folder)
    history = read_history(read_journal(run.journal))
    last, segment = history.epochs[-1], history.segments[-1]
    begun = time.monotonic()
    event = evaluate(run, checkpoint="last", topk=[K], robust=data == "logos")
    print(
        f"{data}, seed {config.train.seed}: {pack.count:,} marks, {last.step} steps of "
        f"{config.train.batch_size}, {took:.0f} s; loss {last.ce or 0:.2f} of "
        f"{segment.chance_ce or 0:.2f} nats ({100 * (last.ce or 0) / (segment.chance_ce or 1):.0f} %); "
        f"evaluated in {time.monotonic() - begun:.0f} s\n"
    )
    print("\n".join(_robustness(event) if event.robustness else _figures(event)), flush=True)


def _figures(event: Eval) -> list[str]:
    """The figures of labelled marks, an encoder a line."""
    scores = [figure.score(event) for figure in (GROUP_RECALL, GROUP_MAP, FIGURATIVE_HIT)]
    known = [score for score in scores if score is not None]
    heads = [f"{score.level} {score.metric}" + f"@{score.k}" * bool(score.k) for score in known]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---|' * len(known)}"]
    cells = [f"**{s.value:.3f}** ({s.low:.3f} to {s.high:.3f})" for s in known]
    lines.append(f"| trained | {' | '.join(cells)} |")
    for name in known[0].references:
        cells = [f"{score.references[name]:.3f}" for score in known]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, f"| chance | {' | '.join(f'{score.chance:.3f}' for score in known)} |"]


def _robustness(event: Eval) -> list[str]:
    """Known-item recall of changed queries, a change a line, and the mean."""
    scores: list[Score] = [score for score in event.robustness if score.k == K]
    names = list(scores[0].references)
    lines = [f"| | {' | '.join(['trained', *names])} |", f"|---|{'---|' * (1 + len(names))}"]
    columns = [[score.value or 0.0 for score in scores]]
    columns += [[score.references[name] or 0.0 for score in scores] for name in names]
    for at, score in enumerate(scores):
        cells = " | ".join(f"{column[at]:.3f}" for column in columns)
        lines.append(f"| {score.codes} | {cells} |")
    means = " | ".join(f"{statistics.fmean(column):.3f}" for column in columns)
    return [*lines, f"| **mean** | {means} |"]


def main() -> None:
    """Print the tables, one as soon as it is known."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("data", nargs="*", default=["toy", "logos"], help="toy or logos; or both")
    words.add_argument("--steps", type=int, default=300, help="of each training, to the next epoch")
    words.add_argument("--seeds", type=int, nargs="+", default=[0])
    words.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    asked = words.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    config = changed(
        Config(),
        {"device": "cpu", "keep_every": 0, **dict(map(parse_setting, asked.set))},
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for data in asked.data:
            size = pack_size(config.data.image_size)
            pack = build_pack(read_catalogue(sources(data, folder)), folder / data, size)
            steps = of_steps(asked.steps, pack.count, config.train.batch_size)
            for seed in asked.seeds:
                settings = {**steps, "seed": seed, **dict(map(parse_setting, asked.set))}
                measure(data, pack, changed(config, settings), folder)
                print()


if __name__ == "__main__":
    main()
