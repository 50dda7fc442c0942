"""Paths as the monitor shows them."""

from pathlib import Path

from tmssl.text import safe


def display_path(path: Path) -> str:
    """A path relative to the working directory where it is below it, made safe."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return safe(path)
    return safe(path.relative_to(here) if path.is_relative_to(here) else path)
