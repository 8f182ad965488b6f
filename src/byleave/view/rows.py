"""When view rows come and go: tasks of filling, and consent changes that bind before the next answer.

A no is at once: `apply` works every numbered consent change into a grant before its next answer. A yes may take its
time: `apply` leaves a task, `work` does it, oldest first. Each is one transaction (`filling`).
"""

from __future__ import annotations

from sqlalchemy import bindparam, delete, func, insert, select

from byleave.consent import choice, grant
from byleave.consent.grant import Grant
from byleave.model import Level, Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.tables import fill
from byleave.store.tables import grant as grant_table
from byleave.view import signals
from byleave.view.allowed import BEGINNING, EVERY, OF_IMPORT, OF_SENDER, slow_path
from byleave.view.filling import CHATS, Filling, references_of

STEP = 4096
"""Records that one act of a first fill looks at."""
__all__ = ["CHATS", "apply", "enqueue", "lags", "references_of", "work", "work_any"]

_TASK = prepare(
    select(fill.c.task, fill.c.import_id, fill.c.handle)
    .where(fill.c.owner_id == bindparam("owner_id"), fill.c.grant_id == bindparam("grant_id"))
    .order_by(fill.c.task)
    .limit(1)
)
_WHOLE = prepare(
    select(fill.c.task).where(
        fill.c.owner_id == bindparam("owner_id"), fill.c.grant_id == bindparam("grant_id"), fill.c.import_id.is_(None),
        fill.c.handle.is_(None),
    )
)  # fmt: skip
_ANY_TASK = prepare(select(fill.c.owner_id, fill.c.grant_id).limit(1))
_NEXT_TASK = prepare(
    select(func.coalesce(func.max(fill.c.task), 0) + 1).where(
        fill.c.owner_id == bindparam("owner_id"), fill.c.grant_id == bindparam("grant_id")
    )
)
_ADD_TASK = prepare(insert(fill))
_DONE = prepare(
    delete(fill).where(
        fill.c.owner_id == bindparam("owner_id"),
        fill.c.grant_id == bindparam("grant_id"),
        fill.c.task == bindparam("task"),
    )
)
_LAGGING = prepare(
    select(grant_table.c.owner_id, grant_table.c.grant_id)
    .where(grant_table.c.applied < bindparam("number"), grant_table.c.revoked_at.is_(None))
    .limit(1)
)


# ── procedures ──────────────────────────────────────────────────────────────────────────────────────────────
def enqueue(
    tx: Transaction,
    owner_id: bytes,
    grant_id: bytes,
    import_id: bytes | None = None,
    handle: int | None = None,
) -> None:
    """Leaves a task of filling for `work`, in the transaction that gave cause for it."""
    task = tx.value(_NEXT_TASK, owner_id=owner_id, grant_id=grant_id)
    tx.run(_ADD_TASK, owner_id=owner_id, grant_id=grant_id, task=task, import_id=import_id, handle=handle)


def work(tx: Transaction, owner_id: bytes, grant_id: bytes, now: Ms) -> bool:
    """Does the oldest task of a grant; answers whether there was one. A no that waits comes first: a yes must not
    carry the grant's numbers past it. The first fill of a grant, which may be of a whole inbox, goes in steps;
    the grant shows nothing until the last is done. Later ones are whole."""
    task = tx.one(_TASK, owner_id=owner_id, grant_id=grant_id)
    if task is None:
        return work_titles(tx, owner_id, grant_id, now)
    apply(tx, owner_id, grant_id, now)
    number, import_id, handle = task
    found = grant.find(tx, owner_id, grant_id)
    filling = Filling(tx, found, now, places=import_id is None)
    after, most = filling.after or BEGINNING, STEP if found.seq == 0 else EVERY
    if import_id is not None:
        at = {"owner_id": owner_id, "import_id": import_id, "after": after[0], "after_id": after[1]}
        if filling.take(tx.stream(OF_IMPORT, **at, most=most)) == most:
            return filling.pause()
        filling.sittings.owe_import(import_id)
    elif handle is not None:
        filling.take(tx.stream(OF_SENDER, owner_id=owner_id, sender=handle))
        filling.take_parts(handle)
        filling.name(handle)
        filling.sittings.owe_sender(handle)
    else:
        if filling.take(slow_path(tx, filling.compiled, after, most)) == most:
            return filling.pause()
        filling.sittings.owe_all()
    filling.after = None
    filling.finish()
    tx.run(_DONE, owner_id=owner_id, grant_id=grant_id, task=number)
    return True


def work_titles(tx: Transaction, owner_id: bytes, grant_id: bytes, now: Ms) -> bool:
    """Makes some of the signals that are owed to a grant; answers whether there were any."""
    apply(tx, owner_id, grant_id, now)
    filling = Filling(tx, grant.find(tx, owner_id, grant_id), now)
    found = filling.sittings.work()
    if found:
        filling.finish()
    return found


def work_any(tx: Transaction, now: Ms) -> bool:
    """A job of the writer: one step for whichever grant waits, first a no, then a yes."""
    lagging = tx.one(_LAGGING, number=choice.consent_version(tx))
    if lagging is not None:
        apply(tx, lagging[0], lagging[1], now)
        return True
    waiting = tx.one(_ANY_TASK) or tx.one(signals.ANY_DUE)
    return waiting is not None and work(tx, waiting[0], waiting[1], now)


def apply(tx: Transaction, owner_id: bytes, grant_id: bytes, now: Ms) -> None:
    """Works every consent change, and a ceiling that has moved, into a grant's rows. A no is done when this
    returns; for a yes a task is left."""
    found = grant.find(tx, owner_id, grant_id)
    if found.for_owner and found.applied == choice.consent_version(tx):
        return
    if not found.for_owner and not lags(tx, found, grant.ceiling(tx, found, now)):
        return
    filling = Filling(tx, found, now, places=False)
    if not found.for_owner:
        # A task for the whole inbox that waits, and has not begun, fills what any other would.
        whole = filling.after is None and tx.one(_WHOLE, owner_id=owner_id, grant_id=grant_id) is not None
        for handle in filling.concerned(choice.changes_after(tx, found.applied)):
            filling.sittings.at_once(handle)
            filling.lower(handle)
            if not whole:
                enqueue(tx, owner_id, grant_id, handle=handle)
        if filling.compiled.ceiling != found.filled_policy:
            filling.lower_all()
            if filling.compiled.ceiling > found.filled_policy and not whole:
                enqueue(tx, owner_id, grant_id)
    filling.finish()


def lags(snapshot: Snapshot, found: Grant, ceiling: Level) -> bool:
    """Must `apply` run before this grant may answer?"""
    return found.applied < choice.consent_version(snapshot) or found.filled_policy != ceiling
