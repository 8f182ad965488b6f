"""What a partner was shown and may see no longer is called back: signed, with a day, without a reason; its answer is
signed too, and stands on the person's page."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uuid_utils

from byleave.consent import grant
from byleave.keys import generate, verify_jws
from byleave.ledger.entry import Act, decode
from byleave.model import Level
from byleave.partner.client import Refusal
from byleave.partner.flows import RECALL_ANSWER
from byleave.store import prepare
from byleave.store.tables import entry
from byleave.view import recall
from tests.exchange.world import ANN, BOB, DAY_MS, Exchanging
from tests.worlds import chat


class Recalling(Exchanging):
    """Ann has said yes; the partner reads her, and then she says no."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        said = [chat(f"I would like to see that film again, number {n}.", ANN, id=f"a{n}") for n in range(3)]
        self.world.put(self.owner, [*said, chat("I said nothing at all about any of this.", BOB, id="b")])
        self.yes(Level.MASKED)
        self.own = self.partner.own_token()
        keyring, ids = self.world.installation.keyring, self.world.installation.ids
        self.job = recall.job(keyring, ids, lambda: uuid_utils.uuid7().bytes, lambda: os.urandom(32))

    def yes(self, level: Level, handle: str = ANN) -> None:
        self.world.choose(handle, level, "tailoring" if level else None)
        self.world.work()

    def follow(self) -> None:
        while self.world.store.write(self.job, self.now):
            pass

    def read(self, limit: int = 500) -> list[str]:
        [[_, found, _]] = self.partner.jmap(
            self.token, [["Email/query", {"accountId": self.token.account_id, "limit": limit}, "c"]]
        )
        return list(found["ids"])

    def recalls(self) -> list[dict[str, Any]]:
        self.follow()
        return self.partner.recalls(self.own)

    def notice(self, one: dict[str, Any]) -> dict[str, Any]:
        header, payload = verify_jws(one["notice"], self.world.installation.keyring.public("agreement"))
        assert header["typ"] == recall.NOTICE
        return dict(json.loads(payload))

    def said(self) -> list[dict[str, Any]]:
        statement = prepare(__import__("sqlalchemy").select(entry.c.event).where(entry.c.kind == "recall"))
        with self.world.store.read() as snapshot:
            events = [decode(event) for (event,) in snapshot.all(statement)]
        return [dict(e.facts) for e in events if isinstance(e, Act)]


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Recalling]:
    made = Recalling(tmp_path)
    yield made
    made.world.store.close()


def test_what_was_shown_is_called_back_and_nothing_else(it: Recalling) -> None:
    before = set(it.read())
    assert it.recalls() == []
    it.yes(Level.NONE)
    gone = before - set(it.read())
    [one] = it.recalls()
    told = it.notice(one)
    assert set(told["delete"]) == gone and len(gone) >= 3
    assert told["account"] == it.token.account_id and told["recall"] == one["id"]
    assert set(told) == {"recall", "agreement", "account", "delete", "made_at", "due_at"}, "and no reason"
    assert one["state"] == "open" and one["messages"] == len(gone)
    assert it.recalls() == [one], "once"


def test_what_nobody_read_is_not_called_back(it: Recalling) -> None:
    it.read(limit=1)
    seen = set(it.read(limit=1))
    it.yes(Level.NONE)
    it.read(limit=1)
    found = [it.notice(one)["delete"] for one in it.recalls()]
    assert all(set(ids) <= seen for ids in found)


def test_a_no_of_somebody_hidden_calls_nothing_back(it: Recalling) -> None:
    it.read()
    it.yes(Level.NONE, BOB)
    assert it.recalls() == []


def test_a_grant_that_its_owner_ended_is_called_back_whole(it: Recalling) -> None:
    before = set(it.read())
    with it.world.store.read() as snapshot:
        [found] = [g for g in grant.of_owner(snapshot, it.owner) if g.partner == "streamflix"]
    it.world.store.write(grant.revoke, it.owner, found.grant_id, it.now, it.world.id(), b"s" * 32)
    told = [it.notice(one) for one in it.recalls()]
    assert {id for t in told for id in t["delete"]} == before
    page = it.page("/me/readings", it.session(it.owner)).text
    assert "Told to delete" in page and "none yet" in page


def test_the_answer_stands_on_the_persons_page_and_in_the_ledger(it: Recalling) -> None:
    it.read()
    it.yes(Level.NONE)
    it.read()
    [one] = it.recalls()
    hers = it.session(None, ANN)
    assert "Told to delete" in (page := it.page("/me/readings", hers).text) and "none yet" in page
    assert "Told to delete" not in it.page("/me/readings", it.session(None, BOB)).text
    assert "Told to delete" not in it.page("/me/readings", it.session(it.owner)).text, "it would tell of a no"
    assert it.partner.answer_recall(it.own, one["id"])["recall"] == one["id"]
    assert "deleted, signed" in it.page("/me/readings", hers).text
    assert it.recalls()[0]["state"] == "answered"
    made, answered = it.said()
    assert made["recall"] == answered["recall"] == one["id"] and answered["late"] is False
    with pytest.raises(Refusal) as refused:
        it.partner.answer_recall(it.own, one["id"])  # ES256 signs anew each time: another answer
    assert refused.value.status == 409


def test_an_answer_may_be_late_and_is_shown_to_be(it: Recalling) -> None:
    it.read()
    it.yes(Level.NONE)
    it.read()
    [one] = it.recalls()
    it.now += 8 * DAY_MS
    it.own = it.partner.own_token()
    assert it.recalls()[0]["state"] == "overdue"
    assert "the time is up" in it.page("/me/readings", it.session(None, ANN)).text
    it.partner.answer_recall(it.own, one["id"])
    assert it.recalls()[0]["state"] == "answered late"


def test_only_the_partners_word_to_this_recall_counts(it: Recalling) -> None:
    it.read()
    it.yes(Level.NONE)
    it.read()
    [one] = it.recalls()

    def post(said: str, id: str = one["id"]) -> int:
        url = f"{it.partner.base_url}/recalls/{id}/answer"
        return int(it.partner.request("POST", url, it.own, said.encode()).status_code)

    def signed(payload: dict[str, Any], typ: str = RECALL_ANSWER) -> str:
        from byleave.keys import read_jwk

        key = read_jwk(it.key.as_dict(private=True))
        return key.sign(json.dumps(payload).encode(), typ=typ)

    good = {"recall": one["id"], "deleted": True}
    assert post("no signature") == post(generate().sign(json.dumps(good).encode(), typ=RECALL_ANSWER)) == 400
    assert post(signed({**good, "recall": "0" * 32})) == post(signed({**good, "deleted": False})) == 400
    assert post(signed(good, "JWT")) == 400
    assert post(signed({**good, "recall": "0" * 32}), "0" * 32) == post(signed(good), "x") == 404
    assert it.recalls()[0]["state"] == "open"
    said = signed(good)
    assert post(said) == 201 and post(said) == 200
