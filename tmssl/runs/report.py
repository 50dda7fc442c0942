"""The training log report: a history as Markdown, to be read without the machine."""

import contextlib
import math
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from tmssl.config import from_dict
from tmssl.errors import ConfigError
from tmssl.positives import parse_positives
from tmssl.runs.cost import cost, cost_words, seconds_spent
from tmssl.runs.eval_event import manner
from tmssl.runs.eval_table import COLUMNS, eval_rows, reference_names
from tmssl.runs.events import Epoch, Eval, Finding, Segment
from tmssl.runs.history import History, state
from tmssl.runs.main_figure import TOPK
from tmssl.runs.schedule import RANGE_TEST_STEPS, planned_decay_begin
from tmssl.text import count, duration, learning_rate, number, rate, safe

_TITLES = {
    "vienna": "Weak Supervision",
    "group": "Supervision by Group",
    "title": "Supervision by Text",
    "instance": "Instance Discrimination",
}
_POSITIVES = {
    "vienna": "two marks that share a Vienna code",
    "group": "two marks of one group",
    "title": "two marks of one text",
    "instance": "two augmented views of the same mark",
}
_MARKUP = re.compile(r"([\\`*_\[\]<>|#~&])")
_MOST_MATCHES = 5


def plain(text: object, limit: int = 300) -> str:
    """Foreign text for Markdown: safe to show, with all markup escaped."""
    return _MARKUP.sub(r"\\\1", safe(text, limit))


def report(
    history: History,
    name: str,
    *,
    alive: bool,
    charts: Mapping[str, str] | None = None,
    pictures: Mapping[str, str] | None = None,
    matches: Sequence[str] = (),
    price_per_hour: float | None = None,
) -> str:
    """The report as Markdown.

    Args:
        history: of the run.
        name: of the run.
        alive: whether it is being trained now.
        charts: title to a chart drawn in characters.
        pictures: title to the path of a picture, relative to the report.
        matches: lines of Markdown that show queries with their matches.
        price_per_hour: of the machine; None uses the run's setting.
    """
    parts = [
        f"# Training Log Report: {plain(name)}",
        "\n".join(["## Experiment Overview", *_overview(history, alive, price_per_hour)]),
        *(_phase(history, index) for index in range(len(history.segments))),
        _log(history),
    ]
    if charts or pictures:
        parts.append(_curves(charts or {}, pictures or {}))
    if history.evals:
        parts.append("\n\n".join(["## Evaluation", *map(_evaluation, history.evals)]))
    if matches:
        parts.append("\n".join(["## Matches", "", *matches]))
    parts.append("\n".join(["## Next Steps", *next_steps(history, alive)]))
    return "\n\n".join(parts) + "\n"


def _overview(history: History, alive: bool, price_per_hour: float | None) -> list[str]:
    """Model, method, data, machine, time and state."""
    started, segment = history.started, history.segment
    facts = {key: plain(text) for key, text in started.notes.items()} if started else {}
    if segment and not facts:
        facts["Model"] = plain(segment.setting("model", "name") or "unknown")
        facts["Method"] = "MoCo v3 (self-supervised)"
    if history.branch:
        branch = history.branch
        facts["Past"] = (
            f"{plain(branch.words)} (checkpoint {plain(branch.checkpoint)}), with its losses up to there"
        )
    if started and not started.notes:
        facts["Dataset"] = _dataset(history)
        machine = ", ".join(plain(name) for name in (started.device, started.host) if name)
        facts["Infrastructure"] = machine or "unknown"
        facts["Versions"] = ", ".join(f"{plain(k)} {plain(v)}" for k, v in started.versions.items())
    if segment and segment.chance is not None:
        facts["Chance"] = (
            f"a model that has learned nothing has a loss of {number(segment.chance)} "
            f"(N = {segment.batch_size:,} keys)"
        )
    spent = seconds_spent(history)
    if spent:
        facts["Time"] = duration(spent)
        money = cost(history, price_per_hour)
        if money:
            facts["Cost"] = cost_words(money, to_come=history.total_steps > history.step)
    facts["Status"] = f"{state(history, alive)} at epoch {history.epoch:.4g}" + (
        f" of {segment.epochs}" if segment else ""
    )
    return [f"- **{plain(key)}**: {words}" for key, words in facts.items() if words]


def _dataset(history: History) -> str:
    """The number of marks, in all and in each split, and their source."""
    counts = history.started.counts if history.started else {}
    if not counts:
        return ""
    source = str(history.segments[0].setting("data", "source")) if history.segments else ""
    names = [part.rpartition("/")[2] for part in source.split("::")]
    origin = f" from {plain(' and '.join(names))}" if source else ""
    return (
        f"{count(counts.get('marks', 0), 'mark')} ({counts.get('train', 0):,} for training, "
        f"{counts.get('validation', 0):,} for validation, {counts.get('with_codes', 0):,} with Vienna "
        f"codes){origin}"
    )


def _phase(history: History, index: int) -> str:
    """One segment: its strategy, changes, losses and findings."""
    segment = history.segments[index]
    epochs, findings = _of_segment(history, index)
    following = history.segments[index + 1] if index + 1 < len(history.segments) else None
    last = following.epoch if following else segment.epochs
    heading = (
        f"## Phase {index + 1}: {phase_title(segment)} (Epochs {segment.epoch:.4g}-{last:.4g})"
    )
    lines = [heading, f"**Strategy**: {_strategy(segment)}"]
    lines += [f"- **Changed**: {words}" for words in _changes(segment)]
    if epochs:
        lines.append("- **Results**:")
        lines += [f"  - Epoch {epoch.epoch}: Loss {_loss(epoch)}" for epoch in _few(epochs)]
    for finding in findings:
        kind = finding.code.removeprefix("noted-").title() if _is_noted(finding) else "Finding"
        advice = f". *Advice: {plain(finding.advice)}*" if finding.advice else ""
        lines.append(f"- **{plain(kind)}**: {plain(finding.text, 600)}{advice}")
    return "\n".join(lines)


def phase_title(segment: Segment) -> str:
    """The title of a phase in an imported log, or one made from its settings."""
    if segment.title:
        return plain(segment.title)
    shares = _shares(segment)
    kind = _TITLES[next(iter(shares))] if len(shares) == 1 else "Mixed Supervision"
    kind = kind if shares else "Training"
    how = {"rollback": ", rolled back", "branch": ", branched"}
    return kind + how.get(segment.reason, "")


def _strategy(segment: Segment) -> str:
    """The positives and the learning rate, in two sentences."""
    shares = _shares(segment)
    positives = ""
    if len(shares) == 1:
        positives = f"Positives are {_POSITIVES[next(iter(shares))]}."
    elif shares:
        kinds = [f"{_POSITIVES[kind]} ({rate(share)})" for kind, share in shares.items()]
        positives = f"Positives are {', '.join(kinds[:-1])} or {kinds[-1]}."
    lr = learning_rate(segment.figure("optim", "lr"))
    schedule = segment.setting("optim", "schedule")
    words = ""
    if schedule == "cosine":
        anchor = segment.figure("optim", "anchor") or 0.0
        least = learning_rate(segment.figure("optim", "min_lr"))
        words = (
            f"The learning rate falls along a cosine from {lr} at epoch {anchor:g} "
            f"to {least} at epoch {segment.epochs}."
        )
    elif schedule == "wsd":
        words = _decay_words(segment)
    elif schedule == "range-test":
        least = learning_rate(segment.figure("optim", "min_lr"))
        words = f"The learning rate rises from {least} to {lr} over {RANGE_TEST_STEPS} steps."
    elif segment.setting("optim", "lr") != "":
        words = f"The learning rate is a constant {lr}."
    return " ".join(filter(None, [positives, words])) or "unknown"


def _decay_words(segment: Segment) -> str:
    """The learning rate of a stable phase with a decay, in a sentence."""
    lr, least = (learning_rate(segment.figure("optim", name)) for name in ("lr", "min_lr"))
    stable = f"The learning rate is a stable {lr}"
    begin, per_epoch = None, segment.steps_per_epoch
    with contextlib.suppress(ConfigError):  # written by another version
        optim = from_dict(dict(segment.config)).optim
        begin = planned_decay_begin(optim, steps_per_epoch=per_epoch, epochs=segment.epochs)
    if begin is None or not per_epoch:
        return f"{stable}, with a decay at the end."
    return (
        f"{stable} up to epoch {begin / per_epoch:.4g}, and falls from there to {least} at epoch "
        f"{segment.epochs} ({plain(segment.setting('optim', 'decay_shape'))})."
    )


def _shares(segment: Segment) -> dict[str, float]:
    """The shares of each kind of positives; empty where the journal does not tell them."""
    share = segment.figure("data", "vienna_share")
    try:
        return parse_positives(
            str(segment.setting("data", "positives")), 0.5 if share is None else share
        )
    except ConfigError:  # of another version, or an imported log's
        return {}


def _changes(segment: Segment) -> list[str]:
    """The settings that a resume changed, and its step of the learning rate."""
    changes = [
        f"{plain(name)} from {plain(pair[0])} to {plain(pair[1])}"
        for name, pair in segment.changed.items()
        if len(pair) == 2 and pair[0] is not None
    ]
    before, after = segment.lr_before, segment.lr_after
    if before and after:
        changes.append(
            f"learning rate from {learning_rate(before)} to {learning_rate(after)} "
            f"(x{number(after / before, 3)})"
        )
    return changes


def _of_segment(history: History, index: int) -> tuple[list[Epoch], list[Finding]]:
    """The epochs and findings between a segment and the next."""
    begin = history.segments[index].step
    later = [segment.step for segment in history.segments[index + 1 :]]
    end = min(later, default=math.inf)
    epochs = [epoch for epoch in history.epochs if begin < epoch.step <= end]
    first = 0 if index == 0 else begin + 1
    return epochs, [finding for finding in history.findings if first <= finding.step <= end]


def _few(epochs: list[Epoch]) -> list[Epoch]:
    """The first two epochs of a phase and its last."""
    return epochs if len(epochs) <= 3 else [*epochs[:2], epochs[-1]]


def _is_noted(finding: Finding) -> bool:
    """Whether a finding is a remark of the author of an imported log."""
    return finding.code.startswith("noted-")


def _loss(epoch: Epoch) -> str:
    """A mean loss with four decimals, as training logs print it."""
    return "not finite" if epoch.loss is None else f"{epoch.loss:.4f}"


def _log(history: History) -> str:
    """A line for each epoch, as plain training logs have it."""
    lines = [f"Epoch {e.epoch} complete. Avg Loss: {_loss(e)}" for e in history.epochs]
    return "\n".join(
        ["## Detailed Logs", "```text", *(lines or ["no epoch is complete yet"]), "```"]
    )


def _curves(charts: Mapping[str, str], pictures: Mapping[str, str]) -> str:
    """The curves, as pictures and drawn in characters."""
    lines = ["## Curves"]
    lines += [f"\n![{plain(title)}]({quote(path)})" for title, path in pictures.items()]
    for chart in charts.values():
        lines += ["", "```text", chart.rstrip(), "```"]
    return "\n".join(lines)


def _evaluation(event: Eval) -> str:
    """One evaluation as a table, each score beside its chance level."""
    split = f", {plain(event.split)}" if event.split else ""
    gallery = f" against {count(event.gallery, 'mark')}" if event.gallery else ""
    how = f", {plain(manner(event))}" if manner(event) else ""
    queries = count(event.queries, "query", "queries")
    names = reference_names(event.scores)
    columns = [column for column in (*COLUMNS, *map(plain, names)) if column != "Codes"]
    lines = [
        f"### Epoch {event.epoch:.4g} ({queries}{gallery}{split}{how})",
        "",
        f"| {' | '.join(columns)} |",
        f"|---|---|{'---:|' * (len(columns) - 2)}",
    ]
    for row in eval_rows(event.scores):
        codes = "" if row.codes.text == "all" else f", {row.codes.text}"
        level = f"{row.level.text}{codes}"
        texts = [row.name.text, level, *(cell.text for cell in row.cells[3:])]
        lines.append(f"| {' | '.join(map(plain, texts))} |")
    return "\n".join(lines)


def next_steps(history: History, alive: bool) -> list[str]:
    """Advice of the findings that still hold, then how to finish the run and to evaluate it."""
    solved = max((f.step for f in history.findings if f.code == "broke-out"), default=-1)
    current = {
        f.code: f
        for f in history.findings
        if f.advice and f.level in ("bad", "warning") and f.step >= solved
    }
    steps = [f"{plain(f.advice)} ({plain(f.text, 120)})" for f in current.values()]
    segment = history.segment
    if segment and history.total_steps > history.step:
        verb = "Let it run" if alive else "Continue training"
        steps.append(f"{verb} to epoch {segment.epochs}: `tmssl train --resume`.")
    if not history.evals:
        steps.append(f"Evaluate: `tmssl eval --topk {' '.join(map(str, TOPK))}`.")
    else:
        steps.append(
            "Evaluate every 5 to 10 epochs and look at the matches: `tmssl eval --show 8`."
        )
    return [f"{at}. {step}" for at, step in enumerate(steps, 1)]
