"""Matching the paths that labels name to images: the one place that decides which path means which.

A label means the image with which it shares the longest ending. Folders must agree: a file name alone
never wins over a folder that contradicts it. Only the root of a path from another machine may differ
from that of the images, if it is the same for all labels.
"""

import dataclasses
import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tmssl.data.matching.endings import EndingTree, Folders, shared
from tmssl.data.matching.spelling import (
    Spelled,
    file_name,
    is_foreign,
    normalized,
    spelled,
    stem,
    without_query,
)

_BARE = re.compile(r"[A-Za-z0-9._-]+")
_CANDIDATES = 3  # that a doubt names
_Form = Callable[[str], str]


@dataclasses.dataclass
class Matches:
    """Which image each label means."""

    image_of: dict[str, str] = dataclasses.field(default_factory=dict)
    """label to image"""
    doubts: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """a label and the images that it may mean, or an image and the labels that may mean it"""
    roots: dict[tuple[str, str], int] = dataclasses.field(default_factory=dict)
    """folder of labels, folder of images that it was taken for, and number of labels"""


def match_labels(
    labels: Iterable[str],
    images: Sequence[str],
    *,
    root: str = "",
    scopes: Collection[str] = (),
    left_out: Collection[str] = (),
) -> Matches:
    """Find the image of every label that names exactly one.

    The spellings of a path are tried in turn: as it is; without `./`, backslashes and blanks; in any
    case, width and escaping; without a query; and without the suffix of the file. A looser spelling
    never takes an image from a label that names it by a closer one.

    Args:
        labels: paths relative to the images' root, or from anywhere.
        images: paths relative to their root.
        root: path of that root, whose last folder decides between labels of several folders.
        scopes: folders with a labels file of their own; a label in one means an image in it.
        left_out: paths that exist and are no images of the source; a label of one means no image.
    """
    matches = Matches()
    known = set(images)
    ignored = set(left_out) - known
    wanted = [label for label in dict.fromkeys(labels) if label not in ignored]
    matches.image_of.update((label, label) for label in wanted if label in known)
    every = [*images, *ignored, *(f"{path}/*" for path in ignored)]  # some may be folders
    files = _by_scope(every, scopes)
    for scope, inside in _by_scope(wanted, scopes).items():
        home = f"{root}/{scope}".rstrip("/").rpartition("/")[2]
        paths = files[scope] if scope else every
        _Scope(f"{scope}/" if scope else "", inside, paths, known, home, matches).match()
    for label, image in list(matches.image_of.items()) if ignored else ():
        if image in ignored:
            del matches.image_of[label]
    matches.doubts = {name: of for name, of in matches.doubts.items() if name not in ignored}
    return matches


def _by_scope(paths: Iterable[str], scopes: Collection[str]) -> dict[str, list[str]]:
    """Scope to the paths in it; the innermost counts, and the top is an empty one."""
    found: dict[str, list[str]] = defaultdict(list)
    if not scopes:
        found[""] = list(paths)
        return found
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in scopes:
            folder = folder.rpartition("/")[0]
        found[folder].append(path)
    return found


class _Claim(NamedTuple):
    """An image that a label may mean."""

    label: str
    text: str
    """as it was searched for"""
    path: Spelled
    row: int
    common: int
    """parts that are the same at the end of both paths"""
    agrees: bool = True
    """whether what comes before does not contradict"""
    at_home: bool = False
    """whether the label's path goes on with the name of the folder where the image's begins"""
    goes_on: bool = False
    """whether it goes on with another name there"""


class _Scope:
    """The labels and images of the top, or of a folder with a labels file of its own."""

    def __init__(
        self,
        prefix: str,
        labels: list[str],
        images: list[str],
        known: Collection[str],
        home: str,
        matches: Matches,
    ) -> None:
        self._prefix, self._home, self._matches = prefix, spelled(home).parts[-1:], matches
        self._labels, self._images = labels, images
        self._inner = [path.removeprefix(prefix) for path in images] if prefix else images
        real = [path for path, whole in zip(self._inner, images, strict=True) if whole in known]
        self._folders = Folders(real, self._inner, labels)
        self._taken = set(matches.image_of.values())
        # Roots of labels that must go on with the name of this folder where its images begin: those
        # of which a label does, and `..`, since `../x/a.png` is of a folder beside this one.
        self._homes = {".."}

    def match(self) -> None:
        """Try every spelling in turn."""
        self._match_normalized()
        for name in (file_name, _file_stem):
            texts = {label: label.removeprefix(self._prefix) for label in self._unmatched()}
            self._match_endings(texts, name)
            written = {label: without_query(text) for label, text in texts.items()}
            changed = {label for label in self._unmatched() if written[label] != texts[label]}
            self._match_endings({label: written[label] for label in changed}, name)

    def _unmatched(self) -> list[str]:
        matches = self._matches
        return [
            label
            for label in self._labels
            if label not in matches.image_of and label not in matches.doubts
        ]

    def _match_normalized(self) -> None:
        """Match what is the same path without `./`, backslashes and blanks, even several labels."""
        labels = [label for label in self._unmatched() if not is_foreign(label)]
        groups = _Groups(self._images, normalized)
        for label, rows in zip(labels, groups.rows(labels), strict=True):
            if len(rows) == 1:
                self._take(label, self._images[rows[0]])

    def _match_endings(self, texts: dict[str, str], name: _Form) -> None:
        """Match the labels whose paths share an ending with exactly one image.

        Args:
            texts: label to its path in this scope, as it is searched for.
            name: the form of a file's name by which two paths may be of one file.
        """
        if not texts:
            return
        claims: dict[int, list[_Claim]] = defaultdict(list)
        bare: dict[int, str] = {}  # the only label of an image, which is a mere file name
        groups = _Groups(self._inner, name)
        for (label, text), rows in zip(texts.items(), groups.rows(texts.values()), strict=True):
            if not len(rows):
                continue
            if len(rows) == 1 and _BARE.fullmatch(text):  # most of half a million labels
                row = int(rows[0])
                if bare.setdefault(row, label) != label:
                    claims[row].append(_Claim(label, text, Spelled("", (text,)), row, 1))
                continue
            path = spelled(text)
            meant = self._meant(label, text, path, groups.longest(path, rows))
            if len(meant) > 1:
                self._matches.doubts[label] = tuple(self._images[claim.row] for claim in meant)
            elif meant:
                claims[meant[0].row].append(meant[0])
        self._settle_bare(bare, claims)
        self._settle(claims)

    def _settle_bare(self, bare: dict[int, str], claims: dict[int, list[_Claim]]) -> None:
        """Give images to the only labels that claim them; the other ones become claims."""
        for row, label in bare.items():
            if row in claims:
                claims[row].append(_Claim(label, label, Spelled("", (label,)), row, 1))
            elif self._images[row] not in self._taken:
                self._take(label, self._images[row])

    def _meant(self, label: str, text: str, path: Spelled, rows: Sequence[int]) -> list[_Claim]:
        """The images that a label may mean, out of those with the longest common ending."""
        found = [self._claim(label, text, path, row) for row in rows]
        agreeing = [claim for claim in found if claim.agrees]
        if not agreeing and len(found) > 1 and self._folders.is_root(path, found[0].common):
            return found[:_CANDIDATES]
        if len(agreeing) > 1:
            plain = text.strip().replace("\\", "/")
            same = [claim for claim in agreeing if plain.endswith(self._tail(claim))]
            return same if len(same) == 1 else agreeing[:_CANDIDATES]
        return agreeing

    def _claim(self, label: str, text: str, path: Spelled, row: int) -> _Claim:
        image = spelled(self._inner[row]).parts
        common = shared(path.parts, image)
        agrees = self._folders.agree(path, image, common)
        rest = path.parts[: len(path.parts) - common]
        if common < len(image) or not rest:
            return _Claim(label, text, path, row, common, agrees)
        at_home = rest[-1:] == self._home
        return _Claim(label, text, path, row, common, agrees, at_home, not at_home)

    def _tail(self, claim: _Claim) -> str:
        """The end of an image's path that is the same as a label's but for spelling."""
        return "/".join(self._inner[claim.row].split("/")[-claim.common :])

    def _settle(self, claims: dict[int, list[_Claim]]) -> None:
        """Give each image to the label that shares the longest ending with it."""
        every = [claim for group in claims.values() for claim in group]
        self._homes |= {claim.path.root for claim in every if claim.at_home}
        for row, group in claims.items():
            image = self._images[row]
            serious = [c for c in group if not (c.goes_on and c.path.root in self._homes)]
            if image in self._taken or not serious:
                continue
            best = max((claim.common, claim.at_home) for claim in serious)
            equal = [claim for claim in serious if (claim.common, claim.at_home) == best]
            if len(equal) > 1 and len({normalized(claim.text) for claim in equal}) > 1:
                labels = tuple(claim.label for claim in equal)
                self._matches.doubts[image] = labels[:_CANDIDATES]
                continue
            for claim in equal:
                self._take(claim.label, image)
                self._note_root(claim, row)

    def _take(self, label: str, image: str) -> None:
        self._matches.image_of[label] = image
        self._taken.add(image)

    def _note_root(self, claim: _Claim, row: int) -> None:
        """Count a label whose root was taken for that of the images."""
        if len(claim.path.parts) == 1:
            return
        image = self._inner[row].split("/")
        if claim.common < min(len(claim.path.parts), len(image)):
            label = claim.label.replace("\\", "/").split("/")
            pair = "/".join(label[: -claim.common]), "/".join(image[: -claim.common])
            self._matches.roots[pair] = self._matches.roots.get(pair, 0) + 1


class _Groups:
    """Images by a form of their file names.

    Hashes of the forms are kept, which takes a tenth of the memory of the forms for half a million
    paths.
    """

    def __init__(self, paths: Sequence[str], form: _Form) -> None:
        self._paths, self._form = paths, form
        hashes = _hashes(paths, form)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]
        self._trees: dict[int, EndingTree] = {}

    def rows(self, texts: Collection[str]) -> Iterator[npt.NDArray[np.int64]]:
        """For each text, the rows of the images of the same form."""
        wanted = _hashes(texts, self._form)
        begins = np.searchsorted(self._hashes, wanted, side="left").tolist()
        ends = np.searchsorted(self._hashes, wanted, side="right").tolist()
        return (self._order[begin:end] for begin, end in zip(begins, ends, strict=True))

    def longest(self, path: Spelled, rows: npt.NDArray[np.int64]) -> list[int]:
        """Of the images of one form, those that share the longest ending with a label."""
        if len(rows) == 1:
            return rows.tolist()
        tree = self._trees.get(int(rows[0]))
        if tree is None:
            tree = EndingTree([(row, spelled(self._paths[row]).parts) for row in rows.tolist()])
            self._trees[int(rows[0])] = tree
        return tree.longest(path)


def _hashes(paths: Collection[str], form: _Form) -> npt.NDArray[np.int64]:
    """A hash of the form of each path, (n,)."""
    return np.fromiter((hash(form(path)) for path in paths), np.int64, len(paths))


def _file_stem(path: str) -> str:
    return stem(file_name(path))


def label_scopes(labels: Iterable[str], images: Iterable[str]) -> set[str]:
    """The folders that have both a labels file and images, at any depth; the top is not one of them."""
    folders = {path.rpartition("/")[0] for path in labels} - {""}
    if not folders:
        return set()
    return set(_by_scope(images, folders)) - {""}


class NestedPaths:
    """Resolves the paths that a labels file inside a folder or archive names.

    They may be relative to the top, to the labels file or absolute. What a labels file names beside
    itself comes first, so that it never takes the image of another folder's labels.
    """

    def __init__(self, root: str, labels: Iterable[str], images: Sequence[str]) -> None:
        self._prefix = f"{root}/"
        self._images = set(images)
        self._scopes = label_scopes(labels, images)

    def resolve(self, path: str, labels: str) -> str:
        """The path relative to the top of what `labels`, a path relative to the top, calls `path`."""
        path = path.removeprefix(self._prefix)
        folder = labels.rpartition("/")[0]
        if not folder or not path.strip():
            return path
        beside = posixpath.normpath(f"{folder}/" + path.replace("\\", "/"))
        if beside in self._images:
            return beside
        if path in self._images or (is_foreign(path) and not path.startswith("..")):
            return path
        return beside if folder in self._scopes or path.startswith("..") else path
