"""How fast toy marks are drawn: `python -m tests.bench.toy`."""

import statistics
import tempfile
import time
from pathlib import Path

from tmssl.toy.make import make_toy

COUNT, SIZE, REPEATS = 3000, 128, 3


def main() -> None:
    """Print the median of three builds at the default size, on all cores and on one."""
    for workers, name in ((0, "all cores"), (1, "one core")):
        seconds = []
        for _ in range(REPEATS):
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                make_toy(Path(folder) / "marks", count=COUNT, size=SIZE, workers=workers)
                seconds.append(time.perf_counter() - start)
        median = statistics.median(seconds)
        print(
            f"{name}: {COUNT:,} marks of {SIZE} px in {median:.1f} s, {COUNT / median:,.0f} a second"
        )


if __name__ == "__main__":
    main()
