"""Findings on positives: few marks have a partner, or partners look hardly more alike than random pairs."""

from collections.abc import Mapping

from tmssl.runs.events import Finding, Positives, Segment
from tmssl.runs.findings.make import make_finding
from tmssl.runs.history import History
from tmssl.text import count, rate

_NOISY = 0.8  # share of partners that look no more alike than random pairs
_FEW_PARTNERS = 0.5  # share of marks with a partner by code
_HARDLY_ANY = 0.02  # share of marks with a partner of their group or text, which most marks lack
_ADVICE: Mapping[str, tuple[str, str]] = {
    "vienna": (
        "use a coarser --vienna-level, which gives more marks a partner",
        "such positives teach noise: use --positives instance, --positives mixed with a small "
        "--vienna-share, or a finer --vienna-level",
    ),
    "group": (
        "training is nearly that of instance positives; give more marks a group",
        "such positives teach noise: look at some groups (`tmssl data`), give them a smaller share, or use "
        "--positives instance",
    ),
    "title": (
        "training is nearly that of instance positives; look at the column `title`",
        "such positives teach noise: marks of one text may be of different owners; give them a smaller "
        "share, or use --positives instance",
    ),
}


def positives(history: History, segment: Segment) -> list[Finding]:
    """What the measured positives of a segment give reason to say, of each kind in its mixture."""
    last = {event.by: event for event in history.positives if event.segment == segment.number}
    return [
        finding
        for event in last.values()
        for finding in (
            _few_partners(segment, event),
            _noisy(segment, event),
            _left_out(segment, event),
        )
        if finding is not None
    ]


def _shared(event: Positives) -> str:
    """What partners share, such as `their text`."""
    return {"group": "a group", "title": "their text"}.get(event.by, f"a {event.level}")


def _few_partners(segment: Segment, event: Positives) -> Finding | None:
    """Few marks have a partner."""
    least = _FEW_PARTNERS if event.by == "vienna" else _HARDLY_ANY
    if event.with_partner is None or event.with_partner >= least:
        return None
    return make_finding(
        segment,
        "warning",
        "few-partners",
        f"only {rate(event.with_partner)} of the marks share {_shared(event)} with another; the "
        "others are paired with themselves",
        _ADVICE.get(event.by, ("", ""))[0],
    )


def _noisy(segment: Segment, event: Positives) -> Finding | None:
    """Partners look hardly more alike than random pairs."""
    if event.noise is None or event.noise <= _NOISY:
        return None
    return make_finding(
        segment,
        "warning",
        "noisy-positives",
        f"marks that share {_shared(event)} look hardly more alike than random pairs: the encoder "
        f"tells the two apart {rate(event.encoder_auc)} of the time, a perceptual hash "
        f"{rate(event.hash_auc)}, a guess 50 %",
        _ADVICE.get(event.by, ("", ""))[1],
    )


def _left_out(segment: Segment, event: Positives) -> Finding | None:
    """Some texts are on too many marks to make positives of them."""
    if not event.left_out:
        return None
    return make_finding(
        segment,
        "info",
        "frequent-texts",
        f"{count(event.left_out, 'mark')} have a text that is on too many marks to mean one owner, such as "
        f"{', '.join(event.examples)}; they are paired with themselves",
        "nothing to do; --positives group takes marks of one owner where their groups are known",
    )
