"""One process of several, for tests: `torchrun -m tests.helpers.rank FOLDER` writes FOLDER/rank-N.json."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from tests.helpers.training import SMALL_MODEL
from tmssl.config import Config, changed
from tmssl.data.pack.reader import open_pack
from tmssl.training.learner import create_learner, update
from tmssl.training.loader import ViewLoader
from tmssl.training.optimizer import set_learning_rate
from tmssl.training.ranks.distributed import Ranks, join_ranks
from tmssl.training.session import create_sampler
from tmssl.training.signals import SignalFlags

SETTINGS = {**SMALL_MODEL, "batch_size": 12, "chunk_size": 3}
_CPU = torch.device("cpu")


def learn_a_little(folder: Path, ranks: Ranks, teacher: str = "") -> dict[str, Any]:
    """Three steps with BN frozen, and what a process saw of them; with a teacher if one is named."""
    settings = {**SETTINGS, "data.pack": str(folder / "pack"), "model.teacher": teacher}
    config = changed(Config(), settings)
    pack = open_pack(folder / "pack")
    share = ranks.batch_slice(config.train.batch_size)
    learner = create_learner(config, _CPU, ranks)
    feed = ViewLoader(
        pack,
        create_sampler(pack, config),
        views="mild",
        size=32,
        device=_CPU,
        end=3,
        part=share,
        teacher_size=learner.teacher.size if learner.teacher else 0,
    )
    learner.model.eval()
    set_learning_rate(learner.optimizer, 1e-4)
    losses, taught, norms = [], [], []
    for step in range(3):
        done = update(learner, feed.views(step), 0.9, step + 1)
        losses.append(float(done.result.figures[0]))
        taught.append(float(done.result.figures[-1]))
        norms.append(float(done.grad_norm))
    feed.close()
    return {
        "loss": losses,
        "teacher_loss": taught,
        "grad_norm": norms,
        "rows": [feed.sampler.batch(step).anchors[share].tolist() for step in range(3)],
        "keys": len(ranks.gather(torch.zeros(share.stop - share.start, 2))),
        "weights": [float(p.detach().double().sum()) for p in learner.model.parameters()],
    }


def teacher_of(folder: Path) -> str:
    """The run in the tests' folder that teaches."""
    return str(folder / "runs" / "teacher")


def asked(ranks: Ranks) -> list[Any]:
    """What the ranks agree on when the second of them alone is signalled."""
    flags = SignalFlags()
    flags.install()
    before = ranks.agree(flags, due=False)
    if ranks.rank == 1:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGUSR1)
    after = ranks.agree(flags, due=ranks.rank == 0)
    return [[r.stop.name, r.checkpoint, r.due] if r.stop else None for r in (before, after)]


def main() -> None:
    """Be one of the processes."""
    folder = Path(sys.argv[1])
    with join_ranks(_CPU) as ranks:
        seen = {
            "untaught": learn_a_little(folder, ranks),
            "taught": learn_a_little(folder, ranks, teacher_of(folder)),
            "asked": asked(ranks),
        }
        (folder / f"rank-{ranks.rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
