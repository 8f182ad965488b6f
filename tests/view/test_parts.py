"""Parts with authors, and references: what stands in a row besides its author's own words follows its own author's
choice, at once, and leaves no trace where it goes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.jmap.conftest import Account
from tests.worlds import DAY, NOW, World, chat, mail

from byleave.model import Level, Person
from byleave.view import Lagging, Picker, rows, told
from byleave.view.reading import Who

ANN, BOB, CAT = "mail:ann@example.test", "mail:bob@example.test", "mail:cat@example.test"
BOB_CHAT, CAT_CHAT = "telegram:user2", "telegram:user3"
REPLY = (
    "Of course we can do that.\n\n"
    "On Fri, 11 Sep 2026 at 10:00, Bob Okonkwo <bob@example.test> wrote:\n"
    "> The lighthouse was wonderful, call me at +44 7700 900321 please, and we go there again.\n"
)


class Inbox:
    def __init__(self, folder: Path, level: Level = Level.TEXT, purpose: str = "portability") -> None:
        self.world = World(folder)
        self.owner_id = self.world.owner()
        self.purpose, self.level = purpose, level
        records: list[Any] = [
            mail("Hello, this is Bob and nothing else.", BOB, id="b1@example.test", at=NOW - 9 * DAY),
            mail(REPLY, ANN, id="a1@example.test", at=NOW - 8 * DAY, references=("b1@example.test",), subject="Re: Hello"),
            mail("And I wrote this one later on.", CAT, id="c1@example.test", at=NOW - 7 * DAY, references=("b1@example.test", "a1@example.test")),
            chat("I said it is the lighthouse film.", BOB_CHAT, id="1", at=NOW - 6 * DAY),
            chat("A word that I pass on to you about the harbour.", CAT_CHAT, id="2", at=NOW - 5 * DAY, forwarded_from=Person(BOB_CHAT, "Bob")),
        ]  # fmt: skip
        self.world.put(self.owner_id, records, own=["mail:me@example.test", "telegram:me"])
        deal = self.world.agree([("tailoring", "masked"), ("portability", "text")])
        self.account = Account(
            self.world,
            self.world.allow(self.owner_id, purpose, level, agreement_id=deal, partner="streamflix"),
        )

    def choose(self, level: Level, *handles: str) -> None:
        for handle in handles:
            self.world.choose(handle, level, self.purpose if level else None)
        self.world.work()

    def bodies(self) -> dict[str, str]:
        """Sender token → body."""
        emails = self.account.emails(
            "id", "from", "size", "blobId", "preview", "bodyValues", fetchAllBodyValues=True
        )
        with self.world.store.read() as snapshot:
            view = self.account.view(snapshot)
            for email in emails:
                blob = view.blob(email["blobId"])
                assert blob is not None and len(blob.message) == email["size"]
                assert email["bodyValues"]["1"]["value"].replace("\n", "\r\n").encode() in blob.message
        return {e["id"]: e["bodyValues"]["1"]["value"] for e in emails}

    def text(self) -> str:
        return "\n".join(self.bodies().values())

    def hits(self, word: str) -> int:
        return int(self.account.call("Email/query", filter={"text": word}, calculateTotal=True)["total"])


def test_a_quote_follows_its_authors_choice(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.choose(Level.TEXT, ANN, CAT_CHAT)
    assert "Of course" in inbox.text() and "lighthouse" not in inbox.text() and "harbour" not in inbox.text()
    assert inbox.hits("lighthouse") == 0 == inbox.hits("harbour")
    before = set(inbox.bodies())
    inbox.choose(Level.TEXT, BOB, BOB_CHAT)
    text = inbox.text()
    assert "> The lighthouse was wonderful, call me at +44 7700 900321 please, and" in text
    assert "A word that I pass on" in text and "Okonkwo" not in text, "an attribution's author cannot be told"
    assert inbox.hits("wonderful") == 1 and inbox.hits("harbour") == 1
    shown = set(inbox.bodies())
    assert len(before - shown) == 2, "both messages were created anew"
    inbox.world.choose(BOB, Level.NONE, None)
    inbox.world.choose(BOB_CHAT, Level.NONE, None)
    with inbox.world.store.read() as snapshot, pytest.raises(Lagging):  # worked in before the next answer
        inbox.account.view(snapshot)
    inbox.world.work()
    assert "lighthouse" not in inbox.text() and "harbour" not in inbox.text()
    assert inbox.hits("wonderful") == 0 == inbox.hits("harbour")
    assert not set(inbox.bodies()) & shown - before


def test_each_part_at_its_own_level(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.choose(Level.TEXT, ANN)
    inbox.choose(Level.MASKED, BOB)
    assert "> The lighthouse was wonderful, call me at [phone] please, and we go there again." in inbox.text()
    inbox.choose(Level.SIGNALS, BOB)
    assert "lighthouse" not in inbox.text()


def test_masked_grants_mask_them(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, Level.MASKED, "tailoring")
    inbox.choose(Level.MASKED, ANN, BOB)
    assert (
        "lighthouse was wonderful, call me at [phone] please, and we go there again." in inbox.text()
        and "900321" not in inbox.text()
    )
    assert inbox.hits("900321") == 0


def test_a_hidden_mail_hides_what_it_quotes(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.choose(Level.TEXT, BOB, BOB_CHAT)
    assert "wonderful" not in inbox.text() and "harbour" not in inbox.text()


def test_its_author_is_told(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.choose(Level.TEXT, CAT_CHAT, BOB_CHAT)
    forwarded = [i for i, text in inbox.bodies().items() if "harbour" in text]
    with inbox.world.store.read() as snapshot:
        view = inbox.account.view(snapshot)
        view.emails(list(view.borns(forwarded).values()), _picker())
        assert len(view.reading.senders) == 2, "a no of either makes the answer anew"
    who = Who(account=view.account_id, purpose="portability", operative="x", partner="streamflix")
    view.reading.release_now(inbox.world.store, b"x", NOW, who)
    inbox.choose(Level.NONE, BOB_CHAT)  # gone before the follower came by
    while inbox.world.store.write(told.tell, NOW):
        pass
    with inbox.world.store.read() as snapshot:
        assert [t.messages for t in told.of_person(snapshot, BOB_CHAT)] == [1]


def _picker() -> Picker:
    return Picker(["id", "preview"], body_values=False, max_body_bytes=0)


def test_references_name_visible_mails_only(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.choose(Level.TEXT, CAT)
    [cat] = inbox.account.emails("id", "messageId", "inReplyTo", "references")
    assert cat["references"] is None and cat["inReplyTo"] is None
    inbox.choose(Level.TEXT, ANN, BOB)
    by_size = {
        len(e["references"] or ()): e
        for e in inbox.account.emails("id", "messageId", "inReplyTo", "references", "size")
    }
    bob, ann, cat_now = by_size[0], by_size[1], by_size[2]
    assert cat_now["id"] != cat["id"]
    assert ann["references"] == bob["messageId"] == ann["inReplyTo"]
    assert (
        cat_now["references"] == [*bob["messageId"], *ann["messageId"]]
        and cat_now["inReplyTo"] == ann["messageId"]
    )
    inbox.bodies()  # sizes are the blobs' with references too
    headers = inbox.account.emails(
        "header:References:asMessageIds", "header:In-Reply-To:asMessageIds", "references", "inReplyTo"
    )
    for email in headers:
        assert email["header:References:asMessageIds"] == email["references"]
        assert email["header:In-Reply-To:asMessageIds"] == email["inReplyTo"]
    inbox.choose(Level.NONE, BOB)
    left = inbox.account.emails("id", "messageId", "inReplyTo", "references")
    ids = {m for e in left for m in e["messageId"]}
    assert len(left) == 2 and all(set(e["references"] or ()) <= ids for e in left)
    assert sorted(len(e["references"] or ()) for e in left) == [0, 1]


@pytest.mark.parametrize("seed", range(12))
def test_rows_are_what_a_new_grant_would_have(tmp_path: Path, seed: int) -> None:
    """However choices came and went, the rows show what a grant filled now shows."""
    rng = random.Random(seed)
    inbox = Inbox(tmp_path)
    people = (ANN, BOB, CAT, BOB_CHAT, CAT_CHAT)
    for _ in range(8):
        inbox.choose(rng.choice((Level.NONE, Level.SIGNALS, Level.MASKED, Level.TEXT)), rng.choice(people))
        shown = sorted(_plain(inbox.account))
        again = inbox.world.allow(
            inbox.owner_id, "portability", Level.TEXT, agreement_id="streamflix-deal", partner="streamflix"
        )
        assert shown == sorted(_plain(Account(inbox.world, again)))
    assert not inbox.world.store.write(rows.work_any, NOW)


def _plain(account: Account) -> list[str]:
    """Everything of every mail but ids and tokens."""
    found = account.emails(
        "size", "preview", "bodyValues", "references", "inReplyTo", "subject", fetchAllBodyValues=True
    )
    for email in found:
        email |= {
            "id": 0,
            "references": len(email["references"] or ()),
            "inReplyTo": len(email["inReplyTo"] or ()),
        }
    return [str(email) for email in found]
