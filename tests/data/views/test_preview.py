from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cli.app import main
from tests.helpers.marks import draw_marks
from tmssl.data.pack.builder import build_pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.views.augment import augmented_view, plain_view
from tmssl.data.views.preview import preview_views
from tmssl.data.views.recipe import VIEW_SETS
from tmssl.errors import ConfigError


def test_the_sheet_shows_the_very_views_that_training_sees(tmp_path: Path) -> None:
    pack = build_pack(read_catalogue(draw_marks(tmp_path / "marks", 6)), tmp_path / "pack", 48)
    assert preview_views(pack, tmp_path / "views.png", views="logo", size=32, seed=3) == 6
    sheet = np.asarray(Image.open(tmp_path / "views.png"))
    assert sheet.shape == (6 * 36 + 4, 9 * 36 + 4, 3)
    rows = np.arange(6)
    view = augmented_view(
        torch.from_numpy(pack.read(rows)),
        rows,
        seed=3,
        epoch=1,
        view=1,
        recipe=VIEW_SETS["logo"][1],
        size=32,
    )
    top, left = 4 + 2 * 36, 4 + 4 * 36
    seen = torch.from_numpy(sheet[top : top + 32, left : left + 32].copy())
    assert float((plain_view(seen[None], 32) - view[2]).abs().max()) < 0.02


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    pack = build_pack(read_catalogue(draw_marks(tmp_path / "marks", 2)), tmp_path / "pack", 48)
    with pytest.raises(ConfigError, match=r"cannot write .*nowhere"):
        preview_views(pack, tmp_path / "nowhere" / "v.png", views="mild", size=32, seed=0)


def test_the_command_writes_it_before_there_is_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_marks(tmp_path / "marks", 6)
    monkeypatch.chdir(tmp_path)
    words = "tmssl train --data marks --image-size 32 --preview-views views.png"
    monkeypatch.setattr("sys.argv", words.split())
    with pytest.raises(SystemExit) as left:
        main()
    told = capsys.readouterr()
    assert left.value.code == 0, told.err
    assert told.out.strip() == "views.png"
    assert (tmp_path / "views.png").is_file()
    assert not (tmp_path / "runs").exists()
