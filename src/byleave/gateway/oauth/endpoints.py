"""OAuth's endpoints for partners, without HTTP: (method, path, headers, form) → `Answer`.

Each goes the same way: who is calling (client assertion), with which key (DPoP), both used up in the
store, then the work. A proof that lacks our nonce is answered before anything is used up, so that the caller
may send the same again with it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import orjson
from uuid_utils import uuid7

from byleave.consent import grant, token
from byleave.errors import Absent, Code, Invalid
from byleave.gateway import guard as guards
from byleave.gateway.guard import Guard, Headers
from byleave.gateway.oauth import metadata, par
from byleave.gateway.oauth import token as tokens
from byleave.gateway.oauth.client import Authenticated, Form, authenticate
from byleave.gateway.problem import Answer
from byleave.installation import Installation
from byleave.model import Ms
from byleave.view.shape import Ids

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def parse_form(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """The fields of an HTML form (RFC 6749 Appendix B). Raises Invalid(INVALID_REQUEST)."""
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise Invalid(Code.INVALID_REQUEST, f"send {FORM}")
    try:
        return parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=2048
        )
    except (ValueError, UnicodeError):
        raise Invalid(Code.INVALID_REQUEST, "the form cannot be read") from None


class Endpoints:
    """`/oauth/{par,token,introspect,revoke,grants}`."""

    def __init__(self, installation: Installation, guard: Guard) -> None:
        self._installation = installation
        self._store = installation.store
        self._guard = guard
        self.server = orjson.dumps(metadata.server(guard.base_url, installation.mode))
        self.resource = orjson.dumps(metadata.resource(guard.base_url, installation.mode))

    def form_endpoint(self, name: str) -> Callable[[str, Headers, Form, Ms], Awaitable[Answer]]:
        """`par`, `token`, `introspect`, `revoke` or `signin`."""
        return {
            "par": self.par, "token": self.token, "introspect": self.introspect, "revoke": self.revoke,
            "signin": self.signin,
        }[name]  # fmt: skip

    async def par(self, path: str, headers: Headers, form: Form, now: Ms) -> Answer:
        """RFC 9126 §2."""
        asking, proof = await self._who(path, headers, form, now)
        pushed = par.check(form, asking, self._guard.resource, None if proof is None else proof.jkt)
        secret = secrets.token_urlsafe(32)
        body = msgspec.json.encode(pushed).decode()
        await self._store.write_soon(
            par.add, par.hash_of(secret), par.PAR, asking.client_id, body, now + par.LIVES_MS
        )
        return _json({"request_uri": par.URN + secret, "expires_in": par.LIVES_MS // 1000}, 201)

    async def token(self, path: str, headers: Headers, form: Form, now: Ms) -> Answer:
        """RFC 6749 §4.1.3 and §6."""
        kind = form.need("grant_type")
        if kind not in ("authorization_code", "refresh_token", "client_credentials"):
            kinds = "grant_type must be authorization_code, refresh_token or client_credentials"
            raise Invalid(Code.INVALID_REQUEST, kinds, oauth="unsupported_grant_type")
        asking, proof = await self._who(path, headers, form, now, proof_needed=True)
        assert proof is not None
        if form.get("resource") not in (None, self._guard.resource):
            raise Invalid(Code.INVALID_REQUEST, "resource is not this gateway's")
        access, refresh = token.fresh(), token.fresh()
        if kind == "client_credentials":
            return await self._own(form, asking, proof, access, now)
        if kind == "authorization_code":
            got = await self._store.write_soon(
                tokens.redeem,
                par.hash_of(form.need("code")),
                asking.client_id,
                asking.operative,
                form.get("redirect_uri"),
                tokens.challenge_of(form),
                proof.jkt,
                token.hash_of(access),
                token.hash_of(refresh),
                now,
            )
        else:
            got = await self._store.write_soon(
                tokens.renew,
                token.hash_of(form.need("refresh_token")),
                asking.client_id,
                asking.operative,
                proof.jkt,
                form.get("scope"),
                token.hash_of(access),
                now,
            )
        if not got:
            raise Invalid(Code.INVALID_GRANT, f"the {kind.replace('_', ' ')} is not good here")
        owner_id, grant_id, scope, expires_at = got
        with self._store.read() as snapshot:
            found = grant.find(snapshot, owner_id, grant_id)
        detail = tokens.granted(found, self._installation.ids, self._guard.resource)
        answer: dict[str, Any] = {
            "access_token": access,
            "token_type": "DPoP",
            "expires_in": max(0, (expires_at - now) // 1000),
            "scope": scope,
            "authorization_details": [detail],
            "grant_id": detail["identifier"],
        }
        if kind == "authorization_code":
            answer["refresh_token"] = refresh
        return _json(answer)

    async def _own(
        self, form: Form, asking: Authenticated, proof: guards.Proof, access: str, now: Ms
    ) -> Answer:
        """RFC 6749 §4.4: a partner's own token, for its reports alone. A suspended agreement gets one too: only a
        report ends the suspension."""
        if (form.get("scope") or metadata.REPORT) != metadata.REPORT:
            raise Invalid(Code.INVALID_SCOPE, "client_credentials are for the scope report alone")
        if form.get("authorization_details") is not None:
            raise Invalid(Code.INVALID_DETAILS, "there is no inbox behind client_credentials")
        expires_at = await self._store.write_soon(
            token.issue_report,
            token.hash_of(access),
            asking.client_id,
            proof.jkt,
            asking.operative,
            metadata.REPORT,
            now,
        )
        answer = {
            "access_token": access,
            "token_type": "DPoP",
            "expires_in": max(0, (expires_at - now) // 1000),
            "scope": metadata.REPORT,
        }
        return _json(answer)

    async def introspect(self, path: str, headers: Headers, form: Form, now: Ms) -> Answer:
        """RFC 7662."""
        asking, _ = await self._who(path, headers, form, now)
        with self._store.read() as snapshot:
            found = tokens.introspect(
                snapshot, form, asking, self._guard.base_url, self._installation.ids, now
            )
        return _json(found)

    async def revoke(self, path: str, headers: Headers, form: Form, now: Ms) -> Answer:
        """RFC 7009: 200 whatever the token was."""
        asking, _ = await self._who(path, headers, form, now)
        await self._store.write_soon(tokens.revoke, token.hash_of(form.need("token")), asking.client_id, now)
        return Answer(200, b"", JSON)

    async def signin(self, path: str, headers: Headers, form: Form, now: Ms) -> Answer:
        """`POST /partner/signin`: a one-time link to the partner's page, for whoever holds a key of the client's. A
        suspended agreement gets one too: its page is where the report goes."""
        asking, _ = await self._who(path, headers, form, now)
        secret = secrets.token_urlsafe(32)
        await self._store.write_soon(
            guards.offer_desk, hashlib.sha256(secret.encode()).digest(), guards.PARTNER,
            asking.agreement.terms.partner.id, asking.client_id, asking.operative or asking.client_id, now,
        )  # fmt: skip
        where = f"{self._guard.base_url}/partner/signin/{secret}"
        return _json({"url": where, "expires_in": guards.LINK_MS // 1000}, 201)

    async def grants(self, method: str, path: str, headers: Headers, id: str, now: Ms) -> Answer:
        """GET or DELETE of the grant behind the caller's own token; `id` is its accountId. Every other id
        is absent.

        Raises Invalid (401), Absent.
        """
        with self._store.read() as snapshot:
            caller = self._guard.caller(snapshot, method, path, headers, now)
            live = tokens.live(snapshot, caller.token, now)
        if caller.proof is not None:
            await self._store.write_soon(guards.spend, [caller.proof])
        if caller.proof is None or live is None:
            raise Invalid(Code.INVALID_TOKEN, "a partner's live token is needed here")
        if Ids(self._installation.ids, live.grant_id).account_id != id:
            raise Absent(Code.ABSENT, "no such grant")
        if method == "DELETE":
            await self._store.write_soon(
                grant.revoke, live.owner_id, live.grant_id, now, uuid7().bytes, secrets.token_bytes(32)
            )
            return Answer(204, b"", JSON)
        detail = tokens.granted(live, self._installation.ids, self._guard.resource)
        return _json(
            {"grant_id": id, "scopes": [{"scope": caller.token.scope}], "authorization_details": [detail]}
        )

    async def _who(
        self, path: str, headers: Headers, form: Form, now: Ms, *, proof_needed: bool = False
    ) -> tuple[Authenticated, guards.Proof | None]:
        """The client and the key of its proof, both used up. Raises Invalid."""
        with self._store.read() as snapshot:
            asking = authenticate(snapshot, form, self._guard.base_url, now)
        proof = self._guard.proof("POST", path, headers, now)
        if proof is None and proof_needed:
            raise Invalid(Code.INVALID_PROOF, "a proof is needed: send the DPoP header")
        try:
            await self._store.write_soon(guards.spend, [asking.use])
        except Invalid:
            raise Invalid(Code.INVALID_CLIENT, "this assertion was used before") from None
        if proof is not None:
            await self._store.write_soon(guards.spend, [proof.use])
        return asking, proof


def _json(value: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, orjson.dumps(value), JSON)
