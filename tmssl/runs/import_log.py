"""Plain training logs as events, so that an old run can be watched and reported.

Lines such as `Epoch 10 complete. Avg Loss: 7.0350` are enough. A report with headings such as
`## Phase 2: Switch to Instance Discrimination (Epochs 10-20)` also gives segments, with the settings and
observations in its text.
"""

import dataclasses
import heapq
import itertools
import math
import re
from collections.abc import Iterator, Mapping

from tmssl.errors import InputError
from tmssl.runs.events import End, Epoch, Eval, Event, Finding, Score, Segment, Started
from tmssl.runs.findings.diagnose import diagnose
from tmssl.runs.findings.evaluation import evaluation_findings
from tmssl.runs.findings.loss import AT_CHANCE
from tmssl.runs.history import read_history
from tmssl.text import count, number

MAX_BYTES = 64 << 20  # a larger file is no log of epochs
_MAX_LINE = 2000
_MAX_EPOCHS, _MAX_PHASES = 100_000, 200  # a log with more is none of one run
_MAX_FACTS = 100  # of the overview
_BLANKS = re.compile(r"[^\S\n]+")

EpochLine = tuple[int, float | None, str]
"""number, loss and text of a line"""

# Each pattern reads a line in time linear in its length: digits are never given back (`++`), runs have
# bounds, and many blanks are one by then. Whole numbers have nine digits at most.
_NUMBER = r"[-+]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?|nan|inf"
_WHOLE = r"\d{1,9}(?!\d)"
_EPOCH = re.compile(
    rf"\bepoch\W{{0,4}}({_WHOLE})\b[^\n]{{0,80}}?\bloss\b[\W_]{{0,8}}?({_NUMBER})", re.IGNORECASE
)
_LR = re.compile(
    rf"\b(?:learning[ _]rate|lr)\b[^\w\n]{{0,8}}(?:of |at |is )?[^\w\n]{{0,3}}({_NUMBER})",
    re.IGNORECASE,
)
_FROM_TO = re.compile(rf"\bfrom\W{{1,3}}({_NUMBER})\W{{1,4}}to\W{{1,4}}({_NUMBER})")
_PHASE = re.compile(rf"^#+\s*Phase\s+({_WHOLE})\b\W*(.*)$")
_RANGE = re.compile(
    rf"^(.*?)\s?\(Epochs?\s({_WHOLE})\s?(?:-|\u2013|to)\s?({_WHOLE})\)", re.IGNORECASE
)
_HEADING = re.compile(r"^#+\s*\S")
_BULLET = re.compile(r"^\s?(?:[-*]\s)?\*\*(.+?)\*\*:?\s?(.*)")
_NOTED = ("observation", "analysis", "hypothesis", "behavior", "behaviour", "qualitative", "goal")
_STATED = re.compile(rf"\bloss\b[^.\n]{{0,40}}?({_NUMBER})", re.IGNORECASE)
_EVALUATED = re.compile(
    rf"evaluation\W{{0,8}}\(epoch\s({_WHOLE})(?:\s?@\s?([^)]{{0,200}}))?\)", re.IGNORECASE
)
_TOP = re.compile(
    rf"\btop-?({_WHOLE})\b[^\d\n]{{0,20}}(?<!\d)({_WHOLE})\s?/\s?({_WHOLE})", re.IGNORECASE
)


@dataclasses.dataclass(frozen=True)
class Meaning:
    """Facts that a plain log lacks and its owner knows."""

    keys: int = 0
    """N, the keys that each query was compared with; the chance level is ln N. 0 if unknown"""
    steps_per_epoch: int = 1
    hit_chance: Mapping[int, float] = dataclasses.field(default_factory=dict)
    """chance level of hit@k by k, for the evaluations in the log"""
    level: str = "division"
    """Vienna level of those evaluations"""


@dataclasses.dataclass
class _Phase:
    """A phase with its epochs and the lines below its heading."""

    title: str
    begin: int
    end: int
    lines: list[str] = dataclasses.field(default_factory=list)
    losses: dict[int, float | None] = dataclasses.field(default_factory=dict)


def read_plain_log(text: str, name: str, meaning: Meaning) -> list[Event]:
    """The events of a plain log, with findings.

    Epochs keep their numbers; steps count from the first number of the log, 0 or 1.

    The work is linear in the length of the text.

    Raises:
        InputError: no line gives the loss of an epoch, or there are more epochs or phases than a run has.
    """
    lines = [_BLANKS.sub(" ", line[:_MAX_LINE]) for line in text.splitlines()]
    logged = [(int(m[1]), _finite(m[2]), line) for line in lines if (m := _EPOCH.search(line))]
    if not logged:
        raise InputError(
            "no line gives the loss of an epoch; lines should look like "
            "`Epoch 10 complete. Avg Loss: 7.0350`"
        )
    phases = list(_phases(lines)) or list(_untitled_phases(logged))
    _check_counts(len(logged), len(phases))
    first = _first_number(logged, phases)
    if phases[0].title:  # those without have their losses
        phase_of = _phases_of({epoch for epoch, *_ in logged}, phases, first)
        for epoch, loss, _ in logged:
            if epoch in phase_of:
                phase_of[epoch].losses.setdefault(epoch, loss)
    rates = {n: _finite(m[1]) for n, _, line in logged if (m := _LR.search(line))}
    events = list(_segments(phases, first, rates, meaning))
    for event in list(_evals(lines, first, meaning)):
        events += [event, *evaluation_findings(event)]
    started = Started(name=name, notes=_overview(lines))
    return _with_findings([started, *events], f"imported from {count(len(lines), 'line')}")


def _finite(text: str) -> float | None:
    """A number in the log, None if it is not finite."""
    value = float(text)
    return value if math.isfinite(value) else None


def _phases(lines: list[str]) -> Iterator[_Phase]:
    """The phases with a heading, each with the lines under all headings of its number."""
    phases: dict[str, _Phase] = {}
    current: list[str] | None = None
    for line in lines:
        heading = _PHASE.match(line)
        if heading:
            ranged = _RANGE.match(heading[2])
            if ranged and heading[1] not in phases:
                phases[heading[1]] = _Phase(ranged[1].strip(), int(ranged[2]), int(ranged[3]))
            current = phases[heading[1]].lines if heading[1] in phases else None
        elif _HEADING.match(line):
            current = None
        elif current is not None:
            current.append(line)
    yield from sorted(phases.values(), key=lambda phase: phase.begin)


def _untitled_phases(logged: list[EpochLine]) -> Iterator[_Phase]:
    """The phases of a log without headings: each step back in the epoch numbers is a resume."""
    begin = 0
    numbers = [number for number, _, _ in logged]
    for at, (before, after) in enumerate(itertools.pairwise(numbers), 1):
        if after < before:
            yield _untitled_phase(logged[begin:at])
            begin = at
    yield _untitled_phase(logged[begin:])


def _untitled_phase(logged: list[EpochLine]) -> _Phase:
    """Epochs with rising numbers; the last line of a repeated epoch counts."""
    first, last = logged[0][0], logged[-1][0]
    losses = {number: loss for number, loss, _ in logged}
    return _Phase("", first, last, [line for *_, line in logged], losses)


def _first_number(logged: list[EpochLine], phases: list[_Phase]) -> int:
    """The number of the first epoch, 0 or 1.

    It is 0 if the log has an epoch 0, or an epoch at which the heading of a phase begins.
    """
    numbers = {number for number, _, _ in logged}
    starts = {phase.begin for phase in phases if phase.title}
    return 0 if 0 in numbers or numbers & starts else 1


def _check_counts(epochs: int, phases: int) -> None:
    """Refuse a file that is no log of one run."""
    if epochs > _MAX_EPOCHS or phases > _MAX_PHASES:
        raise InputError(
            f"the log has {count(epochs, 'epoch')} in {count(phases, 'phase')}; at most "
            f"{_MAX_EPOCHS:,} in {_MAX_PHASES:,} are read: give the part of one run"
        )


def _phases_of(numbers: set[int], phases: list[_Phase], first: int) -> dict[int, _Phase]:
    """The phase of each epoch that has one, the earliest of several; phases are in order of `begin`."""
    found: dict[int, _Phase] = {}
    waiting = list(reversed(list(enumerate(phases))))
    open_phases: list[tuple[int, int]] = []  # place in `phases` and end of those that have begun
    for epoch in sorted(numbers):
        while waiting and waiting[-1][1].begin - first < epoch + 1 - first:
            place, phase = waiting.pop()
            heapq.heappush(open_phases, (place, phase.end))
        while open_phases and open_phases[0][1] < epoch + 1 - first:
            heapq.heappop(open_phases)
        if open_phases:
            found[epoch] = phases[open_phases[0][0]]
    return found


def _segments(
    phases: list[_Phase], first: int, rates: Mapping[int, float | None], meaning: Meaning
) -> Iterator[Event]:
    """Each phase as a segment, followed by its epochs and its observations."""
    settings: dict[str, dict[str, object]] = {}
    chance = math.log(meaning.keys) if meaning.keys else None
    for at, phase in enumerate(phases):
        begin = phase.begin if phase.title else max(0, phase.begin - first)
        before, settings = settings, _settings(phase, begin, settings)
        yield Segment(
            number=at,
            step=begin * meaning.steps_per_epoch,
            epoch=float(begin),
            title=phase.title,
            reason="resume" if at else "start",
            config=dict(settings),
            changed=_changed(before, settings) if at else {},
            chance=chance,
            chance_ce=chance,
            batch_size=meaning.keys,
            steps_per_epoch=meaning.steps_per_epoch,
            epochs=phase.end if phase.title else phase.end + 1 - first,
        )
        optim = settings.get("optim", {})
        constant = optim.get("lr") if optim.get("schedule") == "constant" else None
        for epoch, loss in sorted(phase.losses.items()):
            lr = rates.get(epoch, constant)
            yield Epoch(
                epoch=epoch,
                step=(epoch + 1 - first) * meaning.steps_per_epoch,
                loss=loss,
                ce=loss if chance else None,
                lr=lr if isinstance(lr, float) else None,
            )
        yield from _noted(phase, begin, meaning)


def _settings(
    phase: _Phase, begin: int, before: Mapping[str, Mapping[str, object]]
) -> dict[str, dict[str, object]]:
    """The settings that the text of a phase names, on top of the previous ones."""
    words = "\n".join([phase.title, *phase.lines])
    found = {section: dict(values) for section, values in before.items()}
    data, optim = found.setdefault("data", {}), found.setdefault("optim", {})
    if re.search(r"same\W{1,4}image|instance discrimination", words, re.IGNORECASE):
        data["positives"] = "instance"
    elif re.search(r"(?:shared?|sharing)\W+(?:a\W+)?vienna", words, re.IGNORECASE):
        data["positives"] = "vienna"
    span = _FROM_TO.search(words)
    if re.search("cosine", words, re.IGNORECASE):
        optim |= {"schedule": "cosine", "anchor": float(begin)}
        if span:
            optim |= {"lr": _finite(span[1]), "min_lr": _finite(span[2])}
    elif phase.title:  # a report without a schedule had none; a bare log does not tell
        optim["schedule"] = "constant"
        rate = _LR.search(words)
        if rate:
            optim["lr"] = _finite(rate[1])
    return found


def _changed(
    before: Mapping[str, Mapping[str, object]], after: Mapping[str, Mapping[str, object]]
) -> dict[str, list[object]]:
    """Settings that differ between two phases, as `section.name` to [old, new]."""
    return {
        f"{section}.{name}": [before.get(section, {}).get(name), value]
        for section, values in after.items()
        for name, value in values.items()
        if before.get(section, {}).get(name) != value
    }


def _noted(phase: _Phase, begin: int, meaning: Meaning) -> Iterator[Finding]:
    """The observations of the author, and a finding if the text states a loss at chance level."""
    epoch = float(max(phase.losses, default=begin))
    step = int(epoch + 1) * meaning.steps_per_epoch
    for line in phase.lines:
        bullet = _BULLET.match(line)
        if not (bullet and bullet[1].strip(": ").lower() in _NOTED and bullet[2]):
            continue
        words = bullet[2].replace("`", "").replace("**", "").strip()
        code = f"noted-{bullet[1].strip(': ').lower()}"
        yield Finding(code=code, level="info", text=words, step=step, epoch=epoch)
        stated = _STATED.search(words)
        loss = _finite(stated[1]) if stated and not phase.losses and meaning.keys else None
        if loss is not None and loss >= (1 - AT_CHANCE) * math.log(meaning.keys):
            yield Finding(
                code="at-chance",
                level="bad",
                step=step,
                epoch=epoch,
                text=f"a loss around {number(loss)} is chance level (ln {meaning.keys} = "
                f"{number(math.log(meaning.keys))}): the model has learned nothing so far",
                advice="check what the two images of a positive share; try --positives instance",
            )


def _evals(lines: list[str], first: int, meaning: Meaning) -> Iterator[Eval]:
    """Evaluations such as `Evaluation (Epoch 24 @ Toy Validation)` with `Top-10 Accuracy: 0/10`."""
    for at, line in enumerate(lines):
        heading = _EVALUATED.search(line)
        if not heading:
            continue
        results = [m for below in lines[at : at + 6] for m in _TOP.finditer(below)]
        scores = [
            Score(
                metric="hit",
                level=meaning.level,
                k=int(k),
                value=int(hits) / int(of),
                chance=meaning.hit_chance.get(int(k)),
                queries=int(of),
            )
            for k, hits, of in (m.groups() for m in results)
            if 0 <= int(hits) <= int(of) and int(of)
        ]
        epoch = int(heading[1])
        if scores:
            yield Eval(
                epoch=float(epoch),
                step=(epoch + 1 - first) * meaning.steps_per_epoch,
                split=(heading[2] or "").strip(),
                queries=scores[0].queries,
                scores=scores,
            )


def _overview(lines: list[str]) -> dict[str, str]:
    """The facts before the first phase, such as `**Model**: EfficientNet-B0`."""
    before = itertools.takewhile(lambda line: not _PHASE.match(line), lines)
    pairs = (bullet.groups() for line in before if (bullet := _BULLET.match(line)))
    facts = ((key.strip(": "), words) for key, words in pairs if words)
    return dict(itertools.islice(facts, _MAX_FACTS))


def _with_findings(events: list[Event], source: str) -> list[Event]:
    """The events with their findings, each in its segment, and an end."""
    history = read_history(events)
    findings = diagnose(history)
    merged: list[Event] = []
    for event in events:
        if isinstance(event, Segment) and event.number:
            earlier = [finding for finding in findings if finding.step <= event.step]
            findings = findings[len(earlier) :]
            merged += earlier
        merged.append(event)
    end = End(status="stopped", reason=source, step=history.step, epoch=history.epoch)
    return [*merged, *findings, end]
