"""Titles in one author's words: matching against a slow oracle, offsets, purity, how often it is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.tailoring import invented
from byleave.words.gazetteer import Gazetteer, Kind, Title, cut, fold, one_edit
from byleave.words.mentions import MentionModel, mentions, mentions_of

few = settings(max_examples=60, deadline=None, derandomize=True)

SHELF = [
    Title("1", "The Amber Harbour", 1971),
    Title("2", "The Amber Harbour", 2015),
    Title("3", "Copper Lantern II: Return of the Fox", 1999),
    Title("4", "Copper Lantern", 1990),
    Title("5", "Up", 2009),
    Title("6", "Frozen", 2013),
    Title("7", "X-Meadow", 2003),
    Title("8", "Salt & Iron", 2001),
    Title("9", "Der gläserne Fuchs", 1980, ("The Glass Fox", "ガラスの狐")),
    Title("10", "Seven Clockmakers", 1988),
    Title("11", "S.A.I.L.", 2004),
    Title("12", "Home", 2015),
    Title("13", "It", 2017),
    Title("14", "Friday", 1995),
    Title("15", "The Help", 2011),
]


@cache
def shelf() -> Gazetteer:
    return Gazetteer(SHELF)


@cache
def town() -> Gazetteer:
    return Gazetteer(invented.catalogue())


@cache
def model(name: str = "mentions.json") -> MentionModel:
    return MentionModel.load(name)


@few
@given(st.text())
def test_folding_and_cutting_keep_every_offset(text: str) -> None:
    assert len(fold(text)) == len(text)
    pieces = cut(text)
    ends = [0, *pieces.ends]
    assert all(a < b for a, b in zip(pieces.starts, pieces.ends, strict=True))
    assert all(a >= e for a, e in zip(pieces.starts, ends, strict=False))
    assert not pieces.ends or pieces.ends[-1] <= len(text)


def _distance(a: str, b: str) -> int:
    """Optimal string alignment, the textbook table."""
    table = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            table[i][j] = min(
                table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            )
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_one_edit_is_the_textbook_distance(a: str, b: str) -> None:
    assert one_edit(a, b) == (_distance(a, b) <= 1)


_WORDS = sorted({w for t in SHELF for w in cut(t.title).words} | {"the", "a", "and", "2", "two", "zzz", "ok"})


@few
@given(st.lists(st.lists(st.sampled_from(_WORDS), max_size=8), max_size=5))
def test_the_byte_pass_finds_what_every_window_finds(sentences: list[list[str]]) -> None:
    texts = [cut(" ".join(words)) for words in sentences]
    slow = {
        (n, i, j, " ".join(t.words[i:j]))
        for n, t in enumerate(texts)
        for i in range(len(t.words))
        for j in range(i + 1, len(t.words) + 1)
        if " ".join(t.words[i:j]) in shelf().aliases
    }
    assert {(p.text, p.first, p.last, p.alias.key) for p in shelf().exact(texts)} == slow


@pytest.mark.parametrize(
    ("text", "span", "kind"),
    [
        ("we saw the amber harbour", "amber harbour", Kind.FULL),
        ("AMBER HARBOUR!", "AMBER HARBOUR", Kind.FULL),
        ("copper lantern 2: return of the fox", "copper lantern 2: return of the fox", Kind.FULL),
        ("copper lantern two", "copper lantern two", Kind.HEAD),
        ("xmeadow", "xmeadow", Kind.JOINED),
        ("salt and iron", "salt and iron", Kind.FULL),
        ("salt &amp; iron", "salt &amp; iron", Kind.FULL),
        ("der glaserne fuchs", "der glaserne fuchs", Kind.FULL),
        ("the glass fox", "glass fox", Kind.NAME),
        ("昨日ガラスの狐を見た", "ガラスの狐", Kind.NAME),
        ("7 clockmakers", "7 clockmakers", Kind.FULL),
        ("sail", "sail", Kind.JOINED),
        ("amber harbuor", "amber harbuor", Kind.FULL),
        ("copperlamtern", "copperlamtern", Kind.FULL),
    ],
)
def test_ways_to_write_a_title(text: str, span: str, kind: Kind) -> None:
    pieces = cut(text)
    found = {
        (text[pieces.starts[p.first] : pieces.ends[p.last - 1]], p.alias.kind)
        for p in shelf().places([pieces])
    }
    assert (span, kind) in found


def test_a_short_word_is_never_a_typing_error() -> None:
    assert not [p for p in shelf().places([cut("frozne hme fridya")]) if p.edits]


@few
@given(
    st.lists(
        st.text(st.sampled_from("Up Frozen It the amber harbour.,!?\"'é\n\U0001f600") | st.characters()),
        max_size=4,
    )
)
def test_mentions_lie_inside_the_text_and_never_over_each_other(texts: list[str]) -> None:
    answers = mentions(texts, shelf(), model())
    assert len(answers) == len(texts)
    for text, answer in zip(texts, answers, strict=True):
        at = 0
        for mention in answer:
            assert at <= mention.start < mention.end <= len(text)
            assert 0 <= mention.p <= 1
            at = mention.end


def test_an_author_is_judged_by_their_own_words_alone() -> None:
    rng = np.random.default_rng(5)
    talks = invented.films(invented.catalogue(), 6, rng)
    authors = [[s.text for s in talk if s.speaker == who] for talk in talks for who in ("p1", "p2")]
    together = mentions_of(authors, town(), model())
    assert together == [mentions(texts, town(), model()) for texts in authors]
    assert together[::-1] == mentions_of(authors[::-1], town(), model())


def test_same_bytes_whatever_the_hash_seed() -> None:
    script = (
        "import numpy as np\n"
        "from byleave.tailoring import invented\n"
        "from byleave.words.mentions import *\n"
        "titles = invented.catalogue()\n"
        "talk = invented.films(titles, 4, np.random.default_rng(2))\n"
        "print(mentions([s.text for t in talk for s in t], Gazetteer(titles), MentionModel.load()))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    seen = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**environment, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


def test_a_year_picks_the_remake() -> None:
    def picked(text: str) -> list[str]:
        return [m.title_id for m in mentions([text], shelf(), model())[0]]

    assert picked("I loved the movie The Amber Harbour (1971), great film") == ["1"]
    assert picked("I loved the movie The Amber Harbour (2015), great film") == ["2"]
    assert picked("I loved the movie The Amber Harbour, great film") == ["2"], (
        "the newest where nothing tells"
    )


def test_films_of_the_town_are_found() -> None:
    talks = invented.films(invented.catalogue(), 40, np.random.default_rng(77))
    hit = made = gold = 0
    for talk in talks:
        for who in ("p1", "p2"):
            mine = [s for s in talk if s.speaker == who]
            for said, answer in zip(
                mine, mentions([s.text for s in mine], town(), model("town-mentions.json")), strict=True
            ):
                spans = {(m.end, m.title_id) for m in answer}
                right = {(g[1], g[2]) for g in said.gold} | {(g[1] - 7, g[2]) for g in said.gold}
                hit += len(spans & right)
                made += len(spans)
                gold += len(said.gold)
    assert 2 * hit / (made + gold) > 0.9


QUIET = (
    """
the boiler man comes friday between nine and one|is it ok if I bring a cake?|frozen peas are in the drawer
home by ten, don't wait up|can it wait until friday?|the help line put me on hold again|It is on the table.
Home at last!|we ran out of milk, can you pick some up|up since five with the baby|Friday then. Bring a rope
it fell off again|the harbour was closed because of the storm|new lantern for the porch?|he fixed it at home
copper is too expensive for the roof|up the hill and left|my toes are frozen|Up to you|What's for dinner?
It was lovely to see you both|on it|the clockmakers on seven sisters road shut|two forms, sign both
all good here|fox in the garden again!!|call me when up
""".strip()
    .replace("\n", "|")
    .split("|")
)


@pytest.mark.parametrize("name", ["mentions.json", "town-mentions.json"])
def test_chat_without_films_names_none(name: str) -> None:
    answers = mentions(QUIET, shelf(), model(name))
    assert [text for text, answer in zip(QUIET, answers, strict=True) if answer] == []


def test_nothing_and_very_much() -> None:
    assert mentions([], shelf(), model()) == []
    assert mentions(["", "  ", "."], shelf(), model()) == [(), (), ()]
    assert mentions(["up " * 50_000], shelf(), model())[0] is not None
    assert mentions(["I love Frozen"], Gazetteer([]), model()) == [()]
