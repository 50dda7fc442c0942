"""Phases of a long preparation, each with its own progress."""

from collections.abc import Callable

from tmssl.types import Progress


def phase_starter(
    phase: Callable[[str], None] | None, progress: Progress | None
) -> Callable[[str], Progress | None]:
    """From what is told of phases to what begins one: it takes a phase's name and returns the callback for its progress.

    Args:
        phase: called with the name of each phase as it begins.
        progress: called with (done, total) of the phase.
    """

    def start_phase(name: str) -> Progress | None:
        if phase:
            phase(name)
        return progress

    return start_phase
