"""Rows of the list of runs."""

from pathlib import Path

from tmssl.runs.folder import Run
from tmssl.runs.listing import Row

SETTINGS: dict[str, object] = {
    "optim.lr": 0.1,
    "optim.min_lr": 0.001,
    "data.views": "mild",
    "train.compile": True,
    "train.seed": 7,
}


def row(name: str = "toy-a", state: str = "running", loss: float | None = 3.5) -> Row:
    """A run with these settings; what is not given is the same for each."""
    return Row(
        run=Run(Path("runs") / name),
        state=state,
        epoch=12.5,
        epochs=50,
        loss=loss,
        chance=5.55,
        best=None,
        branched="",
        finding="loss is chance",
        advice="",
        host="Box",
        settings=SETTINGS,
        figures={"group": 0.25, "hit": None},
    )
