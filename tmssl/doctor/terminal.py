"""What size and environment say of the terminal; the terminal itself is never asked."""

import os
import sys
from collections.abc import Mapping

from tmssl.doctor.facts import Terminal
from tmssl.system import is_utf8


def terminal(environment: Mapping[str, str]) -> Terminal:
    """Size, colours and picture protocol of the terminal on standard error."""
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):
        size = os.terminal_size((0, 0))
    return Terminal(
        columns=size.columns,
        lines=size.lines,
        colours=colours(environment),
        images=image_protocol(environment),
        multiplexer=multiplexer(environment),
        utf8=is_utf8(environment),
    )


def colours(environment: Mapping[str, str]) -> str:
    """`none`, `16`, `256` or `true`, as programs take it from the environment."""
    term = environment.get("TERM", "dumb")
    if environment.get("NO_COLOR") or term in ("dumb", ""):
        return "none"
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit") or "direct" in term:
        return "true"
    return "256" if "256" in term or term in ("xterm-kitty", "xterm-ghostty") else "16"


def image_protocol(environment: Mapping[str, str]) -> str:
    """The protocol for pictures in full resolution; tmux and screen pass none on, so half blocks remain."""
    term, program = environment.get("TERM", "dumb"), environment.get("TERM_PROGRAM", "")
    if term in ("dumb", ""):
        return "none"
    if multiplexer(environment):
        return "blocks"
    if "kitty" in term or "ghostty" in term or "KITTY_WINDOW_ID" in environment:
        return "kitty"
    if program in ("iTerm.app", "WezTerm") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    return "sixel" if term.startswith(("foot", "mlterm")) else "blocks"


def multiplexer(environment: Mapping[str, str]) -> str:
    """`tmux`, `screen` or nothing."""
    if environment.get("TMUX"):
        return "tmux"
    return "screen" if environment.get("STY") else ""
