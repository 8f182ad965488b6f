"""Who read what of mine: the follower that tells each concerned person, and the pages' questions.

`tell` is a job of the writer: it takes readings that nobody was told of yet and notes, inbox by inbox, whose
words they showed (spec ledger.md: within a second). It can be rebuilt from entry 0. Readings of purpose `owner`
stand nowhere but in the owner's own list, and own-agent readings tell a sender nothing but a month (DESIGN.md,
invariant 11: the log is no read receipt).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, insert, select, union_all

from byleave.consent import identity
from byleave.ledger import entry as entries
from byleave.ledger.entry import Reading
from byleave.model import Handle, Ms
from byleave.store import Snapshot, Transaction, among, prepare
from byleave.store.shelf import view_signal_of
from byleave.store.tables import entry, follow, handle, owner, read_of, view_gone, view_part, view_row

STEP = 64
"""Readings told in one transaction of the follower."""

_WAITING = prepare(
    select(follow.c.owner_id, follow.c.entry_id, entry.c.grant_id, entry.c.at, entry.c.event)
    .join(entry, (entry.c.owner_id == follow.c.owner_id) & (entry.c.entry_id == follow.c.entry_id))
    .order_by(follow.c.owner_id, follow.c.entry_id)
    .limit(STEP)
)
_DONE = prepare(
    delete(follow).where(
        follow.c.owner_id == bindparam("of_owner"), follow.c.entry_id == bindparam("of_entry")
    )
)
_SENDERS = prepare(
    union_all(
        select(view_row.c.sender).where(
            view_row.c.owner_id == bindparam("owner_id"), view_row.c.grant_id == bindparam("grant_id"),
            among(view_row.c.born, "borns"),
        ),
        select(view_gone.c.sender).where(
            view_gone.c.owner_id == bindparam("owner_id"), view_gone.c.grant_id == bindparam("grant_id"),
            among(view_gone.c.born, "borns"),
        ),
    )
)  # fmt: skip
_PARTS = prepare(
    select(view_part.c.handle, view_part.c.born)
    .where(
        view_part.c.owner_id == bindparam("owner_id"), view_part.c.grant_id == bindparam("grant_id"),
        among(view_part.c.born, "borns"),
    )
    .distinct()
)  # fmt: skip
_BEHIND = prepare(
    select(view_signal_of.c.handle, view_signal_of.c.born)
    .where(
        view_signal_of.c.owner_id == bindparam("owner_id"), view_signal_of.c.grant_id == bindparam("grant_id"),
        among(view_signal_of.c.born, "borns"),
    )
    .distinct()
)  # fmt: skip
_TELL = prepare(insert(read_of))
_OF_OWNER = prepare(
    select(entry.c.event)
    .where(entry.c.owner_id == bindparam("owner_id"), entry.c.kind == "reading")
    .order_by(entry.c.at.desc(), entry.c.entry_id.desc())
    .limit(bindparam("n"))
)
_OWNERS = prepare(select(owner.c.owner_id))
_OF_PERSON = prepare(
    select(read_of.c.at, read_of.c.messages, entry.c.event)
    .join(entry, (entry.c.owner_id == read_of.c.owner_id) & (entry.c.entry_id == read_of.c.entry_id))
    .join(handle, (handle.c.owner_id == read_of.c.owner_id) & (handle.c.handle == read_of.c.handle))
    .where(read_of.c.owner_id == bindparam("owner_id"), handle.c.value == bindparam("value"))
)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One reading as a person is told of it. `messages` counts theirs (a sender) or all of it (the owner)."""

    at: Ms
    partner: str | None
    operative: str
    purpose: str
    grant: str
    level: str
    messages: int
    endpoint: str
    agreement: str | None
    case: str | None


def tell(tx: Transaction, now: Ms) -> bool:
    """A job of the writer: one step of the follower; answers whether more waits."""
    rows = tx.all(_WAITING)
    for owner_id, entry_id, grant_id, at, event in rows:
        reading = entries.decode(event)
        assert isinstance(reading, Reading)
        if reading.purpose != "owner":
            where = {"owner_id": owner_id, "grant_id": grant_id, "borns": reading.messages()}
            senders = tx.all(_SENDERS, **where) + [
                (h,) for h, _ in [*tx.all(_PARTS, **where), *tx.all(_BEHIND, **where)]
            ]
            told = [
                {"owner_id": owner_id, "handle": h, "entry_id": entry_id, "at": at, "messages": n}
                for h, n in Counter(s for (s,) in senders).items()
                if h != identity.UNKNOWN
            ]
            tx.many(_TELL, told)
        tx.run(_DONE, of_owner=owner_id, of_entry=entry_id)
    return len(rows) == STEP


def of_owner(snapshot: Snapshot, owner_id: bytes, most: int = 1000) -> list[Told]:
    """Every reading of an inbox, newest first: owners see all of them."""
    readings = (entries.decode(event) for (event,) in snapshot.all(_OF_OWNER, owner_id=owner_id, n=most))
    return [_told(r, len(r.messages())) for r in readings if isinstance(r, Reading)]


def of_person(snapshot: Snapshot, value: Handle) -> list[Told]:
    """Partners' readings of one person's words in every inbox, newest first; never whose inbox."""
    found: list[Told] = []
    for (owner_id,) in snapshot.all(_OWNERS):
        for _, messages, event in snapshot.all(_OF_PERSON, owner_id=owner_id, value=value):
            reading = entries.decode(event)
            if isinstance(reading, Reading) and reading.partner is not None:
                found.append(_told(reading, messages))
    return sorted(found, key=lambda t: t.at, reverse=True)


def read_by_an_assistant(snapshot: Snapshot, value: Handle) -> set[str]:
    """Months (YYYY-MM) in which some owner's assistant read words of this person: no time, no inbox."""
    months: set[str] = set()
    for (owner_id,) in snapshot.all(_OWNERS):
        for at, _, event in snapshot.all(_OF_PERSON, owner_id=owner_id, value=value):
            reading = entries.decode(event)
            if isinstance(reading, Reading) and reading.purpose == "own-agent":
                from datetime import UTC, datetime

                months.add(datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m"))
    return months


def _told(reading: Reading, messages: int) -> Told:
    return Told(
        at=reading.at, partner=reading.partner, operative=reading.operative, purpose=reading.purpose,
        grant=reading.grant, level=reading.level, messages=messages, endpoint=reading.endpoint,
        agreement=reading.agreement, case=reading.case,
    )  # fmt: skip


def as_json(told: Told) -> dict[str, Any]:
    """A reading as `byleave ledger show` prints it."""
    from byleave.words.fragment import rfc3339

    return {**msgspec.to_builtins(told), "at": rfc3339(told.at)}
