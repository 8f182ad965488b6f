"""Sends over HTTP: the sender's own act, the recipient's choice, one key one send, caps, and answers alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from byleave.consent import grant
from byleave.exchange import send, sums
from byleave.ledger import log
from byleave.partner.client import Refusal
from tests.exchange.world import ANN, BOB, CARD, CELL, DAY_MS, ME, Exchanging


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Exchanging]:
    made = Exchanging(tmp_path)
    yield made
    made.world.store.close()


def sent(it: Exchanging) -> list[tuple[int, ...]]:
    with it.world.store.read() as snapshot:
        found = sums.closed(snapshot, "streamflix-deal", sums.date_of(0), sums.date_of(40_000))
        return sorted(found.values())


def test_a_card_waits_for_its_sender_and_reaches_who_takes_cards(it: Exchanging) -> None:
    it.takes_cards(ANN)
    told = it.put()
    assert told["state"] == "waiting" and "day" not in told
    assert it.links(ANN) == []
    page = it.page(f"/me/sends/{told['id']}", it.session(it.owner)).text
    assert "The Lighthouse" in page and "user1001" in page
    it.confirm(told)
    [shown] = it.partner.sends(it.token)
    assert shown["state"] == "accepted" and shown["day"] == "2026-09-07"
    [(link, _)] = it.links(ANN)
    assert len(link) == len("/c/") + 46
    cards = it.page("/me/cards", it.session(None, ANN)).text
    assert (
        '<strong dir="auto">Somebody you write with</strong> recommends' in cards
        and "No more from Streamflix" in cards
    )
    with it.world.store.read() as snapshot:
        [entry] = log.of_kind(snapshot, it.owner, "send")
    assert entry[2].facts["by"] == "confirmed" and "shown" not in entry[2].facts  # type: ignore[union-attr]


def test_standing_leave_sends_at_once_and_ends(it: Exchanging) -> None:
    it.takes_cards(ANN)
    it.confirm(it.put(), leave="yes")
    told = it.put()
    assert told["state"] == "accepted" and told["day"] == "2026-09-07"
    assert it.put(BOB)["state"] == "waiting", "leave is for one recipient"
    assert len(it.links(ANN)) == 2
    it.now += 31 * DAY_MS
    with it.world.store.read() as snapshot:
        assert send.leaves(snapshot, it.owner, it.now) == []


def test_leave_ends_by_one_click(it: Exchanging) -> None:
    it.confirm(it.put(), leave="yes")
    page = it.page("/me/sends", it.session(it.owner)).text
    form = dict(
        part.split('" value="')
        for part in page.split('name="')[1:]
        if part.startswith(("grant", "person"))
        for part in [part.split('">')[0]]
    )
    assert it.page("/me/sends/leave/end", it.session(it.owner), **form).status_code == 303
    assert it.put()["state"] == "waiting"


def test_a_declined_card_is_not_sent_and_another_owner_cannot_confirm(it: Exchanging) -> None:
    it.takes_cards(ANN)
    told = it.put()
    other = it.world.owner("other")
    assert it.page(f"/me/sends/{told['id']}/confirm", it.session(other), go="1").status_code == 404
    assert it.page(f"/me/sends/{told['id']}", it.session(other)).status_code == 404
    it.page(f"/me/sends/{told['id']}/decline", it.session(it.owner), go="1")
    it.confirm(told)
    assert it.partner.sends(it.token)[0]["state"] == "declined" and it.links(ANN) == []


def test_refuser_leaver_and_stranger_answer_alike(it: Exchanging) -> None:
    """Same bytes but for the ids, the same counts, as many entries in the log."""
    answers: list[Any] = []
    stranger = "paaaaaaaa@masked.invalid"
    it.takes_cards(ANN)
    for recipient in (it.address(ANN), it.address(BOB), stranger):  # yes, never asked, never was
        told = it.partner.send(it.token, recipient, CARD, CELL)
        with it.world.store.read() as snapshot:
            before = entries(snapshot)
        it.confirm(told)
        with it.world.store.read() as snapshot:
            grown = entries(snapshot) - before
        now = it.partner.request("GET", f"http://127.0.0.1:8420/sends/{told['id']}", it.token)
        clean = [
            json.dumps(x).replace(told["id"], "ID").replace(recipient, "WHO")
            for x in (told, now.json(), sorted(now.headers.keys()))
        ]
        answers.append((clean, grown))
    assert answers[0] == answers[1] == answers[2]
    it.takes_cards(ANN, cards=False, clicks=False)  # a leaver, from here on
    later = it.put()
    it.confirm(later)
    assert it.links(ANN) == []
    it.now += 2 * DAY_MS
    it.world.store.write(sums.close, "streamflix-deal", it.now, it.world.id(), b"s" * 32)
    assert sent(it) == [(4, 0, 0)], "every one of them counts"


def entries(snapshot: Any) -> int:
    from sqlalchemy import func, select

    from byleave.store import prepare
    from byleave.store.tables import entry

    return int(snapshot.value(prepare(select(func.count()).select_from(entry))))


def test_one_key_is_one_send(it: Exchanging) -> None:
    first = it.put(key="k1")
    assert it.put(key="k1") == first
    with pytest.raises(Refusal) as refused:
        it.put(BOB, key="k1")
    assert refused.value.status == 409
    assert len(it.partner.sends(it.token)) == 1
    answer = it.partner.request("POST", "http://127.0.0.1:8420/sends", it.token, b"{}")
    assert answer.status_code == 400 and "Idempotency-Key" in answer.json()["detail"]


@pytest.mark.parametrize(
    "changed",
    [
        {"card": {**CARD, "text": "x" * 301}},
        {"card": {**CARD, "text": "see https://evil.example/"}},
        {"card": {**CARD, "title": "a\u202eb"}},
        {"card": {**CARD, "title_ref": {"scheme": "s", "id": "../admin"}}},
        {"card": {**CARD, "image": "0" * 64}},
        {"card": {**CARD, "extra": 1}},
        {"card": None},
        {"cell": {**CELL, "interface": "radio"}},
        {"cell": {"interface": "tv"}},
        {"recipient": "ann@example.test"},
        {"recipient": "+44 7700 900123"},
        {"recipient": 7},
        {"sender": "paaaaaaaa@masked.invalid"},
        {"who": "me"},
    ],
)
def test_what_is_no_send_is_refused_and_leaves_nothing(it: Exchanging, changed: dict[str, Any]) -> None:
    body = {"recipient": it.address(ANN), "card": CARD, "cell": CELL, **changed}
    answer = it.partner.request(
        "POST",
        "http://127.0.0.1:8420/sends",
        it.token,
        json.dumps(body).encode(),
        headers={"Idempotency-Key": "k"},
    )
    assert answer.status_code == 400, answer.text
    assert "evil" not in answer.text and "7700" not in answer.text
    assert it.partner.sends(it.token) == []


def test_sender_may_be_named_in_each_of_its_forms(it: Exchanging) -> None:
    for n, sender in enumerate((it.token.account_id, it.address(ME))):
        body = {"sender": sender, "recipient": it.address(ANN), "card": CARD, **CELL}
        answer = it.partner.request(
            "POST",
            "http://127.0.0.1:8420/sends",
            it.token,
            json.dumps(body).encode(),
            headers={"Idempotency-Key": f"k{n}"},
        )
        assert answer.status_code == 202, answer.text


def test_scopes_and_the_end_of_a_grant(it: Exchanging) -> None:
    reads = it.authorise("inbox.read")
    with pytest.raises(Refusal) as refused:
        it.partner.send(reads, it.address(ANN), CARD, CELL)
    assert refused.value.status == 403
    only = it.authorise("send")
    assert it.partner.request("GET", "http://127.0.0.1:8420/jmap/session", only).status_code == 403
    own = it.partner.own_token()
    for path in ("/jmap/session", "/sends"):
        assert it.partner.request("GET", "http://127.0.0.1:8420" + path, own).status_code == 401
    told = it.put()
    with it.world.store.read() as snapshot:
        granted = grant.of_owner(snapshot, it.owner)
    for one in granted:
        if not one.for_owner:
            it.world.store.write(grant.revoke, it.owner, one.grant_id, it.now, it.world.id(), b"s" * 32)
    with pytest.raises(Refusal) as refused:
        it.put()
    assert refused.value.status == 401
    answer = it.page(f"/me/sends/{told['id']}/confirm", it.session(it.owner), go="1")
    assert answer.status_code == 400


def test_caps_are_of_the_own_sends_alike_for_everybody(
    it: Exchanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "PER_RECIPIENT", 2)
    for recipient in (it.address(ANN), "paaaaaaaa@masked.invalid"):
        told = []
        for _ in range(3):
            try:
                told.append(it.partner.send(it.token, recipient, CARD, CELL)["state"])
            except Refusal as error:
                told.append(f"{error.status} {error.kind}")
        assert told == ["waiting", "waiting", "429 budget-exhausted"]
    it.now += DAY_MS
    it.renew()
    assert it.put()["state"] == "waiting"
