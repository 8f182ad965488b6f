"""Clicks: the token in a card's link, what counts, and the row that is durable before anybody is redirected.

Rules of this file:

1. A token names a send and nothing else: no person, no destination, so it can neither leak nor redirect anywhere
   but to the agreement's own address. Forged, foreign, retired and expired tokens are one answer.
2. `judge` decides from plain facts; it is the only place that knows what counts. What does not count is kept
   with its reason and is redirected all the same.
3. Of clicks 30 seconds apart or less only the first counts, chained: each click is held against the one before it.
4. The first valid click of a send is its recipient click, each further one a repeat; both are valid clicks.
5. Token and count live in one transaction: whoever was redirected was counted, or told why not. Clicks that
   arrive together share one transaction, and are judged in it one after the other.

Token: base64url(version 1 ‖ kid 1 ‖ send 16 ‖ HMAC-SHA256 cut to 128 bits) = 34 bytes, 46 characters. Version 1
is the card's link, 2 the honeypot beside it that no person sees.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import bindparam, func, insert, select, update

from byleave.consent import register
from byleave.consent.agreement import Agreement
from byleave.errors import Code, Conflict
from byleave.exchange import arrival, send, sums
from byleave.exchange.card import destination
from byleave.exchange.terms import Cell
from byleave.keys import b64url, unb64url
from byleave.ledger import log
from byleave.model import Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.tables import click, click_key
from byleave.store.tables import send as send_table

LINK, TRAP = 1, 2
LENGTH, CHARACTERS = 34, 46
LIVES_MS = 90 * sums.DAY_MS
SOON_MS, DOUBLE_MS = 2_000, 30_000
MOST = 1_000
"""Rows kept of one send's clicks; what comes after them is redirected and not counted."""

_KEYS = prepare(
    select(click_key.c.kid, click_key.c.salt, click_key.c.expires_at).order_by(click_key.c.kid.desc())
)
_SALT = prepare(select(click_key.c.salt).where(click_key.c.kid == bindparam("kid")))
_MAKE = prepare(insert(click_key))
_RETIRE = prepare(
    update(click_key).values(expires_at=bindparam("until")).where(click_key.c.expires_at.is_(None))
)
_ADD = prepare(insert(click))
_TRAPPED = prepare(
    select(func.count()).where(
        click.c.owner_id == bindparam("owner_id"), click.c.send_id == bindparam("send_id"),
        click.c.client == bindparam("client"), click.c.reason == "trap",
    )
)  # fmt: skip
_COUNT = prepare(
    update(send_table)
    .values(
        clicks=send_table.c.clicks + 1, counted=send_table.c.counted + bindparam("more"), last_click=bindparam("last")
    )
    .where(send_table.c.owner_id == bindparam("of_owner"), send_table.c.send_id == bindparam("of_send"))
)  # fmt: skip
_t = send_table.c
_CLICKED = prepare(
    select(
        _t.agreement_id, _t.partner, _t.person, _t.card, _t.interface, _t.surface, _t.variant, _t.delivered,
        _t.accepted_at, _t.clicks, _t.counted, _t.last_click,
    ).where(_t.owner_id == bindparam("owner_id"), _t.send_id == bindparam("send_id"))
)  # fmt: skip
_OF_SEND = prepare(
    select(click.c.at, click.c.reason)
    .where(click.c.owner_id == bindparam("owner_id"), click.c.send_id == bindparam("send_id"))
    .order_by(click.c.number)
)


# ── tokens ──────────────────────────────────────────────────────────────────────────────────────────────────
class Token(NamedTuple):
    """What a token says of itself before its MAC is looked at."""

    version: int
    kid: int
    send_id: bytes
    mac: bytes


def key_of(secret: bytes, kid: int, salt: bytes) -> bytes:
    """The key `kid`, out of the store's secret and the key's own salt."""
    return hmac.new(secret, b"click\0" + bytes((kid,)) + salt, hashlib.sha256).digest()


def write(key: bytes, kid: int, send_id: bytes, version: int = LINK) -> str:
    """The token of a send."""
    head = bytes((version, kid)) + send_id
    return b64url(head + _mac(key, head))


def read(text: str) -> Token | None:
    """The parts of a token; None for what is not exactly one."""
    if len(text) != CHARACTERS or not text.isascii():
        return None
    try:
        data = unb64url(text)
    except ValueError:
        return None
    if len(data) != LENGTH or b64url(data) != text or data[0] not in (LINK, TRAP):
        return None
    return Token(data[0], data[1], data[2:18], data[18:])


def salt_of(snapshot: Snapshot, kid: int) -> bytes | None:
    """The salt of a key that was ever made here; it never changes. Whether the key still holds, `record` looks up."""
    found: bytes | None = snapshot.value(_SALT, kid=kid)
    return found


def made_by(key: bytes, token: Token) -> bool:
    """Whether a token's MAC is this key's."""
    head = bytes((token.version, token.kid)) + token.send_id
    return hmac.compare_digest(_mac(key, head), token.mac)


def _mac(key: bytes, head: bytes) -> bytes:
    return hmac.digest(key, head, "sha256")[:16]


def tokens(snapshot: Snapshot, secret: bytes, send_id: bytes) -> tuple[str, str] | None:
    """(link, honeypot) of a send under the active key; None before there is one."""
    active = next((row for row in snapshot.all(_KEYS) if row[2] is None), None)
    if active is None:
        return None
    key = key_of(secret, active[0], active[1])
    return write(key, active[0], send_id), write(key, active[0], send_id, TRAP)


def rotate(tx: Transaction, salt: bytes, until: Ms, now: Ms, entry_id: bytes, entry_salt: bytes) -> int:
    """Procedure: a new active key; links under the old ones hold until `until`. Answers the new kid."""
    kids = [row[0] for row in tx.all(_KEYS)]
    kid = max(kids, default=0) + 1
    if kid > 255:
        raise Conflict(Code.CONFLICT, "255 keys were made: a new store is needed")
    tx.run(_RETIRE, until=until)
    tx.run(_MAKE, kid=kid, salt=salt, made_at=now, expires_at=None)
    log.append(tx, log.STORE_OWNER, entry_id, "key", now, {"use": "click", "kid": kid}, entry_salt)
    return kid


def begin(tx: Transaction, salt: bytes, now: Ms, entry_id: bytes, entry_salt: bytes) -> bool:
    """Procedure: the first key, if there is none."""
    if tx.one(_KEYS) is None:
        rotate(tx, salt, now, now, entry_id, entry_salt)
    return True


# ── what counts ─────────────────────────────────────────────────────────────────────────────────────────────
@lru_cache(maxsize=1)
def robots() -> tuple[str, tuple[str, ...]]:
    """(version, parts of agents) of the list beside this file."""
    lines = resources.files("byleave.exchange").joinpath("data", "robots.txt").read_text().splitlines()
    version = next(line.rpartition("Version: ")[2] for line in lines if "Version: " in line)
    return version, tuple(line for line in lines if line and not line.startswith("#"))


def refused(method: str, headers: dict[str, str]) -> str | None:
    """Why a request is no person's click, from itself alone; None where it may be one. `headers` in lower case."""
    if method != "GET":
        return "head"
    if (
        "prefetch"
        in f"{headers.get('sec-purpose', '')} {headers.get('purpose', '')} {headers.get('x-moz', '')}".lower()
    ):
        return "prefetch"
    if headers.get("sec-fetch-mode", "navigate") != "navigate":
        return "no-navigation"
    if headers.get("sec-gpc", "").strip() == "1":
        return "gpc"
    return "robot" if _robot(headers.get("user-agent", "")) else None


@lru_cache(maxsize=4096)
def _robot(agent: str) -> bool:
    agent = agent.lower()
    return not agent.strip() or any(part in agent for part in robots()[1])


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides about one click."""

    at: Ms
    refused: str | None
    trap: bool
    trapped: bool
    own: bool
    allowed: bool
    accepted_at: Ms
    last: Ms | None
    """The newest click before that was a person's."""
    counted: int
    many: bool


def judge(facts: Facts) -> str:
    """`first`, `repeat`, or why the click does not count."""
    if facts.refused is not None:
        return facts.refused
    if facts.trap or facts.trapped:
        return "trap"
    if facts.own:
        return "own"
    if not facts.allowed:
        return "no-leave"
    if facts.at - facts.accepted_at <= SOON_MS:
        return "too-soon"
    if facts.many:
        return "too-many"
    if facts.last is not None and facts.at - facts.last <= DOUBLE_MS:
        return "double"
    return arrival.REPEAT if facts.counted else arrival.FIRST


Asked = list[Any]
"""One click as it comes to `record`: [version, kid, send id, why it cannot count or None, the sender's own, client, at]."""


def record(tx: Transaction, secret: bytes, clicks: list[Asked]) -> list[str | None]:
    """Procedure: keeps clicks and counts those that count, in their order. Answers each redirect's Location; None for
    a link that is no longer, or never was."""
    group = _Group(tx, secret)
    return [group.one(*asked) for asked in clicks]


class _Group:
    """What the clicks of one transaction have in common is looked up once."""

    def __init__(self, tx: Transaction, secret: bytes) -> None:
        self.tx = tx
        self.secret = secret
        self.keys: dict[int, Ms | None] = {row[0]: row[2] for row in tx.all(_KEYS)}
        self.agreements: dict[str, tuple[Agreement, bytes, int] | None] = {}

    def agreement(self, id: str) -> tuple[Agreement, bytes, int] | None:
        """(agreement, its key for `bl`, its first open day)."""
        if id not in self.agreements:
            found = register.current(self.tx, id)
            made = (
                None
                if found is None
                else (found[0], arrival.key_of(self.secret, id), sums.open_day(self.tx, id, 0))
            )
            self.agreements[id] = made
        return self.agreements[id]

    def one(
        self, version: int, kid: int, send_id: bytes, why_not: str | None, own: bool, client: bytes, now: Ms
    ) -> str | None:
        tx = self.tx
        until = self.keys.get(kid, 0)
        owner_id = send.place(tx, send_id)
        if owner_id is None or (until is not None and now >= until):
            return None
        row = tx.one(_CLICKED, owner_id=owner_id, send_id=send_id)
        if row is None:
            return None
        agreement_id, partner, person, stated, *codes, delivered, accepted_at, kept, counted, last_click = row
        current = self.agreement(agreement_id)
        if accepted_at is None or not delivered or now >= accepted_at + LIVES_MS or current is None:
            return None
        agreement, key, first_open = current
        # The first click of a send has no other before it that could have walked into the trap.
        trapped = kept > 0 and bool(tx.value(_TRAPPED, owner_id=owner_id, send_id=send_id, client=client))
        facts = Facts(
            at=now, refused=why_not, trap=version == TRAP, trapped=trapped, own=own, accepted_at=accepted_at,
            allowed=all(send.receives(tx, person, partner)), last=last_click, counted=counted, many=kept >= MOST,
        )  # fmt: skip
        reason = judge(facts)
        counts = reason in (arrival.FIRST, arrival.REPEAT)
        cell, day = Cell(*codes), max(sums.day_of(now), first_open)
        bl = arrival.write(key, cell, sums.date_of(day), reason if counts else arrival.UNCOUNTED)
        where = destination(agreement, send.title_of(stated), bl)
        if where is None:
            return None
        if kept < MOST:
            values = {"owner_id": owner_id, "send_id": send_id, "number": kept, "at": now, "reason": reason}
            tx.run(_ADD, **values, client=client)
            last = now if counts or reason == "double" else last_click
            tx.run(_COUNT, of_owner=owner_id, of_send=send_id, more=int(counts), last=last)
        if counts:
            first = int(reason == arrival.FIRST)
            sums.add(tx, owner_id, agreement_id, day, cell, first=first, clicks=1)
        return where


def of_send(snapshot: Snapshot, owner_id: bytes, send_id: bytes) -> list[tuple[Ms, str]]:
    """(at, reason) of every click kept of a send, for tests and the operator."""
    return [(row[0], row[1]) for row in snapshot.all(_OF_SEND, owner_id=owner_id, send_id=send_id)]


def client_of(secret: bytes, day: int, address: str, agent: str) -> bytes:
    """A client of one day: enough to tell a honeypot's visitor again, nothing to find anybody by."""
    said = f"{day}\0{address}\0{agent}".encode("utf-8", "replace")
    return hmac.digest(secret, b"client\0" + said, "sha256")[:16]


__all__ = [
    "Facts",
    "Token",
    "begin",
    "client_of",
    "judge",
    "made_by",
    "read",
    "record",
    "refused",
    "rotate",
    "salt_of",
    "tokens",
    "write",
]
