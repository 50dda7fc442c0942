"""Placeholder until the command lands."""


def demo() -> None:
    """Not there yet."""
