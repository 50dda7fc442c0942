"""What a user gives as a source: one path, a pattern of shards, or several of them joined by `::`."""

import glob
import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path

from tmssl.errors import CatalogueError
from tmssl.text import count, safe

SEPARATOR = "::"  # as WebDataset joins lists of shards
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})", re.ASCII)
_MOST = 100_000  # files of one pattern


def join_sources(sources: Iterable[Path | str]) -> Path:
    """Several sources as one, by absolute paths."""
    return resolve_sources(SEPARATOR.join(map(str, sources)))


def source_name(source: Path | str) -> str:
    """A short name of some sources, for a run: the first one's, without its suffix."""
    first, *others = split_sources(source)
    name = first.parent.name if _is_pattern(str(first)) else first.stem
    return f"{name} and {len(others)} more" if others else name


def split_sources(source: Path | str) -> list[Path]:
    """The sources of a text; a file or folder that has `::` in its name is one source."""
    text = str(source)
    if os.path.lexists(text):
        return [Path(text)]
    return [Path(part) for part in text.split(SEPARATOR) if part] or [Path(text)]


def resolve_sources(source: Path | str) -> Path:
    """The same sources by absolute paths, joined as before."""
    return Path(SEPARATOR.join(str(part.resolve()) for part in split_sources(source)))


def sources_exist(source: Path | str) -> bool:
    """Whether there is something at each of some sources."""
    return all(_matches(str(part)) for part in split_sources(source))


def expand(source: Path) -> list[Path]:
    """The files of a pattern, sorted, or the path itself where it exists or is no pattern.

    `*`, `?` and `[...]` match as in a shell, `{000..007}` counts, `{a,b}` lists.

    Raises:
        CatalogueError: a file that braces name is missing, or nothing matches.
    """
    text = str(source)
    if os.path.lexists(text) or not _is_pattern(text):
        return [source]
    found: dict[str, None] = {}
    missing = []
    for pattern in _expand_braces(text):
        matches = _matches(pattern)
        found |= dict.fromkeys(matches)
        if not matches:
            missing.append(pattern)
    if missing:
        raise CatalogueError(
            f"{count(len(missing), 'file')} of {safe(text)} {'is' if len(missing) == 1 else 'are'} "
            f"missing, such as {safe(missing[0])}; give a pattern of files that are there"
        )
    return [Path(path) for path in sorted(found)]


def _is_pattern(text: str) -> bool:
    """Whether a path names files by their form."""
    return glob.has_magic(text) or _BRACES.search(text) is not None


def _matches(pattern: str) -> list[str]:
    """The paths that match a pattern without braces, or any of those with them."""
    if os.path.lexists(pattern):
        return [pattern]
    expanded = _expand_braces(pattern)
    if expanded != [pattern]:
        return [path for one in expanded for path in _matches(one)]
    return glob.glob(pattern) if glob.has_magic(pattern) else []  # noqa: PTH207 - a pattern may be absolute


def _expand_braces(pattern: str) -> list[str]:
    """The patterns that braces stand for; `{000..010}` keeps its zeros."""
    parts = _BRACES.split(pattern)
    choices = [[part] if i % 2 == 0 else _choices(part) for i, part in enumerate(parts)]
    combined = itertools.islice(itertools.product(*choices), _MOST + 1)
    expanded = ["".join(words) for words in combined]
    if len(expanded) > _MOST:
        raise CatalogueError(f"{safe(pattern)} stands for more than {_MOST:,} files")
    return expanded


def _choices(braces: str) -> list[str]:
    """What the inside of a pair of braces stands for."""
    counted = _RANGE.fullmatch(braces)
    if not counted:
        return braces.split(",") if "," in braces else [f"{{{braces}}}"]
    first, last = counted.groups()
    width = len(first) if first.startswith("0") else 0
    step = 1 if int(first) <= int(last) else -1
    numbers = range(int(first), int(last) + step, step)[: _MOST + 1]
    return [f"{number:0{width}d}" for number in numbers]
