"""Search snippets: marked words out of what is shown, everything else escaped."""

from __future__ import annotations

import html
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.gateway.jmap.snippet import LONGEST, _marked
from tests.gateway.jmap.conftest import Place


def test_snippets(place: Place) -> None:
    ids = place.masked.call("Email/query", filter={"text": "film"})["ids"]
    foreign = place.owner.call("Email/query", filter={"text": "film"})["ids"]
    answer = place.masked.call("SearchSnippet/get", filter={"text": "FILM"}, emailIds=[*ids, *foreign])
    assert answer["list"] == [
        {"emailId": ids[0], "subject": None, "preview": "we saw a <mark>film</mark> on Sunday"}
    ]
    assert answer["notFound"] == foreign
    answer = place.owner.call(
        "SearchSnippet/get", filter={"text": "cafe"}, emailIds=place.owner.call("Email/query")["ids"]
    )
    [found] = [s for s in answer["list"] if s["subject"]]
    assert found["subject"] == "<mark>Café</mark> on Friday" and "<mark>café</mark>" in found["preview"]


def test_no_words_no_snippet(place: Place) -> None:
    ids = place.masked.call("Email/query")["ids"]
    for filter in (
        None,
        {"hasKeyword": "$seen"},
        {"operator": "NOT", "conditions": [{"text": "film"}]},
        {"text": "anybody"},
    ):
        answer = place.masked.call("SearchSnippet/get", filter=filter, emailIds=ids)
        assert {(s["subject"], s["preview"]) for s in answer["list"]} == {(None, None)}


@settings(derandomize=True, max_examples=200)
@given(st.text(alphabet='ab <>&"é\n', max_size=400))
def test_marks_are_the_only_tags(text: str) -> None:
    made = _marked(text, {"a"}, whole=False)
    if made is None:
        assert "a" not in text.split()
        return
    bare = made.replace("<mark>", "").replace("</mark>", "")
    assert "<" not in bare and ">" not in bare and re.fullmatch(r"(?:[^&]|&(?:lt|gt|amp);)*", bare)
    assert len(made.encode()) <= LONGEST
    assert html.unescape(bare) in " ".join(text.split())
