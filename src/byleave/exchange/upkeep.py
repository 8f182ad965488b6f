"""What the writer does for the exchange when a day is over or a deadline passed, with nobody asking.

Rules of this file:

1. Nothing depends on it: reports close days themselves and `duty` judges deadlines at every request. It only makes
   sure that the ledger says so at the time, and not when somebody next looks.
2. A notice of a deadline is an entry once, under the time at which it fell due. Nothing is sent anywhere (DESIGN.md,
   invariant 12): the partner's and the operator's pages and `GET /reports/notices` show the same.
3. A suspension and its end are entries of the public part; the last one tells what was said before, so that a
   restart says nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable

from byleave.consent import register
from byleave.exchange import duty, sums
from byleave.ledger import log
from byleave.ledger.entry import Act
from byleave.model import Ms
from byleave.store import Transaction

EVERY_MS = 60_000


def job(fresh_id: Callable[[], bytes], salt: Callable[[], bytes]) -> Callable[[Transaction, Ms], bool]:
    """The writer's job, once a minute; answers whether closed days are still to be swept."""
    last = -1
    sweeping: set[str] = set()
    open_from: dict[str, int] = {}

    def run(tx: Transaction, now: Ms) -> bool:
        nonlocal last
        if now // EVERY_MS != last:
            last = now // EVERY_MS
            judge(tx, now)
        for agreement_id in sorted(sweeping):
            if not sums.sweep(tx, agreement_id):
                sweeping.discard(agreement_id)
        return bool(sweeping)

    def judge(tx: Transaction, now: Ms) -> None:
        told = _told(tx)
        for agreement, status, _ in register.every(tx):
            if status == register.SUPERSEDED or agreement.terms.report is None:
                continue
            end = sums.close(tx, agreement.id, now, fresh_id(), salt())
            if open_from.get(agreement.id) != end:
                open_from[agreement.id] = end
                sweeping.add(agreement.id)
            for notice in duty.notices(tx, agreement, told.get(agreement.id, -1), now):
                said = {"agreement": agreement.id, "sequence": notice.sequence, "notice": notice.kind}
                log.append(
                    tx, log.STORE_OWNER, fresh_id(), "notice", now,
                    {**said, "to": [*notice.to], "due": notice.at}, salt(),
                )  # fmt: skip
            stand = duty.stands(tx, agreement, now)
            if stand is not None and stand.suspended != _said(tx, agreement.id):
                late = [p.sequence for p in stand.periods if p.state == "suspended"]
                facts = {"agreement": agreement.id, "suspended": stand.suspended, "periods": [*late]}
                log.append(tx, log.STORE_OWNER, fresh_id(), "suspension", now, facts, salt())

    return run


def _told(tx: Transaction) -> dict[str, Ms]:
    """Agreement → until when its notices are in the ledger."""
    return {
        str(event.facts["agreement"]): at
        for _, at, event in log.of_kind(tx, log.STORE_OWNER, "notice")
        if isinstance(event, Act)
    }


def _said(tx: Transaction, agreement_id: str) -> bool:
    """Whether the last entry about this agreement's reports is a suspension."""
    said = False
    for _, _, event in log.of_kind(tx, log.STORE_OWNER, "suspension"):
        if isinstance(event, Act) and event.facts.get("agreement") == agreement_id:
            said = bool(event.facts["suspended"])
    return said
