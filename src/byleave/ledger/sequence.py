"""From pending entries to a signed tree: the writer's job behind the answers.

An epoch takes what is pending, shuffles it, pads it to a multiple of `PAD` leaves (so that a public
checkpoint tells nothing of how much one person did), appends the blinded leaves, stores the tiles and signs a
checkpoint, in one transaction. A crash loses nothing: what was pending still is.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from sqlalchemy import bindparam, delete, insert, select, update

from byleave.errors import Absent, Code
from byleave.keys import Key, Keyring
from byleave.ledger.checkpoint import Checkpoint, Verifier
from byleave.ledger.entry import Kind, leaf, pad
from byleave.ledger.tiles import WIDTH, Fetch, Tree, tiles_of
from byleave.ledger.verify import Verdict, verify
from byleave.model import Ms
from byleave.store import Snapshot, Store, Transaction, prepare
from byleave.store.tables import checkpoint as checkpoint_table
from byleave.store.tables import entry, pending, tile
from byleave.store.tables import leaf as leaf_table

EPOCH_MS = 30_000
"""Pending entries are integrated at the latest after half of the minute that the spec gives."""
PAD = 8
MOST = 4096
"""Entries of one epoch at the most; the rest waits for the next."""

_SIZE = prepare(
    select(checkpoint_table.c.size, checkpoint_table.c.at, checkpoint_table.c.note)
    .order_by(checkpoint_table.c.size.desc())
    .limit(1)
)
_PENDING = prepare(
    select(pending.c.owner_id, pending.c.entry_id, entry.c.kind, entry.c.event, entry.c.salt)
    .join(entry, (entry.c.owner_id == pending.c.owner_id) & (entry.c.entry_id == pending.c.entry_id))
    .limit(MOST)
)
_ANY = prepare(select(pending.c.entry_id).limit(1))
_TAKEN = prepare(
    delete(pending).where(
        pending.c.owner_id == bindparam("of_owner"), pending.c.entry_id == bindparam("of_entry")
    )
)
_PLACED = prepare(
    update(entry)
    .values(leaf=bindparam("at_leaf"))
    .where(entry.c.owner_id == bindparam("of_owner"), entry.c.entry_id == bindparam("of_entry"))
)
_LEAF = prepare(insert(leaf_table))
_TILE = prepare(select(tile.c.data).where(tile.c.path == bindparam("path")))
_ADD_TILE = prepare(insert(tile))
_DROP_TILE = prepare(delete(tile).where(tile.c.path == bindparam("of_path")))
_NOTE = prepare(insert(checkpoint_table))
_EVENTS = prepare(
    select(leaf_table.c.leaf, entry.c.event, entry.c.salt)
    .join(entry, (entry.c.owner_id == leaf_table.c.owner_id) & (entry.c.entry_id == leaf_table.c.entry_id))
    .where(leaf_table.c.leaf >= bindparam("start"), leaf_table.c.leaf < bindparam("end"))
)


def origin_of(keyring: Keyring) -> str:
    """The log's name: one a store, made of its key."""
    return f"byleave.example/log/{keyring.active('ledger').thumbprint()[:16]}"


def integrate(tx: Transaction, now: Ms, key: Key, origin: str, *, at_once: bool = False) -> bool:
    """One epoch, if it is time (or `at_once`); answers whether more waits. The first makes the empty tree's
    checkpoint, so that there is always one to show."""
    head = tx.one(_SIZE)
    size, at = (head[0], head[1]) if head is not None else (0, 0)
    waiting = tx.one(_ANY) is not None
    if head is not None and (not waiting or (now - at < EPOCH_MS and not at_once)):
        return False
    rows = tx.all(_PENDING)
    rows.sort(key=lambda _: os.urandom(8))
    tree = Tree.restore(size, fetch_from(tx))
    partial = [place.name for place in tiles_of(size) if place.width != WIDTH]
    for owner_id, entry_id, kind, event, salt in rows:
        index = tree.append(leaf(Kind(kind), event, salt))
        tx.run(_LEAF, leaf=index, owner_id=owner_id, entry_id=entry_id)
        tx.run(_PLACED, of_owner=owner_id, of_entry=entry_id, at_leaf=index)
        tx.run(_TAKEN, of_owner=owner_id, of_entry=entry_id)
    while tree.size % PAD:
        tx.run(_LEAF, leaf=tree.append(pad(os.urandom(32))), owner_id=None, entry_id=None)
    for name in partial:
        tx.run(_DROP_TILE, of_path=name)
    for place, data in tree.flush():
        tx.run(_DROP_TILE, of_path=place.name)
        tx.run(_ADD_TILE, path=place.name, data=data)
    note = Checkpoint(origin, tree.size, tree.root()).sign(key)
    if head is None or tree.size != size:
        tx.run(_NOTE, size=tree.size, at=now, note=note.decode())
    return len(rows) == MOST


def fetch_from(snapshot: Snapshot) -> Fetch:
    """Tiles and checkpoint by their C2SP names. Raises Absent."""

    def fetch(name: str) -> bytes:
        if name == "checkpoint":
            head = snapshot.one(_SIZE)
            found = None if head is None else head[2].encode()
        else:
            found = snapshot.value(_TILE, path=name)
        if found is None:
            raise Absent(Code.ABSENT, "no such tile")
        return bytes(found)

    return fetch


def verify_store(store: Store, keyring: Keyring) -> Verdict:
    """Checks the store's own log: signature, every tile, every leaf, and each event beside the tree."""
    origin = origin_of(keyring)
    with store.read() as snapshot:
        kept: dict[int, tuple[bytes, bytes]] = {}
        start = -1

        def event_of(index: int) -> tuple[bytes, bytes] | None:
            nonlocal start, kept
            if not start <= index < start + 4096 or start < 0:
                start = index - index % 4096
                kept = {n: (e, s) for n, e, s in snapshot.all(_EVENTS, start=start, end=start + 4096)}
            return kept.get(index)

        verifiers = [Verifier.of(origin, key) for key in keyring.all("ledger")]
        return verify(fetch_from(snapshot), verifiers, origin=origin, event_of=event_of)


def job(keyring: Keyring) -> Callable[[Transaction, Ms], bool]:
    """`integrate` as a job of the writer."""
    key, origin = keyring.active("ledger"), origin_of(keyring)
    return lambda tx, now: integrate(tx, now, key, origin)
