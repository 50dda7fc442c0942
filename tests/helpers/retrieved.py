"""A run with two evaluations whose figures and matches are known, over drawn marks."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
from PIL import Image

from tests.helpers.marks import draw_marks
from tests.helpers.scores import division_hit, group_recall
from tmssl.data.pack.builder import build_pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.retrieval.evaluation.matches import (
    Match,
    MatchesHeader,
    QueryMatches,
    read_matches,
    write_matches,
)
from tmssl.retrieval.search.results import (
    ComparedRegion,
    LikelyCode,
    SearchMatch,
    SearchRecord,
    SearchResult,
)
from tmssl.runs.events import Eval, Score, Segment
from tmssl.runs.folder import Run, create_run
from tmssl.runs.journal import JournalWriter

HOSTILE = "evil\x1b[2J[/]\u202e"


def retrieved_run(folder: Path, *, solid: bool = False) -> Run:
    """Four queries over 24 marks at epochs 3 and 6: m0 is missed, m1 hit at 2, m2 hostile, m3 its own mark.

    At epoch 6 every list is that of epoch 3 with its first two swapped. Solid marks are of one colour each.
    """
    marks = draw_marks(folder / "marks", 24)
    for at, path in enumerate(sorted((marks / "images").iterdir()) if solid else ()):
        Image.new("RGB", (48, 48), (40 + 8 * at, 120, 220 - 8 * at)).save(path)
    pack = build_pack(read_catalogue(marks), folder / "pack", 48).folder
    run = create_run(folder / "runs", "r")
    journal = JournalWriter(run.journal)
    journal.write(Segment(chance=5.55, epochs=10, steps_per_epoch=10))
    for epoch, value in ((3, 0.5), (6, 0.75)):
        stem = f"epoch-{epoch:04d}"
        write_known_matches(run.eval / f"{stem}.matches.jsonl", pack, epoch)
        event = Eval(
            epoch=epoch,
            scores=scores(value),
            queries=4,
            gallery=24,
            split="validation",
            matches=f"eval/{stem}.matches.jsonl",
        )
        (run.eval / f"{stem}.json").write_bytes(msgspec.json.encode(event))
        journal.write(event)
    journal.close()
    return run


def save_known_search(run: Run, marks: Path, crops: Sequence[str] = ("",)) -> Path:
    """A saved search for mark 3 of a `retrieved_run`, or for rectangles of it, that found all 24; returns its file."""
    header, _ = read_matches(next(run.eval.glob("*.matches.jsonl")))
    logo = marks / "images" / "0003.png"
    region = ComparedRegion(kind="block", left=0.2, top=0.2, right=0.7, bottom=0.8)
    answers = [
        SearchResult(
            file=str(logo),
            sha256=hashlib.sha256(logo.read_bytes()).hexdigest(),
            crop=crop,
            likely=[LikelyCode(code="03.01", title="Quadrupeds", share=0.4, score=1.0)],
            matches=[
                SearchMatch(
                    rank=rank + 1,
                    row=(3 + rank) % 24,
                    similarity=1 - rank / 30,
                    id=f"m{(3 + rank) % 24}",
                    title=HOSTILE if rank == 1 else f"mark {(3 + rank) % 24}",
                    shared={"03.01": "Quadrupeds"} if rank % 3 == 0 else {},
                    region=region if rank == 2 else None,
                )
                for rank in range(24)
            ],
        )
        for crop in crops
    ]
    record = SearchRecord(
        searched="2026-11-29T16:00:00+00:00",
        version="1",
        run=str(run.path),
        checkpoint="checkpoints/best.pt",
        checkpoint_sha256="0" * 64,
        model="m",
        image_size=32,
        epoch=6,
        index="i",
        index_sha256="0" * 64,
        pack=header.pack,
        pack_fingerprint="f",
        marks=24,
        compared=24,
        topk=24,
        answers=answers,
    )
    path = run.path / "export" / "search-20261129T160000-0003.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.encode(record))
    return path


def write_known_matches(path: Path, pack: Path, epoch: int) -> None:
    """The matches of four queries at an epoch; see `retrieved_run`."""
    header = MatchesHeader(
        pack=str(pack), epoch=epoch, topk=[10], gallery=24, attribution="by OpenMoji"
    )
    write_matches(path, header, [query(row, swapped=epoch == 6) for row in range(4)])


def scores(value: float) -> list[Score]:
    """A hit rate of divisions, and of the same mark."""
    hit = division_hit(value, 0.25, {"untrained": 0.48}, low=0.3, high=0.8, queries=4)
    return [hit, group_recall(0.25, 0.05, {"untrained": 0.2}, queries=4)]


def query(row: int, *, swapped: bool) -> QueryMatches:
    """A query and its twelve matches."""
    others = [other for other in range(13) if other != row]
    if swapped:
        others[:2] = others[1::-1]
    matches = [
        Match(
            row=other,
            rank=rank,
            similarity=1 - rank / 30,
            hit=row > 0 and rank == 2,
            same_group=row == 3 and rank == 1,
            shared=["03.01"] if rank == 2 else [],
            id=f"m{other}",
            path=f"images/{other:04d}.png",
            title=f"mark {other}",
        )
        for rank, other in enumerate(others, 1)
    ]
    return QueryMatches(
        row=row,
        id=f"m{row}",
        title=HOSTILE if row == 2 else f"mark {row}",
        vienna=["03.01", "26.01"],
        path=f"images/{row:04d}.png",
        group=f"g{row // 2}",
        first_hit=2 if row else 0,
        matches=matches,
    )
