"""Scores of evaluations, with figures that a test chooses."""

from typing import Any

from tmssl.runs.events import Score


def division_hit(
    value: float, chance: float, references: dict[str, float | None], **others: Any
) -> Score:
    """hit@10 by figurative divisions; the other fields are as for Score."""
    return Score(
        metric="hit",
        level="division",
        codes="figurative",
        k=10,
        value=value,
        chance=chance,
        references=references,
        **others,
    )


def group_recall(
    value: float, chance: float, references: dict[str, float | None], **others: Any
) -> Score:
    """recall@10 of the marks of a query's group; the other fields are as for Score."""
    return Score(
        metric="group_recall",
        level="group",
        k=10,
        value=value,
        chance=chance,
        references=references,
        **others,
    )
