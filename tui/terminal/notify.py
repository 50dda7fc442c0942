"""Desktop notifications by OSC 9: what a run notifies of, and which terminals show it."""

import os
from collections.abc import Iterable, Mapping

from textual.driver import Driver

from tmssl.runs.events import Event, Finding
from tmssl.text import safe

_OSC9_PROGRAMS = ("iTerm.app", "WezTerm", "ghostty")


def supports_osc9(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal shows OSC 9 notifications, by its environment; tmux does not pass them on."""
    if "TMUX" in environment:
        return False
    return environment.get("TERM_PROGRAM") in _OSC9_PROGRAMS or "KITTY_WINDOW_ID" in environment


def osc9(text: str) -> str:
    """The OSC 9 sequence of a notification; the text is made safe."""
    return f"\x1b]9;{safe(text, 200)}\x07"


def write_osc9(driver: Driver | None, text: str) -> None:
    """Show a desktop notification where the terminal shows them."""
    if driver is not None and supports_osc9():
        driver.write(osc9(text))


def notifications(run_name: str, before: str, now: str, events: Iterable[Event]) -> list[str]:
    """What to notify a person of: bad findings, and the end of the run.

    Args:
        run_name: of the run.
        before: its state at the previous call.
        now: its state.
        events: new in the journal since then.
    """
    bad = (event for event in events if isinstance(event, Finding) and event.level == "bad")
    texts = [f"{run_name}: {finding.text}" for finding in bad]
    if now != before and now in ("finished", "stopped", "failed", "dead"):
        texts.append(f"{run_name} is {now}")
    return texts
