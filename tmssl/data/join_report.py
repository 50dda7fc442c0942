"""How labels and images met, and what was wrong with them."""

import dataclasses
from collections.abc import Sequence

from tmssl.data.table import LABEL_FILES
from tmssl.text import count, safe

_SHOWN = 3  # examples of a defect


@dataclasses.dataclass(frozen=True)
class JoinReport:
    """How labels and images met."""

    source: str
    images: int
    """images found"""
    labels: int
    """rows of labels read; 0 when there are none"""
    joined: int
    """rows that found their image"""
    with_codes: int
    """marks with at least one Vienna code"""
    with_group: int
    validation: int
    """marks kept for validation"""
    respelled: int = 0
    """rows that found it under another spelling: case, folder, suffix"""
    bare_codes: int = 0
    """rows whose codes are a bare string where others have a list"""
    untitled: int = 0
    """rows without a title where others have one"""
    bad_codes: tuple[str, ...] = ()
    """codes that do not parse, as printed"""
    us_codes: tuple[str, ...] = ()
    """US design search codes, by their column or as printed; they are not read as Vienna's"""
    unknown_codes: tuple[str, ...] = ()
    """codes that parse, of divisions that neither Vienna nor EUIPO has"""
    images_without_label: tuple[str, ...] = ()
    labels_without_image: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    """images named by more than one row; the first row counts"""
    odd_names: tuple[str, ...] = ()
    """files left out because their names are not UTF-8"""
    outside: tuple[str, ...] = ()
    """images, labels and folders left out because they lie outside the source's folder"""

    def lines(self) -> list[str]:
        """The report for a person."""
        told = [f"{safe(self.source)}: {count(self.images, 'image')}"]
        if self.labels:
            told += [
                f"  {count(self.labels, 'label row')}, {self.joined:,} joined to an image",
                f"  {self.with_codes:,} with Vienna codes, {self.with_group:,} with a group, "
                f"{self.validation:,} for validation",
            ]
        else:
            told.append(
                f"  no labels: there is no {', '.join(LABEL_FILES)}, output_YYYY.json or register in XML"
            )
        for number, what in (
            (self.respelled, "joined under another spelling (case, folder or suffix)"),
            (self.bare_codes, "with a bare string for a list of codes, read as one"),
            (self.untitled, "without a title"),
        ):
            if number:
                told.append(f"  {count(number, 'label row')} {what}")
        for one, many, found in self._defects():
            if found:
                examples = ", ".join(safe(item, 60) for item in found[:_SHOWN])
                such = ", such as" if len(found) > _SHOWN else ":"
                told.append(f"  {count(len(found), one, many)}{such} {examples}")
        if self.outside:
            told.append(f"  {outside_words(self.outside)}")
        return told

    def _defects(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """What was lost or is wrong, by its name for one and for several."""
        unlabelled = self.images_without_label if self.labels else ()
        return [
            ("image without a label", "images without a label", unlabelled),
            ("label without an image", "labels without an image", self.labels_without_image),
            ("code that does not parse", "codes that do not parse", self.bad_codes),
            ("US design search code, another scheme, not read as a Vienna code",
             "US design search codes, another scheme, not read as Vienna codes", self.us_codes),
            ("code of a division that Vienna does not have",
             "codes of divisions that Vienna does not have", self.unknown_codes),
            ("image named more than once", "images named more than once", self.duplicates),
            ("file left out since its name is not UTF-8",
             "files left out since their names are not UTF-8", self.odd_names),
        ]  # fmt: skip


def outside_words(paths: Sequence[str]) -> str:
    """What was left out because a link or a table leads out of the source's folder, and how to let it in."""
    return (
        f"{count(len(paths), 'path leads', 'paths lead')} out of the source's folder, such as {safe(paths[0], 60)}, and "
        f"{'is' if len(paths) == 1 else 'are'} left out; --images-under DIR lets in what lies under DIR"
    )
