"""A query and a match at full resolution, drawn outside the monitor; the terminal is asked nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import set_cell_size

from tmssl.retrieval.evaluation.matches import QueryMatches, shared_codes
from tmssl.text import safe
from tui.matches.query_list import query_name

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from tmssl.data.pack.reader import Pack

_WORDS = 5  # lines around the picture


def original(pack: "Pack", row: int, path: str) -> "tuple[Picture, str]":
    """The image file of a row where it still is, else what the pack has of it; and which it is, in words."""
    from PIL import Image

    from tmssl.data.preprocess import UnreadableError, load_image
    from tmssl.data.sources.location import open_image

    root = Path(pack.source_root)
    file = root / path
    if path and root.is_dir() and file.resolve().is_relative_to(root.resolve()):
        try:
            picture = load_image(open_image(str(file)))
        except UnreadableError:  # gone, or changed since
            pass
        else:
            return picture, f"{picture.width} x {picture.height}"
    return Image.fromarray(pack.read([row])[0]), f"{pack.size} x {pack.size} of the pack"


def beside(first: "Picture", second: "Picture") -> "Picture":
    """Two pictures at one height on white, none made smaller."""
    from PIL import Image

    height = max(first.height, second.height)
    gap = height // 20 + 1
    sized = [
        one.resize(
            (max(1, round(one.width * height / one.height)), height), Image.Resampling.LANCZOS
        )
        if one.height != height
        else one
        for one in (first, second)
    ]
    canvas = Image.new("RGB", (sized[0].width + gap + sized[1].width, height), "white")
    canvas.paste(sized[0], (0, 0))
    canvas.paste(sized[1], (sized[0].width + gap, 0))
    return canvas


def drawn(picture: "Picture", columns: int, rows: int, by: str, *, plain: bool = False) -> str:
    """A picture in at most `columns` x `rows` cells, as what is written to the terminal."""
    if by == "off":
        return "(pictures are off)"
    if plain:
        import numpy as np

        from tui.matches.thumbnail import letters

        return "\n".join(letters(np.asarray(picture), columns, rows))
    from tui.matches.thumbnail import term_images

    images = term_images()
    kind = {"block": images.BlockImage, "kitty": images.KittyImage, "iterm2": images.ITerm2Image}[
        by
    ]
    if by != "block":
        kind.forced_support = True  # it would ask the terminal; --images or the environment told it
    image = kind(picture)
    image.set_size(images.Size.FIT, frame_size=(columns, rows))
    return str(image)


def words_of(query: QueryMatches, at: int, sizes: tuple[str, str]) -> list[str]:
    """What stands under a query and its match: names, sizes, rank, verdict, shared codes."""
    from tmssl.retrieval.evaluation.matches import verdict

    match = query.matches[at]
    told = [verdict(match, query), "; ".join(shared_codes(match, query))]
    name = safe(match.title or match.id or match.path)
    return [
        f"left: {query_name(query)} ({sizes[0]})",
        f"right: {name} ({sizes[1]}), rank {match.rank}, similarity {match.similarity:.3f}, "
        + safe("; ".join(filter(None, told))),
    ]


def show_full(
    query: QueryMatches,
    pack: "Pack",
    by: str,
    say: Callable[[str], None],
    ask: Callable[[str], str],
    *,
    plain: bool = False,
) -> None:
    """Show a query beside a match until the person has seen enough.

    Args:
        query: with at least one match.
        pack: whose pixels stand in where an image file is gone.
        by: as `tui.options.way` says it.
        say: writes a line to the terminal.
        ask: shows a prompt and returns what was typed; empty goes back.
        plain: whether pictures are drawn in ASCII.
    """
    at, typed = 0, "1"
    own, own_size = original(pack, query.row, query.path)
    while typed:
        match = query.matches[at]
        other, other_size = original(pack, match.row, match.path)
        columns, lines = shutil.get_terminal_size()
        say(
            "\x1b[2J\x1b[H"
            + drawn(beside(own, other), columns, max(4, lines - _WORDS), by, plain=plain)
        )
        for line in words_of(query, at, (own_size, other_size)):
            say(set_cell_size(line, columns - 1).rstrip())
        typed = ask(f"rank of another match (1 to {len(query.matches)}), or enter to go back: ")
        if typed.isdecimal() and 1 <= int(typed) <= len(query.matches):
            at = int(typed) - 1
