"""Counts of a grant's rows by mailbox, kept with the rows in the transaction that writes them.

A count is a sum of what came and went, so that no answer walks the rows to know how many there are; what is hidden
has no row and enters no sum. Threads need more care than mails: a mailbox counts a thread once, and as unread where
any mail of it, in whatever mailbox, is (RFC 8621 §2); so the threads that an act touched are looked at once, in the
end. `founded` and `moved` are numbers of the grant's own sequence: since when a mailbox has been there, and when its
counts last moved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
import orjson
from sqlalchemy import bindparam, case, func, insert, select, update

from byleave.store import Snapshot, Transaction, among, prepare
from byleave.store.tables import view_count, view_gone, view_row
from byleave.words.fragment import INDEX, decode, size_of_references

KEYWORDS = {"$seen": 1, "$draft": 2, "$flagged": 4, "$answered": 8, "$important": 16}
"""Every keyword that an importer gives, as a bit of `view_row.flags`."""
ATTACHMENT = 64
READ = KEYWORDS["$seen"] | KEYWORDS["$draft"]
"""A mail with neither is unread."""
MOST = 50_000
"""Pairs of mailbox and thread that wait in memory."""
_STEP = 5_000

_MINE = (view_row.c.owner_id == bindparam("owner_id"), view_row.c.grant_id == bindparam("grant_id"))
_STANDING = prepare(
    select(
        view_row.c.thread, view_row.c.mailbox, func.count(),
        func.sum(case((view_row.c.flags.bitwise_and(READ) == 0, 1), else_=0)),
    )
    .where(*_MINE, among(view_row.c.thread, "threads"))
    .group_by(view_row.c.thread, view_row.c.mailbox)
)  # fmt: skip
_COUNTS = (view_count.c.emails, view_count.c.unread_emails, view_count.c.threads, view_count.c.unread_threads)
_MY_COUNTS = (view_count.c.owner_id == bindparam("owner_id"), view_count.c.grant_id == bindparam("grant_id"))
_ALL = prepare(
    select(view_count.c.mailbox, *_COUNTS, view_count.c.founded, view_count.c.moved)
    .where(*_MY_COUNTS)
    .order_by(view_count.c.mailbox)
)
_NEW = prepare(insert(view_count))
_MOVE = prepare(
    update(view_count)
    .values(
        emails=bindparam("e"), unread_emails=bindparam("ue"), threads=bindparam("t"), unread_threads=bindparam("ut"),
        founded=bindparam("since"), moved=bindparam("at"),
    )
    .where(*_MY_COUNTS, view_count.c.mailbox == bindparam("of_mailbox"))
)  # fmt: skip
_LEFT = prepare(
    select(view_gone.c.born)
    .where(
        view_gone.c.owner_id == bindparam("owner_id"), view_gone.c.grant_id == bindparam("grant_id"),
        view_gone.c.died > bindparam("since"), view_gone.c.born <= bindparam("since"),
        view_gone.c.mailbox == bindparam("mailbox"),
    )
    .limit(1)
)  # fmt: skip


class Count(msgspec.Struct, frozen=True):
    """What stands in one mailbox."""

    mailbox: int
    emails: int
    unread_emails: int
    threads: int
    unread_threads: int
    founded: int
    moved: int


def counts(snapshot: Snapshot, mine: dict[str, Any]) -> list[Count]:
    """Every mailbox of a grant that ever held a row, by number."""
    return [Count(*row) for row in snapshot.all(_ALL, **mine)]


def changed(snapshot: Snapshot, mine: dict[str, Any], since: int) -> tuple[list[int], list[int], list[int]]:
    """Mailboxes (created, updated, destroyed) since a number of the grant's sequence."""
    groups: tuple[list[int], list[int], list[int]] = ([], [], [])
    for found in counts(snapshot, mine):
        if found.moved <= since:
            continue
        stood = found.founded <= since or _stood(snapshot, mine, found.mailbox, since)
        if stood or found.emails:
            groups[0 if not stood else 1 if found.emails else 2].append(found.mailbox)
    return groups


def _stood(snapshot: Snapshot, mine: dict[str, Any], mailbox: int, since: int) -> bool:
    """Did rows stand in a mailbox at `since` that was empty at some time later?"""
    return snapshot.one(_LEFT, **mine, mailbox=mailbox, since=since) is not None


def facts(shown: bytes, for_owner: bool, parents: int, direct: int) -> dict[str, Any]:
    """What a row tells of its fragment, so that a query need not read that: size with tokens in place of names
    (octets, with so many names in References and In-Reply-To), when it was sent (ms, None where nobody knows), and
    flags."""
    segments = decode(shown)
    size = int(segments[INDEX["size"]] or 0) + (size_of_references(parents, direct) if parents else 0)
    flags = KEYWORDS["$seen"]
    if for_owner and segments[INDEX["keywords"]]:
        named = orjson.loads(segments[INDEX["keywords"]])
        flags = sum(KEYWORDS[keyword] for keyword in named if keyword in KEYWORDS)
    if segments[INDEX["hasAttachment"]] == b"true":
        flags |= ATTACHMENT
    sent = segments[INDEX["sentAt"]]
    return {"size": size, "flags": flags, "sent_at": _ms(sent) if sent[:1] == b'"' else None}


def _ms(rfc3339: bytes) -> int:
    moment = datetime.fromisoformat(rfc3339[1:-1].decode().replace("Z", "+00:00"))
    return round(moment.timestamp() * 1000)


class Tally:
    """What one act adds to a grant's counts. `seq` is the grant's sequence before it."""

    def __init__(self, tx: Transaction, mine: dict[str, Any], seq: int) -> None:
        self._tx = tx
        self._mine = mine
        self._from = seq
        self._moves: dict[tuple[int, int], list[int]] = {}
        """(thread, mailbox) → [mails, unread mails] that came, less those that went."""

    def moved(self, mailbox: int, thread: int, flags: int, by: int) -> bool:
        """A row came (`by` = 1) or went (−1). Answers whether it is time to `write`."""
        move = self._moves.setdefault((thread, mailbox), [0, 0])
        move[0] += by
        move[1] += by * (not flags & READ)
        return len(self._moves) >= MOST

    def write(self, seq: int) -> None:
        """Writes what has moved, now that every row of it is written; `seq` is the sequence that it led to."""
        if not self._moves:
            return
        sums: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for places in self._threads():
            unread = [sum(mails[2 * at + 1] for mails in places.values()) for at in (0, 1)]
            for mailbox, (was, was_unread, stands, unread_now) in places.items():
                total = sums[mailbox]
                total[0] += stands - was
                total[1] += unread_now - was_unread
                total[2] += (stands > 0) - (was > 0)
                total[3] += (stands > 0 < unread[1]) - (was > 0 < unread[0])
        before = {count.mailbox: count for count in counts(self._tx, self._mine)}
        touched = {mailbox for _, mailbox in self._moves}
        for mailbox, more in sums.items():
            if mailbox in touched or any(more):
                self._write(mailbox, before.get(mailbox), more, seq)
        self._moves, self._from = {}, seq

    def _threads(self) -> Iterable[dict[int, tuple[int, int, int, int]]]:
        """For each thread: mailbox → (mails before, unread before, mails now, unread now)."""
        moves: defaultdict[int, dict[int, list[int]]] = defaultdict(dict)
        for (thread, mailbox), move in self._moves.items():
            moves[thread][mailbox] = move
        known = sorted(thread for thread in moves if thread <= self._from)  # what is new has moved as a whole
        standing: defaultdict[int, dict[int, tuple[int, int]]] = defaultdict(dict)
        for at in range(0, len(known), _STEP):
            for thread, mailbox, mails, unread in self._tx.all(
                _STANDING, **self._mine, threads=known[at : at + _STEP]
            ):
                standing[thread][mailbox] = (mails, unread)
        for thread, by_mailbox in moves.items():
            now = (
                standing[thread] if thread <= self._from else {m: (a, b) for m, (a, b) in by_mailbox.items()}
            )
            places = {}
            for mailbox in {*now, *by_mailbox}:
                (mails, unread), (came, came_unread) = (
                    now.get(mailbox, (0, 0)),
                    by_mailbox.get(mailbox, (0, 0)),
                )
                places[mailbox] = (mails - came, unread - came_unread, mails, unread)
            yield places

    def _write(self, mailbox: int, before: Count | None, more: list[int], seq: int) -> None:
        if before is None:
            self._tx.run(
                _NEW, **self._mine, mailbox=mailbox, emails=more[0], unread_emails=more[1], threads=more[2],
                unread_threads=more[3], founded=self._from + 1, moved=seq,
            )  # fmt: skip
            return
        stood = (before.emails, before.unread_emails, before.threads, before.unread_threads)
        e, ue, t, ut = (a + b for a, b in zip(stood, more, strict=True))
        founded = before.founded if before.emails else self._from + 1
        self._tx.run(_MOVE, **self._mine, of_mailbox=mailbox, e=e, ue=ue, t=t, ut=ut, since=founded, at=seq)
