"""Recalls: a partner is told to delete what it was shown and may see no longer, and answers under its key.

Rules of this file (consent.md, ledger.md, api.md "consent given or withdrawn"):

1. Called back is what a reading named, and nothing else: a row that came and went unread is nobody's business.
2. A recall names destroyed ids, which `/changes` tells too, and a day. Why is never told: a no, a lower yes, a row made
   anew and an edit look alike.
3. A job of the writer, behind: that a row is gone binds at once (`rows.apply`) and waits for none of this. It begins
   anew from entry 0 where its own table is lost.
4. A sender sees the recalls of their words, whether answered or overdue; never in whose inbox. An owner sees those of
   grants that they ended: others would tell that somebody said no (DESIGN.md, invariant 11).
5. An answer is the partner's signed word. The first one stands; it may come late, and is shown to be.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, update

from byleave.consent import grant, register
from byleave.consent.agreement import Agreement
from byleave.errors import Absent, Code, Conflict, Invalid
from byleave.keys import Keyring, strict_json, verify_jws
from byleave.ledger import entry as entries
from byleave.ledger import log
from byleave.ledger.entry import Reading
from byleave.model import Handle, Ms
from byleave.store import Snapshot, Transaction, among, prepare
from byleave.store.recalls import recall, recall_of, recall_place, recalled
from byleave.store.tables import entry, handle, owner, view_gone, view_part, view_row
from byleave.store.tables import grant as grant_table
from byleave.view.shape import Ids
from byleave.words.fragment import rfc3339

DAYS = 7
"""A partner has so long to delete, or as long as its agreement lets it keep anything, if that is less."""
DAY_MS = 86_400_000
MOST = 2000
"""Ids in one recall."""
OVERLAP_MS = 120_000
"""Workers' clocks: readings of so long before the last one are looked at again."""
NOTICE, ANSWER = "byleave-recall+jws", "byleave-recall-answer+jws"

_BEHIND = prepare(
    select(grant_table.c.owner_id, grant_table.c.grant_id)
    .outerjoin(recalled, (recalled.c.owner_id == grant_table.c.owner_id) & (recalled.c.grant_id == grant_table.c.grant_id))
    .where(
        grant_table.c.partner.is_not(None),
        or_(
            grant_table.c.seq > func.coalesce(recalled.c.seq, 0),
            and_(grant_table.c.revoked_at.is_not(None), func.coalesce(recalled.c.ended, 0) == 0),
        ),
    )
    .limit(1)
)  # fmt: skip
_MINE: dict[str, Any] = {"owner_id": bindparam("owner_id"), "grant_id": bindparam("grant_id")}
_STAND = prepare(
    select(recalled.c.seq, recalled.c.ended, recalled.c.read_until, recalled.c.shown).where(
        recalled.c.owner_id == _MINE["owner_id"], recalled.c.grant_id == _MINE["grant_id"]
    )
)
_DROP_STAND = prepare(
    delete(recalled).where(recalled.c.owner_id == _MINE["owner_id"], recalled.c.grant_id == _MINE["grant_id"])
)
_ADD_STAND = prepare(insert(recalled))
_READINGS = prepare(
    select(entry.c.at, entry.c.event).where(
        entry.c.owner_id == _MINE["owner_id"], entry.c.grant_id == _MINE["grant_id"], entry.c.kind == "reading",
        entry.c.at >= bindparam("since"),
    )
)  # fmt: skip
_DIED = prepare(
    select(view_gone.c.died, view_gone.c.born, view_gone.c.sender)
    .where(
        view_gone.c.owner_id == _MINE["owner_id"], view_gone.c.grant_id == _MINE["grant_id"],
        view_gone.c.died > bindparam("since"),
    )
    .order_by(view_gone.c.died)
)  # fmt: skip
_LIVING = prepare(
    select(view_row.c.born, view_row.c.sender).where(
        view_row.c.owner_id == _MINE["owner_id"], view_row.c.grant_id == _MINE["grant_id"]
    )
)
_PARTS = prepare(
    select(view_part.c.born, view_part.c.handle)
    .where(
        view_part.c.owner_id == _MINE["owner_id"], view_part.c.grant_id == _MINE["grant_id"],
        among(view_part.c.born, "borns"),
    )
    .distinct()
)  # fmt: skip
_ADD = prepare(insert(recall))
_ADD_OF = prepare(insert(recall_of))
_ADD_PLACE = prepare(insert(recall_place))
_PLACE = prepare(
    select(recall_place.c.owner_id).where(
        recall_place.c.agreement_id == bindparam("agreement_id"),
        recall_place.c.recall_id == bindparam("recall_id"),
    )
)
_PLACES = prepare(
    select(recall_place.c.recall_id, recall_place.c.owner_id)
    .where(
        recall_place.c.agreement_id == bindparam("agreement_id"),
        recall_place.c.recall_id > bindparam("after"),
    )
    .order_by(recall_place.c.recall_id)
    .limit(bindparam("n"))
)
_COLUMNS = (
    recall.c.owner_id, recall.c.recall_id, recall.c.grant_id, recall.c.agreement_id, recall.c.partner,
    recall.c.by_owner, recall.c.messages, recall.c.made_at, recall.c.due_at, recall.c.notice, recall.c.answered_at,
    recall.c.answer,
)  # fmt: skip
_ONE = prepare(
    select(*_COLUMNS).where(
        recall.c.owner_id == bindparam("owner_id"), recall.c.recall_id == bindparam("recall_id")
    )
)
_ANSWER = prepare(
    update(recall)
    .values(answered_at=bindparam("now"), answer=bindparam("said"))
    .where(recall.c.owner_id == bindparam("of_owner"), recall.c.recall_id == bindparam("of_recall"))
)
_OF_OWNER = prepare(
    select(*_COLUMNS).where(recall.c.owner_id == bindparam("owner_id"), recall.c.by_owner == 1)
)
_OWNERS = prepare(select(owner.c.owner_id))
_OF_PERSON = prepare(
    select(*_COLUMNS, recall_of.c.messages)
    .join(recall_of, (recall_of.c.owner_id == recall.c.owner_id) & (recall_of.c.recall_id == recall.c.recall_id))
    .join(handle, (handle.c.owner_id == recall_of.c.owner_id) & (handle.c.handle == recall_of.c.handle))
    .where(recall.c.owner_id == bindparam("owner_id"), handle.c.value == bindparam("value"))
)  # fmt: skip


class Recall(msgspec.Struct, frozen=True):
    """One recall. `messages` counts all of it, or one person's."""

    owner_id: bytes
    recall_id: bytes
    grant_id: bytes
    agreement_id: str
    partner: str
    by_owner: int
    messages: int
    made_at: Ms
    due_at: Ms
    notice: str
    answered_at: Ms | None
    answer: str | None

    def state(self, now: Ms) -> str:
        """open, overdue, answered or answered late."""
        if self.answered_at is not None:
            return "answered" if self.answered_at <= self.due_at else "answered late"
        return "open" if now <= self.due_at else "overdue"


# ── the follower ────────────────────────────────────────────────────────────────────────────────────────────
def job(
    keyring: Keyring, ids: bytes, fresh_id: Callable[[], bytes], salt: Callable[[], bytes]
) -> Callable[[Transaction, Ms], bool]:
    """The writer's job: one grant a step; answers whether there was one behind."""
    key = keyring.active("agreement")

    def run(tx: Transaction, now: Ms) -> bool:
        behind = tx.one(_BEHIND)
        if behind is None:
            return False
        _follow(
            tx, behind[0], behind[1], now, lambda payload: key.sign(payload, typ=NOTICE), ids, fresh_id, salt
        )
        return True

    return run


def _follow(
    tx: Transaction, owner_id: bytes, grant_id: bytes, now: Ms, sign: Callable[[bytes], str], ids: bytes,
    fresh_id: Callable[[], bytes], salt: Callable[[], bytes],
) -> None:  # fmt: skip
    mine = {"owner_id": owner_id, "grant_id": grant_id}
    found = grant.find(tx, owner_id, grant_id)
    since, ended, until, kept = tx.one(_STAND, **mine) or (0, 0, 0, b"")
    shown = int.from_bytes(zlib.decompress(kept), "little") if kept else 0
    for at, event in tx.all(_READINGS, **mine, since=max(0, until - OVERLAP_MS)):
        until = max(until, at)
        reading = entries.decode(event)
        if isinstance(reading, Reading):
            for born in reading.messages():
                shown |= 1 << born
    gone = found.revoked_at is not None and not ended
    died = {born: sender for _, born, sender in tx.all(_DIED, **mine, since=since)}
    living: dict[int, int] = dict(tx.all(_LIVING, **mine)) if gone else {}
    for by_owner, whose in ((False, died), (True, living)):
        borns = sorted(born for born in whose if shown >> born & 1)
        for at in range(0, len(borns), MOST):
            some = {born: whose[born] for born in borns[at : at + MOST]}
            _make(tx, found, some, by_owner, now, sign, Ids(ids, grant_id), fresh_id, salt)
    size = (shown.bit_length() + 7) // 8
    tx.run(_DROP_STAND, **mine)
    tx.run(
        _ADD_STAND, **mine, seq=found.seq, ended=int(gone or ended), read_until=until,
        shown=zlib.compress(shown.to_bytes(size, "little"), 1),
    )  # fmt: skip


def _make(
    tx: Transaction, found: grant.Grant, whose: dict[int, int], by_owner: bool, now: Ms, sign: Callable[[bytes], str],
    ids: Ids, fresh_id: Callable[[], bytes], salt: Callable[[], bytes],
) -> None:  # fmt: skip
    current = register.current(tx, found.agreement_id or "")
    keeps = current[0].terms.retention_days if current is not None else DAYS
    recall_id, due = fresh_id(), now + min(DAYS, keeps) * DAY_MS
    borns = sorted(whose)
    told = {
        "recall": recall_id.hex(), "agreement": found.agreement_id, "account": ids.account_id, "delete": ids.give("m", borns),
        "made_at": rfc3339(now), "due_at": rfc3339(due),
    }  # fmt: skip
    at = {"owner_id": found.owner_id, "recall_id": recall_id}
    tx.run(
        _ADD, **at, grant_id=found.grant_id, agreement_id=found.agreement_id, partner=found.partner, by_owner=int(by_owner),
        messages=len(borns), made_at=now, due_at=due, notice=sign(orjson.dumps(told)), answered_at=None, answer=None,
    )  # fmt: skip
    tx.run(_ADD_PLACE, agreement_id=found.agreement_id, recall_id=recall_id, owner_id=found.owner_id)
    parts = tx.all(_PARTS, owner_id=found.owner_id, grant_id=found.grant_id, borns=borns)
    of = Counter(h for _, h in {(b, h) for b, h in [*whose.items(), *parts]})
    tx.many(_ADD_OF, [{**at, "handle": h, "messages": n} for h, n in sorted(of.items()) if h])
    facts = {"recall": recall_id.hex(), "partner": found.partner, "agreement": found.agreement_id, "messages": len(borns), "due": due}  # fmt: skip
    log.append(tx, found.owner_id, fresh_id(), "recall", now, facts, salt(), found.grant_id)


# ── the partner ─────────────────────────────────────────────────────────────────────────────────────────────
def of_agreement(snapshot: Snapshot, agreement_id: str, after: bytes, most: int) -> list[Recall]:
    """An agreement's recalls over all inboxes, the oldest first."""
    places = snapshot.all(_PLACES, agreement_id=agreement_id, after=after, n=most)
    return [_of(snapshot.one(_ONE, owner_id=owner_id, recall_id=id)) for id, owner_id in places]


def checked(agreement: Agreement, recall_id: bytes, said: str, now: Ms) -> None:
    """Raises Invalid for an answer that is not the partner's, or not to this recall."""
    header, payload = verify_jws(said, agreement.jwks(), at_s=now // 1000)
    stated = strict_json(payload)
    if header.get("typ") != ANSWER or not isinstance(stated, dict):
        raise Invalid(Code.INVALID_SIGNATURE, f"an answer is an object signed with typ {ANSWER}")
    if stated.get("recall") != recall_id.hex() or stated.get("deleted") is not True:
        raise Invalid(Code.INVALID_ARGUMENTS, 'sign {"recall": its id, "deleted": true}')


def answer(
    tx: Transaction, agreement_id: str, recall_id: bytes, said: str, now: Ms, entry_id: bytes, salt: bytes
) -> bool:
    """Procedure: keeps a partner's answer (`checked`); False where the same stood already. Raises Absent, Conflict."""
    place = tx.one(_PLACE, agreement_id=agreement_id, recall_id=recall_id)
    if place is None:
        raise Absent(Code.ABSENT, "no such recall")
    found = _of(tx.one(_ONE, owner_id=place[0], recall_id=recall_id))
    if found.answer is not None:
        if found.answer != said:
            raise Conflict(Code.CONFLICT, "this recall has been answered")
        return False
    tx.run(_ANSWER, of_owner=place[0], of_recall=recall_id, now=now, said=said)
    facts = {
        "recall": recall_id.hex(),
        "answer_sha256": hashlib.sha256(said.encode()).hexdigest(),
        "late": now > found.due_at,
    }
    log.append(tx, place[0], entry_id, "recall", now, facts, salt, found.grant_id)
    return True


# ── the person ──────────────────────────────────────────────────────────────────────────────────────────────
def of_owner(snapshot: Snapshot, owner_id: bytes) -> list[Recall]:
    """Recalls of the grants that an owner ended, newest first."""
    return _newest([_of(row) for row in snapshot.all(_OF_OWNER, owner_id=owner_id)])


def of_person(snapshot: Snapshot, value: Handle) -> list[Recall]:
    """Recalls of one person's words in every inbox, newest first, counting theirs; the owner's grants that ended among
    them."""
    found = []
    for (owner_id,) in snapshot.all(_OWNERS):
        for *row, messages in snapshot.all(_OF_PERSON, owner_id=owner_id, value=value):
            found.append(msgspec.structs.replace(_of(row), messages=messages))
    return _newest(found)


def _newest(found: list[Recall]) -> list[Recall]:
    return sorted(found, key=lambda r: (r.made_at, r.recall_id), reverse=True)


def _of(row: Any) -> Recall:
    return Recall(*row)
