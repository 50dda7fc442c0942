"""An office's XML register as records: TM-XML (WIPO ST.66) and ST.96, streamed, nothing fetched.

Elements are known by their local names in any case, so namespaces and versions of the schemas do
not matter. A document type without entities is harmless and read over; one that declares entities
is refused, which leaves neither external entities nor their expansion.
"""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO
from xml.parsers import expat

from tmssl.data.sources.cells import Row
from tmssl.data.vienna import US_COLUMN
from tmssl.errors import CatalogueError
from tmssl.text import safe

_BLOCK = 1 << 16  # bytes parsed at once
_LONGEST = 1 << 20  # bytes of one tag or comment, which the parser has to hold
_DEEPEST = 200  # elements inside one another
_TEXT = 4096  # letters kept of one element

_NUMBERS = (
    "applicationnumbertext",
    "applicationnumber",
    "registrationnumber",
    "st13applicationnumber",
)
_TITLES = ("markverbalelementtext", "marksignificantverbalelementtext", "markverbalelement")
_FILES = ("markimagefilename", "imagefilename", "filename", "markimageuri", "markimageidentifier")
_PARTS = ("viennacategory", "viennadivision", "viennasection")
_WHOLE = ("categorycode", "viennacode", "viennaclass")
_VIENNA_KIND = re.compile(r"vienna|vcl|cfe", re.IGNORECASE)
_FOREIGN_CODE = re.compile(r"(us|national)?design(search)?code(text)?")
_WANTED = frozenset((*_NUMBERS, *_TITLES, *_FILES, *_PARTS, *_WHOLE, "categorykind"))


def read_register(name: str, file: BinaryIO) -> Iterator[Row]:
    """One record for each image of a mark: `path`, `id`, `title`, `vienna`, and others' codes.

    Memory is bounded, however large the file is. A mark that has neither an image nor codes, as a
    word mark, gives none. Codes of a kind other than Vienna's go under `design_search_code`.

    Args:
        name: of the file, for messages.
        file: XML in any encoding that it declares and Python knows.

    Raises:
        CatalogueError: it is not well-formed, declares entities, or holds one tag above 1 MiB or
            more than 200 levels.
    """
    reader = _Reader(name)
    parser = expat.ParserCreate()
    parser.buffer_text = False
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler = reader.refuse_entity
    silent = 0
    try:
        while True:
            block = file.read(_BLOCK)
            reader.heard = False
            parser.Parse(block, not block)
            silent = 0 if reader.heard else silent + len(block)
            if silent > _LONGEST:
                raise CatalogueError(
                    f"{safe(name)} holds a tag or comment above 1 MiB; it is no register"
                )
            yield from reader.found
            reader.found.clear()
            if not block:
                return
    except (expat.ExpatError, LookupError) as error:
        raise CatalogueError(f"cannot read {safe(name)}: {safe(error, 200)}") from error


class _Reader:
    """What the parser has seen of the mark it is in."""

    def __init__(self, name: str) -> None:
        self.heard = False
        self.found: list[Row] = []
        self._name = name
        self._open: list[str] = []
        self._text: list[str] | None = None
        self._length = 0
        self._mark: dict[str, str] | None = None
        self._images: list[dict[str, Any]] = []
        self._image: dict[str, Any] | None = None
        self._loose = _no_codes()  # codes of a mark that stand outside its images
        self._kind = ""
        self._parts: dict[str, str] = {}

    def refuse_entity(self, entity: str, *_: object) -> None:
        """Entities fetch files and fill memory; a register needs none."""
        raise CatalogueError(
            f"{safe(self._name)} declares the entity '{safe(entity, 40)}'; such a file is refused, "
            "since entities can fetch files and fill memory; remove its declarations"
        )

    def start(self, tag: str, _attributes: object) -> None:
        """An element opens."""
        self.heard = True
        local = tag.rpartition(":")[2].lower()
        self._open.append(local)
        if len(self._open) > _DEEPEST:
            raise CatalogueError(
                f"{safe(self._name)} nests more than {_DEEPEST} elements; it is no register"
            )
        if local == "trademark":
            self._mark, self._images, self._loose, self._kind = {}, [], _no_codes(), ""
        elif local == "markimage":
            self._image = {"names": {}, **_no_codes()}
        elif local == "markimagecategory":
            self._kind = ""
        elif local == "viennaclassification":
            self._parts = {}
        wanted = self._mark is not None and (
            local in _WANTED or _FOREIGN_CODE.fullmatch(local) is not None
        )
        self._text, self._length = [] if wanted else None, 0

    def text(self, text: str) -> None:
        """Letters of an element, of which no more than some are kept."""
        self.heard = True
        if self._text is not None and self._length < _TEXT:
            self._text.append(text[: _TEXT - self._length])
            self._length += len(text)

    def end(self, _tag: str) -> None:
        """An element closes."""
        self.heard = True
        local = self._open.pop()
        value = "".join(self._text).strip() if self._text is not None else ""
        self._text = None
        if self._mark is None:
            return
        if value:
            self._take(local, value)
        if local == "viennaclassification":
            whole = ".".join(self._parts[part] for part in _PARTS if part in self._parts)
            if whole:
                self._codes()["vienna"].append(whole)
        elif local == "markimage" and self._image is not None:
            self._images.append(self._image)
            self._image = None
        elif local == "trademark":
            self._finish()

    def _take(self, local: str, value: str) -> None:
        """The text of one element that matters."""
        mark = self._mark if self._mark is not None else {}
        if local == "categorykind":
            self._kind = value
        elif local in _WHOLE:
            foreign = local == "categorycode" and self._kind and not _VIENNA_KIND.search(self._kind)
            self._codes()["foreign" if foreign else "vienna"].append(value)
        elif local in _PARTS:
            self._parts[local] = value
        elif local in _FILES:
            if self._image is not None:
                self._image["names"].setdefault(local, value)
        elif _FOREIGN_CODE.fullmatch(local):
            self._codes()["foreign"].append(value)
        else:
            mark.setdefault(local, value)

    def _codes(self) -> dict[str, list[str]]:
        """Where a code belongs: to the image it stands in, or to all of the mark's."""
        return self._loose if self._image is None else self._image

    def _finish(self) -> None:
        """The records of a mark that closes."""
        mark = self._mark or {}
        number = _first(mark, _NUMBERS)
        images = self._images or (
            [{"names": {}, **_no_codes()}] if any(self._loose.values()) else []
        )
        for image in images:
            shown = _first(image["names"], _FILES)
            record: Row = {
                "path": shown.rpartition("/")[2] if "://" in shown else shown or number,
                "id": number,
                "title": _first(mark, _TITLES),
                "vienna": [*image["vienna"], *self._loose["vienna"]],
            }
            foreign = [*image["foreign"], *self._loose["foreign"]]
            if foreign:
                record[US_COLUMN] = ";".join(foreign)
            if "://" in shown:
                record["url"] = shown
            self.found.append(record)
        self._mark = None


def _no_codes() -> dict[str, list[str]]:
    """Codes of Vienna and of other schemes, none yet."""
    return {"vienna": [], "foreign": []}


def _first(values: dict[str, str], names: tuple[str, ...]) -> str:
    """The first of some elements that is there, or nothing."""
    return next((values[name] for name in names if name in values), "")
