"""What a GPU makes of the trainer: `python -m tests.bench.gpu [--help]`.

The whole step of the product (momentum encoder, keys, gradient in chunks, optimizer) on views that are
already there, by precision, compilation, batch and chunk, and with cuDNN's search for the quickest
kernels, which every new shape pays for. Each row is a fresh learner.
"""

import argparse
import statistics
import time
from typing import Any

import torch

from tmssl.config import Config, changed
from tmssl.training.learner import create_learner, update
from tmssl.training.loader import Views
from tmssl.training.numerics import set_numerics

_ROUNDS, _STEPS, _WARM = 5, 4, 3

ROWS: dict[str, dict[str, Any]] = {
    "bfloat16, cuDNN searches": {"precision": "bfloat16", "search": True},
    "float32 (TF32)": {"precision": "float32"},
    "float16, scaled": {"precision": "float16"},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, N in 4 chunks": {"precision": "bfloat16", "chunks": 4},
    "bfloat16, 8 N, chunk auto": {"precision": "bfloat16", "times": 8, "chunk_size": "auto"},
    "bfloat16, compiled": {"precision": "bfloat16", "compile": True},
}


def main() -> None:
    """Print a Markdown table: images a second, against bfloat16, and the most memory that was taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="efficientnet_b0")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    asked = parser.parse_args()
    device = torch.device("cuda")
    set_numerics(device, deterministic=False)
    print(
        f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}, {asked.model}, ", end=""
    )
    print(f"{asked.image_size} px, N = {asked.batch_size}, medians of {_ROUNDS} rounds of {_STEPS}")
    print(
        "| step | N | chunk | images/s | peak GiB | first step s |\n|---|---:|---:|---:|---:|---:|"
    )
    for name in asked.rows:
        print(f"| {name} | {_row(asked, ROWS[name], device)} |", flush=True)
        torch.cuda.empty_cache()


def _row(asked: argparse.Namespace, row: dict[str, Any], device: torch.device) -> str:
    """The cells of a row after its name."""
    settings = dict(row)
    torch.backends.cudnn.benchmark = settings.pop("search", False)
    batch_size = asked.batch_size * settings.pop("times", 1)
    if chunks := settings.pop("chunks", 0):
        settings["chunk_size"] = batch_size // chunks
    config = changed(
        Config(),
        {
            "model.name": asked.model,
            "image_size": asked.image_size,
            "batch_size": batch_size,
            **settings,
        },
    )
    learner = create_learner(config, device)
    # Noise with a mean: what is in the views decides no time, and BN must stay finite.
    shape = (batch_size, 3, asked.image_size, asked.image_size)
    noise = torch.randn(shape, device=device).contiguous(memory_format=torch.channels_last)
    views = Views(noise, noise.flip(3), 0.0)
    torch.cuda.reset_peak_memory_stats(device)
    first_s = _seconds(lambda: update(learner, views, 0.99, 1))
    for _ in range(_WARM):
        update(learner, views, 0.99, 1)
    rounds = [
        _seconds(lambda: [update(learner, views, 0.99, 1) for _ in range(_STEPS)]) / _STEPS
        for _ in range(_ROUNDS)
    ]
    peak_gib = torch.cuda.max_memory_allocated(device) / 2**30
    speed = batch_size / statistics.median(rounds)
    return f"{batch_size} | {learner.chunk_size} | {speed:,.0f} | {peak_gib:.1f} | {first_s:.1f}"


def _seconds(work: Any) -> float:
    """How long a piece of work takes, to its end on the device."""
    torch.cuda.synchronize()
    begun = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
