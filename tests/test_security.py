"""What comes from elsewhere cannot run code, leave its folder or end in a traceback (docs/security.md)."""

import csv
import json
import random
import re
import struct
from pathlib import Path

import msgspec
import pytest

from tests.helpers.marks import draw_marks
from tmssl.config import Config, read_config, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.errors import CatalogueError, CheckpointError, ConfigError, InputError, TmsslError
from tmssl.retrieval.index.faiss_index import open_index
from tmssl.retrieval.search import traced_encoder
from tmssl.retrieval.search.manifest import IndexManifest, read_manifest
from tmssl.runs.checkpoints import digest, find_checkpoint, read_sidecar, valid_checkpoints
from tmssl.runs.folder import Run, create_run
from tmssl.text import safe

ROOT = Path(__file__).parents[1]


def with_checkpoint(folder: Path) -> Run:
    """A run with one file that its sidecar knows."""
    run = create_run(folder / "runs", "r")
    place(run.checkpoints / "last.pt", b"weights")
    return run


def place(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    facts = {"sha256": digest(path), "step": 5, "steps_per_epoch": 5, "epoch": 1.0}
    path.with_suffix(".json").write_text(json.dumps(facts))


def test_every_row_of_the_threat_table_names_tests_that_exist() -> None:
    rows = [
        line
        for line in (ROOT / "docs/security.md").read_text("utf-8").splitlines()
        if line.startswith("| ") and "covered by" not in line
    ]
    assert len(rows) >= 20
    for row in rows:
        named = re.findall(r"`([\w/]*test_\w+\.py)::(test_\w+)`", row)
        assert named, row
        for file, test in named:
            source = (ROOT / "tests" / file).read_text("utf-8")
            assert re.search(rf"def {test}\(", source), test


def test_the_quarantine_is_no_formula_and_holds_no_control(tmp_path: Path) -> None:
    folder = draw_marks(tmp_path / "m", 2)
    for name in ("=1+1.png", "@\u202ea.png", "a\x9bb.png"):
        (folder / name).write_bytes(b"no image")
    pack = build_pack(read_catalogue(folder), tmp_path / "p", 32, workers=1)
    paths = ["'=1+1.png", "'@\ufffda.png", "a\ufffdb.png"]
    assert [path for path, _ in pack.quarantine] == paths


@pytest.mark.parametrize("name", ["best", "epoch-0010"])
def test_a_checkpoint_that_is_a_link_out_of_its_run_is_not_followed(
    tmp_path: Path, name: str
) -> None:
    run = with_checkpoint(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    place(tmp_path / "elsewhere" / "x.pt", b"other")
    (run.checkpoints / f"{name}.pt").symlink_to(tmp_path / "elsewhere" / "x.pt")
    (run.checkpoints / f"{name}.json").symlink_to(tmp_path / "elsewhere" / "x.json")
    with pytest.raises(CheckpointError, match="a link out of its run"):
        find_checkpoint(run, name)
    assert find_checkpoint(run) == run.checkpoints / "last.pt"
    assert [path.name for _, path in valid_checkpoints(run.checkpoints)] == ["last.pt"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"1",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        b'{"sha256": 1, "step": 1}',
        b'{"sha256": "SHA", "step": "5"}',
        b'{"sha256": "SHA", "step": -1, "steps_per_epoch": 5}',
        b'{"sha256": "SHA", "step": 5, "steps_per_epoch": 5}' + b" " * (1 << 20),
    ],
)
def test_a_sidecar_that_is_no_sidecar_is_passed_over(tmp_path: Path, content: bytes) -> None:
    run = with_checkpoint(tmp_path)
    last = run.checkpoints / "last.pt"
    (run.checkpoints / "last.json").write_bytes(content.replace(b"SHA", digest(last).encode()))
    with pytest.raises(CheckpointError, match="damaged"):
        find_checkpoint(run)
    with pytest.raises(CheckpointError, match="damaged or foreign"):
        read_sidecar(last)


@pytest.mark.parametrize(
    ("kind", "features", "count"),
    [
        (b"IxFI", 8, 100),
        (b"IwFl", 8, 100),
        (b"IxSQ", 8, 1 << 40),
        (b"IxSQ", 1 << 30, 1),
        (b"IxSQ", -8, -100),
        (b"IxSQ", 8, -1),
        (b"IxSQ", 0, 0),
    ],
)
def test_an_index_whose_header_lies_never_reaches_faiss(
    tmp_path: Path, kind: bytes, features: int, count: int
) -> None:
    path = tmp_path / "i.faiss"
    path.write_bytes(struct.pack("<4siq", kind, features, count) + bytes(5000))
    with pytest.raises(InputError, match="damaged or no index of ours"):
        open_index(path)


def test_an_index_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "i.faiss").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="is a link"):
        open_index(tmp_path / "i.faiss")


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "linked", "\0"])
def test_a_manifest_that_names_files_outside_its_run_is_made_again(
    tmp_path: Path, name: str
) -> None:
    run = create_run(tmp_path / "runs", "r")
    (run.path / "secret").touch()
    (run.index / "linked").symlink_to("/etc/hostname")
    manifest = IndexManifest(
        index=name,
        index_sha256="",
        encoder="",
        checkpoint="last.pt",
        checkpoint_sha256="",
        model="m",
        image_size=32,
        epoch=1.0,
        step=1,
        marks=1,
        holders={},
    )
    (run.index / "c.card.json").write_bytes(msgspec.json.encode(manifest))
    assert read_manifest(run.index / "c.card.json") is None


def test_a_traced_encoder_cannot_touch_files() -> None:
    with pytest.raises(ValueError, match="works on files"):
        traced_encoder._operation("from_file.default")
    for name in ("__class__.default", "os.system", "load.default"):
        with pytest.raises(ValueError, match="unknown operation"):
            traced_encoder._operation(name)


@pytest.mark.parametrize(
    "text",
    [
        '[model]\nname = "efficientnet_b0"\nhook = "os.system"',
        "[model]\nname = {a = 1}",
        '__import__ = "os"',
        "[train]\nepochs = 1e999",
    ],
)
def test_settings_are_values_and_never_code(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigError):
        read_config(tmp_path / "config.toml")


@pytest.mark.parametrize("text", ["a = " + "[" * 20_000, "#" * (1 << 21)])
def test_settings_that_are_huge_or_deep_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"is not TOML|no file of settings"):
        read_config(tmp_path / "config.toml")


def test_a_catalogue_that_names_another_file_learns_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the password")
    draw_marks(tmp_path / "marks", 4)
    with (tmp_path / "marks" / "labels.csv").open("a", newline="") as file:
        csv.writer(file).writerow(["../secret.txt", "m9", "03.01", "", "train", "x"])
    catalogue = read_catalogue(tmp_path / "marks" / "labels.csv")
    pack = build_pack(catalogue, tmp_path / "pack", 32, workers=1)
    assert pack.count == 4
    kept = b"".join(path.read_bytes() for path in (tmp_path / "pack").iterdir())
    assert b"password" not in kept


def test_links_out_of_a_folder_are_not_followed_and_told(tmp_path: Path) -> None:
    draw_marks(tmp_path / "marks", 3)
    draw_marks(tmp_path / "elsewhere", 2)
    inside = tmp_path / "marks" / "images"
    (tmp_path / "marks" / "away").symlink_to(tmp_path / "elsewhere")
    (inside / "file.png").symlink_to(tmp_path / "elsewhere" / "images" / "0000.png")
    (inside / "again.png").symlink_to(inside / "0001.png")
    report = read_catalogue(tmp_path / "marks").report
    assert report.images == 4
    assert sorted(report.outside) == ["away", "images/file.png"]
    assert "2 paths lead out of the source's folder" in "\n".join(report.lines())
    assert "--images-under" in "\n".join(report.lines())
    allowed = read_catalogue(tmp_path / "marks", tmp_path / "elsewhere").report
    assert (allowed.images, allowed.outside) == (7, ())


def test_labels_that_are_a_link_out_of_the_folder_are_not_read(tmp_path: Path) -> None:
    draw_marks(tmp_path / "marks", 3)
    (tmp_path / "labels.csv").write_bytes((tmp_path / "marks" / "labels.csv").read_bytes())
    (tmp_path / "marks" / "labels.csv").unlink()
    (tmp_path / "marks" / "labels.csv").symlink_to(tmp_path / "labels.csv")
    report = read_catalogue(tmp_path / "marks").report
    assert (report.labels, report.outside) == (0, ("labels.csv",))


def test_a_table_names_images_beside_it_or_in_the_folder_that_was_allowed(tmp_path: Path) -> None:
    draw_marks(tmp_path / "elsewhere", 2)
    draw_marks(tmp_path / "tables", 1)
    away = tmp_path / "elsewhere" / "images"
    table = tmp_path / "tables" / "t.csv"
    table.write_text(f"path\n../elsewhere/images/0000.png\n{away / '0001.png'}\n")
    with pytest.raises(CatalogueError, match=r"2 paths lead out .* --images-under DIR"):
        read_catalogue(table)
    assert len(read_catalogue(table, tmp_path / "elsewhere").marks) == 2
    table.write_text("path\n../elsewhere/images/0000.png\nimages/0000.png\n")
    report = read_catalogue(table).report
    assert (report.images, report.outside) == (1, ("../elsewhere/images/0000.png",))


def test_links_that_lead_away_do_not_hide_a_join_that_lost_everything(tmp_path: Path) -> None:
    draw_marks(tmp_path / "marks", 3)
    draw_marks(tmp_path / "elsewhere", 2)
    for i in range(9):
        (tmp_path / "marks" / f"away{i}").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "marks" / "labels.csv").write_text("path,vienna\nx.png,03.01\ny.png,03.01\n")
    with pytest.raises(CatalogueError, match=r"only 0 of 2 labels .* --images-under DIR"):
        read_catalogue(tmp_path / "marks")


def mutated(content: bytes, dice: random.Random) -> bytes:
    """A few bytes changed, cut, doubled, or replaced by what parsers stumble over."""
    data = bytearray(content)
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(data) + 1)
        piece = dice.choice(
            [
                b"",
                b"[",
                b"{",
                b'"',
                b"\0",
                b"\xff",
                b"\n",
                b"1e999",
                b"-1",
                b"nan",
                b"[" * 2000,
                b"../",
                b"null",
                b"9" * 400,
                bytes([dice.randrange(256)]),
            ]
        )
        data[at : at + dice.choice([0, 1, 1, 5, 50])] = piece
    return bytes(data)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ten_thousand_mutations_end_in_clear_errors(tmp_path: Path) -> None:
    run = with_checkpoint(tmp_path)
    write_config(Config(), run.config)
    draw_marks(tmp_path / "marks", 3)
    table = (tmp_path / "marks" / "labels.csv").read_bytes()
    rows = [{"path": f"images/000{i}.png", "vienna": ["03.01"], "title": f"t{i}"} for i in range(3)]
    lines = "\n".join(map(json.dumps, rows)).encode()
    l3d = json.dumps([{"file": r["path"], "vienna_codes": r["vienna"], "year": 2020} for r in rows])
    originals = {
        run.config: run.config.read_bytes(),
        run.checkpoints / "last.json": (run.checkpoints / "last.json").read_bytes(),
        tmp_path / "marks" / "t.csv": table,
        tmp_path / "marks" / "t.jsonl": lines,
        tmp_path / "marks" / "t.json": l3d.encode(),
    }
    dice, refused = random.Random(7), list[str]()
    for _ in range(10_000 // len(originals)):
        for path, content in originals.items():
            path.write_bytes(mutated(content, dice))
            try:
                if path == run.config:
                    read_config(path)
                elif path.suffix == ".json" and path.parent == run.checkpoints:
                    read_sidecar(find_checkpoint(run))
                else:
                    read_catalogue(path)
            except TmsslError as error:
                refused.append(str(error))
            path.write_bytes(content)
    assert len(refused) > 1000
    for words in refused:
        assert words == safe(words, 3000)
