"""Placeholder until the command lands."""


def stop() -> None:
    """Not there yet."""
