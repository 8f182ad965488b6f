"""One answer given through a view, and the type that cannot exist without its entry in the ledger.

`Reading.release` is the only maker of `Released`, and only `gateway/app.py`, `cli` and the MCP wrapper turn one
into bytes on a wire. It returns after `record` has committed: the entry is durable before a byte leaves
(invariant 5). `record` runs in the writer and is where a no that arrived during the answer still bites: the
consent version that the page was read at is compared with the one of now, and on a hit the answer is not
released but made again.

What gives nothing (a refusal, a poll that finds nothing new) is counted by the minute instead: one entry each
(spec/ledger.md). A reading whose bytes leave over a network waits in `delivering` until the worker says that they
have left; where it says that they have not, or nothing at all, the reading is marked undelivered.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select
from uuid_utils import uuid7

from byleave.consent import choice, grant, identity
from byleave.consent.grant import Grant
from byleave.errors import Absent, Code, Conflict, Invalid, Unavailable
from byleave.ledger import entry, log
from byleave.model import Level, Ms
from byleave.store import Store, Transaction, prepare
from byleave.store.asking import proof_used, token
from byleave.store.tables import asked, delivering, follow

_FOLLOW = prepare(insert(follow))
_USED = prepare(select(proof_used.c.hash).where(proof_used.c.hash == bindparam("hash")))
_USE = prepare(insert(proof_used))
_TOKEN = prepare(select(token.c.revoked_at, token.c.expires_at).where(token.c.hash == bindparam("hash")))
_SENDING = prepare(insert(delivering))
_SENT = prepare(
    delete(delivering).where(
        delivering.c.owner_id == bindparam("owner_id"), delivering.c.entry_id == bindparam("entry_id")
    )
)
_OVERDUE = prepare(
    select(delivering.c.owner_id, delivering.c.entry_id)
    .where(delivering.c.at < bindparam("before"))
    .limit(bindparam("n"))
)
_ASK = prepare(insert(asked))
_OVER = prepare(
    select(
        asked.c.owner_id,
        asked.c.grant_id,
        asked.c.minute,
        asked.c.operative,
        func.sum(asked.c.denied),
        func.count(),
    )
    .where(asked.c.minute < bindparam("minute"))
    .group_by(asked.c.owner_id, asked.c.grant_id, asked.c.minute, asked.c.operative)
    .limit(bindparam("n"))
)
_COUNTED = prepare(
    delete(asked).where(
        asked.c.owner_id == bindparam("owner_id"), asked.c.grant_id == bindparam("grant_id"),
        asked.c.minute == bindparam("minute"), asked.c.operative == bindparam("operative"),
    )
)  # fmt: skip
MINUTE_MS = 60_000
OVERDUE_MS = 60_000
"""How long after a reading its delivery may still become known."""
STEP = 100
_MAKER = object()


class Released:
    """Bytes that may leave: their reading is in the ledger. `entry` is [owner id, entry id] of it, where it waits to
    hear of their delivery."""

    __slots__ = ("body", "entry")

    def __init__(self, body: bytes, entry: list[bytes] | None, maker: object) -> None:
        if maker is not _MAKER:
            raise TypeError("only Reading.release makes Released")
        self.body = body
        self.entry = entry


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
        self.empty = True
        """Nothing was given: a poll without news, or a refusal."""

    def saw(self, endpoint: str, borns: Any = (), senders: Any = (), *, news: bool = True) -> None:
        """Notes that `endpoint` (a JMAP method, an MCP tool, `blob`) showed rows by these people. Without `news` it
        said that nothing has changed."""
        self.empty = self.empty and not news
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
        proof: list[Any] | None = None, token_hash: bytes | None = None, sending: bool = False, denied: bool = False,
    ) -> Released:  # fmt: skip
        """`body` once its reading is durable. `proof` is [hash of the DPoP
        proof's jti, its expiry] and is used up in the same transaction. `sending`: the caller will say whether the
        bytes have left (`delivered`). `denied`: an answer that gives nothing is a refusal.

        Raises Stale (make the answer again), Invalid(INVALID_PROOF) for a proof used before, Absent for a grant
        or token that has ended.
        """
        if self.empty:
            counts = [
                self.owner_id,
                self.grant_id,
                uuid7().bytes,
                now,
                who.operative,
                denied,
                int(self.level),
                proof,
                token_hash,
            ]
            await store.write_soon(count, *counts)
            return Released(body, None, _MAKER)
        arguments = self.arguments(len(body), now, who, proof, token_hash)
        await store.write_soon(record, *arguments, sending)
        return Released(body, [self.owner_id, arguments[2]] if sending else None, _MAKER)

    def release_now(self, store: Store, body: bytes, now: Ms, who: Who) -> Released:
        """As `release`, for callers without an event loop: the console, `byleave mcp`."""
        store.write(record, *self.arguments(len(body), now, who, None, None))
        return Released(body, None, _MAKER)


def record(
    tx: Transaction, owner_id: bytes, grant_id: bytes, entry_id: bytes, now: Ms, event: bytes, salt: bytes,
    read_at: int, level: int, senders: list[int], proof: list[Any] | None, token_hash: bytes | None,
    sending: bool = False,
) -> None:  # fmt: skip
    """Procedure: one reading into the ledger, or a reason why its bytes must not leave."""
    found = _standing(tx, owner_id, grant_id, now, level, token_hash)
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
        use_proof(tx, proof[0], proof[1])
    log.append(tx, owner_id, entry_id, "reading", now, event, salt, grant_id)
    tx.run(_FOLLOW, owner_id=owner_id, entry_id=entry_id)
    if sending:
        tx.run(_SENDING, owner_id=owner_id, entry_id=entry_id, at=now)


def _standing(
    tx: Transaction, owner_id: bytes, grant_id: bytes, now: Ms, level: int, token_hash: bytes | None
) -> Grant:
    """The grant, if it and the token still stand and yield `level`."""
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
    return found


# ── what gives nothing ──────────────────────────────────────────────────────────────────────────────────────
def count(
    tx: Transaction, owner_id: bytes, grant_id: bytes, id: bytes, now: Ms, operative: str, denied: bool,
    level: int, proof: list[Any] | None, token_hash: bytes | None,
) -> None:  # fmt: skip
    """Procedure: an answer that gives nothing, counted; raises as `record` does."""
    _standing(tx, owner_id, grant_id, now, level, token_hash)
    deny(tx, owner_id, grant_id, id, now, operative, proof, denied)


def deny(
    tx: Transaction, owner_id: bytes, grant_id: bytes, id: bytes, now: Ms, operative: str, proof: list[Any] | None,
    denied: bool = True,
) -> None:  # fmt: skip
    """Procedure: a refusal (or an empty poll) of an authenticated caller, counted by the minute. Its proof is used
    up whatever the answer says. Raises Invalid(INVALID_PROOF)."""
    if proof is not None:
        use_proof(tx, proof[0], proof[1])
    tx.run(
        _ASK, owner_id=owner_id, grant_id=grant_id, minute=now // MINUTE_MS, id=id, operative=operative,
        denied=int(denied),
    )  # fmt: skip


def delivered(tx: Transaction, entries: list[list[bytes]]) -> None:
    """Procedure: the bytes of these readings ([owner id, entry id] each) have left."""
    for owner_id, entry_id in entries:
        tx.run(_SENT, owner_id=owner_id, entry_id=entry_id)


def undelivered(
    tx: Transaction, owner_id: bytes, entry_id: bytes, now: Ms, fresh_id: bytes, salt: bytes
) -> None:
    """Procedure: marks a reading whose bytes have not left, or of which nobody knows. Once."""
    if tx.run(_SENT, owner_id=owner_id, entry_id=entry_id):
        log.append(tx, owner_id, fresh_id, "undelivered", now, {"reading": entry_id.hex()}, salt)


def job(fresh_id: Callable[[], bytes], salt: Callable[[], bytes]) -> Callable[[Transaction, Ms], bool]:
    """The writer's job: closes minutes that are over, and marks readings whose delivery stays unknown."""

    def run(tx: Transaction, now: Ms) -> bool:
        minutes = tx.all(_OVER, minute=now // MINUTE_MS, n=STEP)
        for owner_id, grant_id, minute, operative, denials, every in minutes:
            found = grant.find(tx, owner_id, grant_id)
            event = entry.Counted(
                at=minute * MINUTE_MS, grant=grant_id.hex(), partner=found.partner, operative=operative,
                denials=denials, empty=every - denials,
            )  # fmt: skip
            log.append(tx, owner_id, fresh_id(), "counted", now, entry.encode(event), salt(), grant_id)
            tx.run(_COUNTED, owner_id=owner_id, grant_id=grant_id, minute=minute, operative=operative)
        overdue = tx.all(_OVERDUE, before=now - OVERDUE_MS, n=STEP)
        for owner_id, entry_id in overdue:
            undelivered(tx, owner_id, entry_id, now, fresh_id(), salt())
        return STEP in (len(minutes), len(overdue))

    return run


def use_proof(tx: Transaction, hash: bytes, expires_at: Ms) -> None:
    """Uses up a proof's `jti` over all workers (RFC 9449 §11.1). Raises Invalid(INVALID_PROOF) the second time."""
    if tx.one(_USED, hash=hash) is not None:
        raise Invalid(Code.INVALID_PROOF, "this proof was used before")
    tx.run(_USE, hash=hash, expires_at=expires_at)


def attempts(store: Store, again: int = 3) -> range:
    """How often an answer is made anew before the caller hears serverUnavailable."""
    return range(again + 1)


def give_up() -> Unavailable:
    return Unavailable(Code.UNAVAILABLE, "consent is moving; ask again")
