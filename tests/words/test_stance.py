"""What people think of titles, from visible messages alone."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.words.mentions import Mention
from byleave.words.stance import CLASSES, Said, StanceModel, stances

T = "Amber Harbour"


@cache
def model(name: str = "stance.json") -> StanceModel:
    return StanceModel.load(name)


def said(speaker: str, text: str) -> Said:
    """A message in which every "Amber Harbour" is a mention of title 1, every "Salt Fox" one of title 2."""
    found = []
    for name, title in ((T, "1"), ("Salt Fox", "2")):
        at = text.find(name)
        if at >= 0:
            found.append(Mention(at, at + len(name), title, 0.99))
    return Said(speaker, text, tuple(found))


def stance_of(person: str, title: str, *messages: Said, name: str = "stance.json") -> str:
    return {(s.person, s.title_id): s.stance for s in stances(messages, model(name))}[person, title]


@pytest.mark.parametrize("name", ["stance.json", "town-stance.json"])
@pytest.mark.parametrize(
    ("text", "stance"),
    [
        (f"I loved {T}, it is one of my favorites", "liked"),
        (f"{T} was so good", "liked"),
        (f"I hated {T}", "disliked"),
        (f"I really did not like {T}, it was boring", "disliked"),
        (f"I haven't seen {T} but I want to", "wants"),
        (f"I have been meaning to watch {T}", "wants"),
    ],
)
def test_in_their_own_words(text: str, stance: str, name: str) -> None:
    assert stance_of("a", "1", said("a", text), name=name) == stance


@pytest.mark.parametrize(
    ("answer", "stance"),
    [
        ("yes I loved that one, great movie", "liked"),
        ("I didn't like it at all, it was boring", "disliked"),
        ("no, I haven't seen it yet but I will check it out", "wants"),
    ],
)
def test_in_answer_to_another(answer: str, stance: str) -> None:
    assert stance_of("b", "1", said("a", f"have you seen {T}?"), said("b", answer)) == stance


def test_two_titles_in_one_breath() -> None:
    messages = [said("a", f"I loved {T}. I hated Salt Fox, it was terrible")]
    assert stance_of("a", "1", *messages) == "liked"
    assert stance_of("a", "2", *messages) == "disliked"


def test_who_says_nothing_after_a_mention_has_no_stance() -> None:
    answers = stances([said("b", "hi"), said("a", f"I love {T}")], model())
    assert [(s.person, s.title_id) for s in answers] == [("a", "1")]


LINES = [
    f"I love {T}",
    "Salt Fox was bad",
    "yes",
    "no I haven't",
    "hi",
    f"{T} or Salt Fox?",
    "",
    "i'll watch it",
]
talk = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(LINES)), max_size=10)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(talk)
def test_one_stance_for_each_person_and_title(lines: list[tuple[str, str]]) -> None:
    answers = stances([said(*line) for line in lines], model())
    keys = [(s.person, s.title_id) for s in answers]
    assert len(keys) == len(set(keys))
    assert all(s.stance in CLASSES and 0 <= s.p <= 1 for s in answers)
    named = {m.title_id for line in lines for m in said(*line).mentions}
    assert {t for _, t in keys} <= named and {p for p, _ in keys} <= {p for p, _ in lines}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(talk)
def test_names_of_persons_do_not_weigh(lines: list[tuple[str, str]]) -> None:
    other = {"a": "zoë", "b": "mail:b@x.example", "c": ""}
    plain = stances([said(*line) for line in lines], model())
    renamed = stances([said(other[who], text) for who, text in lines], model())
    assert [(other[s.person], s.title_id, s.stance, s.p) for s in plain] == [
        (s.person, s.title_id, s.stance, s.p) for s in renamed
    ]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(talk, st.lists(st.text(max_size=30), max_size=4))
def test_what_a_hidden_sender_wrote_cannot_weigh(lines: list[tuple[str, str]], hidden: list[str]) -> None:
    """The view filters before it asks: whatever c wrote, the answer is that of a talk without c."""
    visible = [said(*line) for line in lines if line[0] != "c"]
    mixed = [*(said("c", text) for text in hidden), *(said(*line) for line in lines)]
    assert stances([s for s in mixed if s.speaker != "c"], model()) == stances(visible, model())
