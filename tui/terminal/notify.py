"""A bell, and a note where the terminal is known to show one: when a run ends, or something is bad."""

import os
from collections.abc import Iterable, Mapping

from tmssl.runs.events import Event, Finding
from tmssl.text import safe

_READERS = ("iTerm.app", "WezTerm", "ghostty")


def shows_notes(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal reads OSC 9, told by its environment alone; tmux would not pass it on."""
    if "TMUX" in environment:
        return False
    return environment.get("TERM_PROGRAM") in _READERS or "KITTY_WINDOW_ID" in environment


def note(words: str) -> str:
    """OSC 9 with words made safe."""
    return f"\x1b]9;{safe(words, 200)}\x07"


def worth_a_note(name: str, before: str, now: str, events: Iterable[Event]) -> list[str]:
    """What to call a person for: the run has ended, or a finding is bad.

    Args:
        name: of the run.
        before: its state at the last look.
        now: its state.
        events: what the journal has told since.
    """
    told = [
        f"{name}: {event.text}"
        for event in events
        if isinstance(event, Finding) and event.level == "bad"
    ]
    if now != before and now in ("finished", "stopped", "failed", "dead"):
        told.append(f"{name} is {now}")
    return told
