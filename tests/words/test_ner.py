"""The tier `full`: what it adds, that it adds only, and that one text or many give the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from byleave.errors import Refused
from byleave.words import ner
from byleave.words.mask import People, Text, Titles, mask, mask_all

NOBODY, NONE = People(()), Titles()
DATA = Path(__file__).parent / "data" / "mask"


@pytest.fixture(autouse=True)
def model() -> None:
    ner.reader.cache_clear()
    try:
        ner.reader()
    except Refused as refused:
        pytest.skip(str(refused))


LINES = [
    json.loads(line)["text"] for line in (DATA / "held.jsonl").read_text(encoding="utf-8").splitlines()[::6]
]


def test_a_name_that_no_list_has() -> None:
    text = "then Qurvandil Ostrempka rang the bell and we all left"
    assert not mask(text, NOBODY, NONE, tier="plain")
    found = mask(text, NOBODY, NONE, tier="full")
    assert [(text[s.start : s.end], s.type) for s in found] == [("Qurvandil Ostrempka", "PERSON")]


def test_it_only_adds() -> None:
    for text in LINES:
        plain = {i for s in mask(text, NOBODY, NONE) for i in range(s.start, s.end)}
        full = {i for s in mask(text, NOBODY, NONE, tier="full") for i in range(s.start, s.end)}
        assert plain <= full, text


def test_many_texts_and_one_give_the_same() -> None:
    together = mask_all([Text(text, NOBODY) for text in LINES], NONE, tier="full")
    assert together == [mask(text, NOBODY, NONE, tier="full") for text in LINES]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "Qurvandil",
        "q" * 4000,
        "Qurvandil " * 400,
        "한국어 Qurvandil",
        "\u00a0Qurvandil\u200b rang",
        "é" * 700 + " Qurvandil",
        "𝕼urvandil rang",
    ],
)
def test_odd_texts_have_spans_inside_them(text: str) -> None:
    last = 0
    for span in mask(text, NOBODY, NONE, tier="full"):
        assert last <= span.start < span.end <= len(text)
        last = span.end


def test_a_title_of_the_catalogue_stays() -> None:
    text = "the one I mean is Qurvandil of Brackwater"
    assert not mask(text, NOBODY, Titles(("Qurvandil of Brackwater",)), tier="full")


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ner.FILES, "tokenizer.json", "0" * 64)
    ner.reader.cache_clear()
    with pytest.raises(Refused, match="another version"):
        ner.reader()
