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
from typing import Any

import faiss
import msgspec
import numpy as np
import numpy.typing as npt
import torch
from sklearn.neighbors import NearestNeighbors

from tests.helpers.marks import draw_marks
from tmssl.config import Config, changed, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.info import FORMAT, INFO_FILE, MARKS_FILE, PackInfo
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.sources.marks import Mark
from tmssl.data.views.augment import augmented_view, plain_view
from tmssl.data.views.recipe import VIEW_SETS
from tmssl.retrieval.index.exact import search_many, search_one
from tmssl.retrieval.index.faiss_index import build_index, open_index, save_index
from tmssl.retrieval.search.manifest import IndexManifest, manifest_path, write_manifest
from tmssl.retrieval.search.traced_encoder import trace_encoder
from tmssl.retrieval.vectors.embed import embed_pack, forward, inference_copy, untrained_encoder
from tmssl.retrieval.vectors.fold_bn import fold_bn
from tmssl.runs.folder import Run, create_run
from tmssl.training.numerics import keep_freed_memory
from tmssl.types import Indices, Vectors

MODEL, SIZE, WIDTH = "efficientnet_b0", 224, 1280
MARKS = 538_771  # in the training split of L3D
K = 10
_SINGLE = 16  # queries of which each is timed by itself
_HALF = 2**-11  # of a cosine is lost in half precision
PARTS = ("embedding", "search", "gpu", "command")
RIVALS = {"numpy": "numpy's argpartition", "sklearn": "sklearn's brute force"}


def unit_vectors(count: int, seed: int) -> Vectors:
    """Random unit vectors in clusters, which spread evenly over all directions: float32 (count, 1280)."""
    dice = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((200, WIDTH), np.float32)
    found = centres[dice.integers(0, 200, count)]
    found += dice.standard_normal((count, WIDTH), np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def interleaved(ways: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each way; every round runs each of them once, after one to warm up."""
    told: dict[str, list[float]] = {name: [] for name in ways}
    for at in range(rounds + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            if at:
                told[name].append(time.perf_counter() - begun)
    return {name: statistics.median(seconds) for name, seconds in told.items()}


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
        encoder = untrained_encoder(MODEL, 0).eval()  # with the BN layers that `embed` does without
        encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # nn.Module.to's stub lacks this form
        if device.type == "cpu":
            keep_freed_memory()  # as `embed` does, so that it is the bare pass's gain too
        views = [
            plain_view(torch.from_numpy(pack.read(range(begin, begin + at_once))).to(device), SIZE)
            for begin in range(0, count, at_once)
        ]
        seconds = interleaved(
            {
                "embed": partial(embed_pack, encoder, pack, image_size=SIZE, device=device),
                "bare": partial(forward_all, encoder, views),
            },
            rounds,
        )
        row(
            f"embedding, {MODEL} at {SIZE} px, {device.type}",
            f"{count / seconds['embed']:,.0f} images/s",
            f"{seconds['bare'] / seconds['embed']:.2f} of the bare forward pass "
            f"({count / seconds['bare']:,.0f} images/s)",
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
    """Unit vectors of views of `diagrams`' logos at 64 px by an untrained network: float32 (count, 1280)."""
    import diagrams

    source = Path(diagrams.__file__).parents[1] / "resources"
    pack = build_pack(read_catalogue(source), folder / "logos", pack_size(64))
    encoder, found = inference_copy(untrained_encoder(MODEL, 0), torch.device("cpu")), []
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
        seconds, found = interleaved(ways, rounds), ways["tmssl"]()
        for other in ("numpy", "sklearn"):
            row(
                f"search of {len(gallery):,} x {WIDTH}, {what}, queries: {count}",
                f"{1000 * seconds['tmssl'] / times:.1f} ms",
                f"{seconds[other] / seconds['tmssl']:.2f} times as fast as {RIVALS[other]}, "
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
        seconds = interleaved(ways, rounds)
        same = overlap(
            index.reconstruct_n(0, index.ntotal), queries, ways["cuda"]()[1], ways["cpu"]()[1]
        )
        row(
            f"exact blocked search of {index.ntotal:,} x {WIDTH} on the GPU, queries: {count}",
            f"{1000 * seconds['cuda']:.0f} ms",
            f"{seconds['cpu'] / seconds['cuda']:.1f} times as fast as on the CPU, overlap@{K} {same:.4f}",
        )


def large_index(path: Path, marks: int) -> None:
    """A synthetic index, added block by block, so that its vectors never are in memory in float32."""
    index = faiss.IndexScalarQuantizer(
        WIDTH, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    for begin in range(0, marks, 20_000):
        vectors = unit_vectors(min(20_000, marks - begin), begin + 2)
        if begin == 0:
            index.train(vectors[:1])
        index.add(vectors)
    save_index(index, path)


def synthetic_run(folder: Path, marks: int) -> Run:
    """A run with an untrained encoder over marks that have rows and vectors, but no pixels."""
    run, pack = create_run(folder / "runs", "synthetic"), folder / "rows"
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
    settings = {"data.pack": str(pack), "model.name": MODEL, "image_size": SIZE}
    write_config(changed(Config(), settings), run.config)
    sha256 = "1" * 64
    run.checkpoints.mkdir(exist_ok=True)
    (run.checkpoints / "best.json").write_text(f'{{"sha256": "{sha256}"}}')
    run.index.mkdir(exist_ok=True)
    large_index(run.index / "synthetic.faiss", marks)
    (run.index / "synthetic.encoder").write_bytes(
        trace_encoder(fold_bn(untrained_encoder(MODEL, 0)), SIZE)
    )
    card = IndexManifest(
        index="synthetic.faiss",
        index_sha256="",
        encoder="synthetic.encoder",
        checkpoint="checkpoints/best.pt",
        checkpoint_sha256=sha256,
        model=MODEL,
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
    further = (told["all"] - told["first"]) / (len(logos) - 1)
    row("`tmssl search` over it, warm: first answer", f"{told['first']:.2f} s", "", "3 s")
    row("each further one", f"{1000 * further:.0f} ms", "", "100 ms")


def large(folder: Path, marks: int, rounds: int, parts: Sequence[str]) -> None:
    """All that is measured over the large index."""
    run = synthetic_run(folder, marks)
    kept = run.index / "synthetic.faiss"
    index, what = open_index(kept), f"{marks:,} x {WIDTH}"
    row(f"index of {what}", f"{kept.stat().st_size / 1e9:.2f} GB")
    if "gpu" in parts and torch.cuda.is_available():
        searching_on_gpu(index, rounds)
    if "command" in parts:
        query = unit_vectors(1, 7)
        seconds = interleaved({"one": lambda: search_one(index, query, K, None)}, 3 * rounds)
        row(f"search of {what}, one query", f"{1000 * seconds['one']:.0f} ms")
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
            searching("random clusters", unit_vectors(count, 1), rounds)
        if {"gpu", "command"} & set(parts):
            large(Path(place), marks, rounds, parts)


if __name__ == "__main__":
    main()
