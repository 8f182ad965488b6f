"""One small world, read through three grants: the owner's, a masked partner's, and one at signals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from byleave.consent import grant
from byleave.gateway.jmap import request
from byleave.gateway.jmap.session import CAPABILITIES
from byleave.model import Conversation, Level, Record
from byleave.sources import mime
from byleave.sources.header import Head
from byleave.view import View, open_view
from tests.worlds import DAY, NOW, World, chat, mail

USING = list(CAPABILITIES)

LETTER = b"""\
From: Ann Lee <ann@example.test>\r
To: Me <me@example.test>, Bob <bob@example.test>\r
Subject: =?utf-8?q?Caf=C3=A9_on_Friday?=\r
Date: Fri, 11 Sep 2026 16:13:20 +0200\r
Message-ID: <letter@example.test>\r
References: <before@example.test>\r
In-Reply-To: <before@example.test>\r
List-Unsubscribe: <https://list.example/u>, <mailto:u@list.example>\r
X-Note: =?utf-8?b?w6RoYQ==?=\r
X-Note: second\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=outer\r
\r
--outer\r
Content-Type: multipart/alternative; boundary=inner\r
\r
--inner\r
Content-Type: text/plain; charset=utf-8\r
\r
Shall we meet at the caf\xc3\xa9?\r
--inner\r
Content-Type: text/html; charset=utf-8\r
Content-Transfer-Encoding: quoted-printable\r
\r
<p class=3D"a">Shall we meet at the <b>caf=C3=A9</b>?</p>\r
--inner--\r
--outer\r
Content-Type: application/pdf; name="=?utf-8?q?men=C3=BC.pdf?="\r
Content-Disposition: attachment\r
Content-Transfer-Encoding: base64\r
Content-ID: <menu@example.test>\r
Content-Language: en, de\r
\r
SGVsbG8gUERG\r
--outer--\r
"""


def letter(raw: bytes, key: str) -> Record:
    """The record of a mail's bytes, as the mail importer makes it."""
    return mime.record(raw, Head(raw), key)


def records() -> list[Record | Conversation]:
    made: list[Record | Conversation] = [
        chat("hello  there\nfriend", at=NOW - 9 * DAY),
        chat("we saw a film on Sunday", at=NOW - 9 * DAY + 60_000),
        chat("my own words", "telegram:me", at=NOW - 8 * DAY),
        chat("not for anybody else", "telegram:user2", at=NOW - 7 * DAY),
        letter(LETTER, "letter"),
        mail(
            "Second mail",
            at=NOW - 5 * DAY,
            references=("letter@example.test",),
            subject="Re: other",
            id="second",
        ),
        mail(
            "From Bob, about a film", "mail:bob@example.test", at=NOW - 4 * DAY, folder="Projects", id="third"
        ),
    ]
    return made


class Account:
    """A grant to call methods on; each call is a request of its own in a snapshot of its own."""

    def __init__(self, world: World, found: grant.Grant) -> None:
        self.world, self.grant = world, found

    def view(self, snapshot: Any) -> View:
        view = open_view(
            snapshot,
            grant.find(snapshot, self.grant.owner_id, self.grant.grant_id),
            self.world.installation.ids,
            self.world.now,
        )
        assert view is not None
        return view

    @property
    def id(self) -> str:
        with self.world.store.read() as snapshot:
            return self.view(snapshot).account_id

    def request(self, calls: list[list[Any]], using: list[str] | None = None, **more: Any) -> dict[str, Any]:
        body = json.dumps({"using": USING if using is None else using, "methodCalls": calls, **more}).encode()
        return self.send(body)

    def send(self, body: bytes) -> dict[str, Any]:
        with self.world.store.read() as snapshot:
            answer: dict[str, Any] = json.loads(request.respond(body, self.view(snapshot), self.world.now))
        return answer

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """The arguments of the one response; fails on an error."""
        [[got, answer, call]] = self.request([[name, {"accountId": self.id, **arguments}, "c"]])[
            "methodResponses"
        ]
        assert got == name and call == "c", answer
        assert isinstance(answer, dict)
        return answer

    def error(self, name: str, **arguments: Any) -> str:
        """The type of the error that the call answers."""
        given = {"accountId": self.id, **arguments}
        [[got, answer, _]] = self.request([[name, given, "c"]])["methodResponses"]
        assert got == "error", answer
        return str(answer["type"])

    def emails(self, *properties: str, **arguments: Any) -> list[dict[str, Any]]:
        more = {"properties": list(properties)} if properties else {}
        found: list[dict[str, Any]] = self.call("Email/get", ids=None, **more, **arguments)["list"]
        return found


class Place:
    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.owner_id = self.world.owner()
        self.world.put(self.owner_id, records(), own=["telegram:me", "mail:me@example.test"])
        self.yes = {h: self.world.choose(h, Level.TEXT) for h in ("telegram:user1", "mail:ann@example.test")}
        deal = self.world.agree(purposes=(("tailoring", "masked"), ("ranking", "signals")))
        with self.world.store.read() as snapshot:
            [own] = [g for g in grant.of_owner(snapshot, self.owner_id) if g.for_owner]
        self.owner = Account(self.world, own)
        self.masked = Account(
            self.world, self.world.allow(self.owner_id, agreement_id=deal, partner="streamflix")
        )
        signals = self.world.allow(
            self.owner_id, "ranking", Level.SIGNALS, agreement_id=deal, partner="streamflix"
        )
        self.signals = Account(self.world, signals)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    yield Place(tmp_path_factory.mktemp("jmap"))


@pytest.fixture
def fresh(tmp_path: Path) -> Place:
    return Place(tmp_path)
