"""`tmssl search` on a run that was trained once: what it finds, prints and refuses."""

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from rich.cells import cell_len

from cli.output.pictures import PictureStyle
from cli.output.search import picture_lines
from tests.helpers.command import run_checked
from tests.helpers.composites import COMPOSITES, Composite
from tests.helpers.in_process import tmssl_in_process
from tests.helpers.marks import draw_marks
from tests.helpers.tiny_run import tiny_run
from tmssl.data.lettering.line import Line
from tmssl.data.lettering.store import lettering_folder, write_part
from tmssl.data.pack.reader import open_pack
from tmssl.errors import InputError
from tmssl.retrieval.index.exact import search_one
from tmssl.retrieval.search.gallery import open_gallery
from tmssl.retrieval.search.logos import read_logo
from tmssl.retrieval.search.search import find_matches
from tmssl.retrieval.vectors.embed import embed_pack, trained_encoder
from tmssl.runs.folder import Run, create_run
from tmssl.training.checkpoints.store import load_weights

MARKS = 40


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("search")
    marks = draw_marks(folder / "marks", MARKS)
    table = (marks / "labels.csv").read_text().splitlines()
    rows = [f"{line},{1990 + i},https://example.org/{i}" for i, line in enumerate(table[1:])]
    (marks / "labels.csv").write_text("\n".join([f"{table[0]},year,url", *rows, ""]))
    return tiny_run(folder)


@pytest.fixture(scope="module")
def images(run: Run) -> Path:
    """The folder of the run's images."""
    return Path(open_gallery(run).pack.source_root) / "images"


@pytest.fixture
def logo(images: Path, tmp_path: Path) -> Path:
    """A copy of the run's image 7, which the catalogue does not know."""
    path = tmp_path / "logo.png"
    path.write_bytes((images / "0007.png").read_bytes())
    return path


def searched(run: Run, *words: str, stdin: bytes | None = None) -> tuple[str, str]:
    """Stdout and stderr of `tmssl search WORDS --run RUN`."""
    return tmssl_in_process("search", *words, "--run", str(run.path), stdin=stdin)


def test_json_is_a_record_that_can_be_repeated(run: Run, logo: Path) -> None:
    told = json.loads(searched(run, str(logo), "-k", "5", "--json")[0])
    assert (told["marks"], told["compared"], told["topk"], told["epoch"]) == (MARKS, MARKS, 5, 1)
    assert (
        told["checkpoint_sha256"]
        == json.loads((run.checkpoints / "best.json").read_text())["sha256"]
    )
    assert len(told["index_sha256"]) == 64
    assert told["note"].endswith("a ranking aid, not a clearance opinion.")
    (one,) = told["answers"]
    assert one["file"] == str(logo)
    best = one["matches"][0]
    assert (best["path"], best["rank"], best["id"]) == ("images/0007.png", 1, "m7")
    assert best["similarity"] == pytest.approx(1, abs=2e-3)
    assert (best["url"], best["extra"]["year"]) == ("https://example.org/7", "1997")
    assert [match["rank"] for match in one["matches"]] == [1, 2, 3, 4, 5]
    assert one["likely"]
    assert set(best["shared"]) <= {likely["code"] for likely in one["likely"]}
    again = json.loads(searched(run, str(logo), "-k", "5", "--json")[0])
    assert {**again, "searched": ""} == {**told, "searched": ""}


def test_it_finds_what_comparing_everything_finds(run: Run, images: Path) -> None:
    gallery = open_gallery(run)
    weights = load_weights(run.checkpoints / "best.pt")
    vectors = embed_pack(
        trained_encoder(weights),
        open_pack(gallery.pack_folder),
        image_size=32,
        device=torch.device("cpu"),
    )
    generator = np.random.default_rng(0)
    for number, mask in enumerate([None, *(generator.random((3, MARKS)) < 0.4)]):
        logo = read_logo(str(images / f"{number:04d}.png"), gallery.pack.size)
        cosines = vectors @ vectors[number]
        cosines[~mask if mask is not None else []] = -np.inf
        k = 12 if mask is None else int(mask.sum())
        found = find_matches(gallery, logo, k, mask).matches
        expected = np.sort(cosines)[::-1][:k]
        assert np.allclose([match.similarity for match in found], expected, atol=2e-3)
        assert np.allclose(cosines[[match.row for match in found]], expected, atol=2e-3)


def test_a_mask_leaves_exactly_the_best_of_the_rest(run: Run) -> None:
    index = open_gallery(run).index.exact
    vectors = index.reconstruct_n(0, MARKS)
    for few in (1, 3, MARKS):
        mask = np.zeros(MARKS, np.bool_)
        mask[np.random.default_rng(few).permutation(MARKS)[:few]] = True
        similarity, rows = search_one(index, vectors[5:6], few, mask)
        assert sorted(rows.tolist()) == np.flatnonzero(mask).tolist()
        expected = np.clip(
            np.sort(vectors[mask] @ vectors[5])[::-1], -1, 1
        )  # half precision rounds
        assert np.allclose(similarity, expected, atol=1e-5)


def test_filters_come_before_the_ranking(run: Run, logo: Path) -> None:
    out, words = searched(
        run, str(logo), "--vienna", "3.1", "--where", "year<2010", "--json", "-k", "9"
    )
    told = json.loads(out)
    matches = told["answers"][0]["matches"]
    assert 0 < told["compared"] == len(matches) < 9
    assert all(
        "03.01" in match["vienna"] and int(match["extra"]["year"]) < 2010 for match in matches
    )
    assert words.splitlines() == [
        f"only {told['compared']} marks pass the filters; the lists end there"
    ]
    assert (told["vienna"], told["where"]) == (["3.1"], ["year<2010"])


def test_csv_has_a_line_for_each_match_and_every_column(run: Run, images: Path) -> None:
    names = [str(images / f"{i:04d}.png") for i in (3, 4)]
    rows = list(csv.DictReader(io.StringIO(searched(run, *names, "-k", "4", "--csv")[0])))
    assert [(row["query"], row["rank"]) for row in rows] == [
        (n, str(k)) for n in names for k in range(1, 5)
    ]
    assert (rows[0]["path"], rows[0]["year"], rows[0]["title"]) == (
        "images/0003.png",
        "1993",
        "mark 3",
    )


def test_plain_lines_name_codes_paths_and_links(run: Run, images: Path, logo: Path) -> None:
    out, _ = searched(run, str(logo), str(images / "0009.png"), "-k", "2")
    lines = out.splitlines()
    assert "likely codes, of the nearest marks: " in lines[0]
    assert "images/0007.png  m7  mark 7  https://example.org/7" in lines[1]
    assert lines[3].endswith("0009.png: codes 03.02 26.01")
    assert lines[4].endswith("(the logo itself)")
    assert f"compared with {MARKS} marks, checkpoint checkpoints/best.pt, epoch 1" in lines
    assert "not a clearance opinion" in lines[-1]


def test_a_folder_and_standard_input_are_searched_for(run: Run, logo: Path) -> None:
    (logo.parent / "broken.png").write_bytes(b"no image")
    (logo.parent / "notes.txt").write_text("no image either")
    out, words = searched(run, str(logo.parent), "-k", "1", "--json")
    assert [one["file"] for one in json.loads(out)["answers"]] == [str(logo)]
    assert words.startswith(
        f"left out: {logo.parent}/broken.png cannot be searched for: not an image"
    )
    out, _ = searched(run, "-", "-k", "1", "--json", stdin=logo.read_bytes())
    (one,) = json.loads(out)["answers"]
    assert (one["file"], one["matches"][0]["id"]) == ("-", "m7")


def test_a_text_is_searched_for_alone(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    words = ["--text", "MARK 7", "--where", "year<2020", "-k", "3", "--html", str(page)]
    told = json.loads(searched(run, *words, "--json")[0])
    (one,) = told["answers"]
    assert (one["file"], one["text"], told["compared"]) == ("", "MARK 7", 30)
    assert told["weights"] == {"picture": 0, "text": 1, "codes": 0}
    best = one["matches"][0]
    assert (best["title"], best["similarity"], best["parts"]) == ("mark 7", 1, {"text": 1})
    assert "&#34;MARK 7&#34;" in page.read_text()
    out, _ = searched(run, *words, "--pictures", "half")
    assert "ranked by text 1" in out
    assert "Similarity of pictures, spelling and codes as weighed" in out
    assert "1 1.0000  (text 1.000)" in out
    rows = list(csv.DictReader(io.StringIO(searched(run, *words, "--csv")[0])))
    assert (rows[0]["text"], rows[0]["text_similarity"]) == ("MARK 7", "1.000000")
    assert rows[0]["picture_similarity"] == ""


def test_picture_text_and_codes_make_one_ranking(run: Run, logo: Path) -> None:
    def found(*words: str) -> list[dict[str, Any]]:
        return json.loads(searched(run, *words, "-k", "40", "--json")[0])["answers"][0]["matches"]

    alone = found(str(logo))
    assert found(str(logo), "--weights", "picture=1") == [
        {**match, "parts": {"picture": pytest.approx(match["similarity"])}} for match in alone
    ]
    both = found(str(logo), "--text", "mark 12", "--weights", "picture=1,text=3,codes=0.5")
    assert both[0]["title"] == "mark 12"
    for match in both:
        parts = match["parts"]
        mean = (parts["picture"] + 3 * parts["text"] + 0.5 * parts["codes"]) / 4.5
        assert match["similarity"] == pytest.approx(mean, abs=1e-5)
    cosines = {match["row"]: match["similarity"] for match in alone}
    assert {match["row"]: pytest.approx(match["parts"]["picture"]) for match in both} == cosines
    told = json.loads(searched(run, str(logo), "--codes", "3.1", "-k", "3", "--json")[0])
    assert told["weights"] == {"picture": 1, "text": 0, "codes": 0.5}
    (one,) = told["answers"]
    assert (one["vienna"], one["likely"]) == (["03.01"], [])
    assert all(match["parts"]["codes"] > 0 for match in one["matches"])
    out, _ = tmssl_in_process(
        *("search", "--run", str(run.path), "--text", "mark 12", "--above", "0.99", "--json"),
        code=3,
    )
    assert [match["title"] for match in json.loads(out)["answers"][0]["matches"]] == ["mark 12"]


def test_lettering_is_searched_beside_the_texts_of_the_register(run: Run, tmp_path: Path) -> None:
    gallery = open_gallery(run)
    folder = lettering_folder(gallery.pack_folder, gallery.pack)
    folder.mkdir(parents=True)
    velmora = Line("VELMORA", 1, 30, 40, 40, 1.0)
    lines = [[velmora] if row == 5 else [] for row in range(MARKS)]
    write_part(folder, gallery.pack.identity, 0, ["x"] * MARKS, lines)
    try:
        (best, *_) = json.loads(searched(run, "--text", "velmora", "--json")[0])["answers"][0][
            "matches"
        ]
        assert (best["id"], best["lettering"], best["parts"]) == ("m5", "VELMORA", {"text": 1})
        assert "mark 5  reads VELMORA" in searched(run, "--text", "velmora")[0]
        image = Image.new("RGB", (160, 60), "white")
        font = ImageFont.load_default(34)
        ImageDraw.Draw(image).text((80, 10), "Velmora", (20, 20, 90), font, anchor="ma")
        image.save(tmp_path / "word.png")
        words = [str(tmp_path / "word.png"), "--weights", "picture=0.1,text=1", "--json"]
        told = json.loads(searched(run, *words)[0])["answers"][0]
        assert told["matches"][0]["id"] == "m5"
        assert told["text"].lower()[:5] == "velmo"
    finally:
        shutil.rmtree(folder.parent)


def test_bad_input_is_one_line_each(run: Run, tmp_path: Path, logo: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.png").write_bytes(b"no image")
    for words, told in (
        (
            [str(tmp_path / "bad.png")],
            "bad.png cannot be searched for: not an image of a known format",
        ),
        ([str(tmp_path / "none.png")], "cannot read .*none.png: No such file"),
        ([str(tmp_path / "empty")], "no images in .*empty; give images or a folder"),
        ([str(logo), "--where", "size>3"], "the catalogue has no column 'size'"),
        ([str(logo), "--where", "size"], "--where is 'size'; write COLUMN"),
        ([str(logo), "--vienna", "cat"], "'cat' is not a Vienna code"),
        ([str(logo), "--vienna", "9.9"], "none of 40 marks passes the filters"),
        ([str(logo), "-k", "41"], "--topk is 41 and the gallery has 40 marks"),
        ([str(logo), "--checkpoint", "epoch-0099"], "no checkpoint 'epoch-0099'"),
        ([str(logo), "--csv", "--json"], "--csv and --json both write to stdout"),
        ([], "there is nothing to search for; give an image, or a text with --text"),
        (["--text", "?!"], "--text has no letter or digit"),
        (["--text", "a", "--crop", "1,1,5,5"], "--crop cuts a logo; give an image"),
        (["--text", "a", "--weights", "picture=1"], "--text is given and --weights lack text"),
        ([str(logo), "--codes", "cat"], "'cat' is not a Vienna code"),
        (
            [str(logo), "--codes", "3.1", "--weights", "picture=1"],
            "--codes is given and --weights lack codes",
        ),
        (["--text", "a", "--engine", "x/y"], "--engine and --text both say what is searched"),
        (["-", "-"], "standard input is one image"),
        (["-"], "standard input cannot be searched for: not an image"),
    ):
        with pytest.raises(InputError, match=told):
            searched(run, *words, stdin=b"")
    empty = create_run(tmp_path, "empty-run")
    empty.config.write_text(run.config.read_text())
    with pytest.raises(InputError, match="has no checkpoint yet"):
        searched(empty, str(logo))


def test_what_is_ready_is_used_and_what_is_damaged_is_told_or_made_again(
    run: Run, logo: Path
) -> None:
    before = searched(run, str(logo), "--json", "-k", "3")[0]
    (card,) = run.index.glob("*.card.json")
    (recording,) = run.index.glob("*.encoder")
    (index,) = run.index.glob("*.faiss")
    stamp = index.stat().st_mtime_ns
    card.write_text("{")
    recording.unlink()
    after = searched(run, str(logo), "--json", "-k", "3")[0]
    assert json.loads(after)["answers"] == json.loads(before)["answers"]
    assert index.stat().st_mtime_ns == stamp
    whole = index.read_bytes()
    index.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"is damaged .*; remove it and"):
        searched(run, str(logo))
    index.unlink()
    assert (
        json.loads(searched(run, str(logo), "--json", "-k", "3")[0])["answers"]
        == json.loads(before)["answers"]
    )


LIGHT = """
import sys
sys.argv = ["tmssl", "search", *sys.argv[1:]]
from cli.app import main
try:
    main()
except SystemExit:
    pass
print(*[name for name in ("timm", "torchvision", "torch._dynamo", "sympy", "blosc2", "textual") if name in sys.modules], file=sys.stderr)
"""


def test_a_second_search_loads_neither_timm_nor_the_pixels(run: Run, logo: Path) -> None:
    searched(run, str(logo))
    words = [str(logo), "--run", str(run.path), "-k", "1"]
    done = run_checked([sys.executable, "-c", LIGHT, *words])
    assert "mark 7" in done.stdout
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("width", [34, 80, 200])
def test_pictures_stay_within_the_terminal(run: Run, logo: Path, width: int) -> None:
    gallery = open_gallery(run)
    read = read_logo(str(logo), gallery.pack.size)
    lines = picture_lines(
        find_matches(gallery, read, 10, None), read, gallery, width, PictureStyle("half", "true")
    )
    plain = [strip_colours(line) for line in lines]
    assert max(map(cell_len, plain)) <= width
    assert sum("\x1b[48;2" in line for line in lines) == 8
    assert any(line.startswith("the logo") and "1. 1.000" in line for line in plain)


def strip_colours(line: str) -> str:
    """A line without its colour codes."""
    import re

    return re.sub(r"\x1b\[[\d;]*m", "", line)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """A search leaves torch's number of threads as it was."""
    before = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == before


def test_a_crop_finds_the_mark_that_is_a_part_of_the_logo(
    run: Run, images: Path, tmp_path: Path
) -> None:
    parts = [Image.open(images / f"{number:04d}.png").convert("RGB") for number in (7, 20)]
    width, height = parts[0].size
    both = Image.new("RGB", (2 * width, height), "white")
    for number, part in enumerate(parts):
        both.paste(part, (number * width, 0))
    both.save(tmp_path / "both.png")
    crops = [f"0,0,{width},{height}", "50%,0%,50%,100%"]
    words = [word for crop in crops for word in ("--crop", crop)]
    told = json.loads(searched(run, str(tmp_path / "both.png"), *words, "-k", "1", "--json")[0])
    assert [answer["crop"] for answer in told["answers"]] == crops
    found = [answer["matches"][0]["path"] for answer in told["answers"]]
    assert found == ["images/0007.png", "images/0020.png"]


def test_marks_above_a_similarity_end_with_a_code_for_a_job(
    run: Run, images: Path, logo: Path, tmp_path: Path
) -> None:
    words = ["--run", str(run.path), "--json", "--above", "0.98", "--where", "year>=1990"]
    out, _ = tmssl_in_process("search", str(logo), *words, code=3)
    told = json.loads(out)
    assert told["above"] == 0.98
    (answer,) = told["answers"]
    assert answer["matches"][0]["path"] == "images/0007.png"
    assert all(match["similarity"] >= 0.98 for match in answer["matches"])
    # A mark of the gallery is no risk to itself.
    own, _ = tmssl_in_process("search", str(images / "0007.png"), *words[:3], "--above", "0.99999")
    assert json.loads(own)["answers"][0]["matches"] == []
    page = tmp_path / "alert.html"
    tmssl_in_process(
        "search", str(logo), *words[:2], "--html", str(page), "--above", "0.98", code=3
    )
    assert "1 of 1 logo resemble a mark by at least 0.98; the worst risk" in page.read_text()


def test_a_watch_without_new_marks_finds_nothing_and_is_no_error(run: Run, logo: Path) -> None:
    words = ["--run", str(run.path), "--above", "0.5", "--where", "year>=2300", "--json"]
    told = json.loads(tmssl_in_process("search", str(logo), *words)[0])
    assert told["compared"] == 0
    assert [(answer["file"], answer["matches"]) for answer in told["answers"]] == [(str(logo), [])]
    with pytest.raises(InputError, match="cannot read"):
        tmssl_in_process("search", str(logo.with_name("nowhere.png")), *words)


def test_the_worst_risk_comes_first_on_the_page(run: Run, images: Path, tmp_path: Path) -> None:
    for name, number in (("a", 3), ("b", 9)):
        picture = Image.open(images / f"{number:04d}.png").convert("RGB")
        (picture.rotate(9, fillcolor="white") if name == "a" else picture).save(
            tmp_path / f"{name}.png"
        )
    page = tmp_path / "alert.html"
    words = ["--run", str(run.path), "--above", "0.5", "--html", str(page), "-k", "3"]
    tmssl_in_process("search", str(tmp_path), *words, code=3)
    text = page.read_text()
    assert text.index("b.png") < text.index("a.png")


@pytest.mark.parametrize("make", COMPOSITES, ids=lambda make: make.__name__)
def test_a_mark_amid_other_things_is_found_by_its_rectangle(
    run: Run, images: Path, tmp_path: Path, make: Callable[..., Composite]
) -> None:
    drawn = [Image.open(path).convert("RGB") for path in sorted(images.iterdir())]
    inside = [at for at, mark in enumerate(drawn) if is_within_paper(mark)]
    number = inside[COMPOSITES.index(make)]  # one that its paper surrounds is the same elsewhere
    others = [mark for at, mark in enumerate(drawn) if at != number]
    composite = make(drawn[number], others)
    composite.picture.save(tmp_path / "composite.png")
    out, _ = searched(run, str(tmp_path / "composite.png"), "--crop", composite.crop, "--json")
    (answer,) = json.loads(out)["answers"]
    assert answer["matches"][0]["path"] == f"images/{number:04d}.png"


def is_within_paper(mark: Image.Image) -> bool:
    """Whether nothing of a mark touches the border of its picture."""
    inner = np.asarray(mark).copy()
    inner[1:-1, 1:-1] = 255
    return bool((inner == 255).all())
