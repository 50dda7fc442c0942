"""What OpenMP's waiting costs on a machine that others use: `python -m tests.bench.shared [--help]`.

A training step, embedding and evaluation, each alone and beside another process, with OpenMP's own way of
waiting and with ours. The settings take turns, so that a busy machine is busy for all.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tmssl.children import python_module
from tmssl.doctor.threads import share_cores

WORKS = ("step", "embedding", "evaluation")
_WITHOUT, _WITH = "OpenMP's own", "ours"
_OURS = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY", "KMP_LIBRARY", "OMP_NUM_THREADS")


def main() -> None:
    """Print units of work a second and their ratios; a child does one work and prints its speed."""
    asked = _arguments()
    if asked.child:
        _work(asked)
        return
    environments = _environments(asked.also)
    print(
        f"{asked.model} at {asked.image_size} px, batches of {asked.batch_size}, {asked.seconds:g} s, "
        f"median of {asked.rounds} rounds; {len(os.sched_getaffinity(0))} cores; units a second"
    )
    for work in asked.works:
        found = _measured(work, environments, asked)
        beside = f"beside {asked.beside or 'a copy'}"
        print(f"\n{work:28} {'alone':>9} {beside:>20} {'beside/alone':>13}")
        for name, (alone, shared) in found.items():
            print(f"{name:28} {alone:9.2f} {shared:20.2f} {shared / alone:13.2f}", flush=True)
        (alone, shared), (our_alone, our_shared) = found[_WITHOUT], found[_WITH]
        ratios = f"{our_alone / alone:9.2f} {our_shared / shared:20.2f}"
        print(f"{'ours over OpenMP own':28} {ratios}", flush=True)


def _arguments() -> argparse.Namespace:
    """What is measured, and how long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--works", nargs="+", choices=WORKS, default=WORKS)
    parser.add_argument(
        "--beside", choices=WORKS, default="", help="work of the other; default: same"
    )
    parser.add_argument("--also", nargs="*", default=[], metavar="NAME=VALUE", help="further rows")
    parser.add_argument("--model", default="resnet10t")
    parser.add_argument("--image-size", type=int, default=48)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--marks", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", choices=WORKS, default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _environments(also: list[str]) -> dict[str, dict[str, str]]:
    """Name to the environment of each row."""
    plain = {name: value for name, value in os.environ.items() if name not in _OURS}
    ours = dict(plain)
    share_cores(ours)
    further = {setting: plain | dict([setting.split("=", 1)]) for setting in also}
    return {_WITHOUT: plain, _WITH: ours, **further}


def _measured(
    work: str, environments: dict[str, dict[str, str]], asked: argparse.Namespace
) -> dict[str, tuple[float, float]]:
    """Units a second alone and beside another process, medians over rounds, by environment."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in environments}
    for _ in range(asked.rounds):
        for name, environment in environments.items():
            alone = _run([work], environment)[0]
            found[name].append((alone, _run([work, asked.beside or work], environment)[0]))
    return {
        name: (statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs))
        for name, pairs in found.items()
    }


def _run(works: list[str], environment: dict[str, str]) -> list[float]:
    """Units a second of processes that begin to work at the same time."""
    words = [word for word in sys.argv[1:] if word]
    children = [
        subprocess.Popen(
            [*python_module("tests.bench.shared"), *words, "--child", work],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment | {"PYTHONPATH": str(Path.cwd())},
        )
        for work in works
    ]
    pipes = [(child.stdin, child.stdout) for child in children]
    for _, told in pipes:
        assert told is not None
        told.readline()
    for begin, _ in pipes:
        assert begin is not None
        begin.write("begin\n")
        begin.flush()
    return [float(child.communicate()[0]) for child in children]


def _work(asked: argparse.Namespace) -> None:
    """Do one work until the time is over, and print how many units a second it did."""
    with tempfile.TemporaryDirectory() as scratch:
        unit = _unit(asked.child, Path(scratch), asked)
        unit()
        print("ready", flush=True)
        sys.stdin.readline()
        begun, done = time.perf_counter(), 0
        while (passed := time.perf_counter() - begun) < asked.seconds:
            unit()
            done += 1
        print(done / passed)


def _unit(work: str, folder: Path, asked: argparse.Namespace) -> Callable[[], object]:
    """A function that does one unit: a step, a pack's embedding, a whole evaluation."""
    from tests.bench.trainer import open_bench_session

    asked.views = "logo"
    session = open_bench_session(folder, asked)
    if work == "step":
        from tmssl.training.loop import train_step

        return lambda: train_step(session)
    if work == "embedding":
        from tmssl.retrieval.vectors.embed import embed_pack

        encoder, device = session.learner.model.encoder, session.learner.device
        return lambda: embed_pack(encoder, session.pack, image_size=asked.image_size, device=device)
    from tmssl.retrieval.evaluation.evaluate import evaluate
    from tmssl.training.saving import save

    save(session, "time")
    session.writer.wait()

    def evaluate_anew() -> None:
        for kept in (session.run.index, session.run.eval):
            shutil.rmtree(kept)
            kept.mkdir()
        evaluate(session.run, checkpoint="last", queries=128)

    return evaluate_anew


if __name__ == "__main__":
    main()
