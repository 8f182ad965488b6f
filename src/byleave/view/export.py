"""The owner's own export and address book, through the owner's grant like everything else."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson
from sqlalchemy import bindparam, func, select

from byleave.consent import choice, grant
from byleave.consent.purpose import PURPOSES
from byleave.consent.purpose import Who as Whose
from byleave.errors import Absent, Code
from byleave.model import Handle, Level, Ms, Record
from byleave.store import Snapshot, Store, prepare
from byleave.store.bodies import record
from byleave.store.tables import conversation, handle, view_row
from byleave.view import View, open_view
from byleave.view.reading import Who
from byleave.words.fragment import rfc3339

BATCH = 1000
_MINE = (view_row.c.owner_id == bindparam("owner_id"), view_row.c.grant_id == bindparam("grant_id"))
_PAGE = prepare(
    select(view_row.c.born, view_row.c.sender, record.c.body)
    .join(record, (record.c.owner_id == view_row.c.owner_id) & (record.c.id == view_row.c.id))
    .where(*_MINE, view_row.c.born > bindparam("after"))
    .order_by(view_row.c.born)
    .limit(BATCH)
)
_PEOPLE = prepare(
    select(handle.c.value, handle.c.name, handle.c.own, handle.c.person, func.count(view_row.c.id))
    .join(view_row, (view_row.c.owner_id == handle.c.owner_id) & (view_row.c.sender == handle.c.handle) & (view_row.c.grant_id == bindparam("grant_id")))
    .where(handle.c.owner_id == bindparam("owner_id"), handle.c.handle > 0)
    .group_by(handle.c.handle)
    .order_by(func.count(view_row.c.id).desc(), handle.c.value)
)  # fmt: skip

_SOURCES = prepare(
    select(conversation.c.source, func.count(view_row.c.conversation.distinct()), func.count())
    .join(view_row, (view_row.c.owner_id == conversation.c.owner_id) & (view_row.c.conversation == conversation.c.conversation))
    .where(*_MINE)
    .group_by(conversation.c.source)
)  # fmt: skip


def lines(store: Store, owner_id: bytes, ids: bytes, now: Ms) -> Iterator[bytes]:
    """One JSON object a record (sources.md, "Interface"), in the order in which they came to the inbox. A page
    is yielded once its reading is durable; a page that a change overtook is read again."""
    after = 0
    while True:
        with store.read() as snapshot:
            view = owner_view(snapshot, owner_id, ids, now)
            page = snapshot.all(_PAGE, **view.mine, after=after)
        if not page:
            return
        view.reading.saw("export", [b for b, *_ in page])
        body = b"\n".join(_line(body) for *_, body in page)
        who = Who(account=view.account_id, purpose="owner", operative="console")
        yield view.reading.release_now(store, body, now, who).body
        after = page[-1][0]


def owner_view(snapshot: Snapshot, owner_id: bytes, ids: bytes, now: Ms) -> View:
    """The view of an inbox's own grant. Raises Absent."""
    for found in grant.of_owner(snapshot, owner_id):
        if found.for_owner and (view := open_view(snapshot, found, ids, now)) is not None:
            return view
    raise Absent(Code.ABSENT, "no such inbox")


def _line(body: bytes) -> bytes:
    found: Record = msgspec.msgpack.decode(
        zlib.decompress(body[1:]) if body[:1] == b"z" else body[1:], type=Record
    )
    return orjson.dumps(
        {
            "source": found.source, "conversation": found.conversation, "id": found.id, "sender": found.sender,
            "sender_name": found.sender_name, "sent_at": _time(found.sent_at), "sent_at_quality": found.quality.value,
            "kind": found.kind.value, "text": found.text, "reply_to": found.reply_to,
            "edited_at": _time(found.edited_at),
            "reactions": [
                {"emoji": r.emoji, "actor": r.actor, "actor_name": r.actor_name, "at": _time(r.at)} for r in found.reactions
            ],
            "attachments": [{"name": a.name, "type": a.type, "size": a.size} for a in found.attachments],
        }
    )  # fmt: skip


def _time(ms: Ms | None) -> str | None:
    return None if ms is None else rfc3339(ms)


def people(store: Store, owner_id: bytes, now: Ms) -> list[dict[str, Any]]:
    """[{handle, name, messages, visible_for}]: handles with the number of their messages, and the purposes for
    which a yes makes them visible. A no and a silence look alike (consent.md, "Whose no is nobody's business")."""
    with store.read() as snapshot:
        grants = grant.of_owner(snapshot, owner_id)
        own = next((g for g in grants if g.for_owner), None)
        rows = snapshot.all(_PEOPLE, owner_id=owner_id, grant_id=own.grant_id) if own is not None else []
        return [
            {
                "handle": value,
                "name": name,
                "messages": count,
                "visible_for": _visible_for(snapshot, value, mine, person),
            }
            for value, name, mine, person, count in rows
        ]


def counts(snapshot: Snapshot, owner_id: bytes) -> list[tuple[Handle, int]]:
    """(handle, number of messages) of everybody who wrote into an inbox, for its owner's eyes."""
    own = next((g for g in grant.of_owner(snapshot, owner_id) if g.for_owner), None)
    if own is None:
        return []
    return [
        (value, count)
        for value, _, _, _, count in snapshot.all(_PEOPLE, owner_id=owner_id, grant_id=own.grant_id)
    ]


def sources(snapshot: Snapshot, owner_id: bytes) -> dict[str, dict[str, int]]:
    """source → {conversations, messages} of an inbox, for its owner's eyes."""
    own = next((g for g in grant.of_owner(snapshot, owner_id) if g.for_owner), None)
    if own is None:
        return {}
    rows = snapshot.all(_SOURCES, owner_id=owner_id, grant_id=own.grant_id)
    return {source: {"conversations": talks, "messages": messages} for source, talks, messages in rows}


def _visible_for(snapshot: Snapshot, value: str, own: int, person: bytes) -> list[str]:
    asked = [p for p in PURPOSES.values() if p.who is not Whose.OWNER]
    if own:
        return [p.name for p in asked]
    history = choice.history(snapshot, person, value)
    partners = {c.partner for c in history}
    return [
        p.name
        for p in asked
        if any(
            (
                choice.decide(history, purpose=p.name, partner=partner, conversation=c.conversation or "")
                or Level.NONE
            )
            > Level.NONE
            for partner in partners
            for c in history
        )
    ]
