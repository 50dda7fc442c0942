"""Labels from the names of folders, where a user asks for them: classes as groups, `train` and `val` as splits."""

import os
from collections import Counter
from collections.abc import Sequence

import msgspec

from tmssl.data.sources.marks import Mark, is_held_out
from tmssl.errors import CatalogueError, ConfigError
from tmssl.text import count, safe

_MEANINGS = ("group", "split")
_TRAINING = frozenset({"train", "training"})


class ClassFolders:
    """What the folders of images say about them; it counts the marks that it labels."""

    def __init__(self, asked: str, images: Sequence[str]) -> None:
        """Look at the folders of all images.

        Args:
            asked: `group`, `split`, both with a comma, or nothing.
            images: their paths; a folder that holds all of them says nothing.

        Raises:
            ConfigError: another word was asked for.
        """
        self._asked = frozenset(filter(None, (word.strip() for word in asked.split(","))))
        for word in self._asked.difference(_MEANINGS):
            raise ConfigError(
                f"--folders got '{safe(word, 60)}'; it takes group (a folder for each class), split "
                "(folders named train, val, test, ...), or group,split"
            )
        self._counts: Counter[str] = Counter()
        self._shared = 0
        if self._asked:
            folders = {folder for folder, _ in map(_class_and_split, map(_folder, images))}
            self._shared = len(_parts(os.path.commonpath(folders))) if folders else 0

    def labelled(self, mark: Mark, path: str) -> Mark:
        """A mark with what its folders say, where its label says nothing about it."""
        if not self._asked:
            return mark
        folder, split = _class_and_split(_folder(path))
        group = "/".join(_parts(folder)[self._shared :])
        if "group" in self._asked and group and not mark.group:
            self._counts["group"] += 1
            mark = msgspec.structs.replace(mark, group=group)
        if "split" in self._asked and split and not mark.split:
            self._counts["split"] += 1
            mark = msgspec.structs.replace(
                mark, split="validation" if is_held_out(split) else "train"
            )
        return mark

    def notes(self) -> list[str]:
        """The sentence on the marks that were labelled.

        Raises:
            CatalogueError: folders were asked to say something and none did.
        """
        if self._asked and not self._counts:
            raise CatalogueError(
                f"--folders {','.join(sorted(self._asked))} found nothing: group takes a folder for each "
                "class, split takes folders named train, val, test and the like"
            )
        told = [
            f"{count(self._counts[meaning], 'mark')} with the {meaning} of {its} folder"
            for meaning, its in (("group", "its class"), ("split", "a train or held-out"))
            if self._counts[meaning]
        ]
        return [f"{', '.join(told)}, as --folders asks"] if told else []


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _parts(folder: str) -> list[str]:
    return folder.split("/") if folder else []


def _class_and_split(folder: str) -> tuple[str, str]:
    """A folder without its part that names a split, and that part; the first one from the top counts."""
    parts = _parts(folder)
    for i, part in enumerate(parts):
        if part.lower() in _TRAINING or is_held_out(part):
            return "/".join([*parts[:i], *parts[i + 1 :]]), part
    return folder, ""
