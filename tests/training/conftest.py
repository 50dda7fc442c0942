"""The pack of a few drawn marks that the tests of training share."""

from pathlib import Path

import pytest

from tests.helpers.training import draw_pack


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pack(tmp_path_factory.mktemp("marks"), 48, validation=8)
