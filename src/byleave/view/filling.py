"""How view rows come and go. One row per record that a grant may see; what is hidden has none.

Rules of this file (consent.md, "The view"):

1. Rows are written here and nowhere else. Each act is one transaction: a fill or a withdrawal stands whole or
   not at all, so nothing is ever half shown. Only a grant that shows nothing yet is filled in steps, and shows
   nothing (`View`: its number is 0) until the last step is done.
2. Every change takes the next number of the grant's own sequence: `born` for a row that comes, `died` for one
   that goes. Rows never change: what looks different is destroyed and created anew, with a new id; what looks the
   same, since only what is hidden in it has changed, stays.
3. A thread is named by the row that founded it. Mail is threaded over visible mail only: a link that exists
   only through a hidden mail joins nothing, and when a mail goes, the thread it held together falls apart.
4. A row's references name the rows of visible mails that came before it, and a row shows the parts of others
   whose own choice allows it; where either changes, the row is created anew, and so are those that name it.
5. What is filled for a grant depends on what that grant may see, and on nothing else: no number of a hidden
   record, sender or conversation enters a row's id.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, union, update

from byleave.consent import choice, identity, policy
from byleave.consent.grant import Grant
from byleave.model import Level, Ms
from byleave.store import Transaction, among, prepare
from byleave.store.bodies import part as part_table
from byleave.store.tables import filling as filling_table
from byleave.store.tables import grant as grant_table
from byleave.store.tables import link, view_gone, view_part, view_row, view_slot
from byleave.view import signals
from byleave.view.allowed import ANY_RECORD, BEGINNING, Place, fragment_at, level_of
from byleave.view.parts import (
    ADD_COMPOSED,
    DROP_COMPOSED,
    GET_COMPOSED,
    MY_PARTS,
    Shown,
    composed,
    parts_of,
    parts_shown,
)
from byleave.view.postings import Postings
from byleave.view.tally import Tally, facts
from byleave.words.fragment import SLOT, closed, opened

CHATS = 4
"""Mailbox number of all chats; 1 inbox, 2 sent, 3 archive, from 16 on the owner's folders."""
DAY_MS = 86_400_000

_ROW = (
    view_row.c.born,
    view_row.c.received_at,
    view_row.c.id,
    view_row.c.sender,
    view_row.c.conversation,
    view_row.c.level,
    view_row.c.mailbox,
    view_row.c.thread,
    view_row.c.parts,
    view_row.c.refs,
    view_row.c.flags,
)
_MINE = (view_row.c.owner_id == bindparam("owner_id"), view_row.c.grant_id == bindparam("grant_id"))
_ROWSOF_SENDER = prepare(
    select(*_ROW).where(*_MINE, view_row.c.sender == bindparam("sender")).order_by(view_row.c.born)
)
_ROWS_BORN = prepare(select(*_ROW).where(*_MINE, among(view_row.c.born, "borns")).order_by(view_row.c.born))
_ROWS_ABOVE = prepare(
    select(*_ROW).where(*_MINE, view_row.c.level > bindparam("level")).order_by(view_row.c.born)
)
_ROW_OF = prepare(
    select(*_ROW).where(
        *_MINE, view_row.c.received_at == bindparam("received_at"), view_row.c.id == bindparam("id")
    )
)
_ROWS_OF_THREAD = prepare(
    select(*_ROW).where(*_MINE, view_row.c.thread == bindparam("thread")).order_by(view_row.c.born)
)
_CHAT_THREAD = prepare(
    select(view_row.c.thread).where(
        *_MINE, view_row.c.conversation == bindparam("conversation"), view_row.c.mailbox == CHATS,
        view_row.c.received_at >= bindparam("start"), view_row.c.received_at < bindparam("end"),
    ).limit(1)
)  # fmt: skip
_ADD = prepare(insert(view_row))
_REMOVE = prepare(
    delete(view_row).where(
        *_MINE, view_row.c.received_at == bindparam("received_at"), view_row.c.id == bindparam("id")
    )
)
_MOVE = prepare(
    update(view_row)
    .values(id=bindparam("to_id"), parts=bindparam("to_parts"))
    .where(*_MINE, view_row.c.received_at == bindparam("at"), view_row.c.id == bindparam("of_id"))
)
_GONE = prepare(insert(view_gone))

_LINKS = prepare(
    select(link.c.msgid, link.c.own).where(
        link.c.owner_id == bindparam("owner_id"), link.c.id == bindparam("id")
    )
)
_NEIGHBOURS = prepare(
    union(
        select(link.c.id).where(
            link.c.owner_id == bindparam("owner_id"), among(link.c.msgid, "named"), link.c.own == 1
        ),
        select(link.c.id).where(
            link.c.owner_id == bindparam("owner_id"), among(link.c.msgid, "own"), link.c.own == 0
        ),
    )
)

_named, _own = link.alias("named"), link.alias("own")
_PARENTS = prepare(
    select(_own.c.id, _named.c.place)
    .join(_own, (_own.c.owner_id == _named.c.owner_id) & (_own.c.msgid == _named.c.msgid) & (_own.c.own == 1))
    .where(_named.c.owner_id == bindparam("owner_id"), _named.c.id == bindparam("id"), _named.c.own == 0)
)
DIRECT = 1000
"""`link.place` of what stands in In-Reply-To."""

_OF_AUTHOR = prepare(
    select(part_table.c.id)
    .where(part_table.c.owner_id == bindparam("owner_id"), part_table.c.author == bindparam("handle"))
    .distinct()
)
_PARTS_OF = prepare(
    select(view_part.c.born).where(*MY_PARTS, view_part.c.handle == bindparam("handle")).distinct()
)
_PARTS_ABOVE = prepare(
    select(view_part.c.born).where(*MY_PARTS, view_part.c.level > bindparam("level")).distinct()
)
_ADD_PART = prepare(insert(view_part))
_DROP_PARTS = prepare(delete(view_part).where(*MY_PARTS, view_part.c.born == bindparam("born")))

_SLOTTED = prepare(
    select(view_slot.c.born, view_slot.c.named).where(
        view_slot.c.owner_id == bindparam("owner_id"),
        view_slot.c.grant_id == bindparam("grant_id"),
        view_slot.c.handle == bindparam("handle"),
    )
)
_ADD_SLOT = prepare(insert(view_slot))
_DROP_SLOTS = prepare(
    delete(view_slot).where(
        view_slot.c.owner_id == bindparam("owner_id"),
        view_slot.c.grant_id == bindparam("grant_id"),
        view_slot.c.handle == bindparam("handle"),
        view_slot.c.born == bindparam("born"),
    )
)

_BEGUN = prepare(
    select(filling_table.c.received_at, filling_table.c.id, filling_table.c.reached).where(
        filling_table.c.owner_id == bindparam("owner_id"), filling_table.c.grant_id == bindparam("grant_id")
    )
)
_REMEMBER = prepare(insert(filling_table))
_FORGET = prepare(
    delete(filling_table).where(
        filling_table.c.owner_id == bindparam("owner_id"), filling_table.c.grant_id == bindparam("grant_id")
    )
)
_ADVANCE = prepare(
    update(grant_table)
    .values(seq=bindparam("to_seq"), applied=bindparam("to_applied"), filled_policy=bindparam("to_policy"))
    .where(grant_table.c.owner_id == bindparam("owner_id"), grant_table.c.grant_id == bindparam("grant_id"))
)


# ── how rows come and go ────────────────────────────────────────────────────────────────────────────────────
class Filling:
    """One act on one grant's rows. `finish` writes what it gathered; without it nothing stands."""

    def __init__(self, tx: Transaction, found: Grant, now: Ms, places: bool = True) -> None:
        self.tx = tx
        self.grant = found
        self.mine = {"owner_id": found.owner_id, "grant_id": found.grant_id}
        self.compiled = policy.compile(tx, found, now, places=places)
        waiting = tx.one(_BEGUN, **self.mine)
        self.after: Place | None = None if waiting is None else (waiting[0], waiting[1])
        """How far a first fill had come when this act began; None where there is none."""
        self.seq: int = found.seq if waiting is None else waiting[2]
        self.sittings = signals.Sittings(tx, self.compiled, self._number)
        self._postings = Postings(tx, self.mine, self.seq)
        self._tally = Tally(tx, self.mine, self.seq)
        self._chat_threads: dict[tuple[int, int], int] = {}
        self._batch: dict[bytes, dict[str, Any]] = {}
        self._loose: set[int] = set()
        self._referring: set[tuple[int, bytes]] = set()
        """Mails whose references may have moved: (received_at, id)."""
        self._last: Place = BEGINNING

    def take(self, records: Iterable[tuple[Any, ...]]) -> int:
        """Adds a row for each of `records` that may be seen and has none, or has one at another level; answers how
        many records there were."""
        count = 0
        for record in records:
            count += 1
            self._last = record[:2]
            level = self._level(record)
            replaced = record[8]
            if replaced is not None and self._moved(replaced, record, level):
                continue
            if replaced is not None:
                self._remove_record(replaced)
            if level < Level.MASKED or record[12] is not None:
                continue  # what was replaced since has only taken away what it replaced
            existing = None if self.grant.seq == 0 else self._row(record[0], record[1])
            if existing is not None:
                if existing[5] == level and self._same_parts(existing, record):
                    continue
                self._remove(existing)
            self._add(record, level)
        return count

    def pause(self) -> bool:
        """Ends a step of a first fill that has more to do. True: there was something to do."""
        self.after = self._last
        self.finish()
        return True

    def _moved(self, replaced: bytes, record: tuple[Any, ...], level: Level) -> bool:
        """Where a record replaces one that looks the same in this view (what is new in it is hidden), its row goes on
        with it, number and all."""
        row = self._row(int.from_bytes(replaced[:6], "big"), replaced)
        old = self._record(row) if row is not None else None
        if (
            row is None
            or old is None
            or row[5] != level
            or (*old[:1], *old[2:7]) != (*record[:1], *record[2:7])
        ):
            return False
        parts = parts_shown(self.tx, self.compiled, record)
        shown = fragment_at(level, self.grant.for_owner, *record[9:12])
        shown = composed(self.tx, self.grant.owner_id, record[1], level, shown, parts) if parts else shown
        if shown != self._looks(row, old):
            return False
        self._flush_rows()
        born = row[0]
        if row[8]:
            self.tx.run(DROP_COMPOSED, **self.mine, born=born)
        if parts:
            self._keep(born, shown, level, record[2], record[3])
        place = {"at": row[1], "of_id": row[2]}
        self.tx.run(_MOVE, **self.mine, **place, to_id=record[1], to_parts=len(parts))
        self.tx.run(_DROP_PARTS, **self.mine, born=born)
        self._add_parts(born, parts)
        return True

    def _looks(self, row: tuple[Any, ...], record: tuple[Any, ...]) -> bytes:
        """What a row shows, its slots not filled."""
        shown = fragment_at(Level(row[5]), self.grant.for_owner, *record[9:12])
        if row[8]:
            shown = closed(self.tx.value(GET_COMPOSED, **self.mine, born=row[0]))
        return shown

    def _keep(self, born: int, shown: bytes, level: Level, sender: int, conversation: int) -> None:
        """Keeps what was put together, the slots open of those who may be named in it: they may stand anywhere in it, so
        that a read has no cheap way to find them."""
        if level >= Level.TEXT:
            named = {h for h in _people_in(shown) if h == sender or self._is_named(h, conversation)}
            shown = opened(shown, named)
        self.tx.run(ADD_COMPOSED, **self.mine, born=born, words=shown)

    def _add_parts(self, born: int, parts: list[Shown]) -> None:
        for part in parts:
            self.tx.run(
                _ADD_PART, **self.mine, born=born, n=part.n, handle=part.handle, level=int(part.level)
            )

    def take_parts(self, handle: int) -> None:
        """Creates anew what shows other parts of `handle` now than before."""
        for (id,) in self.tx.all(_OF_AUTHOR, owner_id=self.grant.owner_id, handle=handle):
            row = self._row(int.from_bytes(id[:6], "big"), id)
            record = self._record(row) if row is not None else None
            if row is not None and record is not None:
                self.compiled.place(self.tx, row[4])
                if not self._same_parts(row, record):
                    self._renew(row)

    def _same_parts(self, row: tuple[Any, ...], record: tuple[Any, ...]) -> bool:
        return not record[13] or parts_shown(self.tx, self.compiled, record) == self._parts_of(row)

    def _parts_of(self, row: tuple[Any, ...]) -> list[Shown]:
        return parts_of(self.tx, self.mine, row[0]) if row[8] else []

    def concerned(self, changes: Iterable[tuple[int, str, str | None, str | None]]) -> list[int]:
        """Handle numbers, in the inbox, of those whose changes touch this grant."""
        found: list[int] = []
        for _, value, purpose, partner in changes:
            if purpose not in (None, self.grant.purpose) or partner not in (None, self.grant.partner):
                continue
            known = identity.number_in(self.tx, self.grant.owner_id, value)
            if known is not None and not known[1] and known[0] not in found:
                found.append(known[0])
        return found

    def lower(self, handle: int) -> None:
        """Takes away, or shows anew at the lower level, what `handle` no longer gives."""
        for row in self.tx.all(_ROWSOF_SENDER, **self.mine, sender=handle):
            self.compiled.place(self.tx, row[4])
            if self.compiled.of_person(handle, row[4]) < row[5]:
                self._renew(row)
        self.name(handle)
        self._renew_parts(self.tx.all(_PARTS_OF, **self.mine, handle=handle))

    def name(self, handle: int) -> None:
        """Creates anew what names `handle` otherwise than it may now."""
        named = {born: bool(n) for born, n in self.tx.all(_SLOTTED, **self.mine, handle=handle)}
        for row in self.tx.all(_ROWS_BORN, **self.mine, borns=sorted(named)):
            if self._is_named(handle, row[4]) != named[row[0]]:
                self._renew(row)

    def _is_named(self, handle: int, conversation: int) -> bool:
        """Does its bearer let a name be seen in a conversation? Answers read what was decided here."""
        self.compiled.place(self.tx, conversation)
        return self.compiled.of_person(handle, conversation) >= Level.TEXT

    def _renew_parts(self, borns: Iterable[tuple[Any, ...]]) -> None:
        """Creates anew those of `borns` that still stand and show parts that they may not any more."""
        self._flush_rows()
        for row in self.tx.all(_ROWS_BORN, **self.mine, borns=[b for (b,) in borns]):
            record = self._record(row)
            self.compiled.place(self.tx, row[4])
            if record is None or not self._same_parts(row, record):
                self._renew(row)

    def lower_all(self) -> None:
        """Takes away what stands above the ceiling."""
        for row in self.tx.all(_ROWS_ABOVE, **self.mine, level=int(self.compiled.ceiling)):
            self._renew(row)
        self._renew_parts(self.tx.all(_PARTS_ABOVE, **self.mine, level=int(self.compiled.ceiling)))

    def finish(self) -> None:
        """Writes what is gathered, takes loose threads apart, and moves the grant's numbers on."""
        self._flush_rows()
        for thread in sorted(self._loose):
            self._rethread(thread)
        self._flush_rows()
        self._refer()
        self._flush_rows()
        self._postings.flush()
        self._tally.write(self.seq)
        self.tx.run(_FORGET, **self.mine)
        if self.after is not None:
            received_at, id = self.after
            self.tx.run(_REMEMBER, **self.mine, received_at=received_at, id=id, reached=self.seq)
        self.tx.run(
            _ADVANCE, **self.mine, to_seq=self.seq if self.after is None else 0, to_applied=choice.consent_version(self.tx),
            to_policy=int(self.compiled.ceiling),
        )  # fmt: skip

    def _number(self) -> int:
        self.seq += 1
        return self.seq

    # one row
    def _level(self, record: tuple[Any, ...]) -> Level:
        self.compiled.place(self.tx, record[3])
        return level_of(self.compiled, record)

    def _row(self, received_at: Ms, id: bytes) -> tuple[Any, ...] | None:
        waiting = self._batch.get(id)
        if waiting is not None:
            return tuple(waiting[column.name] for column in _ROW)
        return self.tx.one(_ROW_OF, **self.mine, received_at=received_at, id=id)

    def _add(self, record: tuple[Any, ...], level: Level, thread: int | None = None) -> int:
        received_at, id, sender, conversation, _, mailbox, folder = record[:7]
        shown = fragment_at(level, self.grant.for_owner, *record[9:12])
        parts = parts_shown(self.tx, self.compiled, record)
        if parts:
            shown = composed(self.tx, self.grant.owner_id, id, level, shown, parts)
        near = self._neighbours(id) if mailbox != CHATS else []
        if thread is None:
            thread = self._thread(received_at, conversation, near if mailbox != CHATS else None)
        self.seq += 1
        born = self.seq
        thread = thread or born
        if mailbox == CHATS:
            self._chat_threads.setdefault((conversation, received_at // DAY_MS), thread)
        self._referring.update((r[1], r[2]) for r in near if (r[1], r[2]) > (received_at, id))
        if parts:
            self._keep(born, shown, level, sender, conversation)
        self._add_parts(born, parts)
        refs = self._refs(received_at, id) if near else None
        place = folder if self.grant.for_owner else mailbox
        row = facts(shown, self.grant.for_owner, *map(len, references_of(refs)))
        self._batch[id] = row | {
            **self.mine, "received_at": received_at, "id": id, "born": born, "changed": born, "sender": sender,
            "conversation": conversation, "level": int(level), "thread": thread,
            "parts": len(parts), "refs": refs, "mailbox": place,
        }  # fmt: skip
        if len(self._batch) >= 1000:
            self._flush_rows()
        if self._tally.moved(place, thread, row["flags"], 1):
            self._flush_rows()
            self._tally.write(self.seq)
        if level >= Level.TEXT and not self.grant.for_owner:
            for handle in _people_in(shown) - {sender}:
                named = int(self._is_named(handle, conversation))
                self.tx.run(_ADD_SLOT, **self.mine, handle=handle, born=born, named=named)
        self._postings.add(born, shown)
        return born

    def _remove(self, row: tuple[Any, ...]) -> None:
        born, received_at, id, sender, _, level, mailbox, thread = row[:8]
        self._flush_rows()
        self._postings.flush()
        record = self._record(row)
        if record is not None:
            shown = self._looks(row, record)
            if row[8]:
                self.tx.run(DROP_COMPOSED, **self.mine, born=born)
            self._postings.drop(born, shown)
            if level >= Level.TEXT and not self.grant.for_owner:
                for handle in _people_in(shown) - {sender}:
                    self.tx.run(_DROP_SLOTS, **self.mine, handle=handle, born=born)
        self.seq += 1
        self.tx.run(_REMOVE, **self.mine, received_at=received_at, id=id)
        self._tally.moved(mailbox, thread, row[10], -1)
        self.tx.run(
            _GONE, **self.mine, died=self.seq, born=born, sender=sender, id=id, mailbox=mailbox, thread=thread
        )
        if mailbox != CHATS:
            self._loose.add(thread)
            self._referring.update(
                (r[1], r[2]) for r in self._neighbours(id) if (r[1], r[2]) > (received_at, id)
            )

    def _renew(self, row: tuple[Any, ...]) -> None:
        """Destroys a row and, where it may still be seen, creates it anew at its level of now."""
        record = self._record(row)
        self._remove(row)
        if record is not None and (level := self._level(record)) >= Level.MASKED:
            self._add(record, level)

    def _remove_record(self, id: bytes) -> None:
        row = self._row(int.from_bytes(id[:6], "big"), id)
        if row is not None:
            self._remove(row)

    def _record(self, row: tuple[Any, ...]) -> tuple[Any, ...] | None:
        _, received_at, id, sender, *_ = row
        return self.tx.one(
            ANY_RECORD, owner_id=self.grant.owner_id, sender=sender, received_at=received_at, id=id
        )

    def _flush_rows(self) -> None:
        self.tx.many(_ADD, list(self._batch.values()))
        self._batch = {}

    # threads
    def _thread(self, received_at: Ms, conversation: int, near: list[tuple[Any, ...]] | None) -> int | None:
        """The thread to stand in, None where a new row founds one. `near`: rows that links join it with; None in a
        chat."""
        if near is None:
            return self._chat_thread(received_at, conversation)
        threads = sorted({row[7] for row in near})
        for other in threads[1:]:
            self._join(other, threads[0])
        return threads[0] if threads else None

    def _chat_thread(self, received_at: Ms, conversation: int) -> int | None:
        """All of one conversation in one day (UTC): no thread of a million ids."""
        key = (conversation, received_at // DAY_MS)
        thread = self._chat_threads.get(key)
        if thread is None:
            self._flush_rows()
            start = key[1] * DAY_MS
            thread = self.tx.value(
                _CHAT_THREAD, **self.mine, conversation=conversation, start=start, end=start + DAY_MS
            )
        return thread

    def _neighbours(self, id: bytes) -> list[tuple[Any, ...]]:
        """Rows of visible mails that `id` names, or that name `id`."""
        owner_id = self.grant.owner_id
        links = self.tx.all(_LINKS, owner_id=owner_id, id=id)
        if not links:
            return []
        named, own = [m for m, mine in links if not mine], [m for m, mine in links if mine]
        ids = self.tx.all(_NEIGHBOURS, owner_id=owner_id, named=named, own=own)
        rows = (self._row(int.from_bytes(other[:6], "big"), other) for (other,) in ids if other != id)
        return [row for row in rows if row is not None and row[6] != CHATS]

    def _join(self, thread: int, into: int) -> None:
        """Thread ids never change (RFC 8621 §3): joining is destroy and create. What hung together only through
        a mail that has gone still does not."""
        self._flush_rows()
        loose = thread in self._loose
        for row in self.tx.all(_ROWS_OF_THREAD, **self.mine, thread=thread):
            record = self._record(row)
            self._remove(row)
            if record is not None:
                self._add(record, Level(row[5]), into)
        self._loose.discard(thread)
        if loose:
            self._loose.add(into)

    def _rethread(self, thread: int) -> None:
        """After a mail has gone: what no visible mail holds together any more becomes threads of its own."""
        self._flush_rows()
        rows = {row[2]: row for row in self.tx.all(_ROWS_OF_THREAD, **self.mine, thread=thread)}
        left = sorted(rows.values())
        first = True
        while left:
            group, frontier = {left[0][2]}, [left[0][2]]
            while frontier:
                near = {r[2] for r in self._neighbours(frontier.pop()) if r[2] in rows} - group
                group |= near
                frontier.extend(near)
            part, left = [r for r in left if r[2] in group], [r for r in left if r[2] not in group]
            if first:
                first = False
                continue
            founder: int | None = None
            for row in part:
                record = self._record(row)
                self._remove(row)
                if record is not None:
                    born = self._add(record, Level(row[5]), founder or self.seq + 1)
                    founder = founder or born
        self._loose.discard(thread)

    # references
    def _refs(self, received_at: Ms, id: bytes) -> bytes | None:
        """The visible mails that a mail refers to and that came before it, as `references_of` reads them; the
        owner's own view shows what the mail itself says."""
        if self.grant.for_owner:
            return None
        found: dict[int, int] = {}
        for parent, place in self.tx.all(_PARENTS, owner_id=self.grant.owner_id, id=id):
            at = int.from_bytes(parent[:6], "big")
            row = self._row(at, parent) if (at, parent) < (received_at, id) else None
            if row is not None and row[6] != CHATS:
                found[row[0]] = max(place, found.get(row[0], 0))
        ordered = sorted(found.items(), key=lambda pair: (pair[1], pair[0]))
        return b"".join((born << 1 | (place >= DIRECT)).to_bytes(8, "big") for born, place in ordered) or None

    def _refer(self) -> None:
        """Creates anew the mails whose references have moved, parents first: a new row has a new id, so those that
        name it follow."""
        if self.grant.for_owner:
            return
        while self._referring:
            key = min(self._referring)
            self._referring.discard(key)
            row = self._row(*key)
            if row is None or self._refs(*key) == row[9]:
                continue
            record = self._record(row)
            self._remove(row)
            if record is not None:
                self._add(record, Level(row[5]), row[7])
        self._loose.clear()


def references_of(refs: bytes | None) -> tuple[list[int], list[int]]:
    """(borns of References, in order; those of them that stand in In-Reply-To) of a row."""
    numbers = [int.from_bytes((refs or b"")[i : i + 8], "big") for i in range(0, len(refs or b""), 8)]
    return [n >> 1 for n in numbers], [n >> 1 for n in numbers if n & 1]


def _people_in(shown: bytes) -> set[int]:
    """Handles of whom a fragment names."""
    return {int(m[2], 16) for m in SLOT.finditer(shown) if m[1] in b"AP"}
