"""Values of header fields: encoded words, addresses, dates, ids, charsets, labels."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.model import Person
from byleave.sources.header import Head, characters, decoded, handle, ids, one_line, parameters_of, people

ANN = Person("mail:ann@example.test", "Ann Example")


@pytest.mark.parametrize(
    "value",
    [
        "Ann Example <ann@example.test>",
        '"Ann Example" <Ann@EXAMPLE.test>',
        "ann@example.test (Ann Example)",
        "=?utf-8?Q?Ann_Example?= <ann@example.test>",
        '"=?utf-8?B?QW5uIEV4?= =?utf-8?B?YW1wbGU=?=" <ann@example.test>',
        "Ann Example <@relay.test,@other.test:ann@example.test>",
        "Friends: Ann Example <ann@example.test>;",
        "Ann \u202eExample\x07 <ann@example.test>",
        "Ann Example <ann@example.test",
    ],
)
def test_one_mailbox_in_many_forms(value: str) -> None:
    assert people(value) == (ANN,)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ann at example.test (Ann Example)", Person(None, "Ann Example")),
        ("ann at example.test", Person(None, "ann at example.test")),
        ("Ann Example", Person(None, "Ann Example")),
        ("Ann <ann@exa\u202emple.test>", Person(None, "Ann")),
        ("Ann <ann@\u200bexample.test>", Person(None, "Ann")),
        ('"ann b"@example.test', Person(None, '"ann b"@example.test')),
        ("Ann <ann@example.test> <bob@example.test>", Person(None, "Ann")),
        ("Ann <=?utf-8?q?ann?=@example.test>", Person(None, "Ann")),
        ("=?utf-8?q?Ann_=3Cann=40example=2Etest=3E?=", Person(None, "Ann <ann@example.test>")),
        ("Ann <ann@[192.0.2.1]>", Person(None, "Ann")),
        ("Ann <ann@@example.test>", Person(None, "Ann")),
        ("Ann <.ann@example.test>", Person(None, "Ann")),
        ("Doe, Ann <ann@example.test>", Person("mail:ann@example.test", "Doe, Ann")),
    ],
)
def test_what_is_no_plain_address_is_nobody(value: str, expected: Person) -> None:
    assert people(value, one=True) == (expected,)


def test_lists_groups_and_nothing() -> None:
    assert people("undisclosed-recipients:;") == () == people("") == people(" , ;")
    found = people(
        'a@b.test, "Doe, J" <j@b.test>, Team: x@y.test, Z <z@y.test>;, =?utf-8?q?Q,_R?= <q@b.test>'
    )
    assert [person.handle for person in found] == [
        f"mail:{a}" for a in ("a@b.test", "j@b.test", "x@y.test", "z@y.test", "q@b.test")
    ]
    assert [person.name for person in found] == ["", "Doe, J", "", "Z", "Q, R"]


def test_addresses_of_the_world() -> None:
    assert handle("ÜSER@Bücher.test") == "mail:üser@bücher.test"
    assert handle("u\u0308ser@bücher.test") == "mail:üser@bücher.test"
    assert handle("o'neil+tag@x-y.test.") == "mail:o'neil+tag@x-y.test"
    assert handle("a" * 400 + "@x.test") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=?utf-8?Q?Caf=C3?= =?utf-8?Q?=A9?=", "Café"),
        ("=?UTF-8?B?Q2Fmw6k?=", "Café"),
        ("=?iso-8859-1*en?q?Caf=E9?= now", "Café now"),
        ("=?x-unknown?q?Caf=C3=A9?=", "Café"),
        ("=?utf-8?q?What's up??=", "What's up?"),
        ("a =?utf-8?q?b?= c =?utf-8?q?d?=  =?latin1?q?=E9?=", "a b c dé"),
        ("=?utf-8?q?open", "=?utf-8?q?open"),
        ("=?utf-8?b?!!!?= x", " x"),
        ("=?idna?q?=FF?=", "ÿ"),
    ],
)
def test_encoded_words(value: str, text: str) -> None:
    assert decoded(value) == text


def test_one_line_has_no_controls_and_no_direction_marks() -> None:
    assert one_line("=?utf-8?q?a=0Ab=00=E2=80=AEc=1Bd?=\te") == "a b\ufffdc d e"
    assert one_line("=?utf-8?q?a=0Ab=E2=80=AEc?=\t d") == "a bc d"


def test_ids() -> None:
    assert ids("<a@x.test>\t<b@x.test> (note) <a@x.test>") == ("a@x.test", "b@x.test")
    assert ids('Your mail of "Monday" <a@x.test>') == ("a@x.test",)
    assert ids("a@x.test") == ("a@x.test",)
    assert ids("words of a@x.test", loose=True) == ("a@x.test",)
    assert ids("<>") == ids("") == ids("<" + "a" * 5000 + ">") == ()


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        (b"caf\xc3\xa9", "utf-8", "café"),
        (b"caf\xe9", "", "café"),
        (b"caf\xc3\xa9", "us-ascii", "café"),
        (b"caf\xe9", "us-ascii", "café"),
        (b"\x93q\x94", "iso-8859-1", "“q”"),
        (b"caf\xc3\xa9", "x-unknown", "café"),
        (b"abc", "hex", "abc"),
        (b"abc", "undefined", "abc"),
        (b"a\\u202eb", "unicode_escape", "a\\u202eb"),
        (b"a\x00b", "utf-8", "a\ufffdb"),
        (b"+2AA-", "utf-7", "\ufffd"),
        (b"\xff", "utf-8", "\ufffd"),
        (b"\x81", "iso-8859-1", "\x81"),
        (b"x", "utf-8\x00", "x"),
    ],
)
def test_charsets(data: bytes, charset: str, text: str) -> None:
    assert characters(data, charset) == text


def test_parameters() -> None:
    assert parameters_of('Text/Plain; CHARSET="utf-8"; format=flowed') == (
        "text/plain",
        {"charset": "utf-8", "format": "flowed"},
    )
    value = "attachment; filename*0*=utf-8''Caf%C3; filename*1*=%A9.pdf"
    assert parameters_of(value)[1]["filename"] == "Café.pdf"
    assert parameters_of("text/plain; charset*=undefined'x'%ff")[0] == "text/plain"


def test_head_ends_where_the_fields_end() -> None:
    head = Head(b">From x\nFrom: a@b.test\r\nSubject: one\r\n two\r\n\r\nbody")
    assert head.text("subject") == "one two" and head.data[head.body :] == b"body"
    head = Head(b"Subject: x\nno field\nDate: y\n\nbody")
    assert "date" not in head.fields and head.data[head.body :].startswith(b"no field")
    head = Head(b"From: a@b.test\rSubject: old Mac\r\rbody\r")
    assert head.text("subject") == "old Mac" and head.data[head.body :] == b"body\n"


def test_copies_share_a_digest_and_others_do_not() -> None:
    mail = b"Received: by a\nFrom: a@b.test\nSubject: x\n\nbody\n"
    other = b"Received: by b\r\nX-Gmail-Labels: Sent\r\nFrom: a@b.test\r\nSubject: x\r\n\r\nbody\r\n\r\n"
    assert Head(mail).digest() == Head(other).digest()
    assert (
        len({Head(m).digest() for m in (mail, mail.replace(b"body", b"bodi"), mail.replace(b" x", b" y"))})
        == 3
    )


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.text(alphabet="ab@.<>\"'(),;:\\ =?éq\u202e\n\t\x00[]", max_size=60))
def test_no_address_header_makes_an_odd_handle(value: str) -> None:
    for person in people(value) + people(value, one=True):
        assert person.name.isprintable()
        if person.handle is not None:
            local, _, domain = person.handle.removeprefix("mail:").rpartition("@")
            assert local and domain and "@" not in local
            assert person.handle.isprintable() and not set(person.handle) & set(' <>()",;\\')
            assert person.handle == person.handle.lower()
