"""Access tokens: opaque, found by SHA-256, bound to one grant.

A partner's token is bound to its key (RFC 9449) and good at `/jmap` alone; a bearer token exists for
purpose `owner` only, shown once. A refresh token (audience `refresh`) is bound to the same key, ends with the
grant and is good at the token endpoint alone; it is not rotated (FAPI 2.0: the binding takes its place).
Nothing of a token is cached past a request: a revocation binds the next one.
"""

from __future__ import annotations

import hashlib
import secrets

import msgspec
from sqlalchemy import bindparam, insert, select, update

from byleave.consent import grant
from byleave.errors import Code, Invalid
from byleave.model import Level, Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.asking import token as token_table

OWNER_LONGEST_MS = 30 * 86_400_000
PARTNER_LONGEST_MS = 3_600_000
JMAP, REFRESH, REPORT = "jmap", "refresh", "report"
NOBODY = bytes(16)
"""Owner and grant of a token that reads no inbox."""


class Token(msgspec.Struct, frozen=True):
    """A token as it stands in the store; `jkt` None means bearer."""

    hash: bytes
    owner_id: bytes
    grant_id: bytes
    client_id: str | None
    audience: str
    jkt: str | None
    operative: str | None
    scope: str
    issued_at: Ms
    expires_at: Ms
    revoked_at: Ms | None


_COLUMNS = tuple(token_table.c[n] for n in Token.__struct_fields__)
_BY_HASH = prepare(select(*_COLUMNS).where(token_table.c.hash == bindparam("hash")))
_OF_GRANT = prepare(
    select(*_COLUMNS).where(
        token_table.c.owner_id == bindparam("owner_id"), token_table.c.grant_id == bindparam("grant_id")
    )
)
_INSERT = prepare(insert(token_table))
_REVOKE = prepare(
    update(token_table)
    .values(revoked_at=bindparam("now"))
    .where(token_table.c.hash == bindparam("of_hash"), token_table.c.revoked_at.is_(None))
)
_REVOKE_ALL = prepare(
    update(token_table)
    .values(revoked_at=bindparam("now"))
    .where(
        token_table.c.owner_id == bindparam("of_owner"),
        token_table.c.grant_id == bindparam("of_grant"),
        token_table.c.revoked_at.is_(None),
    )
)


def fresh() -> str:
    """A token of 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def find(snapshot: Snapshot, secret: str) -> Token | None:
    """The token behind a secret, ended or not."""
    return by_hash(snapshot, hash_of(secret))


def by_hash(snapshot: Snapshot, hash: bytes) -> Token | None:
    """The token of that hash, ended or not."""
    row = snapshot.one(_BY_HASH, hash=hash)
    return None if row is None else Token(*row)


def of_grant(snapshot: Snapshot, owner_id: bytes, grant_id: bytes) -> list[Token]:
    """Every token of a grant, ended or not."""
    return [Token(*row) for row in snapshot.all(_OF_GRANT, owner_id=owner_id, grant_id=grant_id)]


def issue(
    tx: Transaction,
    hash: bytes,
    owner_id: bytes,
    grant_id: bytes,
    client_id: str | None,
    jkt: str | None,
    operative: str | None,
    scope: str,
    now: Ms,
    audience: str = JMAP,
) -> Ms:
    """Procedure: records a token for a grant; answers when it expires. Raises Invalid for one that may not
    be: the grant has ended, its agreement is not published, suspended or out of term."""
    found = grant.find(tx, owner_id, grant_id)
    if grant.ceiling(tx, found, now) is Level.NONE:
        raise Invalid(Code.INVALID_GRANT, "the grant has ended, or its agreement is not in force")
    if found.purpose == "own-agent":
        raise Invalid(Code.INVALID_GRANT, "an assistant reads through `byleave mcp`, not with a token")
    if found.for_owner and jkt is not None:
        raise Invalid(Code.INVALID_ARGUMENTS, "the owner's own token is a plain bearer token")
    if not found.for_owner and jkt is None:
        raise Invalid(Code.INVALID_ARGUMENTS, "a partner's token is bound to its key: give --dpop-jwk FILE")
    longest = OWNER_LONGEST_MS if found.for_owner else PARTNER_LONGEST_MS
    expires = found.expires_at if audience == REFRESH else min(found.expires_at, now + longest)
    tx.run(
        _INSERT,
        hash=hash,
        owner_id=owner_id,
        grant_id=grant_id,
        client_id=client_id,
        audience=audience,
        jkt=jkt,
        operative=operative,
        scope=scope,
        issued_at=now,
        expires_at=expires,
        revoked_at=None,
    )
    return expires


def issue_report(
    tx: Transaction, hash: bytes, client_id: str, jkt: str, operative: str | None, scope: str, now: Ms
) -> Ms:
    """Procedure: records a partner's own token, which opens its reports and no inbox; answers when it expires."""
    expires = now + PARTNER_LONGEST_MS
    tx.run(
        _INSERT,
        hash=hash,
        owner_id=NOBODY,
        grant_id=NOBODY,
        client_id=client_id,
        audience=REPORT,
        jkt=jkt,
        operative=operative,
        scope=scope,
        issued_at=now,
        expires_at=expires,
        revoked_at=None,
    )
    return expires


def revoke(tx: Transaction, hash: bytes, now: Ms) -> None:
    """Procedure: ends one token."""
    tx.run(_REVOKE, of_hash=hash, now=now)


def revoke_all(tx: Transaction, owner_id: bytes, grant_id: bytes, now: Ms) -> None:
    """Procedure: ends every token of a grant; the grant itself stands."""
    tx.run(_REVOKE_ALL, of_owner=owner_id, of_grant=grant_id, now=now)
