"""Law 4. Words belong to who wrote them: quotes, forwards, previews, subjects taken over, names and addresses of
recipients and members each follow their own author's or bearer's choice.

Ann said yes to everything. Bob said no, Cat nothing. Whatever Ann's own mail or chat carries of theirs is not
shown under her choice, at `masked`, at `text`, by JMAP, blob or tool.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from byleave.model import Conversation, Level, Person, Reaction, Record
from tests.gateway.jmap.conftest import Account, letter
from tests.worlds import DAY, NOW, World, chat, mail

ANN, BOB = "mail:ann@example.test", "mail:bob@example.test"
TAINT = ("taintword", "Bobsurname", "bob@example.test", "Catsurname", "cat@example.test", "taintsubject")
QUOTES = {
    "marked": "Of course.\n\nOn Fri, 11 Sep 2026 at 10:00, Bob Bobsurname <bob@example.test> wrote:\n> taintword one\n> taintword two\n",
    "bottom": "On Fri, 11 Sep 2026 at 10:00, Bob Bobsurname <bob@example.test> wrote:\n> taintword\n\nOf course.\n",
    "inline": "> taintword one\nYes.\n> taintword two\nNo.\n",
    "block": "Of course.\n\n-----Original Message-----\nFrom: Bob Bobsurname <bob@example.test>\nSent: Friday, September 11, 2026 10:00 AM\nTo: Ann\nSubject: taintsubject\n\ntaintword of Bob\n",
    "ruled": "Of course.\n\n________________________________\nFrom: Bob Bobsurname <bob@example.test>\nSent: Friday, 11 September 2026 10:00\nTo: Ann <ann@example.test>\nSubject: taintsubject\n\ntaintword of Bob\n",
    "german": "Gerne.\n\nAm 11.09.2026 um 10:00 schrieb Bob Bobsurname <bob@example.test>:\n> taintword\n",
    "forward": "Have a look.\n\n---------- Forwarded message ---------\nFrom: Bob Bobsurname <bob@example.test>\nDate: Fri, 11 Sep 2026\nSubject: taintsubject\nTo: Cat Catsurname <cat@example.test>\n\ntaintword of Bob\n",
    "nested": "Yes.\n\nOn Fri, 11 Sep 2026 at 10:00, Ann wrote:\n> Hm.\n>\n> On Thu, Bob Bobsurname wrote:\n>> taintword\n",
}  # fmt: skip
HTML = b"""From: Ann <ann@example.test>\r
To: Me <me@example.test>, Bob Bobsurname <bob@example.test>\r
Cc: Cat Catsurname <cat@example.test>\r
Reply-To: Cat Catsurname <cat@example.test>\r
Subject: Re: taintsubject\r
References: <q-marked@example.test>\r
In-Reply-To: <q-marked@example.test>\r
Message-ID: <html@example.test>\r
Date: Fri, 11 Sep 2026 16:13:20 +0200\r
X-Forwarded-To: bob@example.test\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
Content-Type: text/html\r
\r
<p>Of course we can.</p><blockquote type="cite"><p>taintword of Bob</p></blockquote>\r
--b\r
Content-Type: message/rfc822\r
\r
From: Bob Bobsurname <bob@example.test>\r
Subject: taintsubject\r
\r
taintword in a mail in a mail\r
--b\r
Content-Type: text/plain; name="taintword.txt"\r
Content-Disposition: attachment; filename="taintword.txt"\r
\r
taintword in a file\r
--b--\r
"""


def records() -> Iterator[Record | Conversation]:
    yield Conversation(
        source="telegram", key="c1", name="taintword group",
        members=(Person("telegram:user1", "Ann"), Person("telegram:user2", "Bob Bobsurname")),
    )  # fmt: skip
    for n, (name, text) in enumerate(QUOTES.items()):
        yield mail(
            text, ANN, at=NOW - 9 * DAY + n * 60_000, id=f"q-{name}@example.test", subject="Re: taintsubject",
            to=("mail:me@example.test", BOB), references=("start@example.test",),
        )  # fmt: skip
    yield letter(HTML, "html")
    more: dict[str, Any] = {"reply_to": "b1"}
    yield chat("a taintword of his own", "telegram:user2", at=NOW - 8 * DAY, id="b1")
    yield chat("Of course we can do that.", "telegram:user1", at=NOW - 8 * DAY + 1, id="a1", **more)
    yield chat(
        "taintword forwarded",
        "telegram:user1",
        id="a2",
        forwarded_from=Person("telegram:user2", "Bob Bobsurname"),
    )
    yield chat(
        "taintword forwarded", "telegram:user1", id="a3", forwarded_from=Person(None, "Bob Bobsurname")
    )
    yield chat(
        "Look at this page.", "telegram:user1", id="a4", shared_text="taintword on the page",
        reactions=(Reaction("taintword", "telegram:user2", "Bob Bobsurname", None),),
    )  # fmt: skip


@pytest.fixture(scope="module", params=["masked", "text"])
def account(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Account:
    world = World(tmp_path_factory.mktemp("words"))
    owner_id = world.owner()
    world.put(owner_id, records(), own=["telegram:me", "mail:me@example.test"])
    purpose = "tailoring" if request.param == "masked" else "portability"
    deal = world.agree([("tailoring", "masked"), ("portability", "text")])
    for handle in (ANN, "telegram:user1"):
        world.choose(handle, Level.FULL if False else Level.TEXT, purpose)
    for handle in (BOB, "telegram:user2"):
        world.choose(handle, Level.NONE, None)
    level = Level.named(request.param)
    return Account(world, world.allow(owner_id, purpose, level, agreement_id=deal, partner="streamflix"))


def test_nothing_of_others_under_her_choice(account: Account) -> None:
    shown = account.emails(fetchAllBodyValues=True)
    assert len(shown) >= len(QUOTES) + 3
    text = json.dumps(shown, ensure_ascii=False)
    assert "Of course" in text, "her own words are there"
    for taint in TAINT:
        assert taint.lower() not in text.lower(), taint
    wide = account.emails(
        "headers", "header:From", "header:To", "header:Cc", "header:Reply-To", "header:Subject", "bodyStructure",
        "attachments", "references", "inReplyTo", "subject", "preview", fetchAllBodyValues=True,
    )  # fmt: skip
    for taint in TAINT:
        assert taint.lower() not in json.dumps(wide).lower(), taint


def test_nor_in_its_blobs(account: Account) -> None:
    with account.world.store.read() as snapshot:
        view = account.view(snapshot)
        borns = [b for (b,) in [(b,) for b in view.borns([e["id"] for e in account.emails("id")]).values()]]
        originals = view.originals(borns)
    assert originals
    for original in originals.values():
        for taint in TAINT:
            assert taint.lower().encode() not in original.message.lower(), taint


def test_nor_by_search(account: Account) -> None:
    for taint in (*TAINT, "taintword group"):
        for field in ("text", "body", "subject", "from", "to", "cc"):
            word = "taint" if field == "none" else taint
            found = account.call("Email/query", filter={field: word}, calculateTotal=True)
            assert found["ids"] == [] and found["total"] == 0, (field, taint)
