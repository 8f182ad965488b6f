"""Append now, integrate later.

`append` writes an entry into its owner's part of the store in the caller's transaction: durable when that
commits, and nothing waits for the tree. `integrate` is a job of the writer: it takes what is pending,
shuffles it (so that a public checkpoint tells nothing of whose act came first), gives each entry its leaf and
signs a checkpoint (spec/ledger.md; Tessera's way). A leaf is blinded: without salt and event it says nothing.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, insert, select

from byleave.ledger.entry import Act, Event, Kind, decode, encode
from byleave.model import Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.tables import entry, pending

STORE_OWNER = bytes(16)
"""Owner of the entries that are about the store itself: agreements, clients, keys."""

_ENTRY = prepare(insert(entry))
_PENDING = prepare(insert(pending))
_OF_KIND = prepare(
    select(entry.c.entry_id, entry.c.at, entry.c.event)
    .where(entry.c.owner_id == bindparam("owner_id"), entry.c.kind == bindparam("kind"))
    .order_by(entry.c.at, entry.c.entry_id)
)


def append(
    tx: Transaction,
    owner_id: bytes,
    entry_id: bytes,
    kind: str,
    now: Ms,
    facts: dict[str, Any] | bytes,
    salt: bytes,
    grant_id: bytes | None = None,
) -> None:
    """One entry in the ledger. `entry_id` is 16 bytes (UUIDv7), `salt` 32 random bytes; `facts` of an act, or
    the canonical bytes of an event already encoded (`entry.encode`)."""
    event = facts if isinstance(facts, bytes) else encode(Act(kind=Kind(kind), at=now, facts=facts))
    tx.run(
        _ENTRY,
        owner_id=owner_id,
        entry_id=entry_id,
        kind=kind,
        at=now,
        grant_id=grant_id,
        event=event,
        salt=salt,
        leaf=None,
    )
    tx.run(_PENDING, owner_id=owner_id, entry_id=entry_id)


def of_kind(snapshot: Snapshot, owner_id: bytes, kind: str) -> list[tuple[bytes, Ms, Event]]:
    """(entry id, time, event) of one owner's entries of one kind, oldest first."""
    return [(r[0], r[1], decode(r[2])) for r in snapshot.all(_OF_KIND, owner_id=owner_id, kind=kind)]
