"""What a survey's numbers say of a corpus: sizes, aspects, copies."""

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from tmssl.data.inspect.duplicates import exact_groups, near_groups
from tmssl.data.inspect.survey import Survey, groups_of
from tmssl.data.preprocess import FORMATS
from tmssl.data.sources.marks import Mark

QUANTILES = {"least": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "most": 1.0}
ASPECTS = (0.25, 0.5, 0.8, 1.25, 2.0, 4.0)  # width / height between which shapes are counted
_SHOWN = 3  # paths of a group that are kept as examples
_GROUPS = 20  # groups that are kept as examples


class CopyCounts(msgspec.Struct, frozen=True):
    """Groups of images that are the same, or nearly."""

    images: int
    """images in groups"""
    groups: int
    largest: int
    across: int
    """groups with marks of training and of validation both: an evaluation would find the known"""
    examples: list[list[str]]
    """of the largest groups, some paths"""


class Summary(msgspec.Struct, frozen=True):
    """What the images of a corpus are like."""

    total: int
    """images of the catalogue"""
    looked_at: int
    unreadable: dict[str, int]
    """reason to how many; digits are left out of reasons"""
    unreadable_examples: list[tuple[str, str]]
    """(path, reason)"""
    formats: dict[str, int]
    widths: dict[str, int]
    heights: dict[str, int]
    kibibytes: dict[str, float]
    sizes: list[tuple[int, int, int]]
    """the most common: width, height, how many"""
    aspects: list[int]
    """how many lie between the bounds of ASPECTS, narrow before wide"""
    blank: int
    """images of one colour"""
    exact: CopyCounts
    """files of the same bytes"""
    near: CopyCounts
    """other files whose perceptual hashes are near; images of one colour are left out"""


def summarize(marks: Sequence[Mark], survey: Survey) -> Summary:
    """The figures of a survey of some marks' images."""
    seen = survey.seen
    first = exact_groups(seen["digest"])
    distinct = np.flatnonzero((first == np.arange(len(seen))) & ~seen["blank"])
    alike = near_groups(seen["hash"][distinct])
    reasons = Counter(" ".join(_words(reason)) for reason in survey.unreadable.values())
    return Summary(
        total=survey.total,
        looked_at=survey.looked_at,
        unreadable=dict(reasons.most_common()),
        unreadable_examples=[
            (marks[row].path, why) for row, why in sorted(survey.unreadable.items())[:_GROUPS]
        ],
        formats={
            name: int(n) for i, name in enumerate(FORMATS) if (n := (seen["format"] == i).sum())
        },
        widths=_quantiles(seen["width"]),
        heights=_quantiles(seen["height"]),
        kibibytes={
            name: round(value / 1024, 1) for name, value in _quantiles(seen["length"]).items()
        },
        sizes=[
            (*size, n)
            for size, n in Counter(
                zip(seen["width"].tolist(), seen["height"].tolist(), strict=True)
            ).most_common(5)
        ],
        aspects=np.bincount(
            np.searchsorted(ASPECTS, seen["width"] / seen["height"], side="right"),
            minlength=len(ASPECTS) + 1,
        ).tolist(),
        blank=int(seen["blank"].sum()),
        exact=_copies(marks, seen["row"], first),
        near=_copies(marks, seen["row"][distinct], alike),
    )


def _words(reason: str) -> list[str]:
    """A reason without what differs from image to image."""
    return [word for word in reason.split() if not any(letter.isdigit() for letter in word)]


def _quantiles(values: npt.NDArray[np.integer]) -> dict[str, int]:
    """Some quantiles; none of nothing."""
    if not len(values):
        return {}
    return {name: int(np.quantile(values, share)) for name, share in QUANTILES.items()}


def _copies(
    marks: Sequence[Mark], rows: npt.NDArray[np.int64], label: npt.NDArray[np.int64]
) -> CopyCounts:
    """The groups that labels make of some rows."""
    groups = [[marks[row] for row in rows[group].tolist()] for group in groups_of(label)]
    held_out = [{mark.split == "validation" for mark in group} for group in groups]
    return CopyCounts(
        images=sum(map(len, groups)),
        groups=len(groups),
        largest=max(map(len, groups), default=0),
        across=sum(len(kinds) == 2 for kinds in held_out),
        examples=[[mark.path for mark in group[:_SHOWN]] for group in groups[:_GROUPS]],
    )
