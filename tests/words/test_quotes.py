"""Whose words are where: hand-made hard mails, generated ones, and any text at all."""

from __future__ import annotations

import json
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from mailgen import CLIENTS, SPOILS, mail

from byleave.cli.words import parts_of
from byleave.errors import Refused
from byleave.words.quotes import split, split_chat, subject_kind, subject_part

DATA = Path(__file__).parent / "data" / "quotes"
ME = "mail:me@home.example"
WHO = {"m": ME, ".": None, "a": "mail:ann@x.example", "b": "mail:bob@y.example", "c": "mail:cy@z.example"}


class Hard(NamedTuple):
    name: str
    subject: str | None
    rows: list[tuple[str, str]]


def hard_mails() -> list[Hard]:
    mails: list[Hard] = []
    for file in sorted(DATA.glob("*.txt")):
        for block in re.split(r"^=== ", file.read_text("utf-8"), flags=re.M)[1:]:
            name, *lines = block.split("\n")
            subject = None
            if lines and lines[0].startswith("subject: "):
                subject = lines.pop(0).removeprefix("subject: ")
            rows = [(line[0], _unescape(line[2:])) for line in lines if line]
            mails.append(Hard(f"{file.stem}: {name}", subject, rows))
    return mails


def _unescape(line: str) -> str:
    return re.sub(r"\\u([0-9a-f]{4})", lambda m: chr(int(m[1], 16)), line)


HARD = hard_mails()


def test_there_are_a_hundred_hard_mails() -> None:
    assert len(HARD) >= 100
    assert len({h.name for h in HARD}) == len(HARD)


@pytest.mark.parametrize("hard", HARD, ids=[h.name for h in HARD])
def test_hard_mail(hard: Hard) -> None:
    text = "".join(f"{line}\n" for _, line in hard.rows)
    parts = split(text, author=ME, subject=hard.subject)
    assert "".join(p.text for p in parts) == text
    given_to = [p.author for p in parts for _ in p.text]
    at, wrong = 0, []
    for mark, line in hard.rows:
        inside = range(at, at + len(line))
        got = {given_to[n] for n in inside if text[n].isalnum()}
        allowed = {None, ME} | ({WHO["a"], WHO["b"]} if line.startswith(">") else set())
        if got and (not got <= allowed if mark == "~" else got != {WHO[mark]}):
            wrong.append((mark, got, line))
        at += len(line) + 1
    assert not wrong


@pytest.mark.parametrize("start", range(0, 800, 100))
def test_no_foreign_character_is_shown_in_generated_mails(start: int) -> None:
    lost = mine = 0
    for seed in range(start, start + 100):
        made = mail(seed)
        parts = split(made.text, author=made.author, subject=made.subject, reply=made.reply)
        assert "".join(p.text for p in parts) == made.text
        spans = [(p.author, p.start, p.end) for p in parts]
        assert made.leaks(spans) == 0, (seed, made.style)
        if "stripped" not in made.style:
            gone, own = made.lost(spans)
            lost, mine = lost + gone, mine + own
    assert lost < 0.2 * mine


def test_the_generator_has_every_client_and_every_spoil() -> None:
    styles = {mail(seed).style for seed in range(600)}
    assert {s.split("/")[0] for s in styles} >= set(CLIENTS)
    assert {s.split("/")[2] for s in styles} >= set(SPOILS)


PIECES = st.sampled_from(
    [
        ">",
        "> ",
        ">> ",
        "|",
        "\n",
        "\n\n",
        "\r",
        "\u2028",
        "\u200b",
        "\u00a0",
        " ",
        "-- \n",
        "wrote:",
        "On ",
        "3 Mar 2014 12:00",
        "<ann@x.example>",
        "From: ",
        "Sent: ",
        "To: ",
        "Subject: ",
        "-----Original Message-----",
        "_______________________",
        "Forwarded message",
        "unsubscribe",
        "Am ",
        "schrieb",
        "hello",
        "AE> ",
        ":",
        "[snip]",
        "Sent from my iPhone",
        "To\n",
        "Subject\n",
        "1/1/2014 10:00\n",
        "confidential",
        "wrote: x ",
        "* ",
        "[2014]:",
    ]
)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(
    st.lists(PIECES, max_size=60).map("".join), st.booleans(), st.sampled_from([None, "Re: x", "Fwd: x", "x"])
)
def test_parts_cover_any_text(text: str, reply: bool, subject: str | None) -> None:
    parts = split(text, author=ME, subject=subject, reply=reply)
    assert "".join(p.text for p in parts) == text
    at = 0
    for part in parts:
        assert part.start == at < part.end and part.text == text[part.start : part.end]
        at = part.end
    assert at == len(text)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_parts_cover_odd_characters(text: str) -> None:
    assert "".join(p.text for p in split(text, author=ME)) == text


@settings(derandomize=True, max_examples=100, deadline=None)
@given(
    st.lists(PIECES, max_size=30).map("".join), st.sampled_from([">", "> ", ">> ", "\u200b>", " > ", "&gt; "])
)
def test_a_marked_line_is_never_the_authors(text: str, mark: str) -> None:
    whole = f"{text}\n{mark}Secret\n"
    for part in split(whole, author=ME):
        if part.author == ME:
            assert "Secret" not in part.text


def test_a_mail_of_nobody_has_no_own_part() -> None:
    parts = split("Yes.\n\nOn Mon, 3 Mar 2014, Ann <ann@x.example> wrote:\n> So?\n", author=None)
    assert [p.author for p in parts] == [None, None, "mail:ann@x.example"]


@pytest.mark.parametrize(
    "text",
    [
        ">" * 100_000,
        "On " * 30_000,
        "On 3 Mar 2014 x wrote:\n" * 5_000,
        "wrote: x " * 10_000,
        "From: a\n" * 10_000,
        "_\n" * 10_000,
        " " * 100_000,
        "".join(">" * (n % 40) + " x\n" for n in range(4_000)),
        "a> " * 30_000,
        ("x wrote:\n" + "\n" * 30) * 2_000,
        "From: a\n\n" * 10_000,
        "a\n>\n" * 10_000,
        "a@b.example " * 15_000,
    ],
)
def test_hostile_text_is_covered(text: str) -> None:
    assert sum(p.end - p.start for p in split(text, author=ME, subject="Re: x", reply=True)) == len(text)


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        ("Film", None),
        ("Re: Film", "reply"),
        ("RE : Film", "reply"),
        ("AW: Film", "reply"),
        ("SV: Film", "reply"),
        ("Antw: Film", "reply"),
        ("Odp: Film", "reply"),
        ("R: Film", "reply"),
        ("Re[2]: Film", "reply"),
        ("回复：Film", "reply"),
        ("[list] Re: Film", "reply"),
        ("Fwd: Film", "forward"),
        ("WG: Film", "forward"),
        ("TR: Film", "forward"),
        ("ENC: Film", "forward"),
        ("PD: Film", "forward"),
        ("转发: Film", "forward"),
        ("Ynt: Film", "reply"),
        ("\u200bRe: Film", "reply"),
        ("Regarding: Film", None),
        ("Review: Film", None),
        ("Film (fwd)", "forward"),
        ("", None),
        ("[Film]", None),
    ],
)
def test_subject_prefixes(subject: str, kind: str | None) -> None:
    assert subject_kind(subject) == kind
    assert subject_part(subject, ME).author == (ME if kind is None else None)


def test_the_command_line_answers_json_lines_that_cover_the_text() -> None:
    raw = (
        b"From: Me <Me@home.example>\r\nSubject: Re: Film\r\nIn-Reply-To: <1@x.example>\r\n\r\n"
        b"Yes.\r\n\r\nOn Mon, 3 Mar 2014, Ann <ann@x.example> wrote:\r\n> Shall we go?\r\n"
    )
    lines = [json.loads(line) for line in parts_of(raw, "one.eml")]
    assert [line["part"] for line in lines] == list(range(len(lines)))
    assert [(line["author"], line["how"]) for line in lines] == [
        (ME, "own"),
        (None, "attribution"),
        ("mail:ann@x.example", "quote"),
    ]
    assert [set(line) for line in lines] == [{"part", "author", "how", "start", "end", "text"}] * len(lines)
    assert all(a["end"] == b["start"] for a, b in pairwise(lines))
    with pytest.raises(Refused, match=r"empty\.eml"):
        parts_of(b"\n", "empty.eml")


CHATS = [
    ("> Less water.\nI moved it", "I moved it"),
    ("Nora wrote:\n> less water\nown", "own"),
    ("> a\nb\nc", "c"),
    ("> a\n> b\nc\nd", "c\nd"),
    ("ok\n>less\nfine", "ok\nfine"),
    ("own\n[18/12/24, 19:00] Nora M.: less water\n[18/12/24, 19:01] Me: ok\nmore", "own\n"),
    ("own\nNora Marlow, [12.06.2024 19:00]\nless water\nok", "own\n"),
    ("18/12/2024, 18:45 - Nora: less water", ""),
    ("own\n\nBegin forwarded message:\nFrom: x\n\nfoo\n> y\nbar", "own\n\n"),
    ("19:30 Kino: ok?", "19:30 Kino: ok?"),
    ("See you at 8 (or later), it's fine!", "See you at 8 (or later), it's fine!"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "own"), CHATS)
def test_chats_keep_what_their_author_wrote(text: str, own: str) -> None:
    parts = split_chat(text, author="telegram:user1")
    assert "".join(p.text for p in parts) == text
    assert all(text[p.start : p.end] == p.text for p in parts)
    assert "".join(p.text for p in parts if p.author == "telegram:user1") == own
