"""The report of a join, in numbers and in words: what matched, and what is missing or wrong."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from tmssl.data.sources.folder import LABELS
from tmssl.data.sources.specification import SEPARATOR
from tmssl.data.tables.table import HUB_FILES, LABEL_FILES
from tmssl.text import count, safe

_EXAMPLES = 3


class RowCounts(msgspec.Struct, frozen=True):
    """What became of the rows of labels: read = joined + without_image + refused."""

    read: int = 0
    joined: int = 0
    without_image: int = 0
    refused: int = 0
    """rows that name no image, or again one that another row is the label of"""


class FileCounts(msgspec.Struct, frozen=True):
    """What became of the files of a source: found = joined + unlabelled + skipped."""

    found: int = 0
    joined: int = 0
    unlabelled: int = 0
    skipped: int = 0
    reasons: dict[str, int] = msgspec.field(default_factory=dict)
    """reason to the number of files that were skipped for it"""

    def line(self) -> str:
        """The sentence on skipped files; nothing where these are labels alone."""
        told = ", ".join(
            f"{safe(reason, 60)} {number:,}" for reason, number in self.reasons.items()
        )
        return (
            f"{count(self.skipped, 'file')} skipped: {told}"
            if self.reasons.keys() - {LABELS}
            else ""
        )


class JoinReport(msgspec.Struct, frozen=True, rename={"undecodable_names": "odd_names"}):
    """Result of joining labels to images; tuples hold the paths or codes concerned."""

    source: str
    images: int
    labels: int
    """rows of labels read; 0 when there are none"""
    joined: int
    """images that have a label"""
    with_codes: int
    """marks with at least one Vienna code"""
    with_group: int
    validation: int
    """marks held out for validation"""
    rows: RowCounts = RowCounts()
    files: FileCounts = FileCounts()
    gathered: int = 0
    """further rows of those images, whose codes were gathered: tables with a row for each code"""
    pathless: int = 0
    """rows that name no image"""
    respelled: int = 0
    """rows that matched by another spelling: case, folder or suffix"""
    bare_codes: int = 0
    """rows whose codes are a bare string where others have a list"""
    untitled: int = 0
    """rows without a title where others have one"""
    bad_codes: tuple[str, ...] = ()
    """codes that do not parse, as printed"""
    number_codes: tuple[str, ...] = ()
    """codes as numbers that may have lost digits, such as 26.1 for 26.10; they are not read"""
    us_codes: tuple[str, ...] = ()
    """US design search codes, by their column or as printed; they are not read as Vienna codes"""
    unknown_codes: tuple[str, ...] = ()
    """codes that parse, of divisions that neither Vienna nor EUIPO has"""
    images_without_label: tuple[str, ...] = ()
    labels_without_image: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    """images named by more than one row; the first row counts"""
    undecodable_names: tuple[str, ...] = ()
    """files left out because their names are not UTF-8; `odd_names` in JSON"""
    outside: tuple[str, ...] = ()
    """images, labels and folders left out because they lie outside the source's folder"""
    notes: tuple[str, ...] = ()
    """a sentence on each form that the source was taken for, and why"""
    unread_labels: tuple[tuple[str, str], ...] = ()
    """XML files and files of one image's labels that are left out, and why"""

    def lines(self) -> list[str]:
        """The report for a person."""
        lines = [f"{safe(self.source)}: {count(self.images, 'image')}"]
        if self.labels:
            lines.append(f"  {count(self.labels, 'label row')}, {self.joined:,} joined to an image")
        else:
            names = ", ".join((*LABEL_FILES, HUB_FILES[0]))
            lines.append(f"  no labels found ({names}, output_YYYY.json or an XML register)")
        if self.labels or self.with_group or self.validation:  # folders may be labels too
            lines.append(
                f"  {self.with_codes:,} with Vienna codes, {self.with_group:,} with a group, "
                f"{self.validation:,} for validation"
            )
        if files := self.files.line():
            lines.append(f"  {files}")
        lines += [f"  {note}" for note in self.notes]
        for number, note in (
            (self.gathered, "gathered, as the table has a row for each code"),
            (self.pathless, "without a path"),
            (self.respelled, "matched by another spelling (case, folder or suffix)"),
            (self.bare_codes, "with a bare string instead of a list of codes"),
            (self.untitled, "without a title"),
        ):
            if number:
                lines.append(f"  {count(number, 'label row')} {note}")
        for singular, plural, items in self._defects():
            if items:
                examples = ", ".join(safe(item, 60) for item in items[:_EXAMPLES])
                joint = ", such as" if len(items) > _EXAMPLES else ":"
                lines.append(f"  {count(len(items), singular, plural)}{joint} {examples}")
        lines += self._unread_lines()
        if self.outside:
            lines.append(f"  {outside_message(self.outside)}")
        return lines

    def _unread_lines(self) -> list[str]:
        """A line for each reason to leave out files of labels, the most frequent first."""
        examples = {_without_numbers(why): (path, why) for path, why in self.unread_labels}
        reasons = Counter(_without_numbers(why) for _, why in self.unread_labels)
        lines = []
        for reason, number in reasons.most_common(_EXAMPLES):
            path, why = examples[reason]
            verb = "is" if number == 1 else "are"
            lines.append(
                f"  {count(number, 'file')} {verb} not read for labels, such as {safe(path, 60)}: {safe(why, 200)}"
            )
        if len(reasons) > _EXAMPLES:
            left = sum(reasons.values()) - sum(n for _, n in reasons.most_common(_EXAMPLES))
            lines.append(f"  {count(left, 'file')} not read for other reasons")
        return lines

    def _defects(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Each kind of defect: its name in the singular and plural, and what has it."""
        unlabelled = self.images_without_label if self.labels else ()
        unread = "not a Vienna code and not read as one"
        unread_all = "not Vienna codes and not read as such"
        no_division = "of a division that Vienna does not have"
        return [
            ("image without a label", "images without a label", unlabelled),
            ("label without an image", "labels without an image", self.labels_without_image),
            ("code that does not parse", "codes that do not parse", self.bad_codes),
            (
                "code that is a number and may have lost digits",
                "codes that are numbers and may have lost digits",
                self.number_codes,
            ),
            (
                f"US design search code, {unread}",
                f"US design search codes, {unread_all}",
                self.us_codes,
            ),
            (f"code {no_division}", f"codes {no_division}", self.unknown_codes),
            ("image named more than once", "images named more than once", self.duplicates),
            (
                "file left out because its name is not UTF-8",
                "files left out because their names are not UTF-8",
                self.undecodable_names,
            ),
        ]


def _without_numbers(reason: str) -> str:
    """A reason without lines and columns, by which the same fault of two files is one."""
    return "".join(letter for letter in reason if not letter.isdigit())


def merged(reports: Sequence[JoinReport]) -> JoinReport:
    """One report of several sources: numbers add up, lists follow one another."""

    def all_of(name: str) -> Any:
        values = [getattr(report, name) for report in reports]
        if isinstance(values[0], int):
            return sum(values)
        if isinstance(values[0], RowCounts | FileCounts):
            return _added(values)
        if isinstance(values[0], str):
            return SEPARATOR.join(values)
        return tuple(item for value in values for item in value)

    return JoinReport(**{name: all_of(name) for name in JoinReport.__struct_fields__})


def _added(counts: Sequence[Any]) -> Any:
    """Counts of several sources as one."""
    kind = type(counts[0])
    values = {name: [getattr(one, name) for one in counts] for name in kind.__struct_fields__}
    reasons: Counter[str] = Counter()
    for one in values.pop("reasons", ()):
        reasons.update(one)
    numbers = {name: sum(of_each) for name, of_each in values.items()}
    return kind(**numbers, reasons=dict(reasons.most_common())) if reasons else kind(**numbers)


def outside_message(paths: Sequence[str]) -> str:
    """How many paths a link or a table leads out of the source's folder, and how to allow them."""
    subject = count(len(paths), "path leads", "paths lead")
    verb = "is" if len(paths) == 1 else "are"
    return (
        f"{subject} out of the source's folder, such as {safe(paths[0], 60)}, and {verb} left out; "
        "--images-under DIR allows what lies under DIR"
    )
