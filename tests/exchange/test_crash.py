"""SIGKILL at seeded fault points inside sends, confirmations, clicks and acceptance, then the client's retry.

Each act runs in a process of its own that kills itself at the n-th statement, or after the commit and before the
answer. Afterwards: no send twice, no answered click lost, no report half accepted, sums equal rows, ledger equals both.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from byleave.exchange import click, delivery, duty, send
from byleave.installation import open_installation
from byleave.ledger import log
from byleave.store import Transaction, prepare, sqlite
from byleave.store.tables import card, report, send_count
from byleave.store.tables import click as clicks
from byleave.store.tables import send as sends
from tests.exchange.test_delivery import built, end_of
from tests.exchange.world import ANN, CARD, CELL, DAY_MS, Exchanging

POINTS = 50
_SUMS = prepare(
    select(
        func.sum(send_count.c.sends),
        func.sum(send_count.c.recipient_clicks),
        func.sum(send_count.c.clicks_total),
    )
)
_ACCEPTED = prepare(select(func.count()).where(sends.c.state == "accepted"))
_SENDS = prepare(select(func.count()).select_from(sends))
_CARDS = prepare(select(func.count()).select_from(card))
_CLICKS = prepare(select(clicks.c.reason, func.count()).group_by(clicks.c.reason))
_REPORTS = prepare(select(report.c.receipt).order_by(report.c.sequence))


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Exchanging]:
    made = Exchanging(tmp_path)
    made.takes_cards(ANN)
    made.confirm(made.put(key="first"), leave="yes")
    made.now += 60_000
    made.links(ANN)
    yield made
    made.world.store.close()


def crashing(it: Exchanging, at: int, act: Callable[[Any], Any]) -> Any:
    """What `act(store)` answers in a process that dies at statement `at`; None where it died."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        count = 0
        run = Transaction.run

        def counted(tx: Transaction, statement: Any, **values: Any) -> int:
            nonlocal count
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return run(tx, statement, **values)

        try:
            sqlite.Transaction.run = counted  # type: ignore[method-assign]
            answer = act(open_installation(it.world.path).store)
            if count + 1 == at:
                os.kill(os.getpid(), signal.SIGKILL)  # on disk, and nobody was told
            os.write(tell, msgspec.json.encode(answer))
        finally:
            os._exit(0)
    os.close(tell)
    with os.fdopen(ready, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return msgspec.json.decode(said) if said else None


def test_fifty_points(it: Exchanging) -> None:
    draw = random.Random(5)
    world, secret = it.world, it.world.installation.ids
    with world.store.read() as snapshot:
        [first] = send.of_owner(snapshot, it.owner, 9)
    person, grant_id = first.person, first.grant_id
    address, cell = it.address(ANN), list(CELL.values())
    text = msgspec.json.encode(CARD).decode()
    answered = died = 0
    keys: set[bytes] = {b"first"}
    send_ids = [first.send_id]
    for n in range(POINTS):
        kind, at = draw.choice(("send", "send", "click", "click", "click")), draw.randint(1, 14)
        it.now += draw.choice((5_000, 31_000)) if n % 10 else DAY_MS  # ten a day to one person are the cap
        if kind == "send":
            key = f"key {n}".encode().ljust(32)
            keys.add(key)

            def act(store: Any, key: bytes = key) -> Any:
                made = [
                    send.propose,
                    it.owner,
                    grant_id,
                    "streamflix-web",
                    address,
                    person,
                    text,
                    cell,
                    key,
                    key,
                ]
                return store.write(
                    *made, os.urandom(16), [os.urandom(16) for _ in range(2)], [b"s" * 32] * 2, it.now
                )

            told = crashing(it, at, act)
            died += told is None
            again = act(world.store)  # the client asks again with the same key
            assert told is None or told == again
            assert again[0] == 201
            send_ids.append(bytes.fromhex(msgspec.json.decode(again[1])["id"]))
        else:
            of = draw.choice(send_ids)

            def act(store: Any, of: bytes = of) -> Any:  # type: ignore[misc]
                [where] = store.write(
                    click.record, secret, [[click.LINK, 1, of, None, False, b"c" * 16, it.now]]
                )
                return where

            told = crashing(it, at, act)
            died += told is None
            answered += told is not None
    assert died >= 15 and answered >= 5
    with world.store.read() as snapshot:
        assert snapshot.value(_SENDS) == snapshot.value(_ACCEPTED) == snapshot.value(_CARDS) == len(keys)
        assert (
            len(log.of_kind(snapshot, it.owner, "send"))
            == len(log.of_kind(snapshot, person, "send"))
            == len(keys)
        )
        kept = dict(snapshot.all(_CLICKS))
        assert sum(kept.values()) >= answered
        assert snapshot.one(_SUMS) == (
            len(keys),
            kept.get("first", 0),
            kept.get("first", 0) + kept.get("repeat", 0),
        )


def test_acceptance(it: Exchanging) -> None:
    terms = duty.terms(it.agreement)
    assert terms is not None
    for sequence in range(1, 7):
        it.now = end_of(sequence)
        parcel = built(it, sequence).parcel("csv")
        with it.world.store.read() as snapshot:
            history = delivery.every(snapshot, terms.agreement_id, it.now)
        facts = delivery.receipt_of(delivery.judged(terms, parcel, history, (), it.now), it.now)

        def act(store: Any, receipt: str) -> Any:
            made = [delivery.accept, terms.agreement_id, facts, "csv", parcel.rows, parcel.manifest, receipt]  # noqa: B023
            ids = [os.urandom(16) for _ in range(2)]
            return store.write(*made, "streamflix-web", len(history), it.now, ids, [b"s" * 32] * 2)  # noqa: B023

        told = crashing(it, sequence + 1, lambda store: act(store, "one"))
        kept = act(it.world.store, "two")
        assert told is None or told == kept, "a receipt that was given stays"
    with it.world.store.read() as snapshot:
        assert len(snapshot.all(_REPORTS)) == len(log.of_kind(snapshot, log.STORE_OWNER, "report")) == 6
        assert snapshot.one(_SUMS) == (1, 0, 0)
