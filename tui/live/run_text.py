"""The text of a run's state, as spans of text and role; colours are in `styled_text`."""

import dataclasses
from typing import Literal

from tmssl.runs.eval_event import manner
from tmssl.runs.events import Eval, Finding, Score
from tmssl.runs.history import History, state
from tmssl.runs.main_figure import (
    ANY_HIT,
    FIGURATIVE_HIT,
    GROUP_RECALL,
    INVARIANCE,
    lift,
    short_name,
)
from tmssl.text import duration, learning_rate, number, rate, safe

_SMOOTHING_STEPS = 300  # 0.9 ** 300 is negligible
_STATES = {
    "running": "> running",
    "finished": "# finished",
    "stopped": "= stopped",
    "failed": "! failed",
    "dead": "! dead: the trainer vanished",
    "waiting": ". waiting for the trainer's first line",
}
_LEVEL_SIGNS = {"good": "+", "info": "i", "warning": "!", "bad": "!!"}
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
    return _STATES[state(history, alive)]


def progress_spans(history: History, alive: bool, width: int, *, ascii_bar: bool = True) -> Spans:
    """`epoch 12.30/50 [####......] 25 %, epoch in 3m 10s, end in 2h 07m`."""
    segment = history.segment
    if segment is None or not history.total_steps:
        return _spans("no segment yet")
    share = min(1.0, history.step / history.total_steps)
    pace = history.seconds_per_step()
    to_epoch = -history.step % segment.steps_per_epoch
    times = ""
    if alive and pace is not None:
        times = f", epoch in {duration(to_epoch * pace)}, end in {duration(history.seconds_left())}"
    epoch = f"{history.epoch:.2f}"
    head = _spans("epoch ", _figure(epoch), "/", _figure(str(segment.epochs)), " ")
    cells = max(8, min(30, width - len(plain_text(head)) - len(times) - 10))
    filled = round(cells * share)
    bar = _spans(f"[{'#' * filled}{'.' * (cells - filled)}]")
    if not ascii_bar:  # it also fills the cells of the brackets
        filled = round((cells + 2) * filled / cells)
        bar = _spans(Span("━" * filled, "bar"), Span("─" * (cells + 2 - filled), "bar-rest"))
    return (*head, *bar, *_spans(" ", _figure(f"{100 * share:.0f} %"), times))


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
    return loss + _spans(
        *("  ce ", _figure(number(step.ce)), " of ", _figure(number(segment.chance_ce))),
        *("  top-1 ", _figure(rate(step.top1))),
        *("  spread ", _figure(number(step.feature_std, 2))),
    )


def machine_spans(history: History) -> Spans:
    """What the newest step says about the machine: speed, data wait, memory; empty without a step."""
    step = history.points[-1] if history.points else None
    if step is None or history.segment is None:
        return ()
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
    start, mean, share = _scale_start(history), 0.0, 0.0
    points = history.points
    steps, losses = points.numbers, points.column("loss")
    recent = zip(steps[-_SMOOTHING_STEPS:], losses[-_SMOOTHING_STEPS:], strict=True)
    for step, loss in recent:
        if step > start and loss == loss:
            mean, share = weight * mean + (1 - weight) * loss, weight * share + 1 - weight
    return mean / share if share else None


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
    times, untrained = lift(score), score.references.get("untrained")
    aside = f"chance {number(score.chance, 2)}"
    if times is not None:
        aside += f", {'x' if short else 'lift '}{number(times, 2)}"
    if untrained is not None and not short:
        aside += f", untrained {number(untrained, 2)}"
    return _spans(f"{name} ", _figure(number(score.value, 2)), " ", Span(f"({aside})", "aside"))


def _join(lines: list[Spans]) -> Spans:
    """Spans separated by semicolons."""
    joined = lines[0]
    for line in lines[1:]:
        joined += (Span("; "), *line)
    return joined


def finding_lines(finding: Finding) -> tuple[str, str]:
    """A finding, and its advice."""
    sign = _LEVEL_SIGNS.get(finding.level, "!")
    advice = f"   -> {safe(finding.advice)}" if finding.advice else ""
    return f"{sign} epoch {finding.epoch:.4g}: {safe(finding.text)}", advice


def newest_finding_lines(history: History) -> tuple[str, str]:
    """The newest finding and its advice, or that there is none."""
    return finding_lines(history.findings[-1]) if history.findings else ("nothing to report", "")


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
