"""How labels and images met, and what was wrong with them."""

import dataclasses

from tmssl.data.table import LABEL_FILES
from tmssl.text import count, safe


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
        for number, words in (
            (self.respelled, "joined under another spelling (case, folder or suffix)"),
            (self.bare_codes, "label rows with a bare string for a list of codes, read as one"),
            (self.untitled, "label rows without a title"),
        ):
            if number:
                told.append(f"  {number:,} {words}")
        for name, found in self.defects().items():
            if found:
                examples = ", ".join(safe(item, 60) for item in found[:3])
                told.append(f"  {len(found):,} {name}, such as {examples}")
        return told

    def defects(self) -> dict[str, tuple[str, ...]]:
        """What was lost or is wrong, by its name."""
        return {
            "images without a label": self.images_without_label if self.labels else (),
            "labels without an image": self.labels_without_image,
            "codes that do not parse": self.bad_codes,
            "US design search codes, another scheme, not read as Vienna codes": self.us_codes,
            "codes of divisions that Vienna does not have": self.unknown_codes,
            "images named more than once": self.duplicates,
            "files left out since their names are not UTF-8": self.odd_names,
        }
