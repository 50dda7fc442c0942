"""Waiting for the monitor in tests: for a condition, never for a length of time."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from textual.css.query import NoMatches
from textual.pilot import Pilot
from textual.screen import Screen
from textual.strip import Strip

DEADLINE_S = 40.0
"""Seconds until a condition counts as failed; a busy machine takes a few."""
_POLL_S = 0.02

Result = TypeVar("Result")


async def until(pilot: Pilot[Any], condition: Callable[[], Result], what: str = "") -> Result:
    """Poll a condition until its result is true, and return that result.

    A widget that is not there yet counts as false.

    Raises:
        AssertionError: the deadline passed; the message holds `what` and the screen.
    """
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            result = condition()
        except NoMatches:
            pass
        else:
            if result:
                return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain {what}\n{screen_text(pilot.app)}")
        await pilot.pause(_POLL_S)


async def until_text(pilot: Pilot[Any], text: str) -> None:
    """Wait until a text stands anywhere on the screen."""
    await until(pilot, lambda: text in screen_text(pilot.app), f"for {text!r}")


async def until_shows(pilot: Pilot[Any], selector: str, *texts: str) -> str:
    """Wait until a widget of the topmost screen shows all of the texts; returns what it shows."""

    def shown() -> str:
        content = str(pilot.app.screen.query_one(selector).render())
        return content if all(text in content for text in texts) else ""

    return await until(pilot, shown, f"for {texts} in {selector}")


async def until_screen(pilot: Pilot[Any], kind: type[Screen[Any]]) -> None:
    """Wait until the topmost screen is of a class and has been composed."""
    await until(
        pilot,
        lambda: isinstance(pilot.app.screen, kind) and pilot.app.screen.is_mounted,
        f"for {kind.__name__}",
    )
    await pilot.pause()


async def until_still(pilot: Pilot[Any]) -> None:
    """Wait until no worker draws or reads, and the screen stays the same from one look to the next."""
    before: list[str] = []

    def still() -> bool:
        nonlocal before
        now = screen_text(pilot.app).splitlines()
        same, before = now == before, now
        working = (w for w in pilot.app.workers if w.group not in ("tail", "runs"))
        return same and all(worker.is_finished for worker in working)

    await pilot.pause()
    await until(pilot, still, "for a screen that stays the same")


def strips(app: Any) -> list[Strip]:
    """The lines of the screen as they go to the terminal."""
    rows: list[Strip] = app.screen._compositor.render_strips()
    return rows


def screen_text(app: Any) -> str:
    """What a person reads."""
    return "\n".join(strip.text for strip in strips(app))
