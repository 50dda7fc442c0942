"""Numbers become lines of text: the header, the figures, the last evaluation, the newest finding."""

from tmssl.runs.eval_event import manner
from tmssl.runs.events import Finding, Score
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

_MEMORY = 300  # 0.9 ** 300 is nothing
_SIGNS = {
    "running": "> running",
    "finished": "# finished",
    "stopped": "= stopped",
    "failed": "! failed",
    "dead": "! dead: the trainer vanished",
    "waiting": ". waiting for the trainer's first line",
}


def state_words(history: History, alive: bool) -> str:
    """The state with a sign, so that colour is never the only one."""
    return _SIGNS[state(history, alive)]


def progress_words(history: History, alive: bool, width: int) -> str:
    """`epoch 12.30/50 [####......] 25 %, epoch ends in 3m 10s, all in 2h 07m`."""
    segment = history.segment
    if segment is None or not history.total_steps:
        return "no segment yet"
    share = min(1.0, history.step / history.total_steps)
    pace = history.seconds_per_step()
    to_epoch = -history.step % segment.steps_per_epoch
    tail = ""
    if alive and pace is not None:
        tail = f", epoch in {duration(to_epoch * pace)}, end in {duration(history.seconds_left())}"
    head = f"epoch {history.epoch:.2f}/{segment.epochs} "
    bar = max(8, min(30, width - len(head) - len(tail) - 10))
    filled = round(bar * share)
    return f"{head}[{'#' * filled}{'.' * (bar - filled)}] {100 * share:.0f} %{tail}"


def figure_words(history: History, width: int = 200) -> list[str]:
    """Two lines: what the loss says, and what the machine does."""
    segment = history.segment
    step = history.points[-1] if history.points else None
    if step is None or segment is None:
        return ["", ""]
    mean = smoothed_loss(history)
    aside = f" (smoothed {number(mean)}, chance {number(segment.chance)})  "
    if width < 100:
        aside = f" ~{number(mean)} (chance {number(segment.chance)})  "
    learning = (
        f"loss {number(step.loss)}{aside}ce {number(step.ce)} of {number(segment.chance_ce)}  "
        f"top-1 {rate(step.top1)}  spread {number(step.feature_std, 2)}"
    )
    waiting = None
    if step.data_s is not None and step.step_s:
        waiting = step.data_s / step.step_s
    machine = (
        f"lr {learning_rate(step.lr)}  {number(step.img_s, 3)} img/s  data wait {rate(waiting)}  "
        f"mem {number(step.mem_gib, 3)} GiB"
    )
    if step.gpu_util is not None:
        machine += f"  GPU {rate(step.gpu_util)}"
    return [learning, machine]


def smoothed_loss(history: History, weight: float = 0.9) -> float | None:
    """The exponential moving average of the loss; what is so long ago that it weighs nothing is left out."""
    begin, mean, share = _same_scale_since(history), 0.0, 0.0
    points = history.points
    recent = zip(points.numbers[-_MEMORY:], points.column("loss")[-_MEMORY:], strict=True)
    for step, value in recent:
        if step > begin and value == value:
            mean, share = weight * mean + (1 - weight) * value, weight * share + 1 - weight
    return mean / share if share else None


def _same_scale_since(history: History) -> int:
    """The step from which on losses mean the same: temperature or N may have changed at a resume."""
    begin = -1
    for segment in reversed(history.segments):
        if segment.chance != history.segments[-1].chance:
            break
        begin = segment.step
    return begin


def _lift(score: Score) -> str:
    """`, lift 1.5`; nothing where there is none."""
    times = lift(score)
    return "" if times is None else f", lift {number(times, 2)}"


def score_words(score: Score, name: str) -> str:
    """`hit@10 0.62 (chance 0.41, untrained 0.48)`."""
    untrained = score.references.get("untrained")
    beside = f", untrained {number(untrained, 2)}" if untrained is not None else ""
    return (
        f"{name} {number(score.value, 2)} (chance {number(score.chance, 2)}{_lift(score)}{beside})"
    )


def evaluation_words(history: History, width: int = 200) -> str:
    """The last evaluation in one line; a narrow one leaves out words, never the chance levels."""
    if not history.evals:
        return "no evaluation yet; press e"
    event = history.evals[-1]
    told, short = [], []
    # An imported log has no figurative hits.
    hit = FIGURATIVE_HIT if FIGURATIVE_HIT.score(event) else ANY_HIT
    for figure in (hit, GROUP_RECALL, INVARIANCE):
        score = figure.score(event)
        if score is not None:
            told.append(score_words(score, figure.title(score.k)))
            times = _lift(score).replace("lift ", "x")
            short.append(
                f"{short_name(score)} {number(score.value, 2)} "
                f"(chance {number(score.chance, 2)}{times})"
            )
    how = f", {safe(manner(event))}" if manner(event) else ""
    line = f"epoch {event.epoch:.4g}{how}: " + ("; ".join(told) or "see `tmssl eval`")
    return line if len(line) <= width else f"epoch {event.epoch:.4g}{how}: " + "; ".join(short)


_LEVELS = {"good": "+", "info": "i", "warning": "!", "bad": "!!"}


def finding_words(finding: Finding) -> list[str]:
    """A finding and its advice, two lines."""
    sign = _LEVELS.get(finding.level, "!")
    return [
        f"{sign} epoch {finding.epoch:.4g}: {safe(finding.text)}",
        f"   -> {safe(finding.advice)}" if finding.advice else "",
    ]


def place_words(history: History, step: int) -> str:
    """What was logged nearest to a step."""
    near = history.nearest(step)
    if near is None:
        return f"step {step:,}: nothing was logged"
    return (
        f"step {near.step:,}, epoch {near.epoch:.4g}: loss {number(near.loss)}, top-1 {rate(near.top1)}, "
        f"lr {learning_rate(near.lr)}, gradient norm {number(near.grad_norm)}"
    )


def newest_finding(history: History) -> list[str]:
    """The newest finding in two lines, or that there is none."""
    return finding_words(history.findings[-1]) if history.findings else ["nothing to report", ""]
