"""Any bytes: no crash, and nothing that differs from the sealed rows is ever accepted."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from byleave.exchange.forms import Parcel

few = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TOKENS = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b",",
        b'"',
        b"-0",
        b"1e3",
        b"NaN",
        b"\0",
        b"\xef\xbb\xbf",
        b"=",
        b"{",
        b"[",
        b"]",
        b"}",
        b"null",
        b":",
        b"\xff",
        "−".encode(),
        b" ",
        b"9" * 30,
        b"2026-11-02",
        b"tv",
    ]
)


@st.composite
def mutations(draw: Any) -> list[tuple[int, int, bytes]]:
    """Places (in per mille), bytes to take out and what to put there."""
    piece = st.one_of(TOKENS, st.binary(max_size=6))
    return draw(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 5), piece), min_size=1, max_size=4))


def mutate(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for place, gone, new in changes:
        i = len(data) * place // 1000
        data = data[:i] + new + data[i + gone :]
    return data


@few
@given(changes=mutations())
def test_csv(desk: Any, changes: list[tuple[int, int, bytes]]) -> None:
    good = desk.csv()
    bad = mutate(good.rows, changes)
    assert desk.check(Parcel("csv", bad, good.manifest)).ok == (bad == good.rows)


@few
@given(changes=mutations())
def test_manifest(desk: Any, changes: list[tuple[int, int, bytes]]) -> None:
    good = desk.csv()
    bad = mutate(good.manifest, changes)
    verdict = desk.check(Parcel("csv", good.rows, bad))
    if verdict.ok:
        assert json.loads(bad) == json.loads(good.manifest)


@few
@given(changes=mutations())
def test_json(desk: Any, changes: list[tuple[int, int, bytes]]) -> None:
    good = desk.json()
    bad = mutate(good.rows, changes)
    verdict = desk.check(Parcel("json", bad))
    if verdict.ok:
        assert json.loads(bad) == json.loads(good.rows)


@few
@given(data=st.one_of(st.binary(max_size=300), st.lists(TOKENS, max_size=30).map(b"".join)))
def test_any_bytes(desk: Any, data: bytes) -> None:
    for parcel in (Parcel("csv", data, data), Parcel("json", data), Parcel("csv", data, None)):
        assert not desk.check(parcel).ok
        assert not desk.check(parcel, bare=True).ok


@settings(few, max_examples=12)
@given(changes=mutations())
def test_parquet(desk: Any, changes: list[tuple[int, int, bytes]]) -> None:
    good = desk.report().parcel("parquet")
    verdict = desk.check(Parcel("parquet", mutate(good.rows, changes), good.manifest))
    if verdict.ok:
        assert verdict.receipt == desk.check(good).receipt
