"""The record of a search, complete enough to repeat it, and the Vienna codes that its matches suggest."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from tmssl.data.vienna import at_level, title
from tmssl.text import count, rate, safe

NOTE = (
    "Visual similarity only, neither phonetic, conceptual nor legal: a ranking aid, not a clearance "
    "opinion."
)
WEIGHED_NOTE = (
    "Similarity of pictures, spelling and codes as weighed, neither phonetic, conceptual nor legal: a ranking "
    "aid, not a clearance opinion."
)


class LikelyCode(msgspec.Struct, frozen=True, kw_only=True):
    """A Vienna division that the nearest marks vote for."""

    code: str
    title: str
    share: float
    """share of the nearest marks that have it, 0 to 1"""
    score: float
    """share times log(gallery / marks that have it)"""


_Share = Annotated[float, msgspec.Meta(ge=-1, le=2)]  # of a side; a record may come from elsewhere


class ComparedRegion(msgspec.Struct, frozen=True, kw_only=True):
    """The region of a picture that was compared, in shares of the square that the picture is fitted into."""

    kind: str
    """`figure` (without lines of words), `block` (which stands apart) or `part` (a rectangle)"""
    left: _Share
    top: _Share
    right: _Share
    bottom: _Share


def compared_words(own: ComparedRegion | None, other: ComparedRegion | None) -> str:
    """`block ~ whole`: a region of a query and that of a mark; empty for both wholes."""
    if own is None and other is None:
        return ""
    return f"{own.kind if own else 'whole'} ~ {other.kind if other else 'whole'}"


class SearchMatch(msgspec.Struct, frozen=True, kw_only=True):
    """A mark that resembles a logo."""

    rank: int
    """from 1"""
    similarity: float
    """cosine; with texts or codes the weighted mean of the likenesses in `parts`"""
    row: int
    """row of the pack"""
    parts: dict[str, float] = {}
    """`picture`, `text` and `codes` to the likeness in it, where more than the picture is compared and it is known"""
    id: str = ""
    title: str = ""
    lettering: str = ""
    """words that were read in its picture"""
    url: str = ""
    path: str = ""
    vienna: list[str] = []
    shared: dict[str, str] = {}
    """code to title of the divisions that it shares with the logo's own or likely codes, rare before frequent"""
    own: bool = False
    """whether it is the logo itself"""
    region: ComparedRegion | None = None
    """the region of the mark that was compared; None is the whole"""
    logo_region: ComparedRegion | None = None
    """the region of the logo that it was compared with; None is the whole"""
    extra: dict[str, str] = {}

    def compared(self) -> str:
        """Which region of the logo was compared with which of the mark, in words; empty for both wholes."""
        return compared_words(self.logo_region, self.region)


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """A logo and the marks nearest to it."""

    file: str
    """empty where a text alone is searched for"""
    sha256: str
    crop: str = ""
    """the rectangle of the logo that was searched for, as given; empty for the whole"""
    text: str = ""
    """that was searched for; empty where none was"""
    vienna: list[str] = []
    """codes of a logo that is an image of the catalogue"""
    likely: list[LikelyCode] = []
    """codes of any other logo by the vote of the nearest marks"""
    matches: list[SearchMatch] = []

    def source(self) -> str:
        """Where the logo was read from."""
        name = "standard input" if self.file == "-" else self.file
        name = f"{name} [{self.crop}]" if self.crop else name
        return " ".join(part for part in (name, f'"{self.text}"' * bool(self.text)) if part)

    def codes(self) -> str:
        """The logo's own Vienna codes, or the likely ones, in words."""
        if self.vienna:
            return f"codes {' '.join(self.vienna)}"
        likely = [f"{code.code} {code.title} ({rate(code.share)})" for code in self.likely]
        listed = "; ".join(likely)
        return f"likely codes, of the nearest marks: {listed}" if listed else "no likely codes"


class SearchRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A whole search."""

    searched: str
    """ISO 8601 time, UTC"""
    version: str
    """of tmssl"""
    run: str
    checkpoint: str
    checkpoint_sha256: str
    model: str
    image_size: int
    epoch: float
    index: str
    index_sha256: str
    factory: str = ""
    """faiss's factory string of the approximate index, used without filters; empty is exact"""
    engine: str = ""
    """address and collection of the engine that was searched; empty is this machine"""
    views: int = 1
    """vectors of each mark that were compared: of the whole, and of regions of it"""
    whitened: int = 0
    """features kept by PCA-whitening of the index's vectors; 0 is not whitened"""
    pack: str
    pack_fingerprint: str
    marks: int
    """in the gallery"""
    compared: int
    """marks that pass the filters"""
    vienna: list[str] = []
    """filter: one of these codes"""
    where: list[str] = []
    """filter: all of these conditions"""
    topk: int
    above: float | None = None
    """least similarity of a match; None lists the nearest, however far"""
    weights: dict[str, float] = {}
    """of the likenesses in picture, text and codes; empty compares pictures alone"""
    note: str = NOTE
    attribution: str = ""
    answers: list[SearchResult] = []

    def worst_first(self) -> list[int]:
        """The numbers of the answers that have a match, the one with the most similar mark first."""
        found = [number for number, answer in enumerate(self.answers) if answer.matches]
        return sorted(found, key=lambda number: -self.answers[number].matches[0].similarity)

    def risk_words(self) -> str:
        """How many queries resemble a mark by at least the similarity; empty where none was given."""
        if self.above is None:
            return ""
        noun = ("query", "queries") if self.weights else ("logo", "logos")
        found, asked = len(self.worst_first()), count(len(self.answers), *noun)
        return f"{found:,} of {asked} resemble a mark by at least {self.above:g}"

    def searched_words(self) -> str:
        """Which marks were compared, and with which encoder, in words."""
        filters = self.filters()
        marks = f"{self.compared:,} of {self.marks:,}" if filters else f"{self.marks:,}"
        told = f"compared with {marks} marks"
        told += f", whitened to {self.whitened} features" if self.whitened else ""
        told += f", nearest by {safe(self.engine, 120)}" if self.engine else ""
        told += f", nearest by index {safe(self.factory, 60)}" if self.factory else ""
        told += f" ({', '.join(filters)})" if filters else ""
        told += f", {self.ranked_by()}" if self.weights else ""
        return safe(f"{told}, checkpoint {self.checkpoint}, epoch {self.epoch:.4g}")

    def ranked_by(self) -> str:
        """`ranked by picture 1, text 0.5`; empty where pictures alone are compared."""
        weighed = ", ".join(f"{name} {weight:g}" for name, weight in self.weights.items() if weight)
        return f"ranked by {weighed}" if weighed else ""

    def filters(self) -> list[str]:
        """The options that restricted the search."""
        conditions = [f"--where {condition}" for condition in self.where]
        return [*(f"--vienna {code}" for code in self.vienna), *conditions]


_LISTED = 5  # likely codes
_AGREEING = 2  # marks, at least


def rarity(code: str, holders: Mapping[str, int], gallery: int) -> float:
    """Inverse document frequency of a code, log(marks / marks with it)."""
    return math.log(gallery / holders[code]) if code in holders else math.log(max(1, gallery))


def likely_codes(
    codes_per_mark: Sequence[Sequence[str]], holders: Mapping[str, int], gallery: int
) -> list[LikelyCode]:
    """Vienna divisions that the nearest marks vote for, most likely first.

    A division scores the share of the marks that have it times its rarity, log(gallery / holders),
    so that 27.05, which a third of all marks have, does not win everywhere.

    Args:
        codes_per_mark: of the nearest marks.
        holders: division to the number of marks of the gallery that have it.
        gallery: number of marks.
    """
    votes = Counter(code for codes in codes_per_mark for code in at_level(codes, "division"))
    scored = []
    for code, number in votes.items():
        if number >= _AGREEING:
            share = number / len(codes_per_mark)
            score = share * rarity(code, holders, gallery)
            scored.append(LikelyCode(code=code, title=title(code), share=share, score=score))
    scored.sort(key=lambda likely: (-likely.score, likely.code))
    return scored[:_LISTED]


def shared_codes(
    codes: Sequence[str], other: Sequence[str], holders: Mapping[str, int], gallery: int
) -> list[str]:
    """Divisions that two code lists share, rare before frequent."""
    common = at_level(codes, "division") & at_level(other, "division")
    return sorted(common, key=lambda code: (-rarity(code, holders, gallery), code))
