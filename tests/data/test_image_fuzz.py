"""Any bytes given as an image are decoded or refused with a reason; nothing else happens."""

import io
import random
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.images import BAD, KINDS, encoded, logo, turned
from tests.helpers.marks import draw_marks
from tmssl.data.inspect.survey import inspect_images
from tmssl.data.pack.builder import build_pack
from tmssl.data.picture import UnreadableError, picture_square
from tmssl.data.sources.catalogue import read_catalogue

_CASES = 10_000


def seeds() -> list[bytes]:
    """Real files of every kind that is read, and of kinds that are not."""
    files = [file.getvalue() for file in KINDS.values()]
    files += [
        encoded(logo(mode), "TIFF", **how).getvalue()
        for mode, how in (
            ("RGB", {"compression": "tiff_lzw"}),
            ("CMYK", {}),
            ("1", {"compression": "group4"}),
        )
    ]
    files += [encoded(logo(), "JPEG", progressive=True).getvalue(), turned().getvalue()]
    files += [
        encoded(logo("P"), "GIF", interlace=1).getvalue(),
        encoded(logo("RGBA"), "WEBP", lossless=True).getvalue(),
    ]
    return files + [encoded(logo(), kind).getvalue() for kind in ("ICO", "PDF", "PPM", "TGA")]


def mutated(files: list[bytes], dice: random.Random) -> bytes:
    """A file cut, spliced with another, changed in some bytes or filled with noise."""
    data = bytearray(dice.choice(files))
    for _ in range(dice.choice((1, 1, 1, 3))):
        place = dice.randrange(len(data) + 1)
        match dice.randrange(6):
            case 0:
                del data[place:]
            case 1:
                other = dice.choice(files)
                data[place:] = other[dice.randrange(len(other)) :]
            case 2:
                for _ in range(dice.choice((1, 2, 4, 30))):
                    if data:
                        data[dice.randrange(len(data))] = dice.randrange(256)
            case 3:
                data[place : place + dice.randrange(64)] = dice.randbytes(dice.randrange(64))
            case 4:  # a length or an offset near the head
                at = dice.randrange(min(len(data), 64) + 1)
                data[at : at + 4] = dice.choice([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"])
            case _:
                data[:] = data[: dice.randrange(16)] + dice.randbytes(dice.randrange(200))
    return bytes(data)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_thousand_damaged_files_are_decoded_or_refused() -> None:
    files, outcomes = seeds(), {True: 0, False: 0}
    for case in range(_CASES):
        data = mutated(files, random.Random(case))
        try:
            square = picture_square(io.BytesIO(data), 16)
            assert square.shape == (16, 16, 3)
            outcomes[True] += 1
        except UnreadableError as error:
            assert str(error).isprintable()  # noqa: PT017 - both outcomes are right
            assert 0 < len(str(error)) < 200  # noqa: PT017 - both outcomes are right
            outcomes[False] += 1
    assert min(outcomes.values()) > _CASES // 20  # the damage is neither too much nor too little


def test_some_damaged_files_are_looked_at_and_packed_alike(tmp_path: Path) -> None:
    folder = draw_marks(tmp_path / "m", 2)
    files = seeds()
    for case in range(200):
        (folder / "images" / f"x{case:03d}.png").write_bytes(mutated(files, random.Random(case)))
    catalogue = read_catalogue(folder)
    table, reasons = inspect_images(catalogue.locations[:], np.arange(202))
    pack = build_pack(catalogue, tmp_path / "p", 32)
    assert (len(table), len(reasons)) == (pack.count, len(pack.quarantine))
    assert {path for path, _ in pack.quarantine} == {catalogue.marks[row].path for row in reasons}


FILES = {
    **{f"{name}.bin": data for name, data in BAD.items()},
    **{name: file.getvalue() for name, file in KINDS.items()},
    "all white": encoded(logo().point(lambda _: 255), "PNG").getvalue(),
    "one pixel": encoded(logo(size=(1, 1)), "PNG").getvalue(),
    "turned": turned().getvalue(),
    "mpo": encoded(logo(), "MPO", save_all=True, append_images=[logo()]).getvalue(),
}


@pytest.mark.parametrize("name", list(FILES))
def test_every_kind_of_file_is_packed_or_quarantined_under_a_wrong_suffix(
    tmp_path: Path, name: str
) -> None:
    draw_marks(tmp_path / "m", 1)
    (tmp_path / "m" / "images" / "file.gif").write_bytes(FILES[name])
    pack = build_pack(read_catalogue(tmp_path / "m"), tmp_path / "p", 32)
    left_out = dict(pack.quarantine)
    assert (list(left_out) == ["images/file.gif"]) == name.endswith(".bin")
    assert all(left_out.values())
