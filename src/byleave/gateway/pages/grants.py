"""My grants: what an owner lets be read, ended by one click; the assistant; the owner's own mail client.

Rules of this file:

1. A partner's grant is made on the consent page alone; here an owner makes their assistant's.
2. Raising unanswered senders to `masked` is an act of its own with its own sentence: whoever does it can tell
   that what stays hidden was refused (DESIGN.md, invariant 11). A grant never changes, so the old one ends
   and a new one begins in the same transaction.
3. A token is shown once, on the page that answers the click, and stands nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

from sqlalchemy import bindparam, delete, insert, select
from starlette.responses import Response
from starlette.routing import BaseRoute

from byleave.consent import grant, token
from byleave.consent.grant import Grant
from byleave.errors import Code, Invalid
from byleave.gateway.pages.inbox import holder
from byleave.gateway.pages.shell import (
    Context,
    Visit,
    day_end,
    fresh_id,
    go,
    hex_id,
    level_of,
    not_here,
    route,
    salt,
)
from byleave.ledger import log
from byleave.model import Level, Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.asking import session
from byleave.store.asking import token as token_table
from byleave.view import owners, rows
from byleave.view.export import owner_view

LONGEST_HOURS = 12
HOUR_MS = 3_600_000
MOST_CONVERSATIONS = 1000
FILL_STEPS = 8
LETTERS = 100
"""Mail conversations to choose from: the newest."""
_AGENT_SESSIONS = prepare(
    select(session.c.grant_id, session.c.expires_at).where(
        session.c.kind == "agent",
        session.c.owner_id == bindparam("owner_id"),
        session.c.expires_at > bindparam("now"),
    )
)
_CLOSE = prepare(
    delete(session).where(
        session.c.kind == "agent",
        session.c.owner_id == bindparam("of_owner"),
        session.c.grant_id == bindparam("of_grant"),
    )
)
_OPEN = prepare(insert(session))
_TOKENS = prepare(
    select(token_table.c.hash, token_table.c.issued_at, token_table.c.expires_at)
    .where(
        token_table.c.owner_id == bindparam("owner_id"),
        token_table.c.grant_id == bindparam("grant_id"),
        token_table.c.revoked_at.is_(None),
        token_table.c.expires_at > bindparam("now"),
    )
    .order_by(token_table.c.issued_at.desc())
)


def routes(context: Context) -> list[BaseRoute]:
    return [
        route(context, "/me/grants", listing),
        route(context, "/me/grants", create, "POST"),
        route(context, "/me/grants/{id}/revoke", revoke, "POST"),
        route(context, "/me/grants/{id}/raise", raise_unanswered, "POST"),
        route(context, "/me/grants/{id}/open", open_session, "POST"),
        route(context, "/me/grants/{id}/close", close_session, "POST"),
        route(context, "/me/tokens", new_token, "POST"),
        route(context, "/me/tokens/{hash}/revoke", revoke_token, "POST"),
    ]


async def listing(visit: Visit) -> Response:
    return await _page(visit)


async def _page(visit: Visit, problem: str = "", fresh_token: str = "", status: int = 200) -> Response:
    with visit.store.read() as snapshot:
        view = owner_view(snapshot, visit.owner_id, visit.installation.ids, visit.now)
        sessions: dict[bytes, Ms] = dict(
            snapshot.all(_AGENT_SESSIONS, owner_id=visit.owner_id, now=visit.now)
        )
        found = [
            _shown(snapshot, visit, g, sessions)
            for g in grant.of_owner(snapshot, visit.owner_id)
            if not g.for_owner
        ]
        tokens = snapshot.all(_TOKENS, **view.mine, now=visit.now)
        body = visit.render(
            "grants.html",
            active=[g for g in reversed(found) if g["active"]],
            ended=[g for g in reversed(found) if not g["active"]][:50],
            chats=[*owners.chats(view), *owners.letters(view, LETTERS)],
            problem=problem,
            fresh_token=fresh_token,
            base_url=visit.context.guard.base_url,
            account=view.account_id,
            tokens=[{"id": h.hex(), "issued": issued, "expires": expires} for h, issued, expires in tokens],
            longest=visit.now + grant.lifetime("own-agent"),
            hours=LONGEST_HOURS,
        )
    return await visit.release(view.reading, view.account_id, body, status)


def _shown(snapshot: Snapshot, visit: Visit, found: Grant, sessions: dict[bytes, Ms]) -> dict[str, Any]:
    ceiling = grant.ceiling(snapshot, found, visit.now)
    return {
        "id": found.grant_id.hex(),
        "grant": found,
        "who": holder(snapshot, found),
        "level": found.level.word,
        "active": ceiling > Level.NONE,
        "now_at": ceiling.word,
        "scope": found.scope,
        "agent": found.purpose == "own-agent",
        "raised": found.unanswered > Level.NONE,
        "session": sessions.get(found.grant_id),
        "ended": found.revoked_at or (found.expires_at if found.expires_at <= visit.now else None),
    }


def _mine(snapshot: Snapshot, visit: Visit) -> Grant:
    """The grant that the address names, if it is this owner's and not the inbox's own. Raises Absent."""
    found = grant.find(snapshot, visit.owner_id, hex_id(visit.request.path_params["id"]))
    if found.for_owner:
        raise not_here()
    return found


async def revoke(visit: Visit) -> Response:
    """Ends a grant now: the next request of any of its tokens is refused."""
    with visit.store.read() as snapshot:
        found = _mine(snapshot, visit)
    await visit.store.write_soon(end_grant, visit.owner_id, found.grant_id, visit.now, fresh_id(), salt())
    return go("/me/grants")


def end_grant(
    tx: Transaction, owner_id: bytes, grant_id: bytes, now: Ms, entry_id: bytes, salt: bytes
) -> None:
    """Procedure: revokes a grant and closes its assistant's session."""
    grant.revoke(tx, owner_id, grant_id, now, entry_id, salt)
    tx.run(_CLOSE, of_owner=owner_id, of_grant=grant_id)


# ── the assistant ──
async def create(visit: Visit) -> Response:
    """A grant for the owner's own assistant."""
    try:
        level = level_of(visit.field("level"))
        scope = scope_of(visit.field("scope"), visit.fields("conversation"))
        until = day_end(visit.field("until"), visit.now, grant.lifetime("own-agent"))
        values = _values(visit.owner_id, level, scope, until, Level.NONE, visit.now)
        await visit.store.write_soon(grant.create, values, fresh_id(), salt())
    except Invalid as error:
        return await _page(visit, problem=error.detail, status=400)
    await fill(visit, values["grant_id"])
    return go("/me/grants")


def scope_of(mode: str, conversations: list[str]) -> dict[str, Any]:
    """What a form says of conversations. Raises Invalid for a list that is empty or too long."""
    listed = list(dict.fromkeys(conversations))
    if mode not in ("", "all", "listed", "all-but") or len(listed) > MOST_CONVERSATIONS:
        raise Invalid(
            Code.INVALID_ARGUMENTS, "Choose all conversations, the ticked ones, or all but the ticked ones."
        )
    if mode == "listed" and not listed:
        raise Invalid(Code.INVALID_ARGUMENTS, "Tick at least one conversation.")
    return {"mode": mode or "all", "of": listed if mode in ("listed", "all-but") else []}


def _values(
    owner_id: bytes, level: Level, scope: dict[str, Any], until: Ms, unanswered: Level, now: Ms
) -> dict[str, Any]:
    return {
        "owner_id": owner_id,
        "grant_id": fresh_id(),
        "purpose": "own-agent",
        "level": int(level),
        "agreement_id": None,
        "partner": None,
        "client_id": None,
        "conversations": json.dumps(scope),
        "period_from": None,
        "period_to": None,
        "unanswered": int(unanswered),
        "created_at": now,
        "expires_at": until,
        "revoked_at": None,
        "seq": 0,
        "applied": 0,
        "filled_policy": 0,
    }


async def raise_unanswered(visit: Visit) -> Response:
    """Lets the assistant see, masked, the words of people who have not answered."""
    with visit.store.read() as snapshot:
        found = _mine(snapshot, visit)
        ended = grant.ceiling(snapshot, found, visit.now) is Level.NONE
    if ended or found.purpose != "own-agent" or found.unanswered > Level.NONE:
        raise Invalid(
            Code.INVALID_ARGUMENTS, "This can be raised for an assistant's grant that is in force, once."
        )
    if visit.field("understood") != "yes":
        return await _page(visit, "Nothing was raised: tick that you have read the sentence.", status=400)
    scope = {"mode": found.scope.mode, "of": list(found.scope.of)}
    values = _values(visit.owner_id, found.level, scope, found.expires_at, Level.MASKED, visit.now)
    await visit.store.write_soon(
        raise_grant,
        visit.owner_id,
        found.grant_id,
        values,
        fresh_id(),
        fresh_id(),
        fresh_id(),
        salt(),
        visit.now,
    )
    await fill(visit, values["grant_id"])
    return go("/me/grants")


def raise_grant(
    tx: Transaction,
    owner_id: bytes,
    old: bytes,
    values: dict[str, Any],
    end_id: bytes,
    entry_id: bytes,
    raise_id: bytes,
    salt: bytes,
    now: Ms,
) -> None:
    """Procedure: a new grant with unanswered senders at `masked` in place of an old one, and the act's own
    entry."""
    end_grant(tx, owner_id, old, now, end_id, hashlib.sha256(salt + b"end").digest())
    grant.create(tx, values, entry_id, hashlib.sha256(salt + b"grant").digest())
    facts = {"grant": values["grant_id"].hex(), "instead_of": old.hex(), "unanswered": "masked"}
    log.append(tx, owner_id, raise_id, "unanswered", now, facts, salt, values["grant_id"])


async def fill(visit: Visit, grant_id: bytes) -> None:
    """A new grant's rows: what a few steps do not do, the writer does behind."""
    for _ in range(FILL_STEPS):
        if not await visit.store.write_soon(rows.work, visit.owner_id, grant_id, visit.now):
            return


async def open_session(visit: Visit) -> Response:
    """Opens a session in which `byleave mcp` answers; it ends by itself."""
    hours = visit.field("hours")
    if not hours.isdecimal() or not 1 <= int(hours[:3]) <= LONGEST_HOURS:
        raise Invalid(Code.INVALID_ARGUMENTS, f"A session lasts 1 to {LONGEST_HOURS} hours.")
    with visit.store.read() as snapshot:
        found = _mine(snapshot, visit)
        ended = grant.ceiling(snapshot, found, visit.now) is Level.NONE
    if ended or found.purpose != "own-agent":
        raise Invalid(Code.INVALID_ARGUMENTS, "Only an assistant's grant that is in force can be opened.")
    until = min(found.expires_at, visit.now + int(hours) * HOUR_MS)
    await visit.store.write_soon(begin, secrets.token_bytes(32), visit.owner_id, found.grant_id, until)
    return go("/me/grants")


def begin(tx: Transaction, hash: bytes, owner_id: bytes, grant_id: bytes, until: Ms) -> None:
    """Procedure: the one session of an assistant's grant."""
    tx.run(_CLOSE, of_owner=owner_id, of_grant=grant_id)
    tx.run(
        _OPEN,
        hash=hash,
        kind="agent",
        owner_id=owner_id,
        handle=None,
        grant_id=grant_id,
        csrf="",
        expires_at=until,
    )


async def close_session(visit: Visit) -> Response:
    with visit.store.read() as snapshot:
        found = _mine(snapshot, visit)
    await visit.store.write_soon(close, visit.owner_id, found.grant_id)
    return go("/me/grants")


def close(tx: Transaction, owner_id: bytes, grant_id: bytes) -> None:
    """Procedure: ends an assistant's session."""
    tx.run(_CLOSE, of_owner=owner_id, of_grant=grant_id)


# ── the owner's own mail client ──
async def new_token(visit: Visit) -> Response:
    """A token that reads the whole inbox, shown on this one page."""
    if visit.field("understood") != "yes":
        return await _page(visit, "No token was made: tick that you have read the sentence.", status=400)
    with visit.store.read() as snapshot:
        view = owner_view(snapshot, visit.owner_id, visit.installation.ids, visit.now)
        grant_id = view.grant.grant_id
    secret = token.fresh()
    await visit.store.write_soon(
        token.issue,
        token.hash_of(secret),
        visit.owner_id,
        grant_id,
        None,
        None,
        None,
        "inbox.read",
        visit.now,
    )
    return await _page(visit, fresh_token=secret)


async def revoke_token(visit: Visit) -> Response:
    with visit.store.read() as snapshot:
        view = owner_view(snapshot, visit.owner_id, visit.installation.ids, visit.now)
        mine = [h for h, _, _ in snapshot.all(_TOKENS, **view.mine, now=visit.now)]
    wanted = hex_id(visit.request.path_params["hash"])
    if wanted not in mine:
        raise not_here()
    await visit.store.write_soon(token.revoke, wanted, visit.now)
    return go("/me/grants")
