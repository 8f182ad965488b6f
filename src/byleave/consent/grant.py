"""An owner's yes: inbox, purpose, level, agreement, conversations, period, expiry.

A grant is an OAuth RAR `authorization_details` of type `inbox_access` once an owner agreed to it (RFC 9396).
It ends by expiry, by revocation, or with its agreement; what ended shows nothing on the next request. `owner`
and `own-agent` need no agreement and are never for a partner.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import bindparam, insert, select, update

from byleave.consent import register
from byleave.consent.purpose import GRANT_MS, HOUR_MS, PURPOSES, Purpose, Who
from byleave.errors import Absent, Code, Denied, Invalid
from byleave.ledger import log
from byleave.model import Level, Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.tables import fill
from byleave.store.tables import grant as grant_table

FOREVER: Ms = 253_402_300_799_000
"""Expiry of the inbox's own grant: the end of the year 9999."""


def lifetime(purpose: str) -> int:
    """How long a grant for `purpose` lasts unless it says less, in ms."""
    known = PURPOSES.get(purpose)
    return known.longest_ms if known is not None and known.longest_ms is not None else GRANT_MS


class Scope(msgspec.Struct, frozen=True):
    """Which conversations: all, the listed ones, all but the listed ones. Names are SOURCE/KEY."""

    mode: str = "all"
    of: tuple[str, ...] = ()

    def holds(self, conversation: str) -> bool:
        """An unknown mode and an empty list hold nothing (invariant 10)."""
        if self.mode == "listed":
            return conversation in self.of
        if self.mode == "all-but":
            return conversation not in self.of
        return self.mode == "all"


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A grant as it stands in the store. `level` is what was granted, before agreement and purpose bound
    it."""

    owner_id: bytes
    grant_id: bytes
    purpose: str
    level: Level
    agreement_id: str | None
    partner: str | None
    client_id: str | None
    conversations: str
    period_from: Ms | None
    period_to: Ms | None
    unanswered: Level
    created_at: Ms
    expires_at: Ms
    revoked_at: Ms | None
    seq: int
    applied: int
    filled_policy: int

    @property
    def scope(self) -> Scope:
        return msgspec.json.decode(self.conversations, type=Scope)

    @property
    def for_owner(self) -> bool:
        """Purpose `owner`: senders' choices do not apply."""
        return self.purpose == "owner"


COLUMNS = tuple(grant_table.c[n] for n in Grant.__struct_fields__)
_ONE = prepare(
    select(*COLUMNS).where(
        grant_table.c.owner_id == bindparam("owner_id"), grant_table.c.grant_id == bindparam("grant_id")
    )
)
_OF_OWNER = prepare(
    select(*COLUMNS)
    .where(grant_table.c.owner_id == bindparam("owner_id"))
    .order_by(grant_table.c.created_at, grant_table.c.grant_id)
)
_BY_ID = prepare(select(*COLUMNS).where(grant_table.c.grant_id == bindparam("grant_id")))
_INSERT = prepare(insert(grant_table))
_REVOKE = prepare(
    update(grant_table)
    .values(revoked_at=bindparam("now"))
    .where(grant_table.c.owner_id == bindparam("owner_id"), grant_table.c.grant_id == bindparam("grant_id"))
)
_FILL = prepare(insert(fill))


def from_row(row: tuple[Any, ...]) -> Grant:
    values = dict(zip(Grant.__struct_fields__, row, strict=True))
    values["level"], values["unanswered"] = Level(values["level"]), Level(values["unanswered"])
    return Grant(**values)


def find(snapshot: Snapshot, owner_id: bytes, grant_id: bytes) -> Grant:
    """The grant, ended or not. Raises Absent."""
    row = snapshot.one(_ONE, owner_id=owner_id, grant_id=grant_id)
    if row is None:
        raise Absent(Code.ABSENT, "no such grant")
    return from_row(row)


def by_id(snapshot: Snapshot, grant_id: bytes) -> Grant:
    """The grant of that id, whoever's (for the console and the owner's pages). Raises Absent."""
    row = snapshot.one(_BY_ID, grant_id=grant_id)
    if row is None:
        raise Absent(Code.ABSENT, "no such grant")
    return from_row(row)


def of_owner(snapshot: Snapshot, owner_id: bytes) -> list[Grant]:
    """Every grant of an owner, oldest first."""
    return [from_row(r) for r in snapshot.all(_OF_OWNER, owner_id=owner_id)]


def ceiling(snapshot: Snapshot, found: Grant, now: Ms) -> Level:
    """The most this grant can yield now: min(agreement, purpose, grant); NONE once anything of it ended.

    Read at every request: policy changes bind existing tokens (invariant 6), what is missing is none (10).
    """
    if found.revoked_at is not None or now >= found.expires_at:
        return Level.NONE
    known = PURPOSES.get(found.purpose)
    if known is None:
        return Level.NONE
    most = min(found.level, known.highest)
    if known.who is not Who.PARTNER:
        return most
    return min(most, register.level_of(snapshot, found.agreement_id or "", found.purpose, now))


def check(found: Grant, known: Purpose) -> None:
    """Raises Invalid for a grant that its purpose does not allow."""
    if found.level > known.highest:
        raise Invalid(
            Code.INVALID_DETAILS,
            f"purpose {known.name} goes up to {known.highest.word}, not {found.level.word}",
        )
    if found.level is Level.NONE:
        raise Invalid(Code.INVALID_DETAILS, "a grant at none is no grant")
    if known.who is Who.PARTNER and found.agreement_id is None:
        raise Invalid(Code.INVALID_DETAILS, f"purpose {known.name} needs an agreement")
    if known.who is not Who.PARTNER and found.partner is not None:
        raise Invalid(Code.INVALID_DETAILS, f"purpose {known.name} is never for a partner")
    if known.choices_apply and found.unanswered > known.raise_unanswered:
        raise Invalid(
            Code.INVALID_DETAILS,
            f"purpose {known.name} shows unanswered senders up to {known.raise_unanswered.word}",
        )
    if known.one_conversation and (found.scope.mode != "listed" or len(found.scope.of) != 1):
        raise Invalid(Code.INVALID_DETAILS, f"purpose {known.name} is for one conversation")
    if found.expires_at <= found.created_at:
        raise Invalid(Code.INVALID_DETAILS, "the grant ends before it begins")
    if known.longest_ms is not None and found.expires_at - found.created_at > known.longest_ms:
        raise Invalid(
            Code.INVALID_DETAILS,
            f"a grant for {known.name} lasts {known.longest_ms // HOUR_MS} hours at the most",
        )


def create(tx: Transaction, values: dict[str, Any], entry_id: bytes, salt: bytes) -> None:
    """Records a grant (the fields of `Grant`) and the task of filling its view. Raises Invalid, Denied."""
    found = from_row(tuple(values[n] for n in Grant.__struct_fields__))
    known = PURPOSES.get(found.purpose)
    if known is None:
        raise Invalid(Code.INVALID_DETAILS, "no such purpose; known: " + ", ".join(PURPOSES))
    check(found, known)
    agreed = register.level_of(tx, found.agreement_id or "", found.purpose, found.created_at)
    if known.who is Who.PARTNER and agreed < found.level:
        raise Denied(Code.DENIED, "the agreement is not in force for this purpose at this level")
    tx.run(_INSERT, **values)
    tx.run(_FILL, owner_id=found.owner_id, grant_id=found.grant_id, task=0, import_id=None, handle=None)
    event = {
        "grant": found.grant_id.hex(),
        "purpose": found.purpose,
        "level": found.level.word,
        "agreement": found.agreement_id,
        "partner": found.partner,
        "client": found.client_id,
        "conversations": found.conversations,
        "period_from": found.period_from,
        "period_to": found.period_to,
        "unanswered": found.unanswered.word,
        "expires_at": found.expires_at,
    }
    log.append(tx, found.owner_id, entry_id, "grant", found.created_at, event, salt, found.grant_id)


def revoke(tx: Transaction, owner_id: bytes, grant_id: bytes, now: Ms, entry_id: bytes, salt: bytes) -> Ms:
    """Ends a grant now; answers when it ended. Revoking twice changes nothing. Raises Absent."""
    found = find(tx, owner_id, grant_id)
    if found.revoked_at is not None:
        return found.revoked_at
    if found.for_owner:
        raise Invalid(Code.INVALID_ARGUMENTS, "the inbox's own grant lasts as long as the inbox")
    tx.run(_REVOKE, owner_id=owner_id, grant_id=grant_id, now=now)
    log.append(tx, owner_id, entry_id, "revocation", now, {"grant": grant_id.hex()}, salt, grant_id)
    return now
