"""The table of `tests.bench.tenth`: what was measured, and what it means for all marks of L3D's training split."""

import msgspec
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.bench.corpus import ROWS
from tmssl.config import Config, resolved
from tmssl.text import duration
from tmssl.training.encoder.backbone import create_encoder
from tmssl.training.encoder.grid import GridEncoder


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a part took."""

    units: int
    """marks, views or steps"""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    """seconds of all cores together"""
    memory: float = 0.0
    """bytes at the peak, without mapped files"""
    disk: float = 0.0
    """bytes that it leaves"""

    def extended(self, units: int, *, disk: int) -> "Figures":
        """The same for all units of which these are a part."""
        share = units / self.units
        return msgspec.structs.replace(
            self,
            units=units,
            wall_s=self.wall_s * share,
            cpu_s=self.cpu_s * share,
            disk=disk,
        )


# Name of a part: what it is, what is counted, whether its time and its disk space grow with the marks.
_PARTS = {
    "drawing": ("drawing toy marks of 128 px", "marks", True, True),
    "packing": ("`tmssl pack`, for views of 96 px", "marks", True, True),
    "axes": ("start of the trainer, axes fitted", "", False, False),
    "views": ("cached views, 4 of each mark", "views", True, True),
    "steps": ("30 epochs of steps, checkpoints", "steps", True, False),
    "embedding": ("first search: embedding, exact index", "marks", True, True),
    "search": ("a later search", "", False, False),
    "approximate": ("first search by an approximate index", "marks", True, True),
    "approximate search": ("a later one by it", "", False, False),
}


def table(known: dict[str, Figures], marks: int) -> str:
    """Markdown: a part a line, with what all marks would take by proportion."""
    lines = [
        f"{marks:,} marks; {ROWS:,} by proportion, where a part grows with the marks\n",
        f"| | wall | CPU | memory | disk | rate of a core | CPU, {ROWS:,} | disk |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (title, unit, grows, fills) in _PARTS.items():
        if name not in known:
            continue
        found, scale = known[name], ROWS / marks if grows else 1.0
        rate = f"{found.units / found.cpu_s:,.1f} {unit}/s" if unit and found.cpu_s else ""
        whole = duration(found.cpu_s * scale) if grows else "the same"
        disk = gigabytes(found.disk * (scale if fills else 1.0)) if found.disk else ""
        lines.append(
            f"| {title} | {duration(found.wall_s)} | {duration(found.cpu_s)} "
            f"| {gigabytes(found.memory)} | {gigabytes(found.disk) if found.disk else ''} "
            f"| {rate} | {whole} | {disk} |"
        )
    return "\n".join([*lines, "", *by_arithmetic(known, marks)])


def gigabytes(size: float) -> str:
    """Bytes as `1.10 GB`, or `57 MB` below one."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def by_arithmetic(known: dict[str, Figures], marks: int) -> list[str]:
    """What the model computes for a view and for a step, from which times of a GPU are estimated."""
    view, config = view_flops(), resolved(Config())
    width = config.model.whiten * len(config.model.stages)
    # Three products of N x width x width and the two of logits, each with a gradient but the keys'.
    step = (
        2
        * config.train.batch_size
        * width
        * (2 * 3 * width + 2 * width + 6 * config.train.batch_size)
    )
    lines = [
        f"A view is {view / 1e9:.3f} GFLOP through the model, a step {step / 1e9:.1f} GFLOP through the layer."
    ]
    if "views" in known and "steps" in known:
        scale = ROWS / marks
        lines.append(
            f"{ROWS:,} marks: {known['views'].units * scale:,.0f} views, "
            f"{known['views'].units * scale * view / 1e15:.2f} PFLOP; "
            f"{known['steps'].units * scale:,.0f} steps, {known['steps'].units * scale * step / 1e15:.2f} PFLOP"
        )
    return lines


def view_flops() -> float:
    """Operations of the default model for one view, additions and products each counted."""
    config = resolved(Config())
    encoder = create_encoder(config.model)
    assert isinstance(encoder, GridEncoder)
    size = config.data.image_size
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        encoder.eval().describe(torch.zeros(1, 3, size, size))
    return float(counter.get_total_flops())
