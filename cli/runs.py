"""Placeholder until the command lands."""


def runs() -> None:
    """Not there yet."""
