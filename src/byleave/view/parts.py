"""Parts of others in a record, each under its own author's choice: which of them a row shows, and how."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, insert, select

from byleave.consent import policy
from byleave.model import Kind, Level
from byleave.store import Snapshot, prepare
from byleave.store.bodies import composed as composed_table
from byleave.store.bodies import part as part_table
from byleave.store.tables import view_part
from byleave.words.fragment import REACTIONS, Cuts, slot, with_pieces, with_reactions

_PIECES = (part_table.c.n, part_table.c.author, part_table.c.may, part_table.c.body)
_PARTS = prepare(
    select(*_PIECES)
    .where(part_table.c.owner_id == bindparam("owner_id"), part_table.c.id == bindparam("id"))
    .order_by(part_table.c.n)
)
MY_PARTS = (view_part.c.owner_id == bindparam("owner_id"), view_part.c.grant_id == bindparam("grant_id"))
_SHOWN_PARTS = prepare(
    select(view_part.c.n, view_part.c.handle, view_part.c.level)
    .where(*MY_PARTS, view_part.c.born == bindparam("born"))
    .order_by(view_part.c.n)
)
_COMPOSED = (
    composed_table.c.owner_id == bindparam("owner_id"), composed_table.c.grant_id == bindparam("grant_id"),
    composed_table.c.born == bindparam("born"),
)  # fmt: skip
ADD_COMPOSED = prepare(insert(composed_table))
GET_COMPOSED = prepare(select(composed_table.c.words).where(*_COMPOSED))
DROP_COMPOSED = prepare(delete(composed_table).where(*_COMPOSED))


class Shown(msgspec.Struct, frozen=True):
    """A part of somebody else that a row shows."""

    n: int
    handle: int
    level: Level


def parts_shown(snapshot: Snapshot, compiled: policy.Compiled, record: tuple[Any, ...]) -> list[Shown]:
    """The parts of others in one record that a grant may see, each by its own author's choice."""
    received_at, id, _, conversation = record[:4]
    if compiled.grant.for_owner or not record[13]:
        return []
    found: list[Shown] = []
    for n, author, may, _ in snapshot.all(_PARTS, owner_id=compiled.grant.owner_id, id=id):
        level = compiled.level(author, conversation, received_at, Kind.TEXT) if author else Level.NONE
        if level >= Level.TEXT or (level == Level.MASKED and may):
            found.append(Shown(n, author, level))
    return found


def composed(
    snapshot: Snapshot, owner_id: bytes, id: bytes, level: Level, prepared: bytes, parts: Iterable[Shown]
) -> bytes:
    """The fragment of a row at `level` with `parts` of others in their places; no part, at no higher level than
    the one that is asked for."""
    of_part = {p.n: p.level for p in parts}
    pieces: list[tuple[str, Cuts]] = []
    reactions: list[tuple[str, bytes]] = []
    others = False
    for n, author, _, body in snapshot.all(_PARTS, owner_id=owner_id, id=id):
        at = level if author == 0 else of_part.get(n, Level.NONE)
        if at >= Level.MASKED:
            text, cuts = msgspec.msgpack.decode(body)
            if n >= REACTIONS:
                reactions.append((text, slot("A", author)))
                continue
            others |= author != 0
            pieces.append((text, [] if at > Level.MASKED else [(a, b, what) for a, b, what in cuts]))
    shown = with_pieces(prepared, pieces) if others else prepared
    return with_reactions(shown, reactions) if reactions else shown


def parts_of(snapshot: Snapshot, mine: dict[str, Any], born: int) -> list[Shown]:
    """The parts of others that the row `born` of a grant (`mine`: its owner_id and grant_id) shows."""
    return [
        Shown(n, handle, Level(level)) for n, handle, level in snapshot.all(_SHOWN_PARTS, **mine, born=born)
    ]
