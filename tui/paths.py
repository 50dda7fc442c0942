"""Text fitted to cells of the terminal."""

from pathlib import Path

from tmssl.text import safe


def display_path(path: Path) -> str:
    """A path as a person would type it from here, made safe."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return safe(path)
    return safe(path.relative_to(here) if path.is_relative_to(here) else path)
