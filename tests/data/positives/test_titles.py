import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmssl.data.positives.legal_forms import legal_forms
from tmssl.data.positives.titles import plain_text, shared_texts

SAME = [
    [
        "Coca-Cola",
        "COCA COLA",
        "CocaCola",
        "coca\u2010cola®",
        "\uff23\uff4f\uff43\uff41 Cola™",
    ],
    ["L'Oréal", "L\u2019OREAL", "L'Oréal S.A.", "l`oreal sa"],
    ["Nestlé", "NESTLE SA", "Nestlé S.A.", "Nestle, S. A."],
    [
        "Müller",
        "MULLER GmbH",
        "Müller GmbH & Co. KG",
        "Muller G.m.b.H.",
        "Müller AG",
    ],
    ["Carlsberg", "Carlsberg A/S", "CARLSBERG ApS", "carlsberg as"],
    ["Škoda", "SKODA a.s.", "Škoda s.r.o.", "Skoda, spol. s r.o."],
    ["Biedronka", "Biedronka Sp. z o.o.", "BIEDRONKA Sp. z o.o. Sp.k."],
    [
        "Acme",
        "ACME, Inc.",
        "Acme Corp.",
        "Acme Co., Ltd.",
        "Acme L.L.C.",
        "ACME (PTY) LTD",
        "Acme & Co",
    ],
    [
        "Acme",
        "Acme Sdn. Bhd.",
        "Acme Pte Ltd",
        "Acme S.A. de C.V.",
        "Acme Ltda.",
        "Acme S.à r.l.",
    ],
    [
        "Acme",
        "ACME N.V.",
        "Acme B.V.",
        "Acme Oy",
        "Acme OÜ",
        "UAB Acme",
        "Acme Kft.",
        "Acme A.Ş.",
    ],
    ["Romashka", "OOO «Romashka»", "ROMASHKA"],
    [
        "トヨタ",
        "株式会社トヨタ",
        "㈱トヨタ",
    ],
    [
        "삼성전자",
        "삼성전자 주식회사",
        "삼성전자(주)",
    ],
    ["H&M", "H & M", "h and m"],
    ["J. P. Morgan", "JP Morgan", "J.P.MORGAN"],
    ["Straße", "STRASSE"],
    ["Is Bankasi", "İş Bankas\u0131 A.Ş."],
]


@pytest.mark.parametrize("texts", SAME, ids=[texts[0] for texts in SAME])
def test_spellings_of_one_text_are_one(texts: list[str]) -> None:
    assert len({plain_text(text) for text in texts}) == 1
    assert plain_text(texts[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Zen Spa", "Zen"),  # a word here, and S.p.A. only with its dots
        ("Barilla", "Barista"),
        ("3M Company", "3M"),  # too little would be left
        ("Nova AG", "Nova Pharma AG"),
        ("C", "C++"),
    ],
)
def test_texts_of_different_marks_stay_apart(one: str, other: str) -> None:
    kept, _ = shared_texts([one, other])
    assert kept[0] == "" or kept[0] != kept[1]


def test_every_legal_form_goes_and_alone_it_stays() -> None:
    for form in legal_forms("behind"):
        assert plain_text(f"Zyxwv Tools {form}") == "zyxwvtools", form
    for form in legal_forms("before"):
        assert plain_text(f"{form} Zyxwv Tools") == "zyxwvtools", form
    for form in legal_forms("glued"):
        assert plain_text(f"{form}トヨタ") == "トヨタ", form
    assert plain_text("GmbH") == "gmbh"


@given(st.text(max_size=30))
def test_a_plain_text_is_of_letters_and_digits_and_plain_already(text: str) -> None:
    plain = plain_text(text)
    assert not set(plain) & set(" .,;:!?-&/\\'\"()[]\x1b\n")
    assert plain_text(plain) == plain or len(plain_text(plain)) < len(plain)
    assert plain_text(f"  {text}® ") == plain


def test_texts_that_say_too_little_are_left_out() -> None:
    texts = ["A", "AB", "a.b", "!!", "", "Figurative mark", "图形", "Abc", "24"]
    assert shared_texts(texts)[0] == ["", "", "", "", "", "", "", "abc", ""]
    assert shared_texts(["华为"])[0] == ["华为"]  # a whole word of two ideographs


def test_the_most_frequent_texts_are_left_out_by_their_share_of_the_marks() -> None:
    texts = ["Bio"] * 21 + ["Nova"] * 20 + ["Acme"] * 2
    kept, often = shared_texts(texts)
    assert kept == [""] * 21 + ["nova"] * 20 + ["acme"] * 2
    assert often == {"bio": 21}
    many = ["Bio"] * 30 + [f"Name {i}" for i in range(30_000)]
    assert shared_texts(many)[1] == {}
