"""Joining labels to images: the marks, the report, and the errors of a join that went wrong."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tmssl.data.sources.archive import Archive
from tmssl.data.sources.folder import Folder
from tmssl.data.sources.join_report import JoinReport, outside_message
from tmssl.data.sources.labels import Labels
from tmssl.data.sources.marks import Mark, MarkTable
from tmssl.data.sources.matching import match_labels
from tmssl.data.vienna import US_COLUMN, is_us_code
from tmssl.errors import CatalogueError
from tmssl.text import safe

_MIN_JOINED = 0.05  # share of labels; a join that matches fewer has failed


def join_labels(
    source: Path, container: Folder | Archive, labels: Labels, *, keep_unlabelled: bool
) -> tuple[MarkTable, JoinReport]:
    """The marks of labels and images, in the order of the images' paths, and the report of the join.

    Args:
        source: the folder, archive or table, for messages.
        container: the images.
        labels: the labels.
        keep_unlabelled: whether images without a label become marks.

    Raises:
        CatalogueError: nearly all labels lack an image, or no code parses.
    """
    images = [path for path in container.images if is_utf8(path)]
    join = _Join(labels.marks, images)
    _check_matches(source, join, container.outside)
    _check_codes(source, labels)
    unlabelled = [path for path in images if path not in join.row_of] if keep_unlabelled else []
    counts: Counter[str] = Counter()
    marks = MarkTable.of(_counted_marks(join, set(unlabelled), counts))
    rows = len(labels.marks)
    report = JoinReport(
        source=str(source),
        images=len(marks),
        labels=rows,
        joined=len(join.row_of),
        with_codes=counts["codes"],
        with_group=counts["group"],
        validation=counts["validation"],
        respelled=join.respelled,
        bare_codes=labels.bare_codes if labels.code_lists else 0,
        untitled=labels.untitled if labels.untitled < rows else 0,
        bad_codes=tuple(labels.bad_codes),
        us_codes=tuple(labels.us_codes),
        unknown_codes=tuple(labels.unknown_codes),
        images_without_label=tuple(unlabelled),
        labels_without_image=tuple(join.unmatched),
        duplicates=tuple(join.duplicates),
        undecodable_names=tuple(path for path in container.images if not is_utf8(path)),
        outside=tuple(container.outside),
    )
    return marks, report


def is_utf8(path: str) -> bool:
    """Whether a file name is UTF-8 on disk; Python holds other bytes as lone surrogates."""
    return path.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in path)


class _Join:
    """The label row of each image, and the labels that matched none or a taken one."""

    def __init__(self, labels: MarkTable, images: list[str]) -> None:
        image_of = match_labels((mark.path for mark in labels), images)
        self.labels, self.images = labels, images
        self.row_of: dict[str, int] = {}
        self.unmatched: list[str] = []
        self.duplicates: list[str] = []
        self.respelled = 0
        for row, mark in enumerate(labels):
            image = image_of.get(mark.path)
            if image is None:
                self.unmatched.append(mark.path)
            elif image in self.row_of:
                self.duplicates.append(image)
            else:
                self.respelled += image != mark.path
                self.row_of[image] = row


def _counted_marks(join: _Join, unlabelled: set[str], counts: Counter[str]) -> Iterator[Mark]:
    """The mark of each image with a label and of the unlabelled ones, counted by what they have."""
    for path in join.images:
        row = join.row_of.get(path)
        if row is not None:
            mark = join.labels[row]
            if path != mark.path:
                mark = msgspec.structs.replace(mark, path=path)
        elif path in unlabelled:
            mark = Mark(path)
        else:
            continue
        counts["codes"] += bool(mark.vienna)
        counts["group"] += bool(mark.group)
        counts["validation"] += mark.split == "validation"
        yield mark


def _check_matches(source: Path, join: _Join, outside: list[str]) -> None:
    """Refuse a join that lost nearly everything, as its scores would be noise; show both sides."""
    labels, joined = len(join.labels), len(join.row_of)
    if not labels or joined >= _MIN_JOINED * labels:
        return
    if set(join.unmatched) <= set(outside):  # the names agree; only the folder is not allowed
        raise CatalogueError(f"{safe(source)}: {outside_message(outside)}")
    also = f"; {outside_message(outside)}" if outside else ""
    wanted = ", ".join(safe(path, 60) for path in join.unmatched[:3])
    existing = ", ".join(safe(path, 60) for path in join.images[:3]) or "nowhere"
    raise CatalogueError(
        f"{safe(source)}: only {joined} of {labels} labels found their image; the labels name "
        f"{wanted}; the images are {existing}; make the names agree{also}"
    )


def _check_codes(source: Path, labels: Labels) -> None:
    """Refuse labels of which no code parses; some bad ones are only reported."""
    if labels.with_codes:
        return
    if labels.bad_codes:
        raise CatalogueError(
            f"{safe(source)}: none of its {len(labels.bad_codes)} Vienna codes parses, such as "
            f"'{safe(labels.bad_codes[0], 60)}'; codes look like 26.01.03, separated by semicolons"
        )
    us_codes = [code for code in labels.us_codes if is_us_code(code)]
    if us_codes:
        raise CatalogueError(
            f"{safe(source)}: '{safe(us_codes[0], 60)}' is a US design search code, not a Vienna "
            f"code; rename that column to {US_COLUMN} and keep `vienna` for Vienna codes"
        )
