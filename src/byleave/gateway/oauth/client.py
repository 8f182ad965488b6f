"""Which partner is calling: private_key_jwt (RFC 7523 §2.2, §3; FAPI 2.0 Security Profile §5.3.2).

Rules of this file:

1. The key must stand in the client's metadata *and* in the agreement of now: a key taken out of the agreement
   is none from the next request on.
2. `aud` is our issuer as a single string, `iss` = `sub` = client_id, `exp` at most five minutes ahead;
   each `jti` once over all workers.
3. Where the agreement says that operatives are named, `act.sub` names who is calling; it goes into token and
   reading (names.md).
4. Unknown client, wrong key and wrong signature are one answer.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from byleave.consent import register
from byleave.consent.agreement import Agreement
from byleave.consent.register import Client
from byleave.errors import Code, Invalid
from byleave.keys import strict_json, unb64url, verify_jws
from byleave.model import Ms
from byleave.store import Snapshot

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("ES256", "EdDSA", "PS256")
LONGEST_S = 300
SKEW_S = 10
LONGEST_FORM = 64 * 1024


class Authenticated(msgspec.Struct, frozen=True, kw_only=True):
    """A client that has shown its key. `use` is [hash of the assertion's jti, expiry in ms], to be used
    up."""

    client: Client
    agreement: Agreement
    in_force: bool
    """Whether the agreement is published and runs today: without it nothing new is given."""
    operative: str | None
    use: list[Any]

    @property
    def client_id(self) -> str:
        return self.client.client_id


class Form:
    """The parameters of an OAuth request; one that stands twice refuses it (RFC 6749 §3.1)."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._values = dict(pairs)
        if len(self._values) != len(pairs):
            raise Invalid(Code.INVALID_REQUEST, "a parameter stands twice")

    def get(self, name: str) -> str | None:
        """The parameter, or None where it is missing or empty (RFC 6749 §3.1)."""
        return self._values.get(name) or None

    def need(self, name: str) -> str:
        """The parameter. Raises Invalid(INVALID_REQUEST) where it is missing."""
        value = self.get(name)
        if value is None:
            raise Invalid(Code.INVALID_REQUEST, f"{name} is missing")
        return value


def authenticate(snapshot: Snapshot, form: Form, issuer: str, now: Ms) -> Authenticated:
    """The client behind a request. Raises Invalid(INVALID_CLIENT)."""
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise _no("authenticate by private_key_jwt: client_assertion_type and client_assertion")
    assertion = form.get("client_assertion") or ""
    client_id = _claimed(assertion)
    client = register.client(snapshot, client_id) if client_id else None
    if client is None or form.get("client_id") not in (None, client_id):
        raise _no("client_id, iss and sub must be one known client")
    found = register.current(snapshot, client.agreement)
    if found is None:
        raise _no("client_id, iss and sub must be one known client")
    agreement, status = found
    agreed = agreement.jwks()["keys"]
    standing = {"keys": [key for key in client.jwks.get("keys", ()) if key in agreed]}
    try:
        header, payload = verify_jws(assertion, standing, ALGORITHMS, at_s=now // 1000)
        claims = strict_json(payload)
    except Invalid as error:
        raise _no(error.detail) from None
    if header.get("typ") not in (None, "JWT", "jwt", "client-authentication+jwt"):
        raise _no("typ is not that of a client assertion")
    use = _check(claims, client_id, issuer, now / 1000)
    operative = _operative(claims)
    if operative is None and agreement.terms.partner.operatives == "named":
        raise _no('the agreement wants operatives named: put act: {"sub": …} into the assertion')
    runs = agreement.runs(datetime.fromtimestamp(now / 1000, UTC).date())
    return Authenticated(
        client=client,
        agreement=agreement,
        in_force=status == register.PUBLISHED and runs,
        operative=operative,
        use=use,
    )


def _claimed(assertion: str) -> str:
    """Who the assertion says it is: only to find the key by."""
    try:
        claims = strict_json(unb64url(assertion.split(".")[1]))
    except (Invalid, ValueError, IndexError):
        raise _no("client_assertion is not a compact JWS") from None
    claimed = claims.get("sub") if isinstance(claims, dict) else None
    return claimed if isinstance(claimed, str) and len(claimed) <= 255 else ""


def _check(claims: Any, client_id: str, issuer: str, now_s: float) -> list[Any]:
    if not isinstance(claims, dict) or claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise _no("iss and sub must be the client_id")
    if claims.get("aud") != issuer:
        raise _no("aud must be the issuer, as a single string")
    times = {name: claims.get(name) for name in ("exp", "iat", "nbf")}
    if not all(value is None or type(value) in (int, float) for value in times.values()):
        raise _no("exp, iat and nbf must be seconds")
    expires = times["exp"]
    if expires is None or not now_s - SKEW_S < expires <= now_s + LONGEST_S + SKEW_S:
        raise _no(f"exp must be within the next {LONGEST_S} seconds")
    if any(begins is not None and begins > now_s + SKEW_S for begins in (times["iat"], times["nbf"])):
        raise _no("the assertion is not valid yet: check the clock")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= 256:
        raise _no("jti must have 1 to 256 characters")
    spent = hashlib.sha256(f"assertion\0{client_id}\0{jti}".encode("utf-8", "surrogatepass")).digest()
    return [spent, int((expires + 2 * SKEW_S) * 1000)]


def _operative(claims: dict[str, Any]) -> str | None:
    act = claims.get("act")
    if act is None:
        return None
    name = act.get("sub") if isinstance(act, dict) else None
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= 128
        or not name.isprintable()
        or name != name.strip()
    ):
        raise _no("act.sub must be 1 to 128 printable characters")
    return name


def _no(detail: str) -> Invalid:
    return Invalid(Code.INVALID_CLIENT, detail)
