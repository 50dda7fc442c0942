"""The pack of a few drawn marks that the tests of training share."""

from pathlib import Path

import pytest

from tests.helpers.marks import draw_marks
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.sources.catalogue import read_catalogue


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marks")
    catalogue = read_catalogue(draw_marks(folder / "source", 48, validation=8))
    return build_pack(catalogue, folder / "pack", pack_size(32)).folder
