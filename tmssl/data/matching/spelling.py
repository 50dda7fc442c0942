"""Paths as people write them: foreign roots, URLs, backslashes, blanks, accents and case."""

import posixpath
import re
import unicodedata
from functools import cache
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from tmssl.data.formats import OTHER_SUFFIXES, SUFFIXES

IMAGE_SUFFIXES = frozenset((*SUFFIXES, *OTHER_SUFFIXES, ".jfif", ".jpe", ".jif"))
"""suffixes that a label may have, leave out or exchange"""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/+")
_DRIVE = re.compile(r"[A-Za-z]:(?=[/\\]|[^/\\:]*[/\\])")
_WIDE = re.compile("[\u3000\uff00-\uffef]")
_AFTER_NAME = re.compile(
    "^(.*(?:" + "|".join(map(re.escape, sorted(IMAGE_SUFFIXES))) + r"))[?#;].*$",
    re.IGNORECASE | re.DOTALL,
)
_DECODINGS = 3  # of percent escapes: of an address inside an address inside an address


class Spelled(NamedTuple):
    """A path in parts, folded so that all its spellings are equal."""

    root: str
    """`/`, a drive, a scheme with its host, `~` or `..`; empty for a relative path"""
    parts: tuple[str, ...]
    """folders and file name, without the root"""

    @property
    def host(self) -> str:
        """The host or bucket of an address, which may be the name of a folder elsewhere."""
        return self.root.rpartition("//")[2]


def is_foreign(path: str) -> bool:
    """Whether a path begins at a root, of this machine or another, and is no plain relative one."""
    path = path.strip()
    if path.startswith(("/", "\\", "~", "..")):
        return True
    return ":" in path and bool(_SCHEME.match(path) or _DRIVE.match(path))


def is_web(root: str) -> bool:
    """Whether a root is of the web, where folders are those of a server."""
    return root.startswith(("http:", "https:"))


def normalized(path: str) -> str:
    """A path without `./`, `//`, backslashes and blanks around it; accents are composed, which macOS does not do."""
    plain = posixpath.normpath(path.strip().replace("\\", "/"))
    return plain if plain.isascii() else unicodedata.normalize("NFC", plain)


def spelled(path: str) -> Spelled:
    """A path in folded parts; `.` and empty parts are left out, and `..` takes a part back."""
    root, text = _split_root(path.strip())
    parts: list[str] = []
    for part in fold(text).split("/"):
        plain = part.strip()
        if plain == ".." and parts:
            parts.pop()
        elif plain == "..":
            root = root or ".."
        elif plain == "~" and not parts:
            root = root or "~"
        elif plain not in ("", "."):
            parts.append(plain)
    return Spelled(root, tuple(parts))


def _split_root(path: str) -> tuple[str, str]:
    """The root of a path, as in `Spelled`, and what follows it."""
    if ":" not in path:
        return "/" if path.startswith(("/", "\\")) else "", path
    if match := _SCHEME.match(path):
        scheme, text = match.group().lower(), path[match.end() :]
        if scheme.startswith("file:"):
            return _split_root(unquote(text if _DRIVE.match(text) else f"/{text}"))
        host, _, text = text.partition("/")
        return f"{scheme.rstrip('/')}//{host.lower()}", text
    if match := _DRIVE.match(path):
        return match.group().lower(), path[match.end() :]
    return "/" if path.startswith(("/", "\\")) else "", path


def fold(text: str) -> str:
    """A text without regard to case, width of letters, percent escapes and composition of accents."""
    if "\\" in text:
        text = text.replace("\\", "/")
    for _ in range(_DECODINGS):
        if "%" not in text or text == (decoded := unquote(text, errors="surrogateescape")):
            break
        text = decoded
    if text.isascii():
        return text.lower()
    narrow = _WIDE.sub(lambda match: _narrow(match.group()), text)
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", narrow).casefold())


@cache
def _narrow(letter: str) -> str:
    """A letter in the width of its own script: East Asian forms are full or half as wide."""
    return unicodedata.normalize("NFKC", letter)


def file_name(path: str) -> str:
    """The folded name of a file, without its folders."""
    return fold(path).rpartition("/")[2].strip()


def stem(name: str) -> str:
    """A folded name without the suffix of an image; `12.5` has no suffix to lose."""
    begin, dot, suffix = name.rpartition(".")
    return begin if begin and dot + suffix in IMAGE_SUFFIXES else name


def without_query(path: str) -> str:
    """A path without what follows the file's name in an address; the path itself if nothing does.

    A blank of an address may be written as `+`. Where the file is named in the query, it is that.
    """
    if match := _AFTER_NAME.match(path):
        path = match.group(1)
    elif _SCHEME.match(path):
        address, _, query = path.partition("#")[0].partition("?")
        named = [value for _, value in parse_qsl(query) if _has_image_suffix(value)]
        path = f"{address}/{named[-1]}" if named else address
    return path.replace("+", " ") if _SCHEME.match(path) else path


def _has_image_suffix(name: str) -> bool:
    dot = name.rfind(".")
    return dot > 0 and name[dot:].lower() in IMAGE_SUFFIXES
