"""The platform's own figures: sends and clicks by UTC day and cell, kept per owner and closed once a day is over.

Rules of this file:

1. A count is written in the transaction of the send or click that it counts: neither stands without the other.
2. A day that is over is closed: its sums over all owners become rows of their own and an entry in the ledger,
   and never change. What comes late counts on the first day that is open.
3. Reports are reconciled with closed sums alone; nothing here names a person.
4. What is closed is swept away, so that closing a day reads the rows of days that are open, and no others.

A day is whole days since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, tuple_, update

from byleave.exchange.terms import Cell
from byleave.ledger import log
from byleave.model import Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.tables import closed_until, count_epoch, send_count

DAY_MS = 86_400_000
SETTLES_MS = 600_000
"""A day is closed ten minutes after its end: no worker's clock is further behind."""
SWEPT = 2_000
"""Rows that one step of the writer destroys."""
_EPOCH = date(1970, 1, 1)

_c = send_count.c
_MINE = (
    _c.owner_id == bindparam("of_owner"),
    _c.agreement_id == bindparam("of_agreement"),
    _c.day == bindparam("of_day"),
    _c.interface == bindparam("of_interface"),
    _c.surface == bindparam("of_surface"),
    _c.variant == bindparam("of_variant"),
)
_ADD = prepare(
    update(send_count)
    .values(
        sends=_c.sends + bindparam("more_sends"),
        recipient_clicks=_c.recipient_clicks + bindparam("more_first"),
        clicks_total=_c.clicks_total + bindparam("more_clicks"),
    )
    .where(*_MINE)
)
_BEGIN = prepare(insert(send_count))
_CELL = (_c.interface, _c.surface, _c.variant)
_SUMS = prepare(
    select(_c.day, *_CELL, func.sum(_c.sends), func.sum(_c.recipient_clicks), func.sum(_c.clicks_total))
    .where(
        _c.agreement_id == bindparam("agreement_id"), _c.day >= bindparam("start"), _c.day < bindparam("end")
    )
    .group_by(_c.day, *_CELL)
    .order_by(_c.day, *_CELL)
)
_KEY = tuple_(*(send_count.c[column.name] for column in send_count.primary_key))
_SWEEP = prepare(
    delete(send_count).where(
        _KEY.in_(
            select(*send_count.primary_key.columns)
            .where(_c.agreement_id == bindparam("agreement_id"), _c.day < bindparam("end"))
            .limit(bindparam("most"))
        )
    )
)
_CLOSED = prepare(select(closed_until.c.day).where(closed_until.c.agreement_id == bindparam("agreement_id")))
_MOVE = prepare(
    update(closed_until)
    .values(day=bindparam("to_day"))
    .where(closed_until.c.agreement_id == bindparam("of_agreement"))
)
_FIRST = prepare(insert(closed_until))
_KEEP = prepare(insert(count_epoch))
_e = count_epoch.c
_KEPT = prepare(
    select(_e.day, _e.interface, _e.surface, _e.variant, _e.sends, _e.recipient_clicks, _e.clicks_total)
    .where(
        _e.agreement_id == bindparam("agreement_id"), _e.day >= bindparam("start"), _e.day < bindparam("end")
    )
    .order_by(_e.day, _e.interface, _e.surface, _e.variant)
)


def day_of(now: Ms) -> int:
    return now // DAY_MS


def date_of(day: int) -> date:
    return _EPOCH + timedelta(days=day)


def number_of(day: date) -> int:
    return (day - _EPOCH).days


def open_day(snapshot: Snapshot, agreement_id: str, now: Ms) -> int:
    """The day on which something that happens now is counted."""
    return max(day_of(now), int(snapshot.value(_CLOSED, agreement_id=agreement_id) or 0))


def add(
    tx: Transaction, owner_id: bytes, agreement_id: str, day: int, cell: Cell, *, sends: int = 0, first: int = 0,
    clicks: int = 0,
) -> None:  # fmt: skip
    """Adds to one owner's sums of `day`, which must be open."""
    where = {
        "of_owner": owner_id, "of_agreement": agreement_id, "of_day": day, "of_interface": cell.interface,
        "of_surface": cell.surface, "of_variant": cell.variant,
    }  # fmt: skip
    if tx.run(_ADD, **where, more_sends=sends, more_first=first, more_clicks=clicks) == 0:
        tx.run(
            _BEGIN, owner_id=owner_id, agreement_id=agreement_id, day=day, **cell._asdict(), sends=sends,
            recipient_clicks=first, clicks_total=clicks,
        )  # fmt: skip


def close(tx: Transaction, agreement_id: str, now: Ms, entry_id: bytes, salt: bytes) -> int:
    """Procedure: closes every day that is over; answers the first one that is open. Closing twice changes
    nothing."""
    end = day_of(now - SETTLES_MS)
    start = tx.value(_CLOSED, agreement_id=agreement_id)
    if start is not None and start >= end:
        return int(start)
    rows = tx.all(_SUMS, agreement_id=agreement_id, start=start or 0, end=end)
    names = [column.name for column in count_epoch.columns]
    tx.many(_KEEP, [dict(zip(names, (agreement_id, *row), strict=True)) for row in rows])
    if start is None:
        tx.run(_FIRST, agreement_id=agreement_id, day=end)
    else:
        tx.run(_MOVE, of_agreement=agreement_id, to_day=end)
    if not rows:
        return end
    totals = [sum(row[i] for row in rows) for i in (4, 5, 6)]
    facts: dict[str, Any] = {
        "agreement": agreement_id, "until": date_of(end).isoformat(), "sends": totals[0], "recipient_clicks": totals[1],
        "clicks_total": totals[2],
        "cells": [",".join((date_of(r[0]).isoformat(), *r[1:4], *map(str, r[4:]))) for r in rows],
    }  # fmt: skip
    log.append(tx, log.STORE_OWNER, entry_id, "clicks", now, facts, salt)
    return end


def sweep(tx: Transaction, agreement_id: str, most: int = SWEPT) -> bool:
    """Procedure: destroys owners' sums of closed days, `most` rows at a time; whether there may be more of them."""
    end = int(tx.value(_CLOSED, agreement_id=agreement_id) or 0)
    return tx.run(_SWEEP, agreement_id=agreement_id, end=end, most=most) == most


def closed(
    snapshot: Snapshot, agreement_id: str, first: date, last: date
) -> Mapping[tuple[date, Cell], tuple[int, int, int]]:
    """(sends, recipient_clicks, clicks_total) by day and cell, of closed days from `first` to `last`, both included."""
    found = snapshot.all(_KEPT, agreement_id=agreement_id, start=number_of(first), end=number_of(last) + 1)
    return {(date_of(row[0]), Cell(*row[1:4])): (row[4], row[5], row[6]) for row in found}
