"""What is searched for, as the fields of the search screen say it and `tmssl search` takes it."""

import dataclasses
import os.path
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from tmssl.errors import InputError
from tmssl.files import is_folder, is_there
from tmssl.retrieval.search.results import SearchRecord
from tmssl.runs.folder import Run
from tmssl.text import safe
from tui.paths import display_path
from tui.search.rectangle import Rectangle, rectangle_of

_OF_ONE, _OF_EACH = 100, 20  # matches to ask for

FIELDS = (
    ("logo", "logo", "an image, or a folder of images"),
    ("words", "text", "beside it, or alone"),
    ("views", "views", "1"),
    ("conditions", "where", "such as year>=2015 title~moon"),
    ("vienna", "vienna", "such as 3.1 26.11"),
    ("above", "above", "such as 0.85"),
)
"""name, label and example of each field"""


@dataclasses.dataclass(frozen=True)
class SearchRequest:
    """A valid search."""

    logo: str
    """absolute path of an image or a folder; empty where a text alone is searched for"""
    text: str = ""
    where: tuple[str, ...] = ()
    vienna: tuple[str, ...] = ()
    above: float | None = None
    views: str = ""
    crops: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """The options and the argument of `tmssl search`."""
        options = [word for text in self.where for word in ("--where", text)]
        options += [word for code in self.vienna for word in ("--vienna", code)]
        options += [word for crop in self.crops for word in ("--crop", crop)]
        options += ["--above", str(self.above)] if self.above is not None else []
        options += ["--views", self.views] if self.views else []
        options += ["--text", self.text] if self.text else []
        return [*options, "--", self.logo] if self.logo else options


def parse_request(values: Mapping[str, str], crops: Sequence[str] = ()) -> SearchRequest:
    """The search that filled fields describe, checked as far as it can be without the marks.

    Raises:
        InputError: nothing is there to search for, a condition cannot be read, or a code or number is none.
    """
    from tmssl.data.vienna import parse_code
    from tmssl.retrieval.search.filters import parse_condition

    typed, text = values["logo"].strip(), values["words"].strip()
    if not typed and not text:
        raise InputError("type the path of an image to search for; right completes it")
    # Path.expanduser raises for a user who is not there.
    logo = os.path.abspath(os.path.expanduser(typed)) if typed else ""  # noqa: PTH100, PTH111 - see above
    if typed and ("\0" in logo or not is_there(logo)):
        raise InputError(f"there is nothing at {safe(logo)}; give an image or a folder of them")
    where = _words("where", values["conditions"])
    for condition in where:
        parse_condition(condition)
    vienna = tuple(values["vienna"].replace(",", " ").replace(";", " ").split())
    for code in vienna:
        parse_code(code)
    above = _similarity(values["above"].strip())
    views = values["views"].strip()
    if views and not views.isdecimal():
        raise InputError(
            f"views is '{safe(views, 60)}'; give how many vectors of a mark to compare"
        )
    return SearchRequest(logo, text, where, vienna, above, views, tuple(crops))


def field_values(record: SearchRecord) -> tuple[dict[str, str], tuple[Rectangle, ...]]:
    """What stands in the fields for a search that was made, and its rectangles; no logo where there were several."""
    files = {answer.file for answer in record.answers}
    logo = files.pop() if len(files) == 1 else ""
    parts = [rectangle_of(answer.crop) for answer in record.answers]
    values = {
        "logo": display_path(Path(logo)) if logo else "",
        "words": record.answers[0].text if record.answers else "",
        "views": str(record.views) if record.views > 1 else "",
        "conditions": shlex.join(record.where),
        "vienna": " ".join(record.vienna),
        "above": "" if record.above is None else f"{record.above:g}",
    }
    kept = tuple(part for part in parts if part is not None) if logo else ()
    return {name: safe(value, 4096) for name, value in values.items()}, kept


def list_length(run: Run, logo: str) -> int:
    """How many matches to ask for: several pages of one logo, fewer of each of a folder."""
    from tmssl.data.pack.info import read_info
    from tmssl.data.pack.searched import searched_pack

    wanted = _OF_EACH if is_folder(logo) else _OF_ONE
    try:
        return min(wanted, read_info(searched_pack(run)).count)
    except InputError:  # the search says what is wrong
        return wanted


def _words(field: str, text: str) -> tuple[str, ...]:
    """A text split as a shell splits it."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise InputError(f"{field}: '{safe(text, 60)}' cannot be read: {safe(error)}") from error


def _similarity(text: str) -> float | None:
    """A cosine, or None for no text."""
    if not text:
        return None
    try:
        above = float(text)
    except ValueError:
        above = 2.0
    if not -1 <= above <= 1:
        raise InputError(f"above is '{safe(text, 60)}'; give a similarity from -1 to 1")
    return above
