"""Placeholder until the command lands."""


def pack() -> None:
    """Not there yet."""
