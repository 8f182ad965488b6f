"""One answer given through a view, and the type that cannot exist without its entry in the ledger.

`Reading.release` is the only maker of `Released`, and only `gateway/app.py`, `cli` and the MCP wrapper turn one
into bytes on a wire. It returns after `record` has committed: the entry is durable before a byte leaves
(invariant 5). `record` runs in the writer and is where a no that arrived during the answer still bites: the
consent version that the page was read at is compared with the one of now, and on a hit the answer is not
released but made again.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, insert, select
from uuid_utils import uuid7

from byleave.consent import choice, grant, identity
from byleave.errors import Absent, Code, Conflict, Invalid, Unavailable
from byleave.ledger import entry, log
from byleave.model import Level, Ms
from byleave.store import Store, Transaction, prepare
from byleave.store.tables import follow, proof_used, token

_FOLLOW = prepare(insert(follow))
_USED = prepare(select(proof_used.c.hash).where(proof_used.c.hash == bindparam("hash")))
_USE = prepare(insert(proof_used))
_FORGET = prepare(delete(proof_used).where(proof_used.c.expires_at < bindparam("now")))
_TOKEN = prepare(select(token.c.revoked_at, token.c.expires_at).where(token.c.hash == bindparam("hash")))
_MAKER = object()


class Released:
    """Bytes that may leave: their reading is in the ledger."""

    __slots__ = ("body",)

    def __init__(self, body: bytes, maker: object) -> None:
        if maker is not _MAKER:
            raise TypeError("only Reading.release makes Released")
        self.body = body


class Stale(Conflict):
    """Consent moved while the answer was made and touches it: make it again."""


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, as the ledger names them."""

    account: str
    purpose: str
    operative: str
    partner: str | None = None
    agreement: str | None = None
    case: str | None = None


class Reading:
    """What one answer showed: gathered while it is made, recorded when it is released."""

    def __init__(
        self, owner_id: bytes, grant_id: bytes, consent_version: int, level: Level, for_owner: bool
    ) -> None:
        self.owner_id = owner_id
        self.grant_id = grant_id
        self.consent_version = consent_version
        self.level = level
        self.for_owner = for_owner
        self.borns: set[int] = set()
        self.senders: set[int] = set()
        self.endpoints: list[str] = []

    def saw(self, endpoint: str, borns: Any = (), senders: Any = ()) -> None:
        """Notes that `endpoint` (a JMAP method, an MCP tool, `blob`) showed rows by these people."""
        if endpoint not in self.endpoints:
            self.endpoints.append(endpoint)
        self.borns.update(borns)
        self.senders.update(senders)

    def arguments(
        self, size: int, now: Ms, who: Who, proof: list[Any] | None, token_hash: bytes | None
    ) -> list[Any]:
        """The arguments of `record` for this reading."""
        event = entry.Reading(
            at=now, grant=self.grant_id.hex(), account=who.account, partner=who.partner, agreement=who.agreement,
            purpose=who.purpose, operative=who.operative, case=who.case, endpoint=" ".join(self.endpoints),
            level=self.level.word, numbers=entry.pack_numbers(sorted(self.borns)), length=size,
            version=self.consent_version,
        )  # fmt: skip
        return [
            self.owner_id, self.grant_id, uuid7().bytes, now, entry.encode(event), os.urandom(32),
            self.consent_version, int(self.level), [] if self.for_owner else sorted(self.senders), proof, token_hash,
        ]  # fmt: skip

    async def release(
        self, store: Store, body: bytes, now: Ms, who: Who, *,
        proof: list[Any] | None = None, token_hash: bytes | None = None,
    ) -> Released:  # fmt: skip
        """`body` once its reading is durable. `proof` is [hash of the DPoP
        proof's jti, its expiry] and is used up in the same transaction.

        Raises Stale (make the answer again), Invalid(INVALID_PROOF) for a proof used before, Absent for a grant
        or token that has ended.
        """
        await store.write_soon(record, *self.arguments(len(body), now, who, proof, token_hash))
        return Released(body, _MAKER)

    def release_now(self, store: Store, body: bytes, now: Ms, who: Who) -> Released:
        """As `release`, for callers without an event loop: the console, `byleave mcp`."""
        store.write(record, *self.arguments(len(body), now, who, None, None))
        return Released(body, _MAKER)


def record(
    tx: Transaction, owner_id: bytes, grant_id: bytes, entry_id: bytes, now: Ms, event: bytes, salt: bytes,
    read_at: int, level: int, senders: list[int], proof: list[Any] | None, token_hash: bytes | None,
) -> None:  # fmt: skip
    """Procedure: one reading into the ledger, or a reason why its bytes must not leave."""
    found = grant.find(tx, owner_id, grant_id)
    ceiling = grant.ceiling(tx, found, now)
    if ceiling is Level.NONE:
        raise Absent(Code.ABSENT, "the grant has ended")
    if ceiling < level:
        raise Stale(Code.CONFLICT, "the agreement has moved")
    if token_hash is not None:
        row = tx.one(_TOKEN, hash=token_hash)
        if row is None or row[0] is not None or row[1] <= now:
            raise Invalid(Code.INVALID_TOKEN, "the token has ended")
    touched = set(senders)
    for _, value, purpose, partner in choice.changes_after(tx, read_at) if not found.for_owner else ():
        known = identity.number_in(tx, owner_id, value)
        if (
            known is not None
            and purpose in (None, found.purpose)
            and partner in (None, found.partner)
            and known[0] in touched
        ):
            raise Stale(Code.CONFLICT, "consent has moved")
    if proof is not None:
        use_proof(tx, proof[0], proof[1], now)
    log.append(tx, owner_id, entry_id, "reading", now, event, salt, grant_id)
    tx.run(_FOLLOW, owner_id=owner_id, entry_id=entry_id)


def use_proof(tx: Transaction, hash: bytes, expires_at: Ms, now: Ms) -> None:
    """Uses up a proof's `jti` over all workers (RFC 9449 §11.1). Raises Invalid(INVALID_PROOF) the second time."""
    if tx.one(_USED, hash=hash) is not None:
        raise Invalid(Code.INVALID_PROOF, "this proof was used before")
    tx.run(_FORGET, now=now)
    tx.run(_USE, hash=hash, expires_at=expires_at)


def attempts(store: Store, again: int = 3) -> range:
    """How often an answer is made anew before the caller hears serverUnavailable."""
    return range(again + 1)


def give_up() -> Unavailable:
    return Unavailable(Code.UNAVAILABLE, "consent is moving; ask again")
