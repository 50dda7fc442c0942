"""How fast marks are embedded and searched: `python -m tests.bench.retrieval [PART ...] [--quick]`.

Prints a Markdown table, of the GPU too where there is one. Ratios are of interleaved rounds in one
process, so that a busy machine slows both sides. 100,000 vectors are searched twice over: what an untrained
network says of that many views of the logos that `diagrams` ships, and random clusters, which lead nowhere.
The large index is synthetic: as many unit vectors as the training split of L3D has marks.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import msgspec
import numpy as np
import numpy.typing as npt
import torch
from sklearn.neighbors import NearestNeighbors

from tests.helpers.marks import draw_marks
from tmssl.config import Config, DataConfig, ModelConfig, changed, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.info import FORMAT, INFO_FILE, MARKS_FILE, PackInfo
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.sources.marks import Mark
from tmssl.data.views.augment import augmented_view, plain_view
from tmssl.data.views.recipe import VIEW_SETS
from tmssl.retrieval.index.digests import record_digest
from tmssl.retrieval.index.exact import search_many, search_one
from tmssl.retrieval.index.faiss_index import build_index, open_index, save_index
from tmssl.retrieval.search.manifest import IndexManifest, manifest_path, write_manifest
from tmssl.retrieval.search.traced_encoder import trace_encoder
from tmssl.retrieval.vectors.embed import embed_pack, forward, inference_copy
from tmssl.retrieval.vectors.fold_bn import fold_bn
from tmssl.runs.checkpoints import Sidecar, digest
from tmssl.runs.folder import Run, create_run
from tmssl.system import keep_freed_memory
from tmssl.training.encoder.backbone import create_encoder
from tmssl.training.encoder.grid import GridEncoder
from tmssl.types import Indices, Vectors

MODEL, SIZE = ModelConfig(init="none", features="grid"), DataConfig().image_size
WIDTHS = (
    1024,
    512,
    1280,
)  # two stages of a grid, one, and the pooled features of versions before the grid
MARKS = 538_771  # in the training split of L3D
K = 10
_SINGLE = 16  # queries of which each is timed by itself
_HALF = 2**-11  # of a cosine is lost in half precision
PARTS = ("embedding", "search", "gpu", "command")
RIVALS = {"numpy": "numpy's argpartition", "sklearn": "sklearn's brute force"}


def unit_vectors(count: int, seed: int, width: int) -> Vectors:
    """Random unit vectors in clusters, which spread evenly over all directions: float32 (count, width)."""
    dice = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((200, width), np.float32)
    found = centres[dice.integers(0, 200, count)]
    found += dice.standard_normal((count, width), np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def default_encoder(width: int = 1024) -> torch.nn.Module:
    """The grid of the settings with random weights and axes: its stages for 1024 features, one for 512."""
    stages = MODEL.stages if width > MODEL.whiten else MODEL.stages[:1]
    torch.manual_seed(0)
    encoder = create_encoder(msgspec.structs.replace(MODEL, stages=stages))
    assert isinstance(encoder, GridEncoder)
    for stage in encoder.grids:
        assert stage.axes is not None
        stage.axes.normal_()
    return encoder.eval()


class Taken(NamedTuple):
    """What a call took, by the clock and of all cores, its processes included; of several the medians."""

    wall_s: float
    cpu_s: float


def interleaved(ways: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Taken]:
    """What each way takes; every round runs each of them once, after one to warm up."""
    told: dict[str, list[Taken]] = {name: [] for name in ways}
    for at in range(rounds + 1):
        for name, way in ways.items():
            begun, used = time.perf_counter(), _cpu_s()
            way()
            if at:
                told[name].append(Taken(time.perf_counter() - begun, _cpu_s() - used))
    return {
        name: Taken(*map(statistics.median, zip(*taken, strict=True)))
        for name, taken in told.items()
    }


def _cpu_s() -> float:
    """CPU seconds of this process so far, and of those that it has waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def row(what: str, found: str, beside: str = "", wanted: str = "") -> None:
    """A line of the table."""
    print(f"| {what} | {found} | {beside} | {wanted} |", flush=True)


def devices() -> list[torch.device]:
    """The GPU where there is one, and the CPU."""
    names = ["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"]
    return [torch.device(name) for name in names]


def embedding(folder: Path, rounds: int) -> None:
    """Marks of a pack embedded, over the same network fed views that lie ready on the device."""
    for device in devices():
        count, at_once = (4096, 256) if device.type == "cuda" else (96, 32)
        source = draw_marks(folder / f"marks-{device.type}", count, size=256)
        pack = build_pack(read_catalogue(source), folder / device.type, pack_size(SIZE))
        encoder = default_encoder()  # with the BN layers that `embed` does without
        encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # nn.Module.to's stub lacks this form
        if device.type == "cpu":
            keep_freed_memory()  # as `embed` does, so that it is the bare pass's gain too
        views = [
            plain_view(torch.from_numpy(pack.read(range(begin, begin + at_once))).to(device), SIZE)
            for begin in range(0, count, at_once)
        ]
        taken = interleaved(
            {
                "embed": partial(embed_pack, encoder, pack, image_size=SIZE, device=device),
                "bare": partial(forward_all, encoder, views),
            },
            rounds,
        )
        row(
            f"embedding, {MODEL.name} at {SIZE} px, {device.type}",
            f"{count / taken['embed'].wall_s:,.0f} images/s",
            f"{taken['bare'].wall_s / taken['embed'].wall_s:.2f} of the bare forward pass "
            f"({count / taken['bare'].wall_s:,.0f} images/s)",
            "0.9",
        )


def forward_all(encoder: torch.nn.Module, views: list[torch.Tensor]) -> None:
    """The network alone, waited for once at the end."""
    with torch.inference_mode():
        for view in views:
            found = forward(encoder, view)
        found.sum().item()


def by_numpy(gallery: Vectors, queries: Vectors) -> npt.NDArray[np.int64]:
    """The usual few lines: all similarities, then argpartition, then a sort of the best."""
    similarity = queries @ gallery.T
    top = np.argpartition(-similarity, K, axis=1)[:, :K]
    order = np.argsort(-np.take_along_axis(similarity, top, 1), axis=1)
    return np.take_along_axis(top, order, 1)


def overlap(gallery: Vectors, queries: Vectors, mine: Indices, theirs: Indices) -> float:
    """Share of their first K than which ours are not less similar, but for half precision, mean over queries.

    Marks that are equally similar are many among views of logos, and either is right.
    """
    ours, best = (
        np.sort(np.einsum("qkd,qd->qk", gallery[rows], queries), axis=1) for rows in (mine, theirs)
    )
    return float((ours >= best - _HALF).mean())


def logo_vectors(folder: Path, count: int) -> Vectors:
    """Unit vectors of views of `diagrams`' logos at 64 px by the default grid with random weights: float32 (count, 1024)."""
    import diagrams

    source = Path(diagrams.__file__).parents[1] / "resources"
    pack = build_pack(read_catalogue(source), folder / "logos", pack_size(64))
    encoder, found = inference_copy(default_encoder(), torch.device("cpu")), []
    with torch.inference_mode():
        for begin in range(0, count, 256):
            places = np.arange(begin, min(begin + 256, count))
            images = torch.from_numpy(pack.read(places % pack.count))
            view = augmented_view(
                images, places, seed=0, epoch=0, view=0, recipe=VIEW_SETS["logo"][0], size=64
            )
            found.append(forward(encoder, view).numpy())
    vectors: Vectors = np.concatenate(found)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def searching(what: str, gallery: Vectors, rounds: int) -> None:
    """One query after another as `tmssl search` does, and many as `tmssl eval` does."""
    index = build_index(gallery)
    brute = NearestNeighbors(n_neighbors=K, metric="cosine", algorithm="brute").fit(gallery)
    for count, times in ((1, _SINGLE), (256, 1)):
        queries = gallery[:: len(gallery) // (count * times)][: count * times]
        asked = np.split(queries, times)
        each: dict[str, Callable[[Vectors], Indices]] = {
            "tmssl": partial(by_tmssl, index),
            "numpy": partial(by_numpy, gallery),
            "sklearn": partial(brute.kneighbors, return_distance=False),
        }
        ways = {name: partial(one_by_one, way, asked) for name, way in each.items()}
        taken, found = interleaved(ways, rounds), ways["tmssl"]()
        for other in ("numpy", "sklearn"):
            row(
                f"search of {len(gallery):,} x {gallery.shape[1]}, {what}, queries: {count}",
                f"{1000 * taken['tmssl'].wall_s / times:.1f} ms",
                f"{taken[other].wall_s / taken['tmssl'].wall_s:.2f} times as fast as {RIVALS[other]}, "
                f"overlap@{K} {overlap(gallery, queries, found, ways[other]()):.4f}",
                "3",
            )


def one_by_one(way: Callable[[Vectors], Indices], asked: Sequence[Vectors]) -> Indices:
    """What each of several calls finds."""
    return np.concatenate([way(queries) for queries in asked])


def by_tmssl(index: faiss.Index, queries: Vectors) -> Indices:
    """As the product searches: one query as `tmssl search`, many as `tmssl eval`."""
    if len(queries) == 1:
        return search_one(index, queries, K, None)[1][None]
    return search_many(index, queries, K)[1]


def searching_on_gpu(index: faiss.Index, rounds: int) -> None:
    """The large index searched exactly by blocks on the GPU, which they are sent to anew each time."""
    for count in (1, 256):
        queries = index.reconstruct_n(0, count)
        ways = {
            device.type: partial(search_many, index, queries, K, device=device)
            for device in devices()
        }
        taken = interleaved(ways, rounds)
        same = overlap(
            index.reconstruct_n(0, index.ntotal), queries, ways["cuda"]()[1], ways["cpu"]()[1]
        )
        row(
            f"exact blocked search of {index.ntotal:,} x {index.d} on the GPU, queries: {count}",
            f"{1000 * taken['cuda'].wall_s:.0f} ms",
            f"{taken['cpu'].wall_s / taken['cuda'].wall_s:.1f} times as fast as on the CPU, overlap@{K} {same:.4f}",
        )


def large_index(path: Path, marks: int, width: int) -> None:
    """A synthetic index, added block by block, so that its vectors never are in memory in float32."""
    index = faiss.IndexScalarQuantizer(
        width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    for begin in range(0, marks, 20_000):
        vectors = unit_vectors(min(20_000, marks - begin), begin + 2, width)
        if begin == 0:
            index.train(vectors[:1])
        index.add(vectors)
    save_index(index, path)


def synthetic_run(folder: Path, marks: int, width: int) -> Run:
    """A run with an untrained encoder over marks that have rows and vectors, but no pixels."""
    run, pack = create_run(folder / "runs", f"synthetic-{width}"), folder / f"rows-{width}"
    pack.mkdir()
    facts = PackInfo(
        version=FORMAT,
        fingerprint="0" * 64,
        size=pack_size(SIZE),
        count=marks,
        frame_bytes=0,
        source_root=str(folder / "none"),
        attribution="",
    )
    (pack / INFO_FILE).write_bytes(msgspec.json.encode(facts))
    with (pack / MARKS_FILE).open("wb") as file:
        for i in range(marks):
            mark = Mark(
                f"{i:06d}.jpg",
                id=f"{i}",
                vienna=(f"{1 + i % 28:02d}.01.{1 + i % 9:02d}",),
                title=f"mark {i}",
            )
            file.write(msgspec.json.encode(mark) + b"\n")
    settings = {"data.pack": str(pack), "image_size": SIZE}
    write_config(changed(Config(), settings), run.config)
    sha256 = "1" * 64
    run.checkpoints.mkdir(exist_ok=True)
    sidecar = Sidecar(sha256=sha256, step=0, steps_per_epoch=1)
    (run.checkpoints / "best.json").write_bytes(msgspec.json.encode(sidecar))
    run.index.mkdir(exist_ok=True)
    large_index(run.index / "synthetic.faiss", marks, width)
    traced = run.index / "synthetic.encoder"
    traced.write_bytes(trace_encoder(fold_bn(default_encoder(width)), SIZE))
    record_digest(traced)
    card = IndexManifest(
        index="synthetic.faiss",
        index_sha256=digest(run.index / "synthetic.faiss"),
        encoder="synthetic.encoder",
        checkpoint="checkpoints/best.pt",
        checkpoint_sha256=sha256,
        model=MODEL.name,
        image_size=SIZE,
        epoch=0.0,
        step=0,
        marks=marks,
        holders={},
    )
    write_manifest(manifest_path(run, facts, sha256), card)
    return run


def answering(folder: Path, run: Run, rounds: int) -> None:
    """The whole command over the large index: first answer, and each further one."""
    if not (folder / "marks").exists():
        draw_marks(folder / "marks", 21, size=256)
    logos = sorted(map(str, (folder / "marks" / "images").glob("*.png")))

    def ask(count: int) -> None:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "cli",
                "search",
                *logos[:count],
                "--run",
                str(run.path),
                "--json",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    told = interleaved({"first": lambda: ask(1), "all": lambda: ask(len(logos))}, rounds)
    first, all_of_them = told["first"], told["all"]
    further, cpu = ((b - a) / (len(logos) - 1) for a, b in zip(first, all_of_them, strict=True))
    words = "`tmssl search` over it, warm: first answer"
    row(words, f"{first.wall_s:.2f} s", f"{first.cpu_s:.2f} s of a core", "3 s")
    row("each further one", f"{1000 * further:.0f} ms", f"{1000 * cpu:.0f} ms of a core", "100 ms")


def large(folder: Path, marks: int, rounds: int, parts: Sequence[str], width: int) -> None:
    """All that is measured over the large index of one width."""
    run = synthetic_run(folder, marks, width)
    kept = run.index / "synthetic.faiss"
    index, what = open_index(kept), f"{marks:,} x {width}"
    row(f"index of {what}", f"{kept.stat().st_size / 1e9:.2f} GB")
    if "gpu" in parts and torch.cuda.is_available():
        searching_on_gpu(index, rounds)
    if "command" in parts:
        query = unit_vectors(1, 7, width)
        one = interleaved({"one": lambda: search_one(index, query, K, None)}, 3 * rounds)["one"]
        times = f"{1000 * one.wall_s:.0f} ms", f"{1000 * one.cpu_s:.0f} ms of a core"
        row(f"search of {what}, one query", *times)
        if width <= 1024:  # the encoder of the settings gives no more
            answering(folder, run, rounds)


def main() -> None:
    """Measure what is asked for and print it."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument(
        "parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}; or all"
    )
    words.add_argument("--quick", action="store_true", help="a twentieth of the marks, two rounds")
    words.add_argument("--rounds", type=int, default=3)
    asked = words.parse_args()
    parts = asked.parts or list(PARTS)
    rounds, marks = (2, MARKS // 20) if asked.quick else (asked.rounds, MARKS)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print(
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads of torch {torch.__version__}, {device}\n"
    )
    print("| | measured | beside | wanted |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        if "embedding" in parts:
            embedding(Path(place), rounds)
        if "search" in parts:
            count = 5_000 if asked.quick else 100_000
            searching("views of logos", logo_vectors(Path(place), count), rounds)
            searching("random clusters", unit_vectors(count, 1, WIDTHS[0]), rounds)
        if {"gpu", "command"} & set(parts):
            for width in WIDTHS:
                large(Path(place), marks, rounds, parts, width)


if __name__ == "__main__":
    main()
