"""Which titles the words of an inbox name: read behind every import, and again when titles or models change.

Rules of this file:

1. What is found for a message depends on its sender's own words in that conversation and month, on the titles and
   on the model, and on nothing else: not on others' words, not on how the messages came in.
2. Sensitive titles are looked for in order to be left out. The clause that names one is taken out of the words
   before anything else is found, so that with it or without it the rest is the same. Which title it was is not
   kept: only that this stretch counts for nothing.
3. An import says with which edition it was read (`import.mentioned`). What says another one is read again, import
   by import: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from byleave import titles
from byleave.consent import grant
from byleave.consent.identity import UNKNOWN
from byleave.model import Ms
from byleave.store import Store, Transaction, prepare
from byleave.store.bodies import fragment
from byleave.store.bodies import mention as mention_table
from byleave.store.tables import importing, message
from byleave.titles import Shelf
from byleave.view import signals
from byleave.view.signals import CHATS, DAY_MS, MAIL, own_words
from byleave.words.gazetteer import Gazetteer
from byleave.words.mentions import Mention, MentionModel, mentions_of, without

BATCH = 2000
"""Texts that are read at a stretch, about."""

_STALE = prepare(
    select(importing.c.owner_id, importing.c.import_id)
    .where(
        importing.c.published_at.is_not(None),
        func.coalesce(importing.c.mentioned, "") != bindparam("edition"),
    )
    .order_by(importing.c.owner_id, importing.c.import_id)
)
_READ = prepare(
    update(importing)
    .values(mentioned=bindparam("edition"))
    .where(importing.c.owner_id == bindparam("of_owner"), importing.c.import_id == bindparam("of_import"))
)
_TOUCHED = prepare(
    select(message.c.sender, message.c.received_at)
    .where(message.c.owner_id == bindparam("owner_id"), message.c.import_id == bindparam("import_id"))
    .order_by(message.c.sender, message.c.received_at)
)
_WORDS = prepare(
    select(
        message.c.conversation, message.c.received_at, message.c.id, message.c.mailbox,
        func.coalesce(fragment.c.text, fragment.c.written),
    )
    .join(
        fragment,
        (fragment.c.owner_id == message.c.owner_id) & (fragment.c.sender == message.c.sender)
        & (fragment.c.received_at == message.c.received_at) & (fragment.c.id == message.c.id),
    )
    .join(
        importing,
        (importing.c.owner_id == message.c.owner_id) & (importing.c.import_id == message.c.import_id)
        & importing.c.published_at.is_not(None),
    )
    .where(
        message.c.owner_id == bindparam("owner_id"), message.c.sender == bindparam("sender"),
        message.c.received_at >= bindparam("start"), message.c.received_at < bindparam("end"),
        message.c.replaced_at.is_(None),
    )
    .order_by(message.c.received_at, message.c.id)
)  # fmt: skip
_COLUMNS = tuple(mention_table.c[n] for n in mention_table.c.keys())  # noqa: SIM118 (a Core collection)
_KEPT = prepare(
    select(*_COLUMNS, message.c.received_at)
    .join(message, (message.c.owner_id == mention_table.c.owner_id) & (message.c.sender == mention_table.c.sender)
          & (message.c.id == mention_table.c.id))
    .where(
        mention_table.c.owner_id == bindparam("owner_id"), mention_table.c.sender == bindparam("sender"),
        message.c.received_at >= bindparam("start"), message.c.received_at < bindparam("end"),
    )
)  # fmt: skip
_NAMES = tuple(c.name for c in _COLUMNS)
_ADD = prepare(insert(mention_table))
_DROP = prepare(
    delete(mention_table).where(
        mention_table.c.owner_id == bindparam("of_owner"), mention_table.c.id == bindparam("of_id")
    )
)


class Reader:
    """The titles and the model, compiled once: a second or two for 30,000 titles."""

    def __init__(self, shelf: Shelf, model: MentionModel | None = None) -> None:
        self.edition = shelf.edition
        self._sensitive = shelf.sensitive
        self._gazetteer = Gazetteer(shelf.titles)
        self._model = model or MentionModel.load()

    def read(self, authors: Sequence[Sequence[str]]) -> list[list[tuple[Mention, ...]]]:
        """What each author names, text by text (rule 2). A mention of "" is a stretch that counts for nothing."""
        found = mentions_of(authors, self._gazetteer, self._model)
        again = [n for n, texts in enumerate(found) if any(self._named(mentions) for mentions in texts)]
        left = {n: [list(_stretches(t, self._named(m), m)) for t, m in zip(authors[n], found[n], strict=True)] for n in again}  # fmt: skip
        for _ in range(3):
            if not again:
                break
            blank = [[without(t, s) for t, s in zip(authors[n], left[n], strict=True)] for n in again]
            fresh = mentions_of(blank, self._gazetteer, self._model)
            more: list[int] = []
            for n, texts in zip(again, fresh, strict=True):
                found[n] = texts
                for k, mentions in enumerate(texts):
                    if named := self._named(mentions):
                        left[n][k] += _stretches(authors[n][k], named, mentions)
                        more.append(n)
            again = sorted(set(more))
        for n, stretches in left.items():
            found[n] = [
                (*(m for m in mentions if m.title_id not in self._sensitive), *(Mention(a, b, "", 1.0) for a, b in _joined(cut)))
                for mentions, cut in zip(found[n], stretches, strict=True)
            ]  # fmt: skip
        return found

    def _named(self, mentions: Iterable[Mention]) -> list[Mention]:
        return [m for m in mentions if m.title_id in self._sensitive]


_SENTENCE = re.compile(r"[.!?;\n…]+")
_CLAUSE = re.compile(r"[.!?:;\n…]+|,|\s[-–—]\s")
_JOINING = re.compile(
    r"(?:(?:^|[\s,])(?:and|or|und|oder|et|ou|y|o|e|i|&|also|plus|then))?"
    r"(?:\s+(?:the|a|an|der|die|das|le|la|les|el|los|las|il|lo|os|as))?\s*$",
    re.IGNORECASE,
)
"""A word that joins, and an article: titles are found without theirs."""


def _stretches(text: str, named: Iterable[Mention], every: Iterable[Mention]) -> Iterator[tuple[int, int]]:
    """What goes with each of `named`: its sentence and what follows it, up to the next sentence that names something
    else ("… I loved it too" is said of it); where its own sentence does, its clause; where that does, the title with
    the word that joins it."""
    every = list(every)
    for one in named:
        others = [
            m for m in every if m.title_id != one.title_id and not (m.start < one.end and one.start < m.end)
        ]
        start, end = _around(_SENTENCE, text, one)
        if not any(start <= m.start < end for m in others):
            following = [_around(_SENTENCE, text, m)[0] for m in others if m.start >= end]
            yield start, min(following, default=len(text))
            continue
        start, end = _around(_CLAUSE, text, one)
        if any(start <= m.start < end for m in others):
            joining = _JOINING.search(text, max(0, one.start - 20), one.start)
            start, end = joining.start() if joining else one.start, one.end
        yield start, end


def _around(mark: re.Pattern[str], text: str, one: Mention) -> tuple[int, int]:
    marks = [0, *(m.end() for m in mark.finditer(text)), len(text)]
    start = max(m for m in marks if m <= one.start)
    return start, min((m for m in marks if m >= one.end), default=len(text))


def _joined(stretches: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


# ── inboxes ─────────────────────────────────────────────────────────────────────────────────────────────────
def catch_up(
    store: Store, now: Ms, progress: Callable[[str, int], None] = lambda step, done: None, owner_id: bytes | None = None
) -> int:  # fmt: skip
    """Reads every import that was read with another edition than this store's, or not yet; answers how many
    messages were looked at. What changed is owed to each grant (`rows.work_any` does it)."""
    with store.read() as snapshot:
        edition = titles.edition(snapshot)
        waiting = [row for row in snapshot.all(_STALE, edition=edition) if owner_id in (None, row[0])]
        shelf = titles.shelf(snapshot) if waiting and edition else None
    if not waiting or shelf is None:
        return 0
    reader = Reader(shelf)
    done = 0
    read: set[tuple[bytes, int, Ms]] = set()
    for of_owner, import_id in waiting:
        with store.read() as snapshot:
            wanted = _months(snapshot.all(_TOUCHED, owner_id=of_owner, import_id=import_id))
        for sender, start, end in wanted:
            if (of_owner, sender, start) not in read:
                read.add((of_owner, sender, start))
                done += _month(store, reader, of_owner, sender, start, end)
                progress("titles", done)
        store.write(_finish, of_owner, import_id, edition)
    return done


def _months(touched: Iterable[tuple[int, Ms]]) -> list[tuple[int, Ms, Ms]]:
    """(sender, first moment, first moment of the next) of every calendar month (UTC) that was touched."""
    found: dict[tuple[int, Ms], Ms] = {}
    sender, end = -1, 0
    for who, at in touched:
        if who == UNKNOWN or (who == sender and at < end):
            continue
        then = datetime.fromtimestamp(at / 1000, UTC)
        start = datetime(then.year, then.month, 1, tzinfo=UTC)
        after = datetime(then.year + then.month // 12, then.month % 12 + 1, 1, tzinfo=UTC)
        sender, end = who, int(after.timestamp()) * 1000
        found[who, int(start.timestamp()) * 1000] = end
    return [(who, start, until) for (who, start), until in found.items()]


def _month(store: Store, reader: Reader, owner_id: bytes, sender: int, start: Ms, end: Ms) -> int:
    """Reads one sender's month, conversation by conversation; answers how many messages there were."""
    talks: dict[int, list[tuple[Ms, bytes, int, str]]] = {}
    with store.read() as snapshot:
        at = {"owner_id": owner_id, "sender": sender, "start": start, "end": end}
        for conversation, received_at, id, mailbox, body in snapshot.all(_WORDS, **at):
            words = own_words(body)
            if words:
                talks.setdefault(conversation, []).append((received_at, id, mailbox, words))
        before = {row[:-1] for row in snapshot.all(_KEPT, **at)}
    after: set[tuple[Any, ...]] = set()
    for batch in _batches(list(talks.items())):
        read = reader.read([[words for *_, words in said] for _, said in batch])
        for (conversation, said), named in zip(batch, read, strict=True):
            for (received_at, id, mailbox, _), mentions in zip(said, named, strict=True):
                sitting = received_at // DAY_MS if mailbox == CHATS else MAIL
                after.update(
                    (
                        owner_id,
                        conversation,
                        sitting,
                        id,
                        m.start,
                        m.end,
                        sender,
                        m.title_id,
                        round(m.p * 1000),
                    )
                    for m in mentions
                )
    count = sum(map(len, talks.values()))
    moved = before ^ after
    if moved:
        gone = {row[3] for row in moved}
        fresh = [dict(zip(_NAMES, row, strict=True)) for row in sorted(after) if row[3] in gone]
        store.write(_replace, owner_id, sorted(gone), fresh, sorted({row[1:3] for row in moved}))
    return count


def _batches(talks: list[tuple[int, list[Any]]]) -> Iterator[list[tuple[int, list[Any]]]]:
    batch: list[tuple[int, list[Any]]] = []
    held = 0
    for talk in talks:
        if held and held + len(talk[1]) > BATCH:
            yield batch
            batch, held = [], 0
        batch.append(talk)
        held += len(talk[1])
    if batch:
        yield batch


def _replace(
    tx: Transaction,
    owner_id: bytes,
    gone: list[bytes],
    fresh: list[dict[str, Any]],
    sittings: list[list[int]],
) -> None:
    tx.many(_DROP, [{"of_owner": owner_id, "of_id": id} for id in gone])
    tx.many(_ADD, fresh)
    for found in grant.of_owner(tx, owner_id):
        if found.revoked_at is None and signals.gives(found):
            signals.owe(tx, found, [(c, s) for c, s in sittings])


def _finish(tx: Transaction, owner_id: bytes, import_id: bytes, edition: str) -> None:
    tx.run(_READ, of_owner=owner_id, of_import=import_id, edition=edition)
