"""Token endpoint, introspection (RFC 7662), revocation (RFC 7009) and the client's own grants.

Rules of this file:

1. A code is used once, within 60 s, by the client, with the verifier and the key that it was given for.
   One that comes a second time ends every token that it brought (RFC 6749 §4.1.2).
2. Access tokens last an hour at the most and never beyond their grant; refresh tokens end with the grant, are
   bound to the same key and not rotated (FAPI 2.0 §5.3.2.1).
3. A client learns of its own tokens alone; a foreign one, an unknown one and one that has ended are one
   answer.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any

import msgspec

from byleave.consent import grant, token
from byleave.consent.grant import Grant
from byleave.consent.token import Token
from byleave.errors import Absent, Code, Invalid
from byleave.gateway.oauth import par
from byleave.gateway.oauth.client import Authenticated, Form
from byleave.keys import b64url
from byleave.model import Level, Ms
from byleave.store import Snapshot, Transaction
from byleave.view.shape import Ids
from byleave.words.fragment import rfc3339

CODE_MS = 60_000
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class Coded(msgspec.Struct, frozen=True, kw_only=True):
    """What a code stands for."""

    client_id: str
    redirect_uri: str
    code_challenge: str
    jkt: str | None
    scope: str
    owner: str
    grant: str


def redeem(
    tx: Transaction,
    code: bytes,
    client_id: str,
    operative: str | None,
    redirect_uri: str | None,
    challenge: str,
    jkt: str,
    access: bytes,
    refresh: bytes,
    now: Ms,
) -> list[Any]:
    """Procedure: a code into an access and a refresh token. Answers [owner_id, grant_id, scope, expiry],
    or []
    where the code is not good; a used one ends its tokens (so nothing is raised: that would undo it)."""
    found = par.find(tx, code)
    if found is None or found.kind != par.CODE or found.client_id != client_id:
        return []
    coded = msgspec.json.decode(found.body, type=Coded)
    owner_id, grant_id = bytes.fromhex(coded.owner), bytes.fromhex(coded.grant)
    if found.used_at is not None:
        token.revoke_all(tx, owner_id, grant_id, now)
        return []
    if (
        now >= found.expires_at
        or redirect_uri not in (None, coded.redirect_uri)
        or not hmac.compare_digest(challenge, coded.code_challenge)
        or coded.jkt not in (None, jkt)
    ):
        return []
    par.use(tx, code, now)
    stated = (owner_id, grant_id, client_id, jkt, operative, coded.scope, now)
    expires = token.issue(tx, access, *stated)
    token.issue(tx, refresh, *stated, token.REFRESH)
    return [owner_id, grant_id, coded.scope, expires]


def renew(
    tx: Transaction,
    refresh: bytes,
    client_id: str,
    operative: str | None,
    jkt: str,
    scope: str | None,
    access: bytes,
    now: Ms,
) -> list[Any]:
    """Procedure: a refresh token into a new access token; answers as `redeem`."""
    found = token.by_hash(tx, refresh)
    if (
        found is None
        or found.audience != token.REFRESH
        or found.client_id != client_id
        or found.jkt != jkt
        or found.revoked_at is not None
        or now >= found.expires_at
    ):
        return []
    if scope is not None and not set(scope.split(" ")) <= set(found.scope.split(" ")):
        raise Invalid(Code.INVALID_SCOPE, "more than the refresh token has")
    given = scope or found.scope
    expires = token.issue(tx, access, found.owner_id, found.grant_id, client_id, jkt, operative, given, now)
    return [found.owner_id, found.grant_id, given, expires]


def challenge_of(form: Form) -> str:
    """The S256 challenge of the form's verifier (RFC 7636 §4.6). Raises Invalid."""
    verifier = form.need("code_verifier")
    if not _VERIFIER.fullmatch(verifier):
        raise Invalid(Code.INVALID_GRANT, "code_verifier must be 43 to 128 unreserved characters")
    return b64url(hashlib.sha256(verifier.encode()).digest())


def granted(found: Grant, secret: bytes, resource: str) -> dict[str, Any]:
    """The granted `inbox_access`: what was asked, narrowed to what the owner said, with identifier and expiry
    (RFC 9396 §7)."""
    answer: dict[str, Any] = {
        "type": "inbox_access",
        "purpose": found.purpose,
        "level": found.level.word,
        "agreement": found.agreement_id,
        "locations": [resource],
        "identifier": Ids(secret, found.grant_id).account_id,
        "expires_at": rfc3339(found.expires_at),
    }
    if found.scope.mode != "all":
        # Names of conversations are their members' data: the partner learns that it is not all, not which.
        answer["conversations"] = {"mode": found.scope.mode}
    if found.period_from is not None or found.period_to is not None:
        ends = {"from": found.period_from, "to": found.period_to}
        answer["period"] = {name: rfc3339(at) for name, at in ends.items() if at is not None}
    return answer


def live(snapshot: Snapshot, found: Token | None, now: Ms) -> Grant | None:
    """The grant behind a token that is good now, else None."""
    if found is None or found.revoked_at is not None or now >= found.expires_at:
        return None
    try:
        granted_ = grant.find(snapshot, found.owner_id, found.grant_id)
    except Absent:
        return None
    return granted_ if grant.ceiling(snapshot, granted_, now) is not Level.NONE else None


def introspect(
    snapshot: Snapshot, form: Form, asking: Authenticated, base_url: str, secret: bytes, now: Ms
) -> dict[str, Any]:
    """RFC 7662 §2.2. Raises Invalid(INVALID_REQUEST) where no token is asked about."""
    found = token.find(snapshot, form.need("token"))
    if found is not None and found.audience == token.REPORT:
        if found.client_id != asking.client_id or found.revoked_at is not None or now >= found.expires_at:
            return {"active": False}
        own: dict[str, Any] = {
            "active": True,
            "iss": base_url,
            "client_id": found.client_id,
            "scope": found.scope,
            "aud": f"{base_url}/jmap",
            "iat": found.issued_at // 1000,
            "exp": found.expires_at // 1000,
            "token_type": "DPoP",
            "cnf": {"jkt": found.jkt},
        }
        return own if found.operative is None else {**own, "act": {"sub": found.operative}}
    granted_ = live(snapshot, found, now)
    if found is None or granted_ is None or found.client_id != asking.client_id:
        return {"active": False}
    resource = f"{base_url}/jmap"
    answer: dict[str, Any] = {
        "active": True,
        "iss": base_url,
        "client_id": found.client_id,
        "scope": found.scope,
        "aud": resource if found.audience == token.JMAP else base_url,
        "iat": found.issued_at // 1000,
        "exp": found.expires_at // 1000,
        "token_type": "DPoP",
        "cnf": {"jkt": found.jkt},
        "authorization_details": [granted(granted_, secret, resource)],
    }
    if found.operative is not None:
        answer["act"] = {"sub": found.operative}
    return answer


def revoke(tx: Transaction, hash: bytes, client_id: str, now: Ms) -> None:
    """Procedure: ends a client's own token; a refresh token takes the grant's access tokens with it (RFC 7009
    §2.1). Anything else is passed over in silence."""
    found = token.by_hash(tx, hash)
    if found is None or found.client_id != client_id:
        return
    if found.audience == token.REFRESH:
        token.revoke_all(tx, found.owner_id, found.grant_id, now)
    else:
        token.revoke(tx, hash, now)
