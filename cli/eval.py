"""Placeholder until the command lands."""


def evaluate() -> None:
    """Not there yet."""
