"""What a corpus holds, in words and bars: codes, chance levels, shapes and copies."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tmssl.text import count, rate, safe

if TYPE_CHECKING:
    from tmssl.data.inspect.summary import CopyCounts, Summary
    from tmssl.retrieval.evaluation.corpus_chance import HitChance

_EIGHTHS = " ▏▎▍▌▋▊▉█"


def bar(share: float, width: int) -> str:
    """A bar of at most `width` cells, drawn to an eighth of one; share is 0 to 1."""
    eighths = max(1, round(8 * width * share)) if share > 0 else 0
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def frequencies(vienna: Iterable[Sequence[str]], level: str) -> list[tuple[str, int]]:
    """Codes at a level and how many marks carry each, the most frequent first."""
    from tmssl.data.vienna import at_level

    counts = Counter(code for codes in vienna for code in at_level(codes, level))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def code_lines(divisions: list[tuple[str, int]], marks: int, most: int, width: int) -> list[str]:
    """A bar for each division with its title; `most` of them, 0 for all."""
    from rich.cells import set_cell_size

    from tmssl.data.vienna import title

    shown = divisions[: most or None]
    room = width - 1 - len("  26.01    46,334   8.6 %  ")
    words = min(max(len(title(code)) for code, _ in shown), room * 2 // 3)
    lines = ["", f"Vienna divisions, and the share of {marks:,} marks with codes that carry each"]
    for code, carried in shown:
        name = set_cell_size(safe(title(code) or "not a division of Vienna's", words), words)
        drawn = bar(carried / shown[0][1], room - words - 1)
        lines.append(f"  {code}  {carried:8,}  {rate(carried / marks):>6}  {name} {drawn}".rstrip())
    left = len(divisions) - len(shown)
    if left:
        lines.append(f"  and {count(left, 'division')} more; --divisions 0 shows all")
    return lines


def chance_lines(chances: "Sequence[HitChance]") -> list[str]:
    """The chance levels as a table."""
    if not chances:
        return ["", "no two marks share a Vienna code, so no figure by code can be scored"]
    topk = list(dict.fromkeys(chance.k for chance in chances))
    lines = ["", "what a random ranking would hit: the chance level of these marks"]
    lines.append(f"  {'':24}" + "".join(f"{f'hit@{k}':>10}" for k in topk) + f"{'queries':>12}")
    told: dict[tuple[str, str], list[HitChance]] = {}
    for chance in chances:
        told.setdefault((chance.level, chance.codes), []).append(chance)
    for (level, codes), row in told.items():
        name = level if codes == "all" else f"{level}, {codes}"
        figures = "".join(f"{rate(chance.chance):>10}" for chance in row)
        lines.append(f"  {name:24}{figures}{row[0].queries:12,}")
    if any(chance.sampled < chance.queries for chance in chances):
        lines.append("  means over 2,000 queries that were drawn; exact for each of them")
    return lines


def unfinished_message(files: int) -> str:
    """How many JPEGs were read although they are not whole."""
    verb = "lacks its end marker and is" if files == 1 else "lack their end marker and are"
    return f"{count(files, 'JPEG')} {verb} read as viewers do"


def shape_lines(shapes: "Summary", width: int) -> list[str]:
    """Sizes, aspects, what cannot be read, and copies."""
    readable = sum(shapes.formats.values())
    of = count(shapes.looked_at, "image")
    if shapes.looked_at < shapes.total:
        of = f"a sample of {shapes.looked_at:,} of {count(shapes.total, 'image')}"
    lines = [
        "",
        f"looked at {of}: {readable:,} can be read, {shapes.looked_at - readable:,} cannot",
    ]
    for reason, found in shapes.unreadable.items():
        lines.append(f"  {found:,} {safe(reason, width - 12)}")
    lines += [
        f"  such as {safe(path, 40)}: {safe(why, 60)}"[: width - 1]
        for path, why in shapes.unreadable_examples[:3]
    ]
    if shapes.unfinished:
        lines.append(f"  {unfinished_message(shapes.unfinished)}")
    if readable:
        lines += _size_lines(shapes, readable, width)
        lines += _copy_lines("copies, byte by byte", shapes.exact, width)
        lines += _copy_lines("near copies, by a perceptual hash", shapes.near, width)
        if shapes.looked_at < shapes.total:
            lines.append("  copies are sought within the sample only; without --sample, among all")
    return lines


def _size_lines(shapes: "Summary", readable: int, width: int) -> list[str]:
    """Formats, sizes and a bar for each range of aspects."""
    from tmssl.data.inspect.summary import ASPECTS

    lines = ["  " + ", ".join(f"{n:,} {name}" for name, n in shapes.formats.items())]
    lines.append(f"  {'':8}" + "".join(f"{name:>10}" for name in shapes.widths))
    for name, row in (
        ("width", shapes.widths),
        ("height", shapes.heights),
        ("KiB", shapes.kibibytes),
    ):
        lines.append(f"  {name:8}" + "".join(f"{value:>10,}" for value in row.values()))
    common = ", ".join(f"{w} x {h} ({rate(n / readable)})" for w, h, n in shapes.sizes[:3])
    lines += [f"  most common: {common}", "  width / height"]
    bounds = ["", *(f"{bound:g}" for bound in ASPECTS), ""]
    for low, high, found in zip(bounds, bounds[1:], shapes.aspects, strict=False):
        name = (
            f"{low} to {high}" if low and high else f"below {high}" if high else f"{low} and more"
        )
        share = found / readable
        lines.append(
            f"    {name:12}{found:9,}  {rate(share):>6}  {bar(share, width - 38)}".rstrip()
        )
    if shapes.blank:
        lines.append(f"  {count(shapes.blank, 'image')} of one colour, which show nothing")
    return lines


def _copy_lines(name: str, copies: "CopyCounts", width: int) -> list[str]:
    """How many copies there are, and the largest groups."""
    if not copies.groups:
        return [f"  no {name}"]
    lines = [
        f"  {name}: {count(copies.images, 'image')} in {count(copies.groups, 'group')}, the largest of {copies.largest:,}"
    ]
    if copies.across:
        lines.append(
            f"    {count(copies.across, 'group')} across training and validation: figures would flatter"
        )
    lines += [f"    {safe(', '.join(paths), width - 6)}" for paths in copies.examples[:3]]
    return lines
