"""Which records a grant may see, and at which level: read from the store by the policy, never from the rows.

This is how rows are filled, what a dry run shows, and what the rows must equal. A record comes as
(received_at, id, sender, conversation, kind, mailbox, folder, masked, replaces, written, text, masked words,
replaced_at, parts).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import bindparam, select, tuple_

from byleave.consent import policy
from byleave.model import Level, Ms
from byleave.store import Prepared, Snapshot, prepare
from byleave.store.bodies import fragment
from byleave.store.tables import importing, message

Place = tuple[Ms, bytes]
"""Where a record stands in the order of time: (received_at, id)."""
BEGINNING: Place = (-1, b"")
EVERY = 1 << 62

_ID = (message.c.received_at, message.c.id, message.c.sender, message.c.conversation, message.c.kind)
_FILLING = (
    *_ID,
    message.c.mailbox,
    message.c.folder,
    message.c.masked,
    message.c.replaces,
    fragment.c.written,
    fragment.c.text,
    fragment.c.masked,
    message.c.replaced_at,
    message.c.parts,
)
_KEYS = (*_FILLING[:9], message.c.parts)
_SHOWN = prepare(
    select(fragment.c.written, fragment.c.text, fragment.c.masked).where(
        fragment.c.owner_id == bindparam("owner_id"), fragment.c.sender == bindparam("sender"),
        fragment.c.received_at == bindparam("received_at"), fragment.c.id == bindparam("id"),
    )
)  # fmt: skip
_SAME_RECORD = (
    (fragment.c.owner_id == message.c.owner_id)
    & (fragment.c.sender == message.c.sender)
    & (fragment.c.received_at == message.c.received_at)
    & (fragment.c.id == message.c.id)
)
_PUBLISHED = (
    (importing.c.owner_id == message.c.owner_id)
    & (importing.c.import_id == message.c.import_id)
    & (importing.c.published_at.is_not(None))
)
_CURRENT = (
    select(*_FILLING)
    .join(fragment, _SAME_RECORD)
    .join(importing, _PUBLISHED)
    .where(message.c.replaced_at.is_(None))
)

_BEHIND = tuple_(message.c.received_at, message.c.id) > tuple_(bindparam("after"), bindparam("after_id"))

OF_IMPORT = prepare(
    select(*_FILLING)
    .join(fragment, _SAME_RECORD)
    .where(
        message.c.owner_id == bindparam("owner_id"), message.c.import_id == bindparam("import_id"), _BEHIND
    )
    .order_by(message.c.received_at, message.c.id)
    .limit(bindparam("most"))
)
OF_SENDER = prepare(
    _CURRENT.where(
        message.c.owner_id == bindparam("owner_id"), message.c.sender == bindparam("sender")
    ).order_by(message.c.received_at, message.c.id)
)
ANY_RECORD = prepare(
    select(*_FILLING)
    .join(fragment, _SAME_RECORD)
    .where(
        message.c.owner_id == bindparam("owner_id"), message.c.sender == bindparam("sender"),
        message.c.received_at == bindparam("received_at"), message.c.id == bindparam("id"),
    )
)  # fmt: skip


def slow_path(
    snapshot: Snapshot, compiled: policy.Compiled, after: Place = BEGINNING, most: int = EVERY
) -> Iterator[tuple[Any, ...]]:
    """Current records that the grant may see at `masked` or more, by the policy expression in the WHERE clause, in
    order of time: how a new grant is filled, what a dry run shows, and what the rows must equal. At most `most` of
    those behind `after`."""
    shape = (compiled.ceiling < Level.MASKED, *compiled.shape)
    statement = _SHAPES.get(shape)
    if statement is None:
        chosen = (
            select(*_KEYS)
            .join(importing, _PUBLISHED)
            .where(message.c.replaced_at.is_(None), compiled.at_least(Level.MASKED), _BEHIND)
            .order_by(message.c.received_at, message.c.id)
            .limit(bindparam("most"))
        )
        statement = _SHAPES[shape] = prepare(chosen)
    for key in snapshot.stream(
        statement, **compiled.parameters(Level.MASKED), after=after[0], after_id=after[1], most=most
    ):  # keys only: words are not sorted
        received_at, id, sender = key[:3]
        shown = snapshot.one(
            _SHOWN, owner_id=compiled.grant.owner_id, sender=sender, received_at=received_at, id=id
        )
        yield (*key[:9], *(shown or (b"", None, None)), None, key[9])


_SHAPES: dict[tuple[Any, ...], Prepared] = {}


def fragment_at(
    level: Level, for_owner: bool, written: bytes, text: bytes | None, masked: bytes | None
) -> bytes:
    """The fragment that a row at `level` shows: null means the same as the one before."""
    if for_owner:
        return written
    own = written if text is None else text
    return own if level > Level.MASKED or masked is None else masked


def level_of(compiled: policy.Compiled, record: tuple[Any, ...]) -> Level:
    """What a grant may see of one record, as `slow_path` and the queries of this file select it."""
    received_at, _, sender, conversation, kind = record[:5]
    level = compiled.level(sender, conversation, received_at, kind)
    if level == Level.MASKED and not record[7] and not compiled.grant.for_owner:
        return Level.SIGNALS  # redaction could not vouch for it: it fails closed
    return level
