"""What an import writes, and when it counts: the procedures of the way in.

Everything stands under an import id that no view, count or export sees until `publish` commits, in one
transaction; what an import that died has left behind is taken back by the next.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, tuple_, update

from byleave.consent import grant, identity
from byleave.errors import Code, Conflict
from byleave.model import Level, Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.bodies import fragment as fragment_table
from byleave.store.bodies import part as part_table
from byleave.store.bodies import raw as raw_table
from byleave.store.bodies import record as record_table
from byleave.store.tables import (
    conversation,
    fill,
    folder,
    handle,
    importing,
    link,
    member,
    message,
    name_seen,
    owner,
)

_BY_NAME = prepare(select(owner.c.owner_id).where(owner.c.name == bindparam("name")))
_OWNERS = prepare(select(owner.c.owner_id, owner.c.name).order_by(owner.c.created_at, owner.c.owner_id))
_ADD_OWNER = prepare(insert(owner))
_ADD_HANDLE = prepare(insert(handle))
_CLAIM = prepare(
    update(handle)
    .values(own=1, person=bindparam("to_person"))
    .where(handle.c.owner_id == bindparam("owner_id"), handle.c.value == bindparam("of_value"))
)
_NAME = prepare(
    update(handle)
    .values(name=bindparam("to_name"))
    .where(
        handle.c.owner_id == bindparam("owner_id"),
        handle.c.value == bindparam("of_value"),
        handle.c.name == "",
    )
)
_ADD_NAME = prepare(insert(name_seen))
_ADD_CONVERSATION = prepare(insert(conversation))
_MOVE_HORIZON = prepare(
    update(conversation)
    .values(horizon=bindparam("to"))
    .where(
        conversation.c.owner_id == bindparam("owner_id"), conversation.c.conversation == bindparam("number")
    )
)
_ADD_MEMBER = prepare(insert(member))
_ADD_FOLDER = prepare(insert(folder))
_ADD_MESSAGE = prepare(insert(message))
_ADD_LINK = prepare(insert(link))
_ADD_RAW = prepare(insert(raw_table))
_ADD_RECORD = prepare(insert(record_table))
_ADD_FRAGMENT = prepare(insert(fragment_table))
_ADD_PART = prepare(insert(part_table))
_START = prepare(insert(importing))
_PUBLISH = prepare(
    update(importing)
    .values(published_at=bindparam("now"))
    .where(
        importing.c.owner_id == bindparam("owner_id"), importing.c.import_id == bindparam("import_id"),
        importing.c.published_at.is_(None),
    )
)  # fmt: skip
_WAITS = prepare(
    select(importing.c.import_id).where(
        importing.c.owner_id == bindparam("owner_id"), importing.c.import_id == bindparam("import_id"),
        importing.c.published_at.is_(None),
    )
)  # fmt: skip
_EDITS = prepare(
    select(message.c.conversation, message.c.native, message.c.replaces).where(
        message.c.owner_id == bindparam("owner_id"),
        message.c.import_id == bindparam("import_id"),
        message.c.replaces.is_not(None),
    )
)
_REPLACE = prepare(
    update(message)
    .values(replaced_at=bindparam("now"))
    .where(
        message.c.owner_id == bindparam("of_owner"), message.c.conversation == bindparam("place"),
        message.c.native == bindparam("of_native"), message.c.id == bindparam("of_id"),
    )
)  # fmt: skip
_UNFINISHED = prepare(
    select(importing.c.owner_id, importing.c.import_id).where(importing.c.published_at.is_(None))
)
_THEIR_KEYS = select(message.c.sender, message.c.received_at, message.c.id).where(
    message.c.owner_id == bindparam("owner_id"), message.c.import_id == bindparam("import_id")
)
_THEIR_IDS = select(message.c.id).where(
    message.c.owner_id == bindparam("owner_id"), message.c.import_id == bindparam("import_id")
)
_DROP = [
    prepare(delete(table).where(table.c.owner_id == bindparam("owner_id"), table.c.id.in_(_THEIR_IDS)))
    for table in (link, raw_table, record_table, part_table)
] + [
    prepare(
        delete(table).where(
            table.c.owner_id == bindparam("owner_id"), tuple_(table.c.sender, table.c.received_at, table.c.id).in_(_THEIR_KEYS)
        )
    )
    for table in (fragment_table, message)
] + [prepare(delete(importing).where(importing.c.owner_id == bindparam("owner_id"), importing.c.import_id == bindparam("import_id")))]  # fmt: skip
_GRANTS_TASK = prepare(
    select(func.coalesce(func.max(fill.c.task), 0) + 1).where(
        fill.c.owner_id == bindparam("owner_id"), fill.c.grant_id == bindparam("grant_id")
    )
)
_ADD_TASK = prepare(insert(fill))


# ── owners ──────────────────────────────────────────────────────────────────────────────────────────────────
def owners(snapshot: Snapshot) -> dict[str, bytes]:
    """name → owner id, oldest first."""
    return {name: owner_id for owner_id, name in snapshot.all(_OWNERS)}


def make_owner(
    tx: Transaction, name: str, owner_id: bytes, grant_id: bytes, entry_id: bytes, salt: bytes, now: Ms
) -> None:
    """Procedure: an inbox is born with one grant of purpose `owner`, so that its owner comes by the one door."""
    if tx.one(_BY_NAME, name=name) is not None:
        return
    tx.run(_ADD_OWNER, owner_id=owner_id, name=name, created_at=now)
    values: dict[str, Any] = {
        "owner_id": owner_id, "grant_id": grant_id, "purpose": "owner", "level": int(Level.FULL),
        "agreement_id": None, "partner": None, "client_id": None, "conversations": '{"mode":"all","of":[]}',
        "period_from": None, "period_to": None, "unanswered": int(Level.FULL), "created_at": now,
        "expires_at": grant.FOREVER, "revoked_at": None, "seq": 0, "applied": 0, "filled_policy": 0,
    }  # fmt: skip
    grant.create(tx, values, entry_id, salt)


# ── procedures ──────────────────────────────────────────────────────────────────────────────────────────────
def start(tx: Transaction, owner_id: bytes, import_id: bytes, source: str, now: Ms) -> None:
    """Begins an import. What an import that died has left behind in this inbox goes first."""
    for of_owner, dead in tx.all(_UNFINISHED):
        if of_owner == owner_id:
            discard(tx, owner_id, dead)
    tx.run(_START, owner_id=owner_id, import_id=import_id, source=source, started_at=now, published_at=None)


def write(tx: Transaction, owner_id: bytes, import_id: bytes, rows: dict[str, list[dict[str, Any]]]) -> None:
    _still_ours(tx.one(_WAITS, owner_id=owner_id, import_id=import_id) is not None)
    for name, statement in _WRITERS:
        tx.many(statement, rows[name])


def _still_ours(is_so: bool) -> None:
    if not is_so:
        raise Conflict(Code.CONFLICT, "another import into this inbox came between; import again")


_WRITERS = (
    ("message", _ADD_MESSAGE), ("link", _ADD_LINK), ("raw", _ADD_RAW), ("record", _ADD_RECORD), ("fragment", _ADD_FRAGMENT),
    ("part", _ADD_PART),
)  # fmt: skip
_FRESH = (
    ("handle", _ADD_HANDLE), ("claim", _CLAIM), ("named", _NAME), ("name", _ADD_NAME), ("conversation", _ADD_CONVERSATION),
    ("member", _ADD_MEMBER), ("folder", _ADD_FOLDER),
)  # fmt: skip


def publish(
    tx: Transaction,
    owner_id: bytes,
    import_id: bytes,
    now: Ms,
    fresh: dict[str, list[dict[str, Any]]],
    horizons: list[list[int]],
) -> None:
    """The moment an import counts: until this commits nobody sees any of it. Leaves a task for every grant.

    Raises Conflict where another import into this inbox came between: the numbers given out may be taken."""
    _still_ours(tx.run(_PUBLISH, owner_id=owner_id, import_id=import_id, now=now) == 1)
    for name, statement in _FRESH:
        tx.many(statement, fresh[name])
    edits = tx.all(_EDITS, owner_id=owner_id, import_id=import_id)
    tx.many(
        _REPLACE,
        [{"of_owner": owner_id, "place": c, "of_native": n, "of_id": r, "now": now} for c, n, r in edits],
    )
    tx.many(_MOVE_HORIZON, [{"owner_id": owner_id, "number": number, "to": at} for number, at in horizons])
    claimed = [identity.number_in(tx, owner_id, claim["of_value"]) for claim in fresh["claim"]]
    if claimed:
        identity.claimed(tx)
    for found in grant.of_owner(tx, owner_id):
        if found.revoked_at is None:
            at_grant = {"owner_id": owner_id, "grant_id": found.grant_id}
            task = tx.value(_GRANTS_TASK, **at_grant)
            tx.run(_ADD_TASK, **at_grant, task=task, import_id=import_id, handle=None)
            for n, known in enumerate(claimed, 1):  # words that were another's are the owner's own now
                if known is not None and not found.for_owner:
                    tx.run(_ADD_TASK, **at_grant, task=task + n, import_id=None, handle=known[0])


def discard(tx: Transaction, owner_id: bytes, import_id: bytes) -> None:
    """Takes back an import that was not published."""
    for statement in _DROP:
        tx.run(statement, owner_id=owner_id, import_id=import_id)


def discard_unfinished(tx: Transaction) -> int:
    """Takes back every import whose process died before it published; answers how many."""
    unfinished = tx.all(_UNFINISHED)
    for owner_id, import_id in unfinished:
        discard(tx, owner_id, import_id)
    return len(unfinished)
