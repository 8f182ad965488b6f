"""The ids of a grant: base32 as the library writes it, there and back, and nothing else is one."""

from __future__ import annotations

import base64

from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.view.shape import Ids, _base32

IDS = Ids(b"k" * 32, b"g" * 16)


@settings(derandomize=True, max_examples=100)
@given(st.lists(st.binary(min_size=16, max_size=16), max_size=20))
def test_base32(blocks: list[bytes]) -> None:
    assert _base32(b"".join(blocks)) == [base64.b32encode(b)[:26].decode().lower() for b in blocks]


@settings(derandomize=True, max_examples=100)
@given(st.lists(st.integers(0, (1 << 62) - 1), unique=True, max_size=20), st.integers(0, (1 << 32) - 1))
def test_there_and_back(numbers: list[int], part: int) -> None:
    ids = IDS.give("b", numbers, part)
    assert IDS.take_all("b", ids) == {id: (n, part) for id, n in zip(ids, numbers, strict=True)}
    assert IDS.take_all("m", ids) == {}
    assert Ids(b"k" * 32, b"h" * 16).take_all("b", ids) == {}


@settings(derandomize=True, max_examples=200)
@given(st.text(max_size=30) | st.from_regex(r"m[a-z2-7]{26}", fullmatch=True))
def test_nothing_else_is_one(id: str) -> None:
    assert IDS.take("m", id) is None


def test_one_spelling_an_id() -> None:
    [id] = IDS.give("m", [7])
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    for last in alphabet:
        assert IDS.take("m", id[:-1] + last) == ((7, 0) if last == id[-1] else None)
    assert IDS.take("m", id.upper()) is None and IDS.take("m", id + "=") is None
