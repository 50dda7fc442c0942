"""A gallery in Qdrant: uploaded once however often, filtered and searched as faiss does it."""

import contextlib
import json
import socket
import threading
import time
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from tests.helpers.in_process import tmssl_in_process
from tests.helpers.marks import draw_marks
from tests.helpers.qdrant_server import qdrant_server
from tests.helpers.regional import drawn, in_memory
from tests.helpers.tiny_run import tiny_run
from tmssl.data.sources.marks import Mark, MarkTable
from tmssl.errors import EngineError, InputError
from tmssl.retrieval.index.exact import search_one
from tmssl.retrieval.index.faiss_index import empty_index
from tmssl.retrieval.index.regional_search import region_vectors, search_regions
from tmssl.retrieval.qdrant import collection as collections
from tmssl.retrieval.qdrant import connection
from tmssl.retrieval.qdrant.collection import Collection
from tmssl.retrieval.qdrant.conditions import engine_filter
from tmssl.retrieval.qdrant.connection import connect
from tmssl.retrieval.qdrant.payload import key_of, payload_of, point_id
from tmssl.retrieval.qdrant.storage import Storage
from tmssl.retrieval.search.filters import Condition, parse_condition, select
from tmssl.runs.folder import Run
from tmssl.types import Vectors

FEATURES = 16


def gallery(count: int, features: int = FEATURES) -> tuple[faiss.Index, MarkTable]:
    """Random unit vectors of marks with codes, a year, a date and a word."""
    vectors = np.random.default_rng(0).normal(size=(count, features)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = empty_index(features)
    index.add(vectors)
    marks = [
        Mark(
            path=f"{row:05}.png",
            id=f"m{row}",
            title=["Moon", "moonlight", "Sun", ""][row % 4],
            vienna=(("03.01.05", "27.05.01"), ("03.07",), ("26.01",), ())[row % 4],
            extra={
                "year": str(1990 + row % 40),
                "added": f"2026-{1 + row % 12:02}-05",
                "a b.c": "X",
            },
        )
        for row in range(count)
    ]
    return index, MarkTable.of(marks)


def one_of(index: faiss.Index, row: int) -> Vectors:
    """A vector of the gallery as a query (1, d)."""
    return index.reconstruct_n(row, 1)


@pytest.fixture
def collection() -> Collection:
    return Collection(QdrantClient(":memory:"), "memory", "marks")


def filled(collection: Collection, count: int = 60) -> tuple[faiss.Index, MarkTable]:
    index, marks = gallery(count)
    collection.create(FEATURES, Storage())
    assert collection.upload(index, marks, "sha") == count
    return index, marks


def test_an_upload_that_is_given_again_sends_nothing(collection: Collection) -> None:
    index, marks = filled(collection)
    assert collection.upload(index, marks, "sha") == 0
    assert collection.client.count("marks").count == 60
    # Another index of the same marks takes the place of the first.
    assert collection.upload(index, marks, "other") == 60
    assert collection.client.count("marks").count == 60


class Breaking(QdrantClient):
    """A client whose connection breaks at its third batch."""

    batches = 0

    def upsert(self, *args: object, **options: object) -> object:  # type: ignore[override]  # any arguments
        self.batches += 1
        if self.batches == 3:
            raise ConnectionResetError(104, "Connection reset by peer")
        return super().upsert(*args, **options)  # type: ignore[arg-type]  # as they came


def test_an_upload_that_breaks_off_goes_on_where_it_was() -> None:
    collection = Collection(Breaking(":memory:"), "memory", "marks")
    index, marks = gallery(900)
    collection.create(FEATURES, Storage())
    with pytest.raises(EngineError, match=r"Connection reset.*goes on where it was"):
        collection.upload(index, marks, "sha")
    assert collection.client.count("marks").count == 512
    assert collection.upload(index, marks, "sha") == 900 - 512
    assert collection.overlap_at_10(index, "sha") >= 0.99


@pytest.mark.parametrize(
    "text",
    [
        *("year>=2015", "year<1995", "year=2000", "year!=2000", "year>2030", "title~moon"),
        *("title=moon", "title!=Moon", "title=", "title!=", "vienna~03.0", "a b.c=x"),
        *("added>=2026-06-01", "added<2026-02-01", "id=m7", "path~0001", "vienna="),
    ],
)
def test_every_condition_means_what_it_means_for_faiss(collection: Collection, text: str) -> None:
    index, marks = filled(collection)
    condition = parse_condition(text)
    mask = select(marks, [], [condition])
    query = one_of(index, 5)
    expected = set(np.flatnonzero(mask).tolist())
    ((_, rows),) = collection.nearest(query, 60, "sha", engine_filter([], [condition]))
    assert set(rows.tolist()) == expected


@pytest.mark.parametrize("code", ["3", "3.1", "03.01.05", "3.7", "26.1", "27", "29"])
def test_codes_are_filtered_at_each_level(collection: Collection, code: str) -> None:
    index, marks = filled(collection)
    mask = select(marks, [code], [])
    query = one_of(index, 5)
    ((similarity, rows),) = collection.nearest(query, 10, "sha", engine_filter([code], []))
    assert len(rows) == min(10, int(mask.sum()))
    if len(rows):
        cosines, expected = search_one(index, query, len(rows), mask)
        assert rows.tolist() == expected.tolist()
        assert np.allclose(similarity, cosines, atol=2e-3)


@settings(deadline=None, max_examples=60)
@given(
    texts=st.lists(
        st.sampled_from(["", "7", "7.0", "-3", "abc", "ABC", "2026-01-05", "x7", "1e3"]),
        min_size=1,
        max_size=8,
    ),
    sign=st.sampled_from(["=", "!=", "~", "<", "<=", ">", ">="]),
    value=st.sampled_from(["7", "7.0", "0", "abc", "Abc", "2026", "2026-01-01", "1000"]),
)
def test_any_condition_is_that_of_faiss_or_refused(texts: list[str], sign: str, value: str) -> None:
    marks = MarkTable.of(
        [
            Mark(path=f"{i}.png", extra={"c": text} if text else {"d": ""})
            for i, text in enumerate([*texts, "7"])
        ]
    )
    client = QdrantClient(":memory:")
    collection = Collection(client, "memory", "marks")
    index = empty_index(2)
    index.add(np.tile(np.array([[1, 0]], np.float32), (len(marks), 1)))
    collection.create(2, Storage())
    collection.upload(index, marks, "sha")
    condition = Condition("c", sign, value)
    try:
        wanted = engine_filter([], [condition])
    except InputError:
        assert sign not in ("=", "!=")
        assert sign != "~" or len(value) < 3
        return
    ((_, rows),) = collection.nearest(one_of(index, 0), len(marks), "sha", wanted)
    expected = [condition.matches(mark.extra.get("c", "")) for mark in marks]
    if "-" in value and sign not in (
        "=",
        "!=",
        "~",
    ):  # other words than dates have no order
        expected = [
            fits and mark.extra.get("c", "").startswith("2026")
            for fits, mark in zip(expected, marks, strict=True)
        ]
    assert set(rows.tolist()) == set(np.flatnonzero(expected).tolist())


def test_text_that_cannot_be_ordered_is_refused_in_a_line() -> None:
    with pytest.raises(InputError, match="orders only numbers and dates"):
        engine_filter([], [parse_condition("title>=moon")])


def test_points_of_another_index_are_left_out(collection: Collection) -> None:
    index, _ = filled(collection)
    ((_, rows),) = collection.nearest(one_of(index, 0), 10, "another")
    assert rows.tolist() == []


def test_a_collection_of_other_vectors_is_refused(collection: Collection) -> None:
    filled(collection)
    with pytest.raises(InputError, match="16 features"):
        collection.create(FEATURES + 1, Storage())


def test_ids_are_the_marks_own_where_they_are_unique() -> None:
    assert point_id("m1") == point_id("m1") != point_id("m2")
    assert key_of("year") == "year"
    assert key_of("a.b") != key_of("a_b") != key_of("a b")
    payload = payload_of(Mark(path="a", extra={"year": "2020", "n": "9" * 40}), 3, "sha")
    json.dumps(payload, allow_nan=False)
    assert payload["number"] == {"year": 2020, "n": 1e40}


def test_several_views_of_each_mark_are_compared_as_without_an_engine(
    collection: Collection,
) -> None:
    regional = in_memory(drawn(0, 60, 4, FEATURES))
    _, marks = gallery(60)
    index = regional.whole
    collection.create(FEATURES, Storage(), several=True)
    assert collection.upload(index, marks, "sha", regional=regional) == 60
    assert collection.overlap_at_10(index, "sha", regional) >= 0.99
    condition = parse_condition("year<2010")
    mask = select(marks, [], [condition])
    for row in (0, 7, 23):
        query = region_vectors(regional, row)
        for kept, wanted in ((None, None), (mask, engine_filter([], [condition]))):
            similarity, rows = collection.nearest_by_views(
                query, 12, "sha", regional.penalties, wanted
            )
            expected = search_regions(regional, query, 12, kept)
            assert rows.tolist() == expected[1].tolist()
            assert np.allclose(similarity, expected[0], atol=2e-3)


@pytest.mark.parametrize("several", [False, True])
def test_a_collection_of_one_vector_a_mark_is_not_taken_for_one_of_several(
    collection: Collection, several: bool
) -> None:
    collection.create(FEATURES, Storage(), several=several)
    collection.check(FEATURES, several=several)
    with pytest.raises(InputError, match=r"of each mark, and .* of each are wanted"):
        collection.check(FEATURES, several=not several)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_20_000_marks_are_found_as_faiss_finds_them_with_filters_of_each_kind(
    collection: Collection,
) -> None:
    index, marks = gallery(20_000, 64)
    collection.create(64, Storage())
    collection.upload(index, marks, "sha")
    assert collection.overlap_at_10(index, "sha") >= 0.99
    filters: list[tuple[list[str], list[str]]] = [
        *[([], [text]) for text in ("year>=2015", "year=2000", "year!=2000", "title~moon")],
        *[([], [text]) for text in ("title!=Moon", "added<2026-06-01", "id=m777")],
        *[([code], []) for code in ("3", "26.1", "27.5.1")],
        (["3"], ["year<2010", "title~oon"]),
    ]
    for codes, texts in filters:
        conditions = [parse_condition(text) for text in texts]
        mask, query = select(marks, codes, conditions), one_of(index, 123)
        wanted = engine_filter(codes, conditions)
        ((similarity, rows),) = collection.nearest(query, 10, "sha", wanted)
        cosines, expected = search_one(index, query, min(10, int(mask.sum())), mask)
        assert len(np.intersect1d(rows, expected)) >= 0.99 * len(expected), (codes, texts)
        assert np.allclose(similarity, cosines, atol=2e-3)


def test_a_server_that_refuses_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with pytest.raises(EngineError, match=f"Qdrant at {url}.*refused") as told:
        Collection(connect(url), url, "marks").create(4, Storage())
    assert "\n" not in str(told.value)


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "timed out"),
        (b"", "disconnected"),
        (_HEAD + b'{"result"', "peer closed|incomplete"),
        (_HEAD.replace(b"1000", b"9") + b"<html>ok\n", ""),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 6\r\n\r\nno\nway", "500"),
    ],
)
def test_a_server_that_hangs_breaks_off_or_talks_nonsense_is_one_line(
    answer: bytes | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_TIMEOUT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):  # the end of the test
                while True:
                    peer, _ = server.accept()
                    peers.append(peer)
                    if answer is not None:
                        peer.recv(4096)
                        peer.sendall(answer)
                        peer.close()

        peers: list[socket.socket] = []
        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(EngineError, match=f"Qdrant at {url}: .*({said}).*; the same") as told:
            Collection(connect(url), url, "marks").create(4, Storage())
        assert "\n" not in str(told.value)
        assert time.monotonic() - begun < 30
        for peer in peers:
            peer.close()


class Indexing(QdrantClient):
    """A client that notes which fields a server is to index."""

    def create_payload_index(self, *args: object, **options: object) -> object:  # type: ignore[override]  # any arguments
        self.indexed = [*getattr(self, "indexed", []), args[1]]
        return None


def test_a_server_indexes_what_every_search_asks_for() -> None:
    client = Indexing(":memory:")
    Collection(client, "http://localhost:6333", "marks").create(FEATURES, Storage())
    assert client.indexed == ["index", "category", "division", "section"]


@pytest.mark.parametrize("several", [False, True])
def test_a_new_collection_is_told_how_to_keep_its_vectors(several: bool) -> None:
    with qdrant_server() as (url, service):
        storage = Storage(half=True, quantization="int8", shards=3)
        Collection(connect(url), url, "marks").create(FEATURES, storage, several=several)
        (asked,) = service.created
    kinds = asked.vectors if isinstance(asked.vectors, dict) else {"": asked.vectors}
    assert list(kinds) == (["whole", "parts"] if several else [""])
    assert all(kind is not None and kind.datatype == "float16" for kind in kinds.values())
    assert all(kind is not None and kind.on_disk for kind in kinds.values())
    assert asked.shard_number == 3
    assert isinstance(asked.quantization_config, models.ScalarQuantization)
    assert asked.quantization_config.scalar.type == "int8"


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(InputError, match="is no address of Qdrant"):
        connect("ftp://example.org")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("qdrant")
    draw_marks(folder / "marks", 40)
    return tiny_run(folder)


def test_the_command_line_uploads_and_finds_the_same(run: Run, tmp_path: Path) -> None:
    folder = str(tmp_path / "qdrant")
    words = ["export", str(run.path), "--to", "qdrant", "--url", folder, "--collection", "marks"]
    facts = json.loads(tmssl_in_process(*words, "--json")[0])
    assert (facts["sent"], facts["marks"]) == (40, 40)
    assert facts["overlap"] >= 0.99
    assert json.loads(tmssl_in_process(*words, "--json")[0])["sent"] == 0
    logo = next((run.path.parent.parent / "marks" / "images").glob("*7.png"))
    search = ["search", str(logo), "--run", str(run.path), "-k", "5", "--json"]
    told = [json.loads(tmssl_in_process(*search)[0])]
    told.append(json.loads(tmssl_in_process(*search, "--engine", f"{folder}/marks")[0]))
    found = [[match["path"] for match in one["answers"][0]["matches"]] for one in told]
    assert found[0] == found[1]
    assert told[1]["engine"] == f"{folder}/marks"
    risky = [*search[:4], "--above", "0.5", "--where", "title~mark", "--json"]
    above = [json.loads(tmssl_in_process(*risky, code=3)[0])]
    above.append(json.loads(tmssl_in_process(*risky, "--engine", f"{folder}/marks", code=3)[0]))
    listed = [[match["path"] for match in one["answers"][0]["matches"]] for one in above]
    assert listed[0] == listed[1] != []


def test_an_upload_that_a_server_breaks_off_is_one_line_and_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collections, "_BATCH", 16)
    with qdrant_server() as (url, service):
        words = ["export", str(run.path), "--to", "qdrant", "--url", url, "--collection", "marks"]
        service.breaks_after = 1
        with pytest.raises(EngineError, match="the same command goes on where it was") as told:
            tmssl_in_process(*words)
        assert "\n" not in str(told.value)
        facts = json.loads(tmssl_in_process(*words, "--json")[0])
        assert (facts["sent"], facts["marks"]) == (24, 40)
        assert facts["overlap"] >= 0.99
        logo = next((run.path.parent.parent / "marks" / "images").glob("*7.png"))
        search = [
            "search",
            str(logo),
            "--run",
            str(run.path),
            "-k",
            "5",
            "--vienna",
            "26",
            "--json",
        ]
        found = []
        for more in ([], ["--engine", f"{url}/marks"]):
            (answer,) = json.loads(tmssl_in_process(*search, *more)[0])["answers"]
            found.append([match["path"] for match in answer["matches"]])
        assert found[0] == found[1] != []


def test_views_are_searched_on_a_server_with_the_same_output(run: Run) -> None:
    with qdrant_server() as (url, _):
        words = ["export", str(run.path), "--to", "qdrant", "--url", url, "--collection", "marks"]
        facts = json.loads(tmssl_in_process(*words, "--views", "4", "--json")[0])
        assert facts["overlap"] >= 0.99
        logo = next((run.path.parent.parent / "marks" / "images").glob("*7.png"))
        search = ["search", str(logo), "--run", str(run.path), "-k", "5", "--views", "4", "--json"]
        found = []
        for more in ([], ["--engine", f"{url}/marks"]):
            (answer,) = json.loads(tmssl_in_process(*search, *more)[0])["answers"]
            found.append(answer["matches"])
        for ours, theirs in zip(*found, strict=True):
            assert ours.pop("similarity") == pytest.approx(theirs.pop("similarity"), abs=2e-3)
            assert ours == theirs
        plain = [*search[:-3], "--engine", f"{url}/marks"]
        with pytest.raises(InputError, match="keeps vectors parts, whole of each mark"):
            tmssl_in_process(*plain)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "qdrant"], "needs --url"),
        (["--to", "timm", "--url", "x"], "are for --to qdrant"),
        (["--to", "timm", "--views", "3"], "--views is for --embeddings and --to qdrant"),
        (
            ["--to", "qdrant", "--url", "x", "--collection", "c", "--quantization", "z"],
            "int8, binary",
        ),
    ],
)
def test_bad_options_are_one_line(run: Run, words: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        tmssl_in_process("export", str(run.path), *words)


@pytest.mark.parametrize("engine", ["marks", "http://", "/", "http:///"])
def test_a_bad_engine_is_one_line(run: Run, engine: str) -> None:
    logo = next((run.path.parent.parent / "marks" / "images").glob("*7.png"))
    with pytest.raises(InputError):
        tmssl_in_process("search", str(logo), "--run", str(run.path), "--engine", engine)
