"""Rows that count for a while only: tokens, sessions, dialogues and used proofs go once they have expired.

Whoever reads such a row looks at its `expires_at` first, so that an expired row is as good as none; this job keeps
the tables from growing for ever. A grace lets a late second use of a code still be told from an unknown one.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import bindparam, delete, select

from byleave.store import Transaction, prepare, tables

EVERY_MS = 10_000
STEP = 500
"""Rows of one table that go in one step."""
GRACE_MS = 3_600_000
NO_GRACE = {"proof_used"}
"""Its `expires_at` already lies behind the last moment at which the proof would be taken."""

_EXPIRING = [t for t in tables.metadata.sorted_tables if "hash" in t.c and "expires_at" in t.c]
_FORGET = {
    t.name: prepare(
        delete(t).where(
            t.c.hash.in_(select(t.c.hash).where(t.c.expires_at < bindparam("before")).limit(bindparam("n")))
        )
    )
    for t in _EXPIRING
}


def forget(tx: Transaction, now: int) -> bool:
    """Deletes one step of what has expired; answers whether there may be more."""
    gone = [
        tx.run(statement, before=now - (0 if name in NO_GRACE else GRACE_MS), n=STEP)
        for name, statement in _FORGET.items()
    ]
    return max(gone) == STEP


def job() -> Callable[[Transaction, int], bool]:
    """The writer's job: looks every ten seconds, and goes on for as long as there is more."""
    due = 0

    def run(tx: Transaction, now: int) -> bool:
        nonlocal due
        if now < due:
            return False
        more = forget(tx, now)
        due = 0 if more else now + EVERY_MS
        return more

    return run
