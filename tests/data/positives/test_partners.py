import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmssl.data.positives.partners import PartnerIndex, Partners, find_partners
from tmssl.data.sampler import Sampler
from tmssl.data.sources.marks import Mark, MarkTable
from tmssl.data.vienna import at_level
from tmssl.errors import ConfigError


def index_of(marks: Sequence[tuple[str, ...]], level: str) -> PartnerIndex:
    return PartnerIndex([at_level(codes, level) for codes in marks])


codes_of_marks = st.lists(
    st.lists(st.sampled_from(["01.01", "02.01", "03.01", "04.01"]), max_size=3).map(tuple),
    min_size=1,
    max_size=12,
)


@given(codes_of_marks, st.data())
def test_a_partner_shares_a_code_and_is_somebody_else(
    marks: list[tuple[str, ...]], data: st.DataObject
) -> None:
    index = index_of(marks, "division")
    draw = st.floats(0, 1, exclude_max=True)
    for sample in range(len(marks)):
        draws = (np.array([data.draw(draw)]) for _ in range(2))
        found = int(index.partners(np.array([sample]), *draws)[0])
        mates = [i for i in range(len(marks)) if i != sample and set(marks[i]) & set(marks[sample])]
        # A code that every mark carries says nothing, yet still makes a partner when it is the only one.
        assert found in mates if mates else found == sample


def test_partners_are_drawn_by_the_rarity_of_the_shared_code() -> None:
    marks = [("01.01", "02.01"), ("01.01",), ("01.01",), ("01.01",), ("02.01",), ("03.01",)]
    weights = {"01.01": math.log(6 / 4), "02.01": math.log(6 / 2)}
    dice = np.random.default_rng(0)
    drawn = 40_000
    found = index_of(marks, "division").partners(
        np.zeros(drawn, np.int64), dice.random(drawn), dice.random(drawn)
    )
    counts = Counter(found.tolist())
    assert counts[4] / drawn == pytest.approx(weights["02.01"] / sum(weights.values()), abs=0.01)
    for other in (1, 2, 3):
        assert counts[other] / drawn == pytest.approx(
            weights["01.01"] / sum(weights.values()) / 3, abs=0.01
        )
    assert set(counts) == {1, 2, 3, 4}


def test_a_level_that_no_code_reaches_leaves_everybody_alone() -> None:
    index = index_of([("26.01",), ("26.01",), ()], "section")
    samples = np.arange(3)
    assert np.array_equal(index.partners(samples, np.full(3, 0.5), np.full(3, 0.5)), samples)


def test_a_code_that_all_marks_carry_still_makes_partners_late_in_a_large_register() -> None:
    count = 20_000
    marks = [("26.01", *([f"01.{1 + i % 90:02d}"] if i < count // 2 else [])) for i in range(count)]
    late = np.arange(count // 2, count)
    draws = np.random.default_rng(0).random((2, len(late)))
    assert (index_of(marks, "division").partners(late, *draws) != late).all()


KINDS: dict[str, Callable[[Mark, Mark], bool]] = {
    "vienna": lambda one, other: bool(
        at_level(one.vienna, "division") & at_level(other.vienna, "division")
    ),
    "group": lambda one, other: one.group == other.group != "",
    "title": lambda one, other: one.title.lower() == other.title.lower() != "",
}
some_marks = st.lists(
    st.builds(
        Mark,
        path=st.just("a.png"),
        vienna=st.sampled_from([(), ("01.01",), ("02.01", "03.01.02"), ("03.01",)]),
        group=st.sampled_from(["", "g", "h"]),
        title=st.sampled_from(["", "Acme", "ACME", "Other", "other"]),
        split=st.sampled_from(["", "train", "validation"]),
    ),
    min_size=2,
    max_size=14,
)


@given(some_marks, st.sampled_from(["vienna", "group", "title"]), st.integers(0, 99))
def test_a_partner_shares_the_label_and_is_never_of_the_validation_split(
    marks: list[Mark], kind: str, seed: int
) -> None:
    rows = np.array([i for i, mark in enumerate(marks) if mark.split != "validation"], np.int64)
    if len(rows) < 2:
        return
    try:
        mixture = find_partners(MarkTable.of(marks), rows, {kind: 1.0}, vienna_level="division")
    except ConfigError:
        mates = [KINDS[kind](marks[i], marks[j]) for i in rows for j in rows if i != j]
        assert not any(mates)
        return
    sampler = Sampler(rows, len(rows), seed, mixture=mixture)
    for step in range(3):
        batch = sampler.batch(step)
        for anchor, positive in zip(batch.anchors, batch.positives, strict=True):
            assert marks[positive].split != "validation"
            mates = [i for i in rows if i != anchor and KINDS[kind](marks[anchor], marks[i])]
            assert positive in (mates or [anchor])


def grouped(count: int) -> list[Mark]:
    """Marks of which three in four have a group mate, half a code and a third a text."""
    return [
        Mark(
            path=f"{i}.png",
            group=f"g{i // 2}" if i % 8 < 6 else "",
            vienna=(f"{1 + i % 7:02d}.01",) if i % 2 else (),
            title=f"text {i // 6}" if i % 6 < 2 else "",
        )
        for i in range(count)
    ]


def mixture_of(marks: list[Mark], shares: dict[str, float]) -> list[Partners]:
    rows = np.arange(len(marks))
    return find_partners(MarkTable.of(marks), rows, shares, vienna_level="division")


def test_a_mixture_draws_each_kind_by_its_share() -> None:
    marks = grouped(6000)
    shares = {"instance": 0.4, "group": 0.3, "title": 0.2, "vienna": 0.1}
    mixture = mixture_of(marks, shares)
    assert [(each.kind, each.share) for each in mixture] == [
        ("vienna", 0.1),
        ("group", 0.3),
        ("title", 0.2),
    ]
    batch = Sampler(np.arange(6000), 6000, 1, mixture=mixture).batch(0)
    kinds: Counter[str] = Counter()
    for anchor, positive in zip(batch.anchors, batch.positives, strict=True):
        one, other = marks[anchor], marks[positive]
        if anchor == positive:
            kinds["instance"] += 1
            continue
        found = [kind for kind in ("group", "title") if KINDS[kind](one, other)]
        kinds["+".join(found) or "vienna"] += 1
        assert found or KINDS["vienna"](one, other)
    assert kinds["vienna"] / 6000 == pytest.approx(0.1 * 0.5, abs=0.01)
    by_group = (kinds["group"] + kinds["group+title"]) / 6000
    assert by_group == pytest.approx(0.3 * 0.75 + 0.2 / 3 * 0.75, abs=0.02)


def test_shares_do_not_change_the_partner_that_a_kind_draws() -> None:
    marks, rows = grouped(400), np.arange(400)
    alone = Sampler(rows, 400, 5, mixture=mixture_of(marks, {"group": 1.0})).batch(2)
    mixed = Sampler(rows, 400, 5, mixture=mixture_of(marks, {"group": 0.5})).batch(2)
    moved = mixed.positives != mixed.anchors
    assert 100 < moved.sum() < 250
    np.testing.assert_array_equal(mixed.positives[moved], alone.positives[moved])


def test_vienna_positives_of_earlier_versions_are_drawn_as_they_were() -> None:
    codes = [
        (f"{1 + i % 5:02d}.{1 + i % 3:02d}", "26.01")[: 1 + i % 2] if i % 4 else ()
        for i in range(60)
    ]
    marks = [Mark(path=f"{i}.png", vienna=each) for i, each in enumerate(codes)]
    sampler = Sampler(np.arange(60) + 100, 12, 3, mixture=mixture_of(marks, {"vienna": 0.7}))
    assert sampler.batch(0).positives.tolist() == KNOWN_PARTNERS[0]
    assert sampler.batch(7).positives.tolist() == KNOWN_PARTNERS[1]


# Of version 0.3.0.
KNOWN_PARTNERS = [
    [154, 132, 143, 105, 127, 114, 120, 136, 126, 128, 159, 147],
    [152, 149, 151, 114, 143, 153, 122, 118, 148, 110, 105, 111],
]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("vienna", "no mark has a Vienna code to train on; use --positives instance, or labels"),
        ("group", "no mark has a group to train on"),
        ("title", "no mark has a text to train on"),
    ],
)
def test_a_kind_that_no_label_allows_is_refused(kind: str, said: str) -> None:
    marks = [Mark(path=f"{i}.png") for i in range(8)]
    with pytest.raises(ConfigError, match=said):
        mixture_of(marks, {"instance": 0.5, kind: 0.5})


def labelled(kind: str, label: str, split: str = "") -> Mark:
    """A mark with a group or a text."""
    by_group = kind == "group"
    return Mark(
        path="a.png",
        split=split,
        group=label if by_group else "",
        title="" if by_group else label,
    )


@pytest.mark.parametrize("kind", ["group", "title"])
def test_labels_that_no_two_marks_to_train_on_share_are_refused(kind: str) -> None:
    marks = [labelled(kind, f"name {i}") for i in range(8)]
    with pytest.raises(ConfigError, match=f"no two marks have the same {kind}"):
        mixture_of(marks, {kind: 1.0})
    mates = MarkTable.of([*marks, labelled(kind, "name 7", split="validation")])
    with pytest.raises(ConfigError, match=f"no two marks have the same {kind}"):
        find_partners(mates, np.arange(8), {kind: 1.0}, vienna_level="division")


def test_frequent_texts_are_left_out_and_named() -> None:
    marks = [
        Mark(path=f"{i}.png", title="\x1b[31mBio" if i % 2 else f"Name {i // 8}") for i in range(60)
    ]
    (found,) = mixture_of(marks, {"title": 0.5})
    assert found.left_out == 30
    assert found.examples == ("31mbio",)
