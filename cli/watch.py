"""Placeholder until the command lands."""


def watch() -> None:
    """Not there yet."""
