"""One finding at one place of a run."""

from typing import Literal

from tmssl.runs.events import Epoch, Eval, Finding, Segment, Step

FindingLevel = Literal["good", "info", "warning", "bad"]


def make_finding(
    place: Step | Epoch | Eval | Segment, level: FindingLevel, code: str, text: str, advice: str
) -> Finding:
    """A finding at an event; one about a segment stands at the first step of the segment."""
    step = place.step + isinstance(place, Segment)
    epoch = float(place.epoch)
    return Finding(
        code=code, level=level, text=text, advice=advice, step=step, epoch=epoch, t=place.t
    )
