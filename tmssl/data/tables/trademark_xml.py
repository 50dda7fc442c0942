"""Streaming an office's XML register as rows: TM-XML (WIPO ST.66) and ST.96; nothing is fetched.

Elements are matched by local name in any case, so namespaces and schema versions do not matter. A
document type without entities is ignored; one that declares entities is refused, so that none can
be fetched or expanded.
"""

import codecs
import dataclasses
import re
from collections.abc import Iterator
from typing import BinaryIO
from xml.parsers import expat

from tmssl.data.cells import NUMBERS, Row
from tmssl.data.vienna import US_COLUMN, is_vienna_kind
from tmssl.errors import CatalogueError
from tmssl.text import safe

_BLOCK = 1 << 16  # bytes parsed at once
_BLANKS = b" \t\r\n"  # before the declaration, where some exports leave an empty line
_MAX_DECLARATION = 200  # bytes
_WIDE = re.compile(rb"encoding\s*=\s*[\"'](utf-?16|ucs-?2|unicode)", re.IGNORECASE)
_MAX_TAG = 1 << 20  # bytes of one tag or comment, which the parser holds in memory
_MAX_DEPTH = 200  # of nested elements
_MAX_TEXT = 4096  # characters kept of one element
_MAX_PARTS = 4096  # images and texts of one mark, which are in memory until it ends

_NUMBERS = tuple(
    "applicationnumbertext applicationnumber registrationnumber st13applicationnumber".split()
)
_KINDS = {
    "applicationnumbertext": "application number",
    "applicationnumber": "application number",
    "st13applicationnumber": "ST.13 number",
    "registrationnumber": "registration number",
    "registrationofficecode": "office",
}
_TITLES = ("markverbalelementtext", "marksignificantverbalelementtext", "markverbalelement")
_FILES = ("markimagefilename", "imagefilename", "filename", "markimageuri", "markimageidentifier")
_CODE_PARTS = ("viennacategory", "viennadivision", "viennasection")
_CODES = ("categorycode", "viennacode", "viennaclass")
_US_CODE_TAG = re.compile(r"(us|national)?design(search)?code(text)?")
_WANTED = frozenset((*_KINDS, *_TITLES, *_FILES, *_CODE_PARTS, *_CODES, "categorykind"))

_FOREIGN = {
    "trademark-applications-daily": "USPTO's daily XML of applications",
    "trademark-assignments": "USPTO's assignments",
    "ttab-proceedings": "proceedings of USPTO's trial and appeal board",
    "revista": "Brazil's RPI, the gazette of INPI",
    "enotif": "WIPO's notifications under Madrid",
    "html": "a web page",
    "svg": "a drawing",
    "annotation": "boxes of objects in a picture",
}
"""root elements of other XML, which is not read to its end"""


class ForeignXmlError(CatalogueError):
    """XML without a mark of TM-XML or ST.96; says which root element it has."""

    def __init__(self, name: str, root: str) -> None:
        known = f" ({_FOREIGN[root.lower()]})" if root.lower() in _FOREIGN else ""
        self.reason = f"root element '{safe(root, 60)}'{known}, not TM-XML (ST.66) or ST.96"
        super().__init__(
            f"{safe(name)} holds no marks with an image or Vienna codes: {self.reason}; "
            "convert it to a table with the columns path and vienna"
        )


def read_register(name: str, file: BinaryIO) -> Iterator[Row]:
    """One row for each image of a mark: `path`, `id`, `title`, `vienna` and other offices' codes.

    Memory is bounded, however large the file is. A mark with neither an image nor codes, such as a
    word mark, gives no row. Codes of other schemes than Vienna's go under `design_search_code`.

    Args:
        name: of the file, for messages.
        file: XML in any encoding that it declares and Python knows.

    Raises:
        ForeignXmlError: it is XML of another kind.
        CatalogueError: it is not well-formed, declares entities, or has a tag above 1 MiB or more
            than 200 levels.
    """
    handler = _Handler(name)
    block, encoding = _mended_start(file.read(_BLOCK))
    parser = expat.ParserCreate(encoding)
    parser.buffer_text = False
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.text
    parser.EntityDeclHandler = handler.refuse_entity
    pending = 0  # bytes since the parser last reported anything
    try:
        while True:
            handler.called = False
            parser.Parse(block, not block)
            pending = 0 if handler.called else pending + len(block)
            if pending > _MAX_TAG:
                raise CatalogueError(
                    f"{safe(name)} holds a tag or comment above 1 MiB; it is not a register"
                )
            yield from handler.rows
            handler.rows.clear()
            if not block:
                break
            block = file.read(_BLOCK)
    except (expat.ExpatError, LookupError) as error:
        raise CatalogueError(f"cannot read {safe(name)}: {safe(error, 200)}") from error
    if not handler.has_marks:
        raise ForeignXmlError(name, handler.root)


def _mended_start(block: bytes) -> tuple[bytes, str | None]:
    """The first block as the parser takes it, and its encoding where the declaration is wrong.

    Some exports begin with an empty line, which XML does not allow before a declaration. Windows
    programs declare the UTF-16 of their memory and save UTF-8.
    """
    plain = block.removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS)
    declaration = plain[:_MAX_DECLARATION].partition(b"?>")[0]
    if not declaration.startswith(b"<?xml"):
        return block, None
    return plain, "utf-8" if _WIDE.search(declaration) else None


@dataclasses.dataclass
class _Codes:
    """Codes as printed, by scheme."""

    vienna: list[str] = dataclasses.field(default_factory=list)
    us: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class _Image(_Codes):
    """An image of a mark and the codes inside its element."""

    files: dict[str, str] = dataclasses.field(default_factory=dict)
    """element to text, for the elements that may name the file"""


@dataclasses.dataclass
class _Mark:
    """The mark whose element is open."""

    texts: dict[str, str] = dataclasses.field(default_factory=dict)
    images: list[_Image] = dataclasses.field(default_factory=list)
    codes: _Codes = dataclasses.field(default_factory=_Codes)
    """codes outside its images, which count for each of them"""
    image: _Image | None = None
    """the image whose element is open"""
    scheme: str = ""
    """the text of the last CategoryKind, which names the scheme of the codes after it"""
    code_parts: dict[str, str] = dataclasses.field(default_factory=dict)

    def add(self, element: str, text: str) -> None:
        """Take the text of one element."""
        codes = self.codes if self.image is None else self.image
        if element == "categorykind":
            self.scheme = text
        elif element in _CODES:
            is_vienna = element != "categorycode" or is_vienna_kind(self.scheme, text)
            (codes.vienna if is_vienna else codes.us).append(text)
        elif element in _CODE_PARTS:
            self.code_parts[element] = text
        elif element in _FILES:
            if self.image is not None:
                self.image.files.setdefault(element, text)
        elif _US_CODE_TAG.fullmatch(element):
            codes.us.append(text)
        else:
            self.texts.setdefault(element, text)

    def end_code(self) -> None:
        """Join the parts of a code that was given as category, division and section."""
        codes = self.codes if self.image is None else self.image
        if code := ".".join(
            self.code_parts[part] for part in _CODE_PARTS if part in self.code_parts
        ):
            codes.vienna.append(code)

    def rows(self) -> Iterator[Row]:
        """A row for each image, or one for a mark that has codes and no image."""
        number = _first(self.texts, _NUMBERS)
        without_image = [_Image()] if self.codes.vienna or self.codes.us else []
        for image in self.images or without_image:
            file = _first(image.files, _FILES)
            is_url = "://" in file
            row: Row = {
                "path": file.rpartition("/")[2] if is_url else file or number,
                "id": number,
                "title": _first(self.texts, _TITLES),
                "vienna": [*image.vienna, *self.codes.vienna],
            }
            if us_codes := [*image.us, *self.codes.us]:
                row[US_COLUMN] = ";".join(us_codes)
            if is_url:
                row["url"] = file
            row[NUMBERS] = {
                kind: self.texts[name] for name, kind in _KINDS.items() if name in self.texts
            }
            yield row


class _Handler:
    """The parser's callbacks: they collect the open mark and turn it into rows when it closes."""

    def __init__(self, name: str) -> None:
        self.called = False
        self.rows: list[Row] = []
        self.root = ""
        """the first element, without its namespace"""
        self.has_marks = False
        self._name = name
        self._open: list[str] = []
        self._text: list[str] | None = None
        self._length = 0
        self._mark: _Mark | None = None
        self._parts = 0

    def refuse_entity(self, entity: str, *_: object) -> None:
        """Refuse a file that declares entities; a register needs none."""
        raise CatalogueError(
            f"{safe(self._name)} declares the entity '{safe(entity, 40)}'; such a file is refused, "
            "since entities can fetch files and fill memory; remove its declarations"
        )

    def start(self, tag: str, _attributes: object) -> None:
        """An element opens."""
        self.called = True
        element = tag.rpartition(":")[2].lower()
        self._open.append(element)
        if not self.root:
            self.root = tag.rpartition(":")[2]
            if element in _FOREIGN:
                raise ForeignXmlError(self._name, self.root)
        if len(self._open) > _MAX_DEPTH:
            raise CatalogueError(
                f"{safe(self._name)} nests more than {_MAX_DEPTH} elements; it is not a register"
            )
        mark = self._mark
        if element == "trademark":
            mark = self._mark = _Mark()
            self.has_marks, self._parts = True, 0
        elif mark is not None and element == "markimage":
            self._count_part()
            mark.image = _Image()
        elif mark is not None and element == "markimagecategory":
            mark.scheme = ""
        elif mark is not None and element == "viennaclassification":
            mark.code_parts = {}
        wanted = element in _WANTED or _US_CODE_TAG.fullmatch(element) is not None
        self._text, self._length = [] if mark is not None and wanted else None, 0

    def _count_part(self) -> None:
        """Count an image or a text of the open mark; a product of many would fill memory."""
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise CatalogueError(
                f"{safe(self._name)} has a mark of more than {_MAX_PARTS:,} images and codes; it is not a "
                "register"
            )

    def text(self, text: str) -> None:
        """Characters of an element; only the first 4096 are kept."""
        self.called = True
        if self._text is not None and self._length < _MAX_TEXT:
            self._text.append(text[: _MAX_TEXT - self._length])
            self._length += len(text)

    def end(self, _tag: str) -> None:
        """An element closes."""
        self.called = True
        element = self._open.pop()
        text = "".join(self._text or ()).strip()
        self._text = None
        mark = self._mark
        if mark is None:
            return
        if text:
            self._count_part()
            mark.add(element, text)
        if element == "viennaclassification":
            mark.end_code()
        elif element == "markimage" and mark.image is not None:
            mark.images.append(mark.image)
            mark.image = None
        elif element == "trademark":
            self.rows += mark.rows()
            self._mark = None


def _first(texts: dict[str, str], elements: tuple[str, ...]) -> str:
    """The text of the first of some elements that is there, or nothing."""
    return next((texts[element] for element in elements if element in texts), "")
