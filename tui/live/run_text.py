"""The text of a run's state, as spans of text and role; colours are in `styled_text`."""

import dataclasses
from typing import Literal

from tmssl.runs.eval_event import manner
from tmssl.runs.events import Eval, Finding, Score
from tmssl.runs.findings.standing import worst_finding
from tmssl.runs.history import History, caching_text, fitting_text, state
from tmssl.runs.main_figure import (
    ANY_HIT,
    FIGURATIVE_HIT,
    GROUP_RECALL,
    INVARIANCE,
    beginning,
    lift,
    short_name,
)
from tmssl.text import duration, learning_rate, number, rate, safe
from tui.charts.curves import smoothing_unit
from tui.signs import STATES, level_sign

_SMOOTHING_STEPS = 300  # 0.9 ** 300 is negligible
_MORE = {"dead": "(the trainer vanished)", "waiting": "for the trainer's first line"}
Role = Literal["plain", "figure", "aside", "bar", "bar-rest"]


@dataclasses.dataclass(frozen=True)
class Span:
    """A piece of a line, and what it is."""

    text: str
    role: Role = "plain"


Spans = tuple[Span, ...]


def plain_text(spans: Spans) -> str:
    """The text of all spans."""
    return "".join(span.text for span in spans)


def _spans(*parts: str | Span) -> Spans:
    """Spans from strings, which are plain, and spans; empty ones are dropped."""
    spans = (Span(part) if isinstance(part, str) else part for part in parts)
    return tuple(span for span in spans if span.text)


def _figure(text: str) -> Span:
    """A number with its unit; a dash, which stands for an unknown one, is plain."""
    return Span(text, "plain" if text == "-" else "figure")


def state_text(history: History, alive: bool) -> str:
    """The state with a sign, so that it shows without colours."""
    now = state(history, alive)
    return f"{STATES[now].text} {state_remark(now)}".rstrip()


def state_remark(now: str) -> str:
    """What a state means, where its word does not say it."""
    return _MORE.get(now, "")


def progress_spans(history: History, alive: bool, width: int, *, ascii_bar: bool = True) -> Spans:
    """`epoch 12.30/50 [####......] 25 %, epoch in 3m 10s, end in 2h 07m`."""
    segment = history.segment
    if history.axes is not None and alive:
        return _spans(fitting_text(history.axes))
    if segment is None or not history.total_steps:
        return _spans("no segment yet")
    if history.caching is not None:
        return _spans(caching_text(history.caching) if alive else "views are not all computed yet")
    share = min(1.0, history.step / history.total_steps)
    pace = history.seconds_per_step()
    to_epoch = -history.step % segment.steps_per_epoch
    times = ""
    if alive and pace is not None:
        times = f", epoch in {duration(to_epoch * pace)}, end in {duration(history.seconds_left())}"
    epoch = epoch_text(history)
    head = _spans("epoch ", _figure(epoch), "/", _figure(str(segment.epochs)), " ")
    cells = max(8, min(30, width - len(plain_text(head)) - len(times) - 10))
    filled = round(cells * share)
    bar = _spans(f"[{'#' * filled}{'.' * (cells - filled)}]")
    if not ascii_bar:  # it also fills the cells of the brackets
        filled = round((cells + 2) * filled / cells)
        bar = _spans(Span("━" * filled, "bar"), Span("─" * (cells + 2 - filled), "bar-rest"))
    return (*head, *bar, *_spans(" ", _figure(f"{100 * share:.0f} %"), times))


def epoch_text(history: History) -> str:
    """Where a run is: `12.30`; the whole number that an imported log gives its last epoch."""
    return f"{history.epoch:.2f}" if history.steps or not history.epochs else f"{history.epoch:.4g}"


def learning_spans(history: History, width: int = 200) -> Spans:
    """What the newest step says about learning: loss, cross-entropy, accuracy; empty without a step."""
    step, segment = history.points[-1] if history.points else None, history.segment
    if step is None or segment is None:
        return ()
    smoothed, chance = number(smoothed_loss(history)), number(segment.chance)
    loss = _spans("loss ", _figure(number(step.loss)))
    if width < 100:
        loss += _spans(" ", _figure(f"~{smoothed}"), " ", Span(f"(chance {chance})", "aside"))
    else:
        loss += _spans(" ", Span(f"(smoothed {smoothed}, chance {chance})", "aside"))
    taught = step.teacher_loss is not None and width >= 100
    return loss + _spans(
        *("  ce ", _figure(number(step.ce)), " of ", _figure(number(segment.chance_ce))),
        *("  top-1 ", _figure(rate(step.top1))),
        *("  spread ", _figure(number(step.feature_std, 2))),
        *(("  teacher ", _figure(number(step.teacher_loss, 3))) if taught else ()),
    )


def machine_spans(history: History) -> Spans:
    """What the newest step says about the machine: speed, data wait, memory; empty if it says nothing."""
    step = history.points[-1] if history.points else None
    if step is None or history.segment is None:
        return ()
    if all(one is None for one in (step.lr, step.img_s, step.data_share, step.mem_gib)):
        return ()  # an imported log
    gpu = ("  GPU ", _figure(rate(step.gpu_util))) if step.gpu_util is not None else ()
    return _spans(
        *("lr ", _figure(learning_rate(step.lr))),
        *("  ", _figure(number(step.img_s, 3)), " img/s"),
        *("  data wait ", _figure(rate(step.data_share))),
        *("  mem ", _figure(number(step.mem_gib, 3)), " GiB"),
        *gpu,
    )


def smoothed_loss(history: History, weight: float = 0.9) -> float | None:
    """The exponential moving average of the loss over the newest steps on the present scale."""
    start, mean, mass, before = _scale_start(history), 0.0, 0.0, 0
    points = history.points
    steps, losses = points.numbers, points.column("loss")
    if not steps:
        return None
    unit = smoothing_unit(steps[0], steps[-1], len(steps))
    recent = zip(steps[-_SMOOTHING_STEPS:], losses[-_SMOOTHING_STEPS:], strict=True)
    for step, loss in recent:
        if step > start and loss == loss:
            kept = weight ** ((step - before) / unit)
            mean, mass, before = kept * mean + loss, kept * mass + 1, step
    return mean / mass if mass else None


def _scale_start(history: History) -> int:
    """The step after which losses are comparable: a resume may change the temperature or the batch size."""
    start = -1
    for segment in reversed(history.segments):
        if segment.chance != history.segments[-1].chance:
            break
        start = segment.step
    return start


def evaluation_spans(history: History, width: int = 200) -> Spans:
    """The last evaluation in one line; a narrow line omits words, never the chance levels."""
    if not history.evals:
        return _spans("no evaluation yet; press e")
    event = history.evals[-1]
    scores = _named_scores(event)
    how = f", {safe(manner(event))}" if manner(event) else ""
    head = _spans("epoch ", _figure(f"{event.epoch:.4g}"), f"{how}: ")
    if not scores:
        return head + _spans("see `tmssl eval`")
    long = head + _join([_score_spans(score, name, short=False) for name, _, score in scores])
    if len(plain_text(long)) <= width:
        return long
    return head + _join([_score_spans(score, name, short=True) for _, name, score in scores])


def _named_scores(event: Eval) -> list[tuple[str, str, Score]]:
    """Name, short name and score of the main figures that an evaluation has."""
    hit = FIGURATIVE_HIT if FIGURATIVE_HIT.score(event) else ANY_HIT  # for an imported log
    scores = [(figure, figure.score(event)) for figure in (hit, GROUP_RECALL, INVARIANCE)]
    return [(f.title(s.k), short_name(s), s) for f, s in scores if s is not None]


def _score_spans(score: Score, name: str, *, short: bool) -> Spans:
    """`hit@10 0.62 (chance 0.41, lift 1.5, untrained 0.48)`; short `hit@10 0.62 (chance 0.41, x1.5)`."""
    times, (began_as, began) = lift(score), beginning(score)
    aside = f"chance {number(score.chance, 2)}"
    if times is not None:
        aside += f", {'x' if short else 'lift '}{number(times, 2)}"
    if began is not None and not short:
        aside += f", {began_as} {number(began, 2)}"
    return _spans(f"{name} ", _figure(number(score.value, 2)), " ", Span(f"({aside})", "aside"))


def _join(lines: list[Spans]) -> Spans:
    """Spans separated by semicolons."""
    joined = lines[0]
    for line in lines[1:]:
        joined += (Span("; "), *line)
    return joined


def finding_lines(finding: Finding) -> tuple[str, str]:
    """A finding, and its advice."""
    advice = f"   -> {safe(finding.advice)}" if finding.advice else ""
    return (
        f"{level_sign(finding.level).mark} epoch {finding.epoch:.4g}: {safe(finding.text)}",
        advice,
    )


def worst_finding_lines(history: History) -> tuple[str, str, str]:
    """The worst finding that is still true with a count of the others, its advice, and its level."""
    finding, others = worst_finding(history)
    if finding is None:
        return "nothing to report", "", ""
    line, advice = finding_lines(finding)
    return f"{line}{f'  (and {others}: f)' if others else ''}", advice, finding.level


def step_text(history: History, step: int) -> str:
    """What was logged nearest to a step."""
    logged = history.nearest(step)
    if logged is None:
        return f"step {step:,}: nothing was logged"
    return (
        f"step {logged.step:,}, epoch {logged.epoch:.4g}: loss {number(logged.loss)}, "
        f"top-1 {rate(logged.top1)}, lr {learning_rate(logged.lr)}, "
        f"gradient norm {number(logged.grad_norm)}"
    )
