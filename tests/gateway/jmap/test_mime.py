"""Header forms (RFC 8621 §4.1.2) and parts of odd mails."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.gateway.jmap import mime
from byleave.sources.parts import Message


def _header(value: str, form: str, name: str = "X") -> Any:
    message = Message(f"{name}: {value}\r\n\r\n".encode())
    return mime.header(message.fields(message.root), f"header:{name}:as{form}")


@pytest.mark.parametrize(
    ("value", "groups"),
    [
        ("a@x.test, B <b@x.test>", [(None, ["a@x.test", "b@x.test"])]),
        ("Friends: a@x.test, b@x.test;", [("Friends", ["a@x.test", "b@x.test"])]),
        (
            "c@x.test, Friends: a@x.test; , d@x.test",
            [(None, ["c@x.test"]), ("Friends", ["a@x.test"]), (None, ["d@x.test"])],
        ),
        ("undisclosed-recipients:;", [("undisclosed-recipients", [])]),
        ('"Lee, Ann": a@x.test;', [("Lee, Ann", ["a@x.test"])]),
        ('"a:b" <a@x.test>', [(None, ["a@x.test"])]),
        ("", []),
    ],
)
def test_groups(value: str, groups: list[Any]) -> None:
    found = _header(value, "GroupedAddresses")
    assert [(g["name"], [a["email"] for a in g["addresses"]]) for g in found] == groups


def test_forms() -> None:
    assert _header("=?utf-8?q?caf=C3=A9?=\r\n  again", "Text") == "café again"
    assert _header("folded\r\n\tvalue", "Raw") == " folded\r\n\tvalue"
    assert _header("<a@x.test> <b@x.test>", "MessageIds") == ["a@x.test", "b@x.test"]
    assert _header("Fri, 11 Sep 2026 16:13:20 +0200", "Date") == "2026-09-11T14:13:20Z"
    assert _header("no date", "Date") is None
    assert _header("<https://x.test/a> (comment), <mailto:a@x.test>", "URLs") == [
        "https://x.test/a",
        "mailto:a@x.test",
    ]
    assert _header("nothing", "URLs") is None


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    st.text(max_size=80),
    st.sampled_from(["Raw", "Text", "Addresses", "GroupedAddresses", "MessageIds", "Date", "URLs"]),
)
def test_any_value_has_every_form(value: str, form: str) -> None:
    _header(value.encode("utf-8", "replace").decode(), form)


@pytest.mark.parametrize("piece", ["(", '"', "<", "a:", "a,", '\\"', ":;", "=?x?q?"])
def test_groups_are_linear(piece: str) -> None:
    assert isinstance(_header(piece * 20_000, "GroupedAddresses"), list)


def test_html_is_not_cut_within_a_tag() -> None:
    message = Message(b"Content-Type: text/html\n\n<p>one</p><a href='x'>two</a>")
    for most in range(1, 30):
        value = message.value(message.root, most)
        assert len(value["value"].encode()) <= most and value["value"].count("<") == value["value"].count(">")
