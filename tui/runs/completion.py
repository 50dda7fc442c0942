"""What the fields of a form suggest while a person types: paths, and names of settings; `right` takes it."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from textual.suggester import Suggester

from tmssl.config import Config, to_dict
from tmssl.data.sources.specification import SEPARATOR
from tmssl.runs.listing import flat_settings
from tmssl.text import safe

_MOST = 10_000  # entries of a folder that are looked at


def complete_path(typed: str) -> str | None:
    """The text with its last path completed to the first entry that begins so; None where there is none.

    Folders come first, with a slash. Hidden entries, and those whose names a terminal might obey, are left out.
    """
    before, separator, path = typed.rpartition(SEPARATOR)
    folder, slash, begun = path.rpartition("/")
    if not path:
        return None
    place = Path(folder or "/" if slash else ".").expanduser()
    try:
        with os.scandir(place) as entries:
            found = [
                (not entry.is_dir(), entry.name)
                for entry in itertools.islice(entries, _MOST)
                if entry.name.startswith(begun) and safe(entry.name, 4096) == entry.name
            ]
    except OSError:  # there is no such folder, or it is another user's
        return None
    found = [one for one in found if begun or not one[1].startswith(".")]
    if not found:
        return None
    is_file, name = min(found)
    return f"{before}{separator}{folder}{slash}{name}{'' if is_file else '/'}"


def complete_setting(typed: str, names: Sequence[str]) -> str | None:
    """The text with its last word completed to the first setting that begins so, and `=`."""
    before, space, word = typed.rpartition(" ")
    if not word or "=" in word:
        return None
    begun = word.casefold()
    fitting = [name for name in names if name.startswith(begun)]
    return f"{before}{space}{word}{min(fitting)[len(word) :]}=" if fitting else None


class PathSuggester(Suggester):
    """Suggests a path."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The completed path."""
        return complete_path(value)


class SettingSuggester(Suggester):
    """Suggests the name of a setting."""

    def __init__(self) -> None:
        super().__init__(case_sensitive=True)
        full = flat_settings(dict(to_dict(Config())))
        self._names = sorted({name.rpartition(".")[2] for name in full} | set(full))

    async def get_suggestion(self, value: str) -> str | None:
        """The completed name."""
        return complete_setting(value, self._names)
