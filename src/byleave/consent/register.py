"""The public register of agreements and of the clients that act under them.

What is not published cannot issue a token (consent.md). Publishing needs both signatures and the approval
that the store's mode asks for; a new version supersedes the old one and binds what was granted under it at
once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, insert, select, update

from byleave.consent.agreement import Agreement, check, decode, succeed
from byleave.errors import Absent, Code, Conflict, Invalid, Refused
from byleave.keys import Jwk
from byleave.ledger import log
from byleave.model import Level, Mode, Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.tables import agreement as agreement_table
from byleave.store.tables import client as client_table

PUBLISHED, SUSPENDED, SUPERSEDED = "published", "suspended", "superseded"


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A partner's OAuth client: RFC 7591 metadata that stands in an agreement."""

    client_id: str
    agreement: str
    redirect_uris: tuple[str, ...]
    jwks: dict[str, Any]


_CURRENT = prepare(
    select(agreement_table.c.document, agreement_table.c.status, agreement_table.c.added_at).where(
        agreement_table.c.agreement_id == bindparam("agreement_id"), agreement_table.c.status != SUPERSEDED
    )
)
_ALL = prepare(
    select(agreement_table.c.document, agreement_table.c.status, agreement_table.c.added_at).order_by(
        agreement_table.c.agreement_id, agreement_table.c.version
    )
)
_INSERT = prepare(insert(agreement_table))
_SUPERSEDE = prepare(
    update(agreement_table)
    .values(status=SUPERSEDED)
    .where(
        agreement_table.c.agreement_id == bindparam("agreement_id"), agreement_table.c.status != SUPERSEDED
    )
)
_STATUS = prepare(
    update(agreement_table)
    .values(status=bindparam("to"))
    .where(
        agreement_table.c.agreement_id == bindparam("agreement_id"), agreement_table.c.status != SUPERSEDED
    )
)
_CLIENT = prepare(select(client_table.c.metadata).where(client_table.c.client_id == bindparam("client_id")))
_ADD_CLIENT = prepare(insert(client_table))


def current(snapshot: Snapshot, agreement_id: str) -> tuple[Agreement, str] | None:
    """(the newest version, its status) or None."""
    row = snapshot.one(_CURRENT, agreement_id=agreement_id)
    return None if row is None else (_decoded(row[0]), row[1])


def every(snapshot: Snapshot) -> list[tuple[Agreement, str, Ms]]:
    """(agreement, status, added at) of every version, for the public page."""
    return [(_decoded(r[0]), r[1], r[2]) for r in snapshot.all(_ALL)]


def level_of(snapshot: Snapshot, agreement_id: str, purpose: str, now: Ms) -> Level:
    """What the agreement in force gives for a purpose; NONE where it is missing, suspended or out of term."""
    found = current(snapshot, agreement_id)
    if (
        found is None
        or found[1] != PUBLISHED
        or not found[0].runs(datetime.fromtimestamp(now / 1000, UTC).date())
    ):
        return Level.NONE
    return found[0].level(purpose)


def publish(
    tx: Transaction, document: bytes, provider_jwks: Jwk, mode: str, now: Ms, entry_id: bytes, salt: bytes
) -> str:
    """Puts a signed agreement into the register; answers its status. The same document again changes nothing.

    Raises Refused (not fully signed, not approved for this mode) and Conflict (a version out of order).
    """
    new = decode(document)
    signed = check(new, provider_jwks, at_s=now // 1000)
    if not signed.complete:
        missing = [s for s, by in (("partner", signed.partner), ("provider", signed.provider)) if by is None]
        problem = "; ".join([*(f"no valid signature of the {side}" for side in missing), *signed.problems])
        raise Refused(
            Code.INVALID_SIGNATURE, new.id, "signatures", problem, "sign it with `byleave agreement sign`"
        )
    if not new.approved_in(Mode(mode)):
        raise Refused(
            Code.DENIED,
            new.id,
            "approved_by",
            f"not the approval that a {mode} store asks for",
            'two operators in a provider store, ["owner"] in a personal one, ["sandbox"] in a sandbox',
        )
    old = current(tx, new.id)
    if old is not None and old[0].payload() == new.payload():
        return old[1]
    if old is not None and new.version != old[0].version + 1:
        raise Conflict(
            Code.CONFLICT,
            f"version {old[0].version} stands in the register; the next is {old[0].version + 1}",
        )
    if old is None and new.version < 1:
        raise Invalid(Code.INVALID_ARGUMENTS, "versions begin at 1")
    tx.run(_SUPERSEDE, agreement_id=new.id)
    tx.run(
        _INSERT,
        agreement_id=new.id,
        version=new.version,
        partner=new.terms.partner.id,
        status=PUBLISHED,
        added_at=now,
        document=document.decode(),
    )
    event = {
        "agreement": new.id,
        "version": new.version,
        "partner": new.terms.partner.id,
        "raises": list(succeed(new, old[0])) if old is not None else [],
    }
    log.append(tx, log.STORE_OWNER, entry_id, "agreement", now, event, salt)
    return PUBLISHED


def set_status(tx: Transaction, agreement_id: str, to: str, now: Ms, entry_id: bytes, salt: bytes) -> None:
    """Suspends or reinstates an agreement: binds the next request of every token under it."""
    if current(tx, agreement_id) is None:
        raise Absent(Code.ABSENT, "no such agreement")
    tx.run(_STATUS, agreement_id=agreement_id, to=to)
    log.append(
        tx, log.STORE_OWNER, entry_id, "agreement", now, {"agreement": agreement_id, "status": to}, salt
    )


def add_client(tx: Transaction, metadata: bytes, now: Ms, entry_id: bytes, salt: bytes) -> str:
    """Registers a client whose redirect URIs and keys all stand in its agreement; answers its client_id."""
    try:
        client = msgspec.json.decode(metadata, type=Client)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Refused(
            Code.MALFORMED, "client", "", str(error), "give client_id, agreement, redirect_uris, jwks"
        ) from None
    found = current(tx, client.agreement)
    if found is None:
        raise Refused(
            Code.NOT_FOUND, "client", "agreement", "no such agreement in the register", "add it first"
        )
    terms = found[0].terms
    if not client.redirect_uris or not set(client.redirect_uris) <= set(terms.partner.redirect_uris):
        raise Refused(
            Code.DENIED,
            "client",
            "redirect_uris",
            "not all stand in the agreement",
            "use those of the agreement",
        )
    agreed = [dict(key) for key in found[0].jwks()["keys"]]
    stated = client.jwks.get("keys")
    if not isinstance(stated, list) or not stated or any(key not in agreed for key in stated):
        raise Refused(
            Code.DENIED, "client", "jwks", "not all keys stand in the agreement", "use those of the agreement"
        )
    old = tx.one(_CLIENT, client_id=client.client_id)
    if old is not None:
        if msgspec.json.decode(old[0], type=Client) == client:
            return client.client_id
        raise Conflict(Code.CONFLICT, "this client_id is taken")
    tx.run(
        _ADD_CLIENT,
        client_id=client.client_id,
        agreement_id=client.agreement,
        added_at=now,
        metadata=msgspec.json.encode(client).decode(),
    )
    log.append(
        tx,
        log.STORE_OWNER,
        entry_id,
        "client",
        now,
        {"client": client.client_id, "agreement": client.agreement},
        salt,
    )
    return client.client_id


def client(snapshot: Snapshot, client_id: str) -> Client | None:
    """The client of that id, or None."""
    row = snapshot.one(_CLIENT, client_id=client_id)
    return None if row is None else msgspec.json.decode(row[0], type=Client)


_KEPT: dict[str, Agreement] = {}


def _decoded(document: str) -> Agreement:
    """Published documents never change, so one that was checked is kept for the next request."""
    found = _KEPT.get(document)
    if found is None:
        if len(_KEPT) > 256:
            _KEPT.clear()
        found = _KEPT[document] = decode(document.encode())
    return found
