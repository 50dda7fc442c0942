"""What the data side of a trainer takes, in a fresh process: `python -m tests.bench.corpus_reading PACK`."""

import argparse
import time
from pathlib import Path

import numpy as np

from tmssl.data.pack.reader import open_pack
from tmssl.data.positives.partners import PartnerIndex
from tmssl.data.sampler import Sampler
from tmssl.data.vienna import at_level

_BATCH, _PARTNERS = 1024, 10_000


def main() -> None:
    """Open a pack, draw a batch, draw partners; print seconds and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path)
    folder = parser.parse_args().pack
    own, _ = held_mib()
    begun = time.perf_counter()
    pack = open_pack(folder)
    rows = np.arange(pack.count)
    pack.read(Sampler(rows, _BATCH, 0).batch(0).anchors)
    print(f"opening it and the first batch of {_BATCH}: {time.perf_counter() - begun:.2f} s")
    begun = time.perf_counter()
    index = PartnerIndex([at_level(codes, "division") for codes in pack.marks.codes()])
    print(f"the index of codes: {time.perf_counter() - begun:.2f} s")
    dice = np.random.default_rng(0)
    samples = dice.integers(0, pack.count, _PARTNERS)
    begun = time.perf_counter()
    found = index.partners(samples, dice.random(_PARTNERS), dice.random(_PARTNERS))
    seconds = time.perf_counter() - begun
    print(
        f"{_PARTNERS:,} partners, {(found != samples).mean():.1%} of them another mark: {seconds:.4f} s"
    )
    after, mapped = held_mib()
    print(
        f"memory of the process {after:,.0f} MiB, {own:,.0f} of them from imports; beside it {mapped:,.0f} MiB of the mapped file, which the system takes back when it needs to"
    )


def held_mib() -> tuple[float, float]:
    """What this process holds by itself, and what it has mapped of files, MiB."""
    rows = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    own, mapped = (int(rows[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
    return own, mapped


if __name__ == "__main__":
    main()
