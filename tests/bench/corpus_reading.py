"""What the data side of a trainer takes, in a fresh process: `python -m tests.bench.corpus_reading PACK`."""

import argparse
import time
from pathlib import Path

import numpy as np

from tests.bench.corpus import peak_mib
from tmssl.data.pack import open_pack
from tmssl.data.partners import CodeIndex
from tmssl.data.sampler import Sampler

_BATCH, _PARTNERS = 1024, 10_000


def main() -> None:
    """Open a pack, draw a batch, draw partners; print seconds and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path)
    folder = parser.parse_args().pack
    imported = peak_mib()
    begun = time.perf_counter()
    pack = open_pack(folder)
    rows = np.arange(pack.count)
    pack.read(Sampler(rows, _BATCH, 0).batch(0).anchors)
    print(f"opening it and the first batch of {_BATCH}: {time.perf_counter() - begun:.2f} s")
    begun = time.perf_counter()
    index = CodeIndex([mark.vienna for mark in pack.marks], "division")
    print(f"the index of codes: {time.perf_counter() - begun:.2f} s")
    dice = np.random.default_rng(0)
    samples = dice.integers(0, pack.count, _PARTNERS)
    begun = time.perf_counter()
    found = index.partners(samples, dice.random(_PARTNERS), dice.random(_PARTNERS))
    seconds = time.perf_counter() - begun
    print(f"{_PARTNERS:,} partners, {(found != samples).mean():.1%} of them another mark: {seconds:.4f} s")  # fmt: skip
    print(f"peak of the process {peak_mib():,.0f} MiB, {imported:,.0f} of them from imports; "
          "pages of the mapped file are among them")  # fmt: skip


if __name__ == "__main__":
    main()
