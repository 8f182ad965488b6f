"""Sends: a card from an inbox's owner to one person, by a partner that may write it and nobody else's word.

Rules of this file:

1. Nothing goes out without the sender's own act: they confirm this card, or gave standing leave for this
   recipient, thirty days at the most.
2. Whether the recipient refuses, has left or never was: the answer, the counts, the statements run and the
   entries written are the same. Only what the recipient finds differs.
3. A send counts on the UTC day on which it was accepted, in the transaction that accepts it, with its entries.
4. One Idempotency-Key is one send. The same key with another body is refused.
5. Caps that a partner can run into count its own sends alone; the cap over all partners keeps a card from being
   delivered and tells nobody.
6. Receiving cards is a yes to one partner; without one there is none (invariant 10).
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
from sqlalchemy import bindparam, delete, func, insert, select, update

from byleave.consent import grant, register
from byleave.consent.agreement import Agreement
from byleave.consent.purpose import PURPOSES, Output
from byleave.errors import Absent, Code, Conflict, Denied, Exhausted, Invalid
from byleave.exchange import card as cards
from byleave.exchange import duty, sums
from byleave.exchange.terms import Cell
from byleave.ledger import log
from byleave.model import Level, Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.tables import asked_once, handle, receiving, send, send_leave, send_place, sent_today
from byleave.store.tables import card as card_table

DAY_MS = sums.DAY_MS
WAITING, ACCEPTED, DECLINED = "waiting", "accepted", "declined"
WAITS_MS = 7 * DAY_MS
LEAVE_MS = 30 * DAY_MS
REMEMBERS_MS = 30 * DAY_MS
"""How long an Idempotency-Key is remembered."""
PER_SENDER, PER_RECIPIENT, PER_PARTNER = 200, 10, 100_000
"""Sends a UTC day: of one inbox, of one inbox to one person, of one agreement."""
RECEIVES = 20
"""Cards a UTC day that one person is shown, over all partners."""


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """A send as it stands in the store."""

    owner_id: bytes
    send_id: bytes
    grant_id: bytes
    agreement_id: str
    partner: str
    client_id: str
    recipient: str
    person: bytes
    card: str
    interface: str
    surface: str
    variant: str
    day: int
    state: str
    delivered: int
    made_at: Ms
    accepted_at: Ms | None
    clicks: int
    counted: int
    last_click: Ms | None

    @property
    def cell(self) -> Cell:
        return Cell(self.interface, self.surface, self.variant)

    def shown(self, now: Ms) -> dict[str, Any]:
        """The send as its partner may know it: nothing of the recipient's side."""
        state = "expired" if self.state == WAITING and now >= self.made_at + WAITS_MS else self.state
        told: dict[str, Any] = {
            "id": self.send_id.hex(), "state": state, "recipient": self.recipient, "card": orjson.loads(self.card),
            "cell": self.cell._asdict(),
        }  # fmt: skip
        if self.state == ACCEPTED:
            told["day"] = sums.date_of(self.day).isoformat()
        return told


_COLUMNS = tuple(send.c[name] for name in Send.__struct_fields__)
_ONE = prepare(
    select(*_COLUMNS).where(send.c.owner_id == bindparam("owner_id"), send.c.send_id == bindparam("send_id"))
)
_OF_OWNER = prepare(
    select(*_COLUMNS)
    .where(send.c.owner_id == bindparam("owner_id"))
    .order_by(send.c.send_id.desc())
    .limit(bindparam("n"))
)
_OF_GRANT = prepare(
    select(*_COLUMNS)
    .where(send.c.owner_id == bindparam("owner_id"), send.c.grant_id == bindparam("grant_id"), send.c.send_id > bindparam("after"))
    .order_by(send.c.send_id)
    .limit(bindparam("n"))
)  # fmt: skip
_INSERT = prepare(insert(send))
_SETTLE = prepare(
    update(send)
    .values(state=bindparam("to_state"), day=bindparam("on_day"), accepted_at=bindparam("at"), delivered=bindparam("shown"))
    .where(send.c.owner_id == bindparam("of_owner"), send.c.send_id == bindparam("of_send"), send.c.state == WAITING)
)  # fmt: skip
_DRAWN = prepare(
    select(send.c.person).where(
        send.c.owner_id == bindparam("owner_id"), send.c.made_at >= bindparam("since")
    )
)
_PLACE = prepare(insert(send_place))
_PLACES = prepare(
    select(send_place.c.owner_id, send_place.c.send_id)
    .where(send_place.c.agreement_id == bindparam("agreement_id"), send_place.c.send_id < bindparam("before"))
    .order_by(send_place.c.send_id.desc())
    .limit(bindparam("n"))
)
_WHERE = prepare(select(send_place.c.owner_id).where(send_place.c.send_id == bindparam("send_id")))
_LEAVE = prepare(
    select(send_leave.c.until).where(
        send_leave.c.owner_id == bindparam("owner_id"), send_leave.c.grant_id == bindparam("grant_id"),
        send_leave.c.person == bindparam("person"),
    )
)  # fmt: skip
_LEAVES = prepare(
    select(send_leave.c.grant_id, send_leave.c.person, send_leave.c.until).where(
        send_leave.c.owner_id == bindparam("owner_id"), send_leave.c.until > bindparam("now")
    )
)
_GIVE = prepare(insert(send_leave))
_TAKE = prepare(
    delete(send_leave).where(
        send_leave.c.owner_id == bindparam("of_owner"), send_leave.c.grant_id == bindparam("of_grant"),
        send_leave.c.person == bindparam("of_person"),
    )
)  # fmt: skip
_RECEIVES = prepare(
    select(receiving.c.cards, receiving.c.clicks).where(
        receiving.c.owner_id == bindparam("person"), receiving.c.partner == bindparam("partner")
    )
)
_CHOSEN = prepare(
    select(receiving.c.partner, receiving.c.cards, receiving.c.clicks, receiving.c.at).where(
        receiving.c.owner_id == bindparam("person")
    )
)
_UNCHOOSE = prepare(
    delete(receiving).where(
        receiving.c.owner_id == bindparam("of_person"), receiving.c.partner == bindparam("of_partner")
    )
)
_CHOOSE = prepare(insert(receiving))
_CARD = prepare(insert(card_table))
_GOT = prepare(
    select(func.count()).where(
        card_table.c.owner_id == bindparam("person"),
        card_table.c.at >= bindparam("since"),
        card_table.c.card != "",
    )
)
_CARD_SHOWN = tuple(
    card_table.c[n] for n in ("send_id", "sender_id", "agreement_id", "partner", "card", "at")
)
_CARD_ONE = prepare(
    select(*_CARD_SHOWN).where(
        card_table.c.owner_id == bindparam("person"), card_table.c.send_id == bindparam("send_id"), card_table.c.card != ""
    )
)  # fmt: skip
_CARDS = prepare(
    select(*_CARD_SHOWN)
    .where(card_table.c.owner_id == bindparam("person"), card_table.c.card != "")
    .order_by(card_table.c.at.desc(), card_table.c.send_id.desc())
    .limit(bindparam("n"))
)  # fmt: skip
_TODAY = prepare(
    select(sent_today.c.sends).where(
        sent_today.c.agreement_id == bindparam("agreement_id"), sent_today.c.day == bindparam("day")
    )
)
_DRAW = prepare(
    update(sent_today)
    .values(sends=sent_today.c.sends + 1)
    .where(sent_today.c.agreement_id == bindparam("of_agreement"), sent_today.c.day == bindparam("of_day"))
)
_DRAW_FIRST = prepare(insert(sent_today))
_ASKED = prepare(
    select(asked_once.c.digest, asked_once.c.status, asked_once.c.answer).where(
        asked_once.c.hash == bindparam("hash")
    )
)
_REMEMBER = prepare(insert(asked_once))
_FORGET = prepare(delete(asked_once).where(asked_once.c.at < bindparam("before")))
_PEOPLE = prepare(
    select(handle.c.person, handle.c.own, handle.c.handle).where(
        handle.c.owner_id == bindparam("owner_id"), handle.c.handle > 0
    )
)
_NAMES = prepare(
    select(handle.c.name, handle.c.value).where(
        handle.c.owner_id == bindparam("owner_id"), handle.c.person == bindparam("person")
    )
)


# ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────
def find(snapshot: Snapshot, owner_id: bytes, send_id: bytes) -> Send:
    """Raises Absent."""
    row = snapshot.one(_ONE, owner_id=owner_id, send_id=send_id)
    if row is None:
        raise Absent(Code.ABSENT, "no such send")
    return Send(**dict(zip(Send.__struct_fields__, row, strict=True)))


def of_owner(snapshot: Snapshot, owner_id: bytes, most: int) -> list[Send]:
    """An owner's sends, the newest first."""
    rows = snapshot.all(_OF_OWNER, owner_id=owner_id, n=most)
    return [Send(**dict(zip(Send.__struct_fields__, row, strict=True))) for row in rows]


def of_grant(snapshot: Snapshot, owner_id: bytes, grant_id: bytes, after: bytes, most: int) -> list[Send]:
    """A grant's sends behind `after`, the oldest first."""
    rows = snapshot.all(_OF_GRANT, owner_id=owner_id, grant_id=grant_id, after=after, n=most)
    return [Send(**dict(zip(Send.__struct_fields__, row, strict=True))) for row in rows]


def of_agreement(snapshot: Snapshot, agreement_id: str, before: bytes, most: int) -> list[Send]:
    """An agreement's sends, the newest first: those made before the send `before` (empty: all)."""
    rows = snapshot.all(_PLACES, agreement_id=agreement_id, before=before or b"\xff" * 17, n=most)
    return [find(snapshot, owner_id, send_id) for owner_id, send_id in rows]


def place(snapshot: Snapshot, send_id: bytes) -> bytes | None:
    """The owner in whose part of the store a send lies."""
    found: bytes | None = snapshot.value(_WHERE, send_id=send_id)
    return found


def people(snapshot: Snapshot, owner_id: bytes) -> list[tuple[bytes, bool]]:
    """(person, is the owner) of every handle in an inbox."""
    return [(row[0], bool(row[1])) for row in snapshot.all(_PEOPLE, owner_id=owner_id)]


def name_of(snapshot: Snapshot, owner_id: bytes, person: bytes) -> str | None:
    """What the owner's own address book calls a person; None for nobody in it."""
    row = snapshot.one(_NAMES, owner_id=owner_id, person=person)
    return None if row is None else row[0] or row[1].partition(":")[2]


def leaves(snapshot: Snapshot, owner_id: bytes, now: Ms) -> list[tuple[bytes, bytes, Ms]]:
    """(grant, person, until) of an owner's standing leave."""
    return [(r[0], r[1], r[2]) for r in snapshot.all(_LEAVES, owner_id=owner_id, now=now)]


def received(snapshot: Snapshot, person: bytes, most: int) -> list[tuple[bytes, bytes, str, str, str, Ms]]:
    """(send, sender, agreement, partner, card, at) of the cards that a person was sent, the newest first."""
    return [(r[0], r[1], r[2], r[3], r[4], r[5]) for r in snapshot.all(_CARDS, person=person, n=most)]


def received_one(
    snapshot: Snapshot, person: bytes, send_id: bytes
) -> tuple[bytes, bytes, str, str, str, Ms] | None:
    """One card of a person, as `received` gives them; None where there is none."""
    r = snapshot.one(_CARD_ONE, person=person, send_id=send_id)
    return None if r is None else (r[0], r[1], r[2], r[3], r[4], r[5])


def receives(snapshot: Snapshot, person: bytes, partner: str) -> tuple[bool, bool]:
    """(may cards of this partner come, may clicks be counted). No answer means no."""
    row = snapshot.one(_RECEIVES, person=person, partner=partner)
    return (False, False) if row is None else (bool(row[0]), bool(row[1]))


def chosen(snapshot: Snapshot, person: bytes) -> list[tuple[str, bool, bool, Ms]]:
    """(partner, cards, clicks, at) of a person's choices about cards."""
    return [(r[0], bool(r[1]), bool(r[2]), r[3]) for r in snapshot.all(_CHOSEN, person=person)]


# ── the partner's act ───────────────────────────────────────────────────────────────────────────────────────
def propose(
    tx: Transaction, owner_id: bytes, grant_id: bytes, client_id: str, recipient: str, person: bytes, card: str,
    cell: list[str], key: bytes, digest: bytes, send_id: bytes, entry_ids: list[bytes], salts: list[bytes], now: Ms,
) -> list[Any]:  # fmt: skip
    """Procedure: takes a card for one person. Answers [status, JSON]: 201 accepted, 202 waiting for its sender.

    `key` is the hash of client, place and Idempotency-Key, `digest` that of the body; `person` is who
    `recipient` stands for, made up where it stands for nobody. Raises Conflict, Denied, Exhausted, Invalid.
    """
    before = tx.one(_ASKED, hash=key)
    if before is not None:
        if before[0] != digest:
            raise Conflict(Code.CONFLICT, "this Idempotency-Key was used with another body")
        return [before[1], before[2]]
    _, agreement = _may(tx, owner_id, grant_id, now)
    where = Cell(*cell)
    _active(agreement, where, now)
    _caps(tx, owner_id, person, agreement.id, now)
    values: dict[str, Any] = {
        "owner_id": owner_id, "send_id": send_id, "grant_id": grant_id, "agreement_id": agreement.id,
        "partner": agreement.terms.partner.id, "client_id": client_id, "recipient": recipient, "person": person,
        "card": card, **where._asdict(), "day": 0, "state": WAITING, "delivered": 0, "made_at": now,
        "accepted_at": None, "clicks": 0, "counted": 0, "last_click": None,
    }  # fmt: skip
    tx.run(_INSERT, **values)
    tx.run(_PLACE, send_id=send_id, owner_id=owner_id, agreement_id=agreement.id)
    until = tx.value(_LEAVE, owner_id=owner_id, grant_id=grant_id, person=person)
    if until is not None and now < until:
        _accept(tx, Send(**values), agreement, "leave", entry_ids, salts, now)
    status = 201 if until is not None and now < until else 202
    answer = orjson.dumps(find(tx, owner_id, send_id).shown(now)).decode()
    tx.run(_FORGET, before=now - REMEMBERS_MS)
    tx.run(_REMEMBER, hash=key, digest=digest, status=status, answer=answer, at=now)
    return [status, answer]


def unused(snapshot: Snapshot, key: bytes, digest: bytes) -> None:
    """Raises Conflict where this Idempotency-Key came with another body before."""
    before = snapshot.one(_ASKED, hash=key)
    if before is not None and before[0] != digest:
        raise Conflict(Code.CONFLICT, "this Idempotency-Key was used with another body")


def remember(tx: Transaction, key: bytes, digest: bytes, now: Ms) -> None:
    """Procedure: keeps an Idempotency-Key whose answer can be made again."""
    if tx.one(_ASKED, hash=key) is None:
        tx.run(_REMEMBER, hash=key, digest=digest, status=200, answer="", at=now)


def _may(tx: Snapshot, owner_id: bytes, grant_id: bytes, now: Ms) -> tuple[grant.Grant, Agreement]:
    """The grant and its agreement, both in force for sends. Raises Invalid, Denied."""
    found = grant.find(tx, owner_id, grant_id)
    ceiling = grant.ceiling(tx, found, now)
    if ceiling is Level.NONE:
        raise Invalid(Code.INVALID_TOKEN, "the grant has ended")
    if Output.SENDS not in PURPOSES[found.purpose].outputs(ceiling):
        raise Denied(Code.DENIED, "this purpose sends no cards")
    duty.demand(tx, found.agreement_id, now)
    current = register.current(tx, found.agreement_id or "")
    if current is None:
        raise Invalid(Code.INVALID_TOKEN, "the grant has ended")
    if not current[0].terms.link_destinations or current[0].terms.report is None:
        raise Denied(Code.DENIED, "the agreement has no link_destinations or no report: it sends no cards")
    return found, current[0]


def _active(agreement: Agreement, cell: Cell, now: Ms) -> None:
    terms = duty.terms(agreement)
    if terms is None or cell not in terms.cells(sums.date_of(sums.day_of(now))):
        raise Invalid(
            Code.INVALID_ARGUMENTS,
            "interface, surface and variant must be codes of the agreement, valid today",
        )


def _caps(tx: Transaction, owner_id: bytes, person: bytes, agreement_id: str, now: Ms) -> None:
    day = sums.day_of(now)
    drawn = [row[0] for row in tx.all(_DRAWN, owner_id=owner_id, since=day * DAY_MS)]
    total = int(tx.value(_TODAY, agreement_id=agreement_id, day=day) or 0)
    over = next(
        (
            name
            for name, count, most in (
                ("sender", len(drawn), PER_SENDER), ("recipient", drawn.count(person), PER_RECIPIENT),
                ("partner", total, PER_PARTNER),
            )
            if count >= most
        ),
        None,
    )  # fmt: skip
    if over is not None:
        rest = ((day + 1) * DAY_MS - now) // 1000 + 1
        raise Exhausted(Code.BUDGET, f"the day's sends for this {over} are used up", retry_after_s=rest)
    if tx.run(_DRAW, of_agreement=agreement_id, of_day=day) == 0:
        tx.run(_DRAW_FIRST, agreement_id=agreement_id, day=day, sends=1)


def _accept(
    tx: Transaction,
    found: Send,
    agreement: Agreement,
    by: str,
    entry_ids: list[bytes],
    salts: list[bytes],
    now: Ms,
) -> None:
    """Counts a send, puts its card where its recipient finds it, and writes both sides' entries."""
    day = sums.open_day(tx, agreement.id, now)
    willing, _ = receives(tx, found.person, found.partner)
    room = int(tx.value(_GOT, person=found.person, since=sums.day_of(now) * DAY_MS) or 0) < RECEIVES
    shown = int(willing and room)
    tx.run(
        _SETTLE,
        of_owner=found.owner_id,
        of_send=found.send_id,
        to_state=ACCEPTED,
        on_day=day,
        at=now,
        shown=shown,
    )
    sums.add(tx, found.owner_id, agreement.id, day, found.cell, sends=1)
    tx.run(
        _CARD, owner_id=found.person, send_id=found.send_id, sender_id=found.owner_id, agreement_id=agreement.id,
        partner=found.partner, card=found.card if shown else "", at=now,
    )  # fmt: skip
    facts: dict[str, Any] = {
        "send": found.send_id.hex(), "agreement": agreement.id, "partner": found.partner, "cell": str(found.cell),
        "day": sums.date_of(day).isoformat(),
    }  # fmt: skip
    log.append(
        tx,
        found.owner_id,
        entry_ids[0],
        "send",
        now,
        {**facts, "recipient": found.recipient, "by": by},
        salts[0],
        found.grant_id,
    )
    # The recipient's own entry, whatever they chose: the log grows by as much for a refuser as for a friend.
    log.append(tx, found.person, entry_ids[1], "send", now, {**facts, "shown": bool(shown)}, salts[1])


# ── the sender's act ────────────────────────────────────────────────────────────────────────────────────────
def confirm(
    tx: Transaction, owner_id: bytes, send_id: bytes, leave_until: Ms | None, entry_ids: list[bytes],
    salts: list[bytes], now: Ms,
) -> str:  # fmt: skip
    """Procedure: the sender's yes to one card, and with `leave_until` to more to the same person by the same
    grant. Answers the state that it has then. Raises Absent, Denied, Invalid."""
    found = find(tx, owner_id, send_id)
    if found.state != WAITING:
        return found.state
    if now >= found.made_at + WAITS_MS:
        raise Invalid(Code.CONFLICT, "This card waited for more than a week; nothing was sent.")
    _, agreement = _may(tx, owner_id, found.grant_id, now)
    _active(agreement, found.cell, now)
    if leave_until is not None:
        give_leave(tx, owner_id, found.grant_id, found.person, leave_until, entry_ids[2], salts[2], now)
    _accept(tx, found, agreement, "confirmed", entry_ids, salts, now)
    return ACCEPTED


def decline(tx: Transaction, owner_id: bytes, send_id: bytes, now: Ms) -> str:
    """Procedure: the sender's no to one card. Raises Absent."""
    found = find(tx, owner_id, send_id)
    if found.state == WAITING:
        tx.run(_SETTLE, of_owner=owner_id, of_send=send_id, to_state=DECLINED, on_day=0, at=now, shown=0)
        return DECLINED
    return found.state


def give_leave(
    tx: Transaction,
    owner_id: bytes,
    grant_id: bytes,
    person: bytes,
    until: Ms,
    entry_id: bytes,
    salt: bytes,
    now: Ms,
) -> None:
    """Procedure: standing leave for one recipient. Raises Invalid for more than thirty days, Absent."""
    grant.find(tx, owner_id, grant_id)
    if not now < until <= now + LEAVE_MS:
        raise Invalid(Code.INVALID_ARGUMENTS, "standing leave ends within thirty days")
    tx.run(_TAKE, of_owner=owner_id, of_grant=grant_id, of_person=person)
    tx.run(_GIVE, owner_id=owner_id, grant_id=grant_id, person=person, given_at=now, until=until)
    facts = {"leave": grant_id.hex(), "person": person.hex(), "until": until}
    log.append(tx, owner_id, entry_id, "choice", now, facts, salt, grant_id)


def end_leave(
    tx: Transaction, owner_id: bytes, grant_id: bytes, person: bytes, entry_id: bytes, salt: bytes, now: Ms
) -> None:
    """Procedure: ends standing leave; from the next send on each card is asked about."""
    if tx.run(_TAKE, of_owner=owner_id, of_grant=grant_id, of_person=person):
        facts = {"leave": grant_id.hex(), "person": person.hex()}
        log.append(tx, owner_id, entry_id, "withdrawal", now, facts, salt, grant_id)


# ── the recipient's act ─────────────────────────────────────────────────────────────────────────────────────
def receive(
    tx: Transaction,
    person: bytes,
    partner: str,
    cards_: bool,
    clicks: bool,
    entry_id: bytes,
    salt: bytes,
    now: Ms,
) -> None:
    """Procedure: a person's choice about one partner's cards, and whether clicks on them may be counted."""
    tx.run(_UNCHOOSE, of_person=person, of_partner=partner)
    tx.run(_CHOOSE, owner_id=person, partner=partner, cards=int(cards_), clicks=int(clicks), at=now)
    log.append(
        tx, person, entry_id, "choice", now, {"cards": cards_, "clicks": clicks, "partner": partner}, salt
    )


def title_of(card: str) -> cards.Card:
    """The card in its stored JSON."""
    return msgspec.json.decode(card, type=cards.Card)
