"""Joining labels to images: the marks, the report, and the errors of a join that went wrong."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tmssl.data.matching.paths import label_scopes
from tmssl.data.matching.rows import RowMatches, match_rows
from tmssl.data.matching.spelling import file_name
from tmssl.data.sources.class_folders import ClassFolders
from tmssl.data.sources.container import Container
from tmssl.data.sources.folder import BROKEN, elsewhere
from tmssl.data.sources.join_report import FileCounts, JoinReport, RowCounts, outside_message
from tmssl.data.sources.labels import MAX_EXTRA, Labels
from tmssl.data.sources.marks import Mark, MarkTable
from tmssl.data.vienna import US_COLUMN, is_us_code
from tmssl.errors import CatalogueError
from tmssl.text import count, safe

_MIN_JOINED = 0.05  # share of labels; a join that matches fewer has failed


def join_labels(
    source: Path,
    container: Container,
    labels: Labels,
    folders: ClassFolders,
    *,
    keep_unlabelled: bool,
) -> tuple[MarkTable, JoinReport]:
    """The marks of labels and images, in the order of the images' paths, and the report of the join.

    Args:
        source: the folder, archive or table, for messages.
        container: the images.
        labels: the labels.
        folders: what the folders of images say.
        keep_unlabelled: whether images without a label become marks.

    Raises:
        CatalogueError: nearly all labels lack an image, or no code parses.
    """
    images = [path for path in container.images if is_utf8(path)]
    odd_names = [path for path in container.images if not is_utf8(path)]
    matches = _match(container, labels, images)
    _check_doubts(source, matches)
    join = _Join(labels.marks, images, matches)
    _check_matches(source, join, container.outside)
    _check_codes(source, labels)
    unlabelled = [path for path in images if path not in join.row_of] if keep_unlabelled else []
    counts = _Counts()
    marks = MarkTable.of(_marks(join, labels.one_code, set(unlabelled), folders, counts))
    report = JoinReport(
        source=str(source),
        images=len(marks),
        labels=labels.rows,
        joined=len(join.row_of),
        rows=_row_counts(labels, join, counts),
        files=_file_counts(container, join, len(unlabelled), odd_names),
        gathered=counts["gathered"],
        pathless=labels.pathless,
        with_codes=counts["codes"],
        with_group=counts["group"],
        validation=counts["validation"],
        respelled=join.respelled,
        bare_codes=labels.bare_codes if labels.code_lists else 0,
        untitled=labels.untitled if labels.untitled < labels.rows else 0,
        bad_codes=tuple(labels.bad_codes),
        number_codes=tuple(labels.number_codes),
        us_codes=tuple(labels.us_codes),
        unknown_codes=tuple(labels.unknown_codes),
        images_without_label=tuple(unlabelled),
        labels_without_image=tuple(join.unmatched),
        duplicates=tuple(counts.duplicates),
        undecodable_names=tuple(odd_names),
        outside=tuple(container.outside),
        notes=(*labels.notes, *folders.notes(), *_root_notes(matches)),
    )
    return marks, report


def _match(container: Container, labels: Labels, images: list[str]) -> RowMatches:
    """The image of each row of labels."""
    marks = labels.marks
    named = [mark.path for mark in marks]
    left_out = [
        *filter(is_utf8, container.outside),
        *filter(is_utf8, container.skipped.get(BROKEN, ())),
        *elsewhere(named, container.root, images),
    ]
    return match_rows(
        named,
        {row: marks[row].url for row in labels.numbers},
        labels.numbers,
        images,
        root=str(container.root),
        scopes=label_scopes(container.labels, images),
        left_out=left_out,
    )


def _row_counts(labels: Labels, join: "_Join", counts: "_Counts") -> RowCounts:
    """Every row of the labels under what became of it."""
    return RowCounts(
        read=labels.rows,
        joined=len(join.row_of) + counts["gathered"],
        without_image=len(join.unmatched),
        refused=labels.pathless + len(counts.duplicates),
    )


def _file_counts(
    container: Container, join: "_Join", unlabelled: int, odd_names: list[str]
) -> FileCounts:
    """Every file of a source under what became of it."""
    joined = len(join.row_of)
    reasons = Counter({reason: len(paths) for reason, paths in container.skipped.items()})
    reasons["name that is not UTF-8"] += len(odd_names)
    reasons["outside the folder"] += len(container.outside)
    reasons["not named by the table"] += len(join.images) - joined - unlabelled
    return FileCounts(
        found=len(container.images)
        + sum(map(len, container.skipped.values()))
        + len(container.outside),
        joined=joined,
        unlabelled=unlabelled,
        skipped=sum(reasons.values()),
        reasons={reason: number for reason, number in reasons.most_common() if number},
    )


def is_utf8(path: str) -> bool:
    """Whether a file name is UTF-8 on disk; Python holds other bytes as lone surrogates."""
    return path.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in path)


class _Join:
    """The label rows of each image, and the labels that matched none."""

    def __init__(self, labels: MarkTable, images: list[str], matches: RowMatches) -> None:
        self.labels, self.images = labels, images
        self.row_of: dict[str, int] = {}
        self.further_rows: dict[str, list[int]] = {}
        """rows of images after their first"""
        self.unmatched: list[str] = []
        self.respelled = 0
        for row, mark in enumerate(labels):
            image = matches.image_of.get(row)
            if image is None:
                self.unmatched.append(mark.path)
            elif image in self.row_of:
                self.further_rows.setdefault(image, []).append(row)
            else:
                self.respelled += image != mark.path
                self.row_of[image] = row


class _Counts(Counter[str]):
    """What the marks of a join have, and the images that a row names again for another mark."""

    def __init__(self) -> None:
        super().__init__()
        self.duplicates: list[str] = []

    def add(self, mark: Mark) -> None:
        """Count a mark by what it has."""
        self["codes"] += bool(mark.vienna)
        self["group"] += bool(mark.group)
        self["validation"] += mark.split == "validation"


def _marks(
    join: _Join,
    one_code: Sequence[int],
    unlabelled: set[str],
    folders: ClassFolders,
    counts: _Counts,
) -> Iterator[Mark]:
    """The mark of each image with a label and of the unlabelled ones, counted by what they have."""
    for path in join.images:
        row = join.row_of.get(path)
        if row is not None:
            mark = join.labels[row]
            single = bool(one_code[row])
            for further in join.further_rows.get(path, ()):
                gathered = _gathered(mark, join.labels[further], single and bool(one_code[further]))
                if gathered is None:
                    counts.duplicates.append(path)
                else:
                    counts["gathered"] += 1
                    mark = gathered
            if path != mark.path:
                mark = msgspec.structs.replace(mark, path=path)
        elif path in unlabelled:
            mark = Mark(path)
        else:
            continue
        mark = folders.labelled(mark, path)
        counts.add(mark)
        yield mark


def _gathered(mark: Mark, other: Mark, one_code_each: bool) -> Mark | None:
    """A mark with the codes of another row of its image; None if that row is of another mark.

    Tables in long form have a row for each code. Rows belong together where each has one code at
    most, or the first had none, and neither their group, split nor title contradict.
    """
    fields = [(getattr(mark, name), getattr(other, name)) for name in ("group", "split", "title")]
    if any(first and second and first != second for first, second in fields):
        return None
    if not (one_code_each or not mark.vienna) or set(other.vienna) <= set(mark.vienna):
        return None
    group, split, title = (first or second for first, second in fields)
    return msgspec.structs.replace(
        mark,
        vienna=tuple(sorted({*mark.vienna, *other.vienna})),
        group=group,
        split=split,
        title=title,
        id=mark.id or other.id,
        url=mark.url or other.url,
        extra=_both(mark.extra, other.extra),
    )


def _both(first: dict[str, str], second: dict[str, str]) -> dict[str, str]:
    """The further columns of two rows of one mark; what differs stands in a list."""
    both = dict(first)
    for name, text in second.items():
        known = both.get(name, "")
        if not known:
            both[name] = text
        elif text not in known.split("; ") and len(known) + len(text) < MAX_EXTRA:
            both[name] = f"{known}; {text}"
    return both


def _check_doubts(source: Path, matches: RowMatches) -> None:
    """Refuse labels that may mean several images, and images that several labels may mean."""
    if matches.doubts:
        name, candidates = next(iter(matches.doubts.items()))
        either = " or ".join(safe(path, 80) for path in candidates)
        raise CatalogueError(
            f"{safe(source)}: {count(len(matches.doubts), 'path')} cannot be told apart, such as "
            f"{safe(name, 80)}, which may be {either}; write more of the path of each, or remove one"
        )


def _root_notes(matches: RowMatches) -> list[str]:
    """A sentence on each root of labels that was taken for one of images, and on names by number."""
    notes = [
        f"{count(number, 'label row')} under {safe(labels, 60)} taken for the images under "
        f"{safe(images, 60)}"
        for (labels, images), number in matches.roots.items()
    ]
    if matches.numbered:
        rows = count(matches.numbered, "row")
        notes.append(f"images named by {matches.kind}: {rows} of a register found theirs by it")
    return notes


def _check_matches(source: Path, join: _Join, outside: list[str]) -> None:
    """Refuse a join that lost nearly everything, as its scores would be noise; show both sides."""
    labels = len(join.labels)
    joined = labels - len(join.unmatched)
    if not labels or joined >= _MIN_JOINED * labels:
        return
    if set(join.unmatched) <= set(outside):  # the names agree; only the folder is not allowed
        raise CatalogueError(f"{safe(source)}: {outside_message(outside)}")
    also = f"; {outside_message(outside)}" if outside else ""
    names = set(map(file_name, join.images))
    if same := sum(file_name(path) in names for path in join.unmatched):
        also = f"; {count(same, 'label')} would fit by file name, but not by folder{also}"
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
    if labels.number_codes:
        raise CatalogueError(
            f"{safe(source)}: its Vienna codes are numbers, such as '{safe(labels.number_codes[0], 60)}'; "
            "they may have lost digits, since 26.10 and 26.1 are one number; write them as text"
        )
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
