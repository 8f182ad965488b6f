"""The dry run: what a grant that does not exist yet would see today, exactly as it would see it.

It goes the slow path of `rows` (the policy in the WHERE clause, over a grant that is in no table) and fills
the fragments as a view of that grant would, with the tokens of a throwaway grant id. What is shown is the
owner's own reading: nobody else has seen anything yet, and the ledger says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import orjson
from sqlalchemy import bindparam, select

from byleave.consent import policy
from byleave.consent.grant import Grant
from byleave.model import Level, Ms
from byleave.store import Snapshot, among, prepare
from byleave.store.tables import conversation, handle, view_row
from byleave.view.allowed import fragment_at, level_of, slow_path
from byleave.view.export import owner_view
from byleave.view.parts import composed, parts_shown
from byleave.view.reading import Reading
from byleave.view.shape import Ids, People
from byleave.words.fragment import INDEX, decode, opened

_HANDLES = prepare(
    select(handle.c.handle, handle.c.value, handle.c.name, handle.c.person).where(
        handle.c.owner_id == bindparam("owner_id"), among(handle.c.handle, "numbers")
    )
)
_BORN = prepare(
    select(view_row.c.born, view_row.c.id).where(
        view_row.c.owner_id == bindparam("owner_id"),
        view_row.c.grant_id == bindparam("grant_id"),
        among(view_row.c.received_at, "times"),
    )
)
_SOURCES = prepare(
    select(conversation.c.conversation, conversation.c.source).where(
        conversation.c.owner_id == bindparam("owner_id")
    )
)


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One message as the grant would see it: JMAP values of the same names."""

    received_at: Ms
    level: Level
    sender: str
    subject: str | None
    body: str
    source: str
    own: bool


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What the grant would see: how many messages, of how many people, and the newest of them."""

    total: int
    own: int
    people: int
    newest: list[Shown]
    reading: Reading
    account: str


def preview(snapshot: Snapshot, found: Grant, secret: bytes, now: Ms, limit: int = 12) -> Preview:
    """The dry run of `found`, a grant that need not be stored; `limit` of its messages, newest first.

    `reading` is the owner's own and must be released with whatever shows this. Raises Absent for no inbox.
    """
    compiled = policy.compile(snapshot, found, now)
    newest: deque[tuple[Level, tuple[Any, ...]]] = deque(maxlen=limit)
    total = own = 0
    senders: set[int] = set()
    for record in slow_path(snapshot, compiled):
        level = level_of(compiled, record)
        if level < Level.MASKED:
            continue
        total += 1
        senders.add(record[2])
        own += record[2] in compiled.own
        newest.append((level, record))
    owner = owner_view(snapshot, found.owner_id, secret, now)
    times = [record[0] for _, record in newest]
    shown_ids = {record[1] for _, record in newest}
    borns = snapshot.all(_BORN, **owner.mine, times=times) if times else []
    owner.reading.saw("preview", [born for born, id in borns if id in shown_ids])

    def bearers_of(numbers: Sequence[int]) -> Iterable[tuple[int, str, str, bytes]]:
        return snapshot.all(_HANDLES, owner_id=found.owner_id, numbers=numbers)

    sources: dict[int, str] = dict(snapshot.all(_SOURCES, owner_id=found.owner_id))
    people = People(Ids(secret, found.grant_id), False, bearers_of, {}, None)
    return Preview(
        total=total,
        own=own,
        people=len(senders - compiled.own),
        reading=owner.reading,
        account=owner.account_id,
        newest=[
            _shown(snapshot, compiled, people, level, record, sources) for level, record in reversed(newest)
        ],
    )


def _shown(
    snapshot: Snapshot,
    compiled: policy.Compiled,
    people: People,
    level: Level,
    record: tuple[Any, ...],
    sources: dict[int, str],
) -> Shown:
    place = record[3]
    bearers: frozenset[int] = frozenset()
    if level >= Level.TEXT:
        bearers = frozenset(h for h in compiled.candidates() if compiled.of_person(h, place) >= Level.TEXT)
    fragment = fragment_at(level, False, *record[9:12])
    if parts := parts_shown(snapshot, compiled, record):
        fragment = composed(snapshot, compiled.grant.owner_id, record[1], level, fragment, parts)
    segments = decode(people.fill(opened(fragment, bearers)))
    senders = orjson.loads(segments[INDEX["from"]] or b"null") or []
    subject = orjson.loads(segments[INDEX["subject"]] or b"null")
    body = orjson.loads(segments[INDEX["body"]] or b'""')
    return Shown(
        received_at=record[0],
        level=level,
        subject=subject,
        body=body,
        own=record[2] in compiled.own,
        sender=", ".join(p["name"] or p["email"] for p in senders),
        source=sources.get(place, ""),
    )
