"""The report of a join, in numbers and in words: what matched, and what is missing or wrong."""

from collections.abc import Sequence

import msgspec

from tmssl.data.sources.table import LABEL_FILES
from tmssl.text import count, safe

_EXAMPLES = 3


class JoinReport(msgspec.Struct, frozen=True, rename={"undecodable_names": "odd_names"}):
    """Result of joining labels to images; tuples hold the paths or codes concerned."""

    source: str
    images: int
    labels: int
    """rows of labels read; 0 when there are none"""
    joined: int
    """rows that matched an image"""
    with_codes: int
    """marks with at least one Vienna code"""
    with_group: int
    validation: int
    """marks held out for validation"""
    respelled: int = 0
    """rows that matched by another spelling: case, folder or suffix"""
    bare_codes: int = 0
    """rows whose codes are a bare string where others have a list"""
    untitled: int = 0
    """rows without a title where others have one"""
    bad_codes: tuple[str, ...] = ()
    """codes that do not parse, as printed"""
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

    def lines(self) -> list[str]:
        """The report for a person."""
        lines = [f"{safe(self.source)}: {count(self.images, 'image')}"]
        if self.labels:
            lines += [
                f"  {count(self.labels, 'label row')}, {self.joined:,} joined to an image",
                f"  {self.with_codes:,} with Vienna codes, {self.with_group:,} with a group, "
                f"{self.validation:,} for validation",
            ]
        else:
            files = ", ".join(LABEL_FILES)
            lines.append(f"  no labels found ({files}, output_YYYY.json or an XML register)")
        for number, note in (
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
        if self.outside:
            lines.append(f"  {outside_message(self.outside)}")
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


def outside_message(paths: Sequence[str]) -> str:
    """How many paths a link or a table leads out of the source's folder, and how to allow them."""
    subject = count(len(paths), "path leads", "paths lead")
    verb = "is" if len(paths) == 1 else "are"
    return (
        f"{subject} out of the source's folder, such as {safe(paths[0], 60)}, and {verb} left out; "
        "--images-under DIR allows what lies under DIR"
    )
