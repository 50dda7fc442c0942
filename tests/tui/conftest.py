"""What the tests of the monitor share."""

from collections.abc import Iterator

import pytest

from tests.helpers.terminal import Terminal


@pytest.fixture
def opened() -> Iterator[list[Terminal]]:
    """Terminals that a test opens, closed after it."""
    terminals: list[Terminal] = []
    yield terminals
    for terminal in terminals:
        terminal.close()
