"""Every kind of part that has an author or bearer of its own: reactions, edits, contact cards, polls, invitations,
taken-over subjects, forwards. Each follows that person's choice; where it cannot be told whose it is, it is absent; and
what is hidden moves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.gateway.jmap.conftest import Account
from tests.worlds import DAY, NOW, World, chat, mail

from byleave.model import Attachment, Kind, Level, Person, Reaction, Record
from byleave.words.fragment import CHAT

ANN, BOB, CAT = "telegram:user1", "telegram:user2", "telegram:user3"
ANN_MAIL, BOB_MAIL = "mail:ann@example.test", "mail:bob@example.test"
CARD = "tel:+15550142"
OWN = ["telegram:me", "mail:me@example.test"]
LIKES = (
    Reaction("👍", BOB, "Bob"),
    Reaction("😮", CAT, "Cat"),
    Reaction("🎬", None),
    Reaction("❤️", ANN, "Ann"),
)


class Inbox:
    """An inbox with these records, read by a partner and by its owner; Ann has said yes."""

    def __init__(self, folder: Path, records: list[Any], level: Level = Level.TEXT) -> None:
        self.purpose = "portability" if level > Level.MASKED else "tailoring"
        self.world = World(folder)
        self.owner_id = self.world.owner()
        self.world.put(self.owner_id, records, own=OWN)
        deal = self.world.agree([("tailoring", "masked"), ("portability", "text")])
        self.allowed = self.world.allow(
            self.owner_id, self.purpose, level, agreement_id=deal, partner="streamflix"
        )
        self.account = Account(self.world, self.allowed)
        self.choose(level, ANN, ANN_MAIL)

    def choose(self, level: Level, *handles: str) -> None:
        for handle in handles:
            self.world.choose(handle, level, self.purpose if level else None)
        self.world.work()

    def again(self, records: list[Any]) -> None:
        self.world.put(self.owner_id, records, own=OWN)

    def emails(self) -> list[dict[str, Any]]:
        return list(
            self.account.emails(
                "id", "from", "subject", "receivedAt", "bodyValues", CHAT, fetchAllBodyValues=True
            )
        )

    def one(self) -> dict[str, Any]:
        (email,) = self.emails()
        return email

    def emojis(self) -> list[str]:
        return [r["emoji"] for r in (self.one()[CHAT] or {"reactions": []})["reactions"]]

    def body(self) -> str:
        return str(self.one()["bodyValues"]["1"]["value"])

    @property
    def state(self) -> str:
        return str(self.account.call("Email/get", ids=[])["state"])


def liked(reactions: tuple[Reaction, ...] = LIKES, **more: Any) -> Record:
    return chat("I would like to see that film again.", ANN, id="1", reactions=reactions, **more)


# ── reactions ───────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("level", [Level.MASKED, Level.TEXT])
def test_a_reaction_follows_who_reacted(tmp_path: Path, level: Level) -> None:
    inbox = Inbox(tmp_path, [liked()], level)
    assert inbox.emojis() == ["❤️"], "Ann's own; of the others nobody said yes"
    inbox.choose(level, BOB)
    assert inbox.emojis() == ["👍", "❤️"]
    before = inbox.one()["id"]
    by = inbox.one()[CHAT]["reactions"][0]["by"]["email"]
    assert by == ("user2@telegram.invalid" if level is Level.TEXT else by) and (
        by.endswith("@masked.invalid") or level is Level.TEXT
    )
    inbox.choose(Level.NONE, BOB)
    assert inbox.emojis() == ["❤️"] and inbox.one()["id"] != before, (
        "what looks different is destroyed and created"
    )


def test_a_reaction_under_a_hidden_message_stays_hidden_with_it(tmp_path: Path) -> None:
    inbox = Inbox(
        tmp_path, [chat("Words of one who said nothing.", BOB, id="1", reactions=(Reaction("👍", ANN),))]
    )
    assert inbox.emails() == []


def test_words_are_no_emoji(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, [liked((Reaction("call me at 5", ANN), Reaction("x" * 65, ANN)))], Level.MASKED)
    assert inbox.emojis() == []


def test_the_owner_sees_every_reaction(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, [liked()])
    with inbox.world.store.read() as snapshot:
        from byleave.consent import grant

        own = next(g for g in grant.of_owner(snapshot, inbox.owner_id) if g.for_owner)
    (email,) = Account(inbox.world, own).emails("id", CHAT)
    assert [r["emoji"] for r in email[CHAT]["reactions"]] == ["👍", "😮", "🎬", "❤️"]
    assert email[CHAT]["reactions"][2]["by"] is None


def test_mail_has_none(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, [mail("Shall we meet on Friday at the harbour?", ANN_MAIL)])
    assert inbox.one()[CHAT] is None


# ── what is hidden moves nothing ────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("changed", [
    (Reaction("👍", BOB), Reaction("😮", CAT), Reaction("❤️", ANN)),
    (Reaction("❤️", ANN),),
])  # fmt: skip
def test_a_hidden_reaction_that_comes_or_goes_moves_nothing(
    tmp_path: Path, changed: tuple[Reaction, ...]
) -> None:
    other = chat("And another one at the very same time.", ANN, id="2")
    inbox = Inbox(tmp_path, [liked((Reaction("👍", BOB), Reaction("❤️", ANN))), other])
    state, before = inbox.state, inbox.emails()
    inbox.again([liked(changed), other])
    assert inbox.state == state and inbox.emails() == before
    inbox.choose(Level.NONE, BOB)
    inbox.choose(Level.NONE, CAT)
    assert inbox.state == state and inbox.emails() == before
    inbox.choose(Level.TEXT, CAT)
    assert (inbox.state != state) == any(r.actor == CAT for r in changed)
    inbox.again([liked((*changed, Reaction("🔥", ANN))), other])
    assert len(inbox.emails()) == 2 and "🔥" in str(inbox.emails())


def test_a_no_of_somebody_who_is_only_named_moves_nothing(tmp_path: Path) -> None:
    """Bob stands in `to` as a token, whatever he said: a no of his must not show."""
    inbox = Inbox(tmp_path, [mail("Shall we meet on Friday at the harbour?", ANN_MAIL, to=(BOB_MAIL,))])
    state = inbox.state
    inbox.choose(Level.NONE, BOB_MAIL)
    assert inbox.state == state
    inbox.choose(Level.TEXT, BOB_MAIL)
    assert inbox.state != state and "bob@example.test" in str(inbox.account.emails("to"))
    state = inbox.state
    inbox.choose(Level.NONE, BOB_MAIL)
    assert inbox.state != state and "bob@example.test" not in str(inbox.account.emails("to"))


# ── edits ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_edit_is_told_with_its_time(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, [liked(())])
    assert inbox.one()[CHAT] is None
    old = inbox.one()["id"]
    edited = chat("I would like to see that one again.", ANN, id="1", edited_at=NOW - 9 * DAY)
    inbox.again([edited])
    assert inbox.one()["id"] != old and inbox.one()[CHAT] == {
        "editedAt": "2026-09-12T14:13:20Z", "isCall": False, "reactions": [],
    }  # fmt: skip


# ── contact cards ───────────────────────────────────────────────────────────────────────────────────────────
def card(of: str | None) -> Record:
    return chat(
        "Here is her number.", ANN, id="1", kind=Kind.ATTACHMENT, shared_text="Cleo Marchetti +15550142", shared_of=of,
        attachments=(Attachment("contact.vcf", "text/vcard"),),
    )  # fmt: skip


def test_a_contact_card_follows_its_bearer(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, [card(CARD)])
    assert inbox.body() == "Here is her number."
    inbox.choose(Level.TEXT, CARD)
    assert inbox.body() == "Here is her number.\nCleo Marchetti +15550142"
    inbox.choose(Level.NONE, CARD)
    assert inbox.body() == "Here is her number."


def test_a_contact_card_of_who_cannot_be_told_is_absent(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, [card(None)])
    inbox.choose(Level.TEXT, CARD)
    assert inbox.body() == "Here is her number."


# ── polls, invitations, subjects, forwards ──────────────────────────────────────────────────────────────────
def test_a_poll_is_of_who_asks_and_its_votes_are_nowhere(tmp_path: Path) -> None:
    from byleave.sources.telegram import _text

    poll = {"question": "Which film?", "answers": [{"text": "The Lighthouse", "voters": 2, "chosen": True}]}
    text = _text({"text": "", "poll": poll})
    inbox = Inbox(tmp_path, [chat(text, ANN, id="1"), chat(text, BOB, id="2", place="c2")])
    assert inbox.body() == "Which film?\n- The Lighthouse"


INVITATION = (
    b"From: ann@example.test\r\nTo: me@example.test\r\nSubject: Supper\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nSee you then.\r\n"
    b"--x\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n"
    b"ORGANIZER;CN=Bob Okonkwo:mailto:bob@example.test\r\nATTENDEE:mailto:cat@example.test\r\nEND:VEVENT\r\n"
    b"END:VCALENDAR\r\n--x--\r\n"
)


def test_an_invitation_is_absent(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, [mail("See you then.", ANN_MAIL, raw=INVITATION)])
    inbox.choose(Level.TEXT, BOB_MAIL)
    (email,) = inbox.account.emails("attachments", "hasAttachment", "bodyStructure", "blobId")
    assert not email["hasAttachment"] and not email["attachments"]
    with inbox.world.store.read() as snapshot:
        blob = inbox.account.view(snapshot).blob(email["blobId"])
    assert blob is not None and b"Okonkwo" not in blob.message and b"ORGANIZER" not in blob.message


def test_a_subject_taken_over_is_absent(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, [mail("Yes, on Friday then.", ANN_MAIL, subject="Re: My secret illness")])
    assert inbox.one()["subject"] is None
    assert inbox.account.call("Email/query", filter={"subject": "illness"}, calculateTotal=True)["total"] == 0


def test_a_forward_of_who_cannot_be_told_is_absent(tmp_path: Path) -> None:
    passed = chat("A word that I pass on.", ANN, id="1", forwarded_from=Person(None, "Bob"))
    inbox = Inbox(tmp_path, [passed])
    assert inbox.body() == ""
