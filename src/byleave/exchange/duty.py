"""Whether an agreement's reports are in: what the gateway asks before every read and send.

Accepted reports stand in their table, waivers and outages of ours in the ledger; `deadline.standing` judges them.
Nothing else is stored, so a suspension begins and ends by itself.
"""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import bindparam, select

from byleave.consent import register
from byleave.consent.agreement import Agreement
from byleave.errors import Code, Denied, Invalid
from byleave.exchange import deadline
from byleave.exchange.deadline import DAY_MS, Accepted, Notice, Outage, Standing, Waiver, standing
from byleave.exchange.manifest import day_ms
from byleave.exchange.terms import DAYS, Terms, terms_of
from byleave.ledger import log
from byleave.ledger.entry import Act
from byleave.model import Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.tables import report

_ACCEPTED = prepare(
    select(report.c.sequence, report.c.received_at)
    .where(report.c.agreement_id == bindparam("agreement_id"))
    .order_by(report.c.received_at)
)


def terms(agreement: Agreement) -> Terms | None:
    """The reporting half of an agreement; None where it asks for no report."""
    return None if agreement.terms.report is None else _terms(agreement.payload())


@lru_cache(maxsize=64)
def _terms(payload: bytes) -> Terms:
    import orjson

    return terms_of(orjson.loads(payload))


def stands(snapshot: Snapshot, agreement: Agreement, now: Ms) -> Standing | None:
    """Every period of the agreement as of `now`; None where it asks for no report."""
    of = _terms_of(agreement)
    if of is None:
        return None
    accepted = tuple(Accepted(s, at) for s, at in snapshot.all(_ACCEPTED, agreement_id=agreement.id))
    waivers, outages = _spared(snapshot, agreement.id)
    return standing(of, accepted, waivers, outages, now)


def notices(snapshot: Snapshot, agreement: Agreement, since: Ms, until: Ms) -> list[Notice]:
    """What partner and operator are to be told in (`since`, `until`]; nothing where no report is asked for."""
    of = _terms_of(agreement)
    if of is None:
        return []
    accepted = tuple(Accepted(s, at) for s, at in snapshot.all(_ACCEPTED, agreement_id=agreement.id))
    return deadline.notices(of, accepted, *_spared(snapshot, agreement.id), since, until)


_KEPT: dict[int, tuple[Agreement, Terms | None]] = {}


def _terms_of(agreement: Agreement) -> Terms | None:
    """As `terms`, kept by the object: `register` keeps published agreements."""
    found = _KEPT.get(id(agreement))
    if found is None or found[0] is not agreement:
        if len(_KEPT) > 64:
            _KEPT.clear()
        found = _KEPT[id(agreement)] = (agreement, terms(agreement))
    return found[1]


def demand(snapshot: Snapshot, agreement_id: str | None, now: Ms) -> None:
    """Raises Denied(REPORT_OVERDUE) where a report that has not come suspends the agreement."""
    found = register.current(snapshot, agreement_id) if agreement_id else None
    of = None if found is None else _terms_of(found[0])
    if found is None or of is None:
        return
    # What is asked before every read: where every closed period has its report, nothing can be late.
    closed = (now - day_ms(of.anchor)) // (DAYS * DAY_MS)
    came = {row[0] for row in snapshot.all(_ACCEPTED, agreement_id=found[0].id) if row[1] <= now}
    if all(sequence in came for sequence in range(1, closed + 1)):
        return
    stand = stands(snapshot, found[0], now)
    if stand is not None and stand.suspended:
        late = [str(p.sequence) for p in stand.periods if p.state == "suspended"]
        raise Denied(Code.REPORT_OVERDUE, f"submit the report of period {', '.join(late)}; grants are kept")


def _spared(snapshot: Snapshot, agreement_id: str) -> tuple[tuple[Waiver, ...], tuple[Outage, ...]]:
    waivers, outages = [], {}
    for _, at, event in log.of_kind(snapshot, log.STORE_OWNER, "waiver"):
        assert isinstance(event, Act)
        facts = event.facts
        if "start" in facts:
            start, end = facts["start"], facts.get("end")
            if isinstance(start, int) and (end is None or isinstance(end, int)):
                outages[start] = Outage(start, end)  # told again, with its end: the later word counts
        elif facts.get("agreement") == agreement_id:
            sequence, until = facts["sequence"], facts.get("until")
            if isinstance(sequence, int) and (until is None or isinstance(until, int)):
                waivers.append(Waiver(sequence, at, until))
    return tuple(waivers), tuple(outages.values())


def waive(
    tx: Transaction, agreement_id: str, sequence: int, until: Ms | None, operator: str, now: Ms, entry_id: bytes,
    salt: bytes,
) -> None:  # fmt: skip
    """Procedure: an operator's waiver of one period, for good or `until`. Raises Invalid."""
    terms_named(tx, agreement_id)
    if sequence < 1 or (until is not None and until <= now):
        raise Invalid(Code.INVALID_ARGUMENTS, "sequences count from 1, and a waiver ends later than now")
    facts = {"agreement": agreement_id, "sequence": sequence, "until": until, "operator": operator}
    log.append(tx, log.STORE_OWNER, entry_id, "waiver", now, facts, salt)


def terms_named(snapshot: Snapshot, agreement_id: str) -> Terms:
    """The reporting half of a current agreement. Raises Invalid for one that is none, or asks for no reports."""
    found = register.current(snapshot, agreement_id)
    of = None if found is None else _terms_of(found[0])
    if of is None:
        raise Invalid(Code.NOT_FOUND, "no agreement of that id asks for reports")
    return of


def outage(
    tx: Transaction, start: Ms, end: Ms | None, operator: str, now: Ms, entry_id: bytes, salt: bytes
) -> None:
    """Procedure: reports could not be received from `start` until `end`, through our fault. Raises Invalid."""
    if start > now or (end is not None and not start < end <= now):
        raise Invalid(Code.INVALID_ARGUMENTS, "an outage lies in the past and ends after it starts")
    log.append(
        tx, log.STORE_OWNER, entry_id, "waiver", now, {"start": start, "end": end, "operator": operator}, salt
    )
