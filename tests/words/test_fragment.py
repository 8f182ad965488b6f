"""The stored form of a message: what is usual costs nothing, and nobody's text can look like a slot."""

from __future__ import annotations

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.words import fragment
from byleave.words.fragment import DEFAULTS, INDEX, SEGMENTS, closed, columns, decode, encode, opened, slot

VALUES = st.text(max_size=12).map(orjson.dumps) | st.sampled_from([b"null", b"false", b'""', b"[]"])
PEOPLE = st.integers(0, 40)


@settings(derandomize=True, max_examples=100)
@given(st.lists(st.fixed_dictionaries(dict.fromkeys(SEGMENTS, VALUES)), min_size=1, max_size=5))
def test_there_and_back_and_by_columns(messages: list[dict[str, bytes]]) -> None:
    stored = [encode(m) for m in messages]
    for message, made in zip(messages, stored, strict=True):
        assert dict(zip(SEGMENTS, decode(made), strict=True)) == message
    table = columns(stored)
    for name in SEGMENTS:
        assert table[name] == [made.split(fragment.SEPARATOR)[INDEX[name]] for made in stored]


def test_what_is_usual_costs_nothing() -> None:
    said = {
        "body": b'"hi"',
        "preview": b'"hi"',
        "sentAt": b'"2026-01-05T10:00:00Z"',
        "receivedAt": b'"2026-01-05T10:00:00Z"',
    }
    stored = encode({**{n: d for n, d in DEFAULTS.items() if d}, **said})
    assert len(stored) == len(SEGMENTS) - 1 + len(said["body"]) + len(said["sentAt"])


@settings(derandomize=True, max_examples=100)
@given(
    st.lists(
        st.tuples(st.sampled_from("AP"), PEOPLE, st.sampled_from(["", "A00000001", "p00000002", " and "])),
        max_size=6,
    ),
    st.sets(PEOPLE),
)
def test_only_slots_are_opened(said: list[tuple[str, int, str]], may: set[int]) -> None:
    """Text between two slots may spell one: it stays as it was typed."""
    text = b"".join(slot(kind, number) + typed.encode() for kind, number, typed in said)
    made = opened(text, may)
    assert closed(made) == text
    assert made == b"".join(
        slot(kind.lower() if number in may else kind, number) + typed.encode() for kind, number, typed in said
    )
