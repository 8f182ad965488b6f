"""Entries: one event, one spelling; a leaf that says nothing; numbers that come back as they were."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.errors import Invalid
from byleave.ledger import entry
from byleave.ledger.entry import Act, Counted, Kind, Reading, pack_numbers, unpack_numbers

PROFILE = settings(derandomize=True, max_examples=60, deadline=None)
SALT = bytes(range(32))


def reading(**change: Any) -> Reading:
    fields: dict[str, Any] = {
        "at": 1_793_600_000_000,
        "grant": "0190-grant",
        "account": "a7",
        "partner": "streamflix",
        "agreement": "streamflix-2026",
        "purpose": "tailoring",
        "operative": "employee 17",
        "endpoint": "Email/get",
        "level": "masked",
        "numbers": pack_numbers(range(1000, 1050)),
        "length": 40_000,
        "version": 12,
    }
    return Reading(**{**fields, **change})


ACT = Act(
    kind=Kind.AGREEMENT, at=5, facts={"id": "a", "version": 2, "raised": ["budgets"], "by": None, "ok": True}
)
EVENTS = [
    reading(),
    reading(partner=None, agreement=None, case="c-1"),
    Counted(at=0, grant="g", partner="p", operative="o", denials=3),
    ACT,
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: entry.kind_of(e).value)
def test_events_come_back(event: entry.Event) -> None:
    data = entry.encode(event)
    assert entry.decode(data) == event
    assert data == rfc8785.dumps(json.loads(data))
    assert json.loads(data)["kind"] == entry.kind_of(event).value


@PROFILE
@given(st.text(), st.text(), st.integers(0, 2**53 - 1), st.lists(st.text()))
def test_event_bytes_are_rfc_8785(a: str, b: str, n: int, many: list[str]) -> None:
    for event in (
        reading(operative=a, case=b, length=n),
        Act(kind=Kind.ALERT, at=n, facts={"b": a, "a": many}),
    ):
        data = entry.encode(event)
        assert data == rfc8785.dumps(json.loads(data))
        assert entry.decode(data) == event


def test_other_spellings_are_refused() -> None:
    data = entry.encode(ACT)
    spaced = data.replace(b":", b": ")
    turned = json.dumps(dict(reversed(json.loads(data).items())), separators=(",", ":")).encode()
    for odd in (spaced, turned, data + b"\n", b"", b"{}", b"[]", b'{"kind":"nothing"}', b"\xff", data[:-1]):
        with pytest.raises(Invalid):
            entry.decode(odd)
    unknown = json.loads(entry.encode(reading())) | {"extra": 1}
    with pytest.raises(Invalid):
        entry.decode(rfc8785.dumps(unknown))
    overlong = json.loads(entry.encode(reading())) | {"numbers": "gAE="}
    entry.decode(rfc8785.dumps(overlong))
    with pytest.raises(Invalid):
        entry.decode(rfc8785.dumps(overlong | {"numbers": "gAA="}))


def test_facts_are_plain() -> None:
    for facts in ({"é": 1}, {"a b": 1}, {"a": 2**53}, {"a": 1.5}, {"a": [2**60]}, {"a": "\ud800"}):
        with pytest.raises(Invalid):
            entry.encode(Act(kind=Kind.GRANT, at=1, facts=facts))  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        Act(kind=Kind.READING, at=1, facts={})


def test_a_leaf_says_nothing() -> None:
    leaves = [entry.leaf(entry.kind_of(event), entry.encode(event), SALT) for event in EVENTS]
    assert {len(leaf) for leaf in leaves} == {entry.LEAF_BYTES}
    assert [leaf[1] for leaf in leaves] == [2, 2, 2, 1]
    assert entry.pad(bytes(32))[:2] == leaves[0][:2] and len(entry.pad(bytes(32))) == entry.LEAF_BYTES
    data = entry.encode(EVENTS[0])
    assert entry.matches(leaves[0], data, SALT)
    assert not entry.matches(leaves[0], data, bytes(32))
    assert not entry.matches(leaves[0], entry.encode(EVENTS[1]), SALT)
    assert not entry.matches(leaves[0], b"rubbish", SALT)
    assert not entry.matches(leaves[0], data, b"")
    for bad in (lambda: entry.leaf(Kind.GRANT, data, b"short"), lambda: entry.pad(b"x")):
        with pytest.raises(Invalid):
            bad()


@PROFILE
@given(st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 3000), unique=True).map(sorted))
def test_numbers_come_back(numbers: list[int]) -> None:
    packed = pack_numbers(numbers)
    assert unpack_numbers(packed) == numbers


@PROFILE
@given(st.binary(max_size=12))
def test_packed_numbers_have_one_spelling(data: bytes) -> None:
    try:
        numbers = unpack_numbers(data)
    except Invalid:
        return
    assert pack_numbers(numbers) == data


def test_numbers_that_cannot_be() -> None:
    for numbers in ([-1], [1, 1], [2, 1], [2**63], [0, 2**63]):
        with pytest.raises(Invalid):
            pack_numbers(numbers)
    for packed in (b"\x80", b"\x80\x00", b"\x05\x00", b"\xff" * 20 + b"\x01", b"\xff" * 9 + b"\x01"):
        with pytest.raises(Invalid):
            unpack_numbers(packed)
    assert len(pack_numbers(range(10**6, 10**6 + 500))) == 502
