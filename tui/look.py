"""How a person wants to see the monitor: what the command line said."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Look:
    """What the terminal and its link can bear."""

    ascii: bool = False
    """only ASCII in charts and frames"""
    colour: bool = True
    """False as under NO_COLOR"""
    redraw_s: float = 1.0
    """least seconds between two drawings of the charts; more for a slow link"""
    notify: bool = False
    """whether to ring when a run ends or a finding is bad"""


FULL = Look()
PLAIN = Look(colour=False)
LOW_BANDWIDTH_S = 10.0  # `--low-bandwidth`
