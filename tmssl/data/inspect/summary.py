"""The survey of a corpus in figures: formats, sizes, aspect ratios, duplicates."""

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from tmssl.data.formats import FORMATS
from tmssl.data.inspect.duplicates import exact_groups, near_groups
from tmssl.data.inspect.survey import Survey, groups_of
from tmssl.data.sources.marks import Mark
from tmssl.types import Indices

QUANTILES = {"least": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "most": 1.0}
ASPECTS = (0.25, 0.5, 0.8, 1.25, 2.0, 4.0)  # width / height: the bounds of the counted ranges
_GROUP_EXAMPLES = 3  # paths of a group
_EXAMPLES = 20  # groups, or unreadable images


class CopyCounts(msgspec.Struct, frozen=True):
    """Groups of equal or nearly equal images."""

    images: int
    """images in groups"""
    groups: int
    largest: int
    across: int
    """groups in both training and validation, whose marks an evaluation would know already"""
    examples: list[list[str]]
    """some paths of the largest groups"""


class Summary(msgspec.Struct, frozen=True):
    """The images of a corpus in figures; field names are keys of `tmssl data --json`."""

    total: int
    """images of the catalogue"""
    looked_at: int
    unreadable: dict[str, int]
    """reason and number of images; words with digits are left out of reasons"""
    unreadable_examples: list[tuple[str, str]]
    """(path, reason)"""
    unfinished: int
    """JPEGs that lack their end marker, and are read all the same"""
    formats: dict[str, int]
    widths: dict[str, int]
    heights: dict[str, int]
    kibibytes: dict[str, float]
    sizes: list[tuple[int, int, int]]
    """the most common: width, height, number of images"""
    aspects: list[int]
    """images in each range between ASPECTS, from narrow to wide"""
    blank: int
    """images of one colour"""
    exact: CopyCounts
    """equal files"""
    near: CopyCounts
    """different files with near perceptual hashes; images of one colour are left out"""


def summarize(marks: Sequence[Mark], survey: Survey) -> Summary:
    """The figures of the images of some marks."""
    images = survey.images
    first = exact_groups(images["digest"])
    distinct = images[(first == np.arange(len(images))) & ~images["blank"]]
    reasons = Counter(map(_without_numbers, survey.unreadable.values()))
    examples = sorted(survey.unreadable.items())[:_EXAMPLES]
    formats = np.bincount(images["format"], minlength=len(FORMATS)).tolist()
    sizes = Counter(zip(images["width"].tolist(), images["height"].tolist(), strict=True))
    aspects = np.searchsorted(ASPECTS, images["width"] / images["height"], side="right")
    lengths = _quantiles(images["length"])
    return Summary(
        total=survey.total,
        looked_at=survey.looked_at,
        unreadable=dict(reasons.most_common()),
        unreadable_examples=[(marks[row].path, reason) for row, reason in examples],
        unfinished=int(images["unfinished"].sum()),
        formats={name: n for name, n in zip(FORMATS, formats, strict=True) if n},
        widths=_quantiles(images["width"]),
        heights=_quantiles(images["height"]),
        kibibytes={name: round(value / 1024, 1) for name, value in lengths.items()},
        sizes=[(*size, n) for size, n in sizes.most_common(5)],
        aspects=np.bincount(aspects, minlength=len(ASPECTS) + 1).tolist(),
        blank=int(images["blank"].sum()),
        exact=_count_copies(marks, images["row"], first),
        near=_count_copies(marks, distinct["row"], near_groups(distinct["hash"])),
    )


def _without_numbers(reason: str) -> str:
    """A reason without the words that differ from image to image."""
    words = reason.split()
    return " ".join(word for word in words if not any(letter.isdigit() for letter in word))


def _quantiles(values: npt.NDArray[np.integer]) -> dict[str, int]:
    """The quantiles of some values, by name; none where there are no values."""
    if not len(values):
        return {}
    return {name: int(np.quantile(values, share)) for name, share in QUANTILES.items()}


def _count_copies(marks: Sequence[Mark], rows: Indices, label: Indices) -> CopyCounts:
    """Counts and examples of the groups that labels make of some rows."""
    groups = [[marks[row] for row in rows[group].tolist()] for group in groups_of(label)]
    splits = [{mark.split == "validation" for mark in group} for group in groups]
    return CopyCounts(
        images=sum(map(len, groups)),
        groups=len(groups),
        largest=max(map(len, groups), default=0),
        across=sum(len(both) == 2 for both in splits),
        examples=[[mark.path for mark in group[:_GROUP_EXAMPLES]] for group in groups[:_EXAMPLES]],
    )
