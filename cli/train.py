"""Placeholder until the command lands."""


def train() -> None:
    """Not there yet."""
