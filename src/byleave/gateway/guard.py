"""Who is asking: (method, path, headers) → caller, and nothing about what there is to read. No web framework.

Rules of this file:

1. A partner's token is good only with a DPoP proof (RFC 9449) by the key that it is bound to; the owner's own
   token is a plain bearer. Neither passes as the other. A token for another audience is no token.
2. A proof is for one request: method, this gateway's public address (never the Host header's), this token,
   this server's nonce, the last minute. Its `jti` is used up over all workers in the transaction of the
   answer.
3. The nonce is stateless: an HMAC over a two-minute window. The last two windows are taken.
4. Unknown, ended and foreign tokens are one case.
5. Whoever is signed in to the pages is looked up here too, so that there is one such function a kind of
   page. People, partners and operators have cookies and tables of their own: none passes as another.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from sqlalchemy import bindparam, delete, insert, select

from byleave import keys
from byleave.consent import grant, register, token
from byleave.consent.agreement import Agreement
from byleave.consent.grant import Grant
from byleave.consent.token import Token
from byleave.errors import Absent, Code, Invalid
from byleave.model import Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.asking import desk, session
from byleave.view import reading

Headers = Sequence[tuple[bytes, bytes]]
"""As ASGI gives them: lower-case names, in order, repeated ones kept apart."""

ALGORITHMS = ("ES256", "EdDSA", "PS256")
FUTURE_S = 10
PAST_S = 60
WINDOW_MS = 120_000
LONGEST_PROOF = 8192
LONGEST_JTI = 256
RESOURCE_PATH = "/jmap"
PARTNER, OPERATOR = "partner", "operator"
LINK_MS = 15 * 60_000
"""A one-time link to a desk lasts a quarter of an hour."""

_Verify = Callable[[bytes, bytes], None]
_SESSION = prepare(
    select(session.c.owner_id, session.c.handle, session.c.csrf, session.c.expires_at).where(
        session.c.hash == bindparam("hash"), session.c.kind == "page"
    )
)
_DESK = prepare(
    select(desk.c.name, desk.c.client_id, desk.c.operative, desk.c.csrf, desk.c.expires_at).where(
        desk.c.hash == bindparam("hash"), desk.c.role == bindparam("role"), desk.c.stage == "open"
    )
)
_OFFER_DESK = prepare(insert(desk))
_FORGET_DESKS = prepare(delete(desk).where(desk.c.expires_at < bindparam("now")))
_UNRESERVED = re.compile(rb"[A-Za-z0-9._~-]")
_SECRET = re.compile(r"[A-Za-z0-9._~+/-]{1,512}=*")


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks and with what right. `proof` is to be used up in the transaction of the answer."""

    token: Token
    grant: Grant
    jkt: str | None
    operative: str
    scope: frozenset[str]
    proof: list[Any] | None

    def need(self, scopes: frozenset[str]) -> None:
        """Raises Invalid(INVALID_SCOPE), 403, where the token has none of `scopes`."""
        if not scopes & self.scope:
            raise Invalid(Code.INVALID_SCOPE, f"the token lacks the scope {' or '.join(sorted(scopes))}")


class PartnerCaller(msgspec.Struct, frozen=True, kw_only=True):
    """A partner that asks for itself: no grant, no inbox. `proof` is to be used up."""

    client_id: str
    agreement: Agreement
    operative: str
    proof: list[Any]


class Proof(msgspec.Struct, frozen=True):
    """A checked DPoP proof: the thumbprint of its key, and what to use up: [hash of the jti, expiry in
    ms]."""

    jkt: str
    use: list[Any]


class PageSession(msgspec.Struct, frozen=True, kw_only=True):
    """Who is signed in to the pages: an owner, a sender by handle, or (in a sandbox) both."""

    owner_id: bytes | None
    handle: str | None
    csrf: str
    hash: bytes


class DeskSession(msgspec.Struct, frozen=True, kw_only=True):
    """A partner's developer or an operator, signed in to pages of their own.

    `name` is the partner's id or the operator's name; `client_id` whose key asked for the link, None where the
    console made it.
    """

    role: str
    name: str
    client_id: str | None
    operative: str | None
    csrf: str
    hash: bytes


class _Claims(msgspec.Struct):
    jti: str
    htm: str
    htu: str
    iat: int | float
    ath: str | None = None
    nonce: str | None = None
    exp: int | float | None = None
    nbf: int | float | None = None


class Guard:
    """`base_url` is the gateway's public address without a slash behind it; `secret` one of the
    installation's."""

    def __init__(self, base_url: str, secret: bytes) -> None:
        self.base_url = base_url
        self.resource = base_url + RESOURCE_PATH
        self.metadata = base_url + "/.well-known/oauth-protected-resource" + RESOURCE_PATH
        self._secret = hmac.new(secret, b"dpop nonce", hashlib.sha256).digest()
        self._nonces: dict[int, str] = {}
        self.cookie = "__Host-byleave" if base_url.startswith("https:") else "byleave"

    # ── the resource ──
    def caller(self, snapshot: Snapshot, method: str, path: str, headers: Headers, now: Ms) -> Caller:
        """Who asks at the resource; for what, is for `Caller.need`. Raises Invalid (INVALID_TOKEN, INVALID_PROOF,
        USE_NONCE): all 401."""
        scheme, secret = self._credentials(headers)
        found = token.find(snapshot, secret)
        if (
            found is None
            or found.revoked_at is not None
            or now >= found.expires_at
            or found.audience != "jmap"
            or (found.jkt is not None) != (scheme == "dpop")
        ):
            raise _no_token()
        proof = None
        if found.jkt is not None:
            shown = self.proof(method, path, headers, now, secret)
            if shown is None:
                raise _no("a proof is needed: send the DPoP header")
            if not hmac.compare_digest(shown.jkt, found.jkt):
                raise _no("the token is bound to another key")
            proof = shown.use
        try:
            granted = grant.find(snapshot, found.owner_id, found.grant_id)
        except Absent:
            raise _no_token() from None
        if (found.jkt is None) != granted.for_owner:
            raise _no_token()
        return Caller(
            token=found,
            grant=granted,
            jkt=found.jkt,
            scope=frozenset(found.scope.split()),
            proof=proof,
            operative=found.operative or found.client_id or granted.partner or granted.purpose,
        )

    def partner(self, snapshot: Snapshot, method: str, path: str, headers: Headers, now: Ms) -> PartnerCaller:
        """Which partner asks for itself, with a token of scope `report` (no inbox behind it). Raises Invalid."""
        scheme, secret = self._credentials(headers)
        found = token.find(snapshot, secret)
        if (
            found is None
            or found.revoked_at is not None
            or now >= found.expires_at
            or found.audience != token.REPORT
            or found.jkt is None
            or scheme != "dpop"
        ):
            raise _no_token()
        shown = self.proof(method, path, headers, now, secret)
        if shown is None:
            raise _no("a proof is needed: send the DPoP header")
        if not hmac.compare_digest(shown.jkt, found.jkt):
            raise _no("the token is bound to another key")
        client = register.client(snapshot, found.client_id or "")
        current = register.current(snapshot, client.agreement) if client is not None else None
        if client is None or current is None:
            raise _no_token()
        return PartnerCaller(
            client_id=client.client_id,
            agreement=current[0],
            operative=found.operative or client.client_id,
            proof=shown.use,
        )

    def _credentials(self, headers: Headers) -> tuple[str, str]:
        stated = _every(headers, b"authorization")
        if not stated:
            raise Invalid(Code.INVALID_TOKEN, "no token: send the Authorization header")
        if len(stated) > 1:
            raise Invalid(Code.INVALID_TOKEN, "one Authorization header, please")
        scheme, _, secret = stated[0].partition(" ")
        secret = secret.strip(" ")
        if scheme.lower() not in ("dpop", "bearer") or not _SECRET.fullmatch(secret):
            raise _no_token()
        return scheme.lower(), secret

    # ── proofs ──
    def proof(
        self, method: str, path: str, headers: Headers, now: Ms, secret: str | None = None
    ) -> Proof | None:
        """The DPoP proof of a request (RFC 9449 §4.3), checked; None where there is none.

        `secret` is the access token that comes with it, None at OAuth's own endpoints. Raises Invalid
        (INVALID_PROOF, USE_NONCE). Whether the proof was used before is for the caller's transaction.
        """
        stated = _every(headers, b"dpop")
        if not stated:
            return None
        if len(stated) > 1 or len(stated[0]) > LONGEST_PROOF or stated[0].count(".") != 2:
            raise _no("one compact JWS in one DPoP header")
        head, body, tail = stated[0].split(".")
        jkt, verify = _key_of(head)
        try:
            claims = _decode_claims(keys.unb64url(body))
            verify(keys.unb64url(tail), f"{head}.{body}".encode())
        except (ValueError, RecursionError, msgspec.MsgspecError):
            raise _no("not a proof: jti, htm, htu and iat are needed") from None
        except InvalidSignature:
            raise _no("the signature is wrong") from None
        if claims.htm != method:
            raise _no("htm is not this request's method")
        expected = self.base_url + path
        if claims.htu != expected and _normal(claims.htu) != _normal(expected):
            raise _no("htu is not this request's address")
        now_s = now / 1000
        if not now_s - PAST_S <= claims.iat <= now_s + FUTURE_S:
            raise _no("iat is not within the last minute: check the clock")
        if claims.exp is not None and claims.exp <= now_s - FUTURE_S:
            raise _no("the proof has expired")
        if claims.nbf is not None and claims.nbf > now_s + FUTURE_S:
            raise _no("the proof is not valid yet")
        if not 0 < len(claims.jti) <= LONGEST_JTI:
            raise _no(f"jti must have 1 to {LONGEST_JTI} characters")
        if secret is not None:
            expected_ath = keys.b64url(hashlib.sha256(secret.encode()).digest())
            if claims.ath is None or not hmac.compare_digest(claims.ath.encode(), expected_ath.encode()):
                raise _no("ath is not the token's hash")
        if claims.nonce is None:
            raise Invalid(Code.USE_NONCE, "put this answer's DPoP-Nonce into the proof")
        if not self._known_nonce(claims.nonce, now):
            raise Invalid(Code.USE_NONCE, "the nonce is old: put this answer's DPoP-Nonce into the proof")
        spent = hashlib.sha256(f"dpop\0{jkt}\0{claims.jti}".encode("utf-8", "surrogatepass")).digest()
        return Proof(jkt, [spent, int(claims.iat * 1000) + (PAST_S + FUTURE_S) * 1000])

    def nonce(self, now: Ms) -> str:
        """The nonce of now, for the DPoP-Nonce header of every answer."""
        return self._nonce(now // WINDOW_MS)

    def _nonce(self, window: int) -> str:
        found = self._nonces.get(window)
        if found is None:
            if len(self._nonces) > 8:
                self._nonces.clear()
            mac = hmac.new(self._secret, window.to_bytes(8, "big"), hashlib.sha256).digest()
            found = self._nonces[window] = keys.b64url(mac[:18])
        return found

    def _known_nonce(self, nonce: str, now: Ms) -> bool:
        window = now // WINDOW_MS
        said = nonce.encode("utf-8", "replace")
        return any(hmac.compare_digest(said, self._nonce(w).encode()) for w in (window, window - 1))

    # ── the pages ──
    def page_session(self, snapshot: Snapshot, headers: Headers, now: Ms) -> PageSession | None:
        """Who is signed in by this request's cookie, or None."""
        secret = cookie(headers, self.cookie)
        return None if secret is None else page_session(snapshot, secret, now)


def page_session(snapshot: Snapshot, secret: str, now: Ms) -> PageSession | None:
    """The page session behind a cookie's value, or None: unknown and ended alike."""
    hash = hashlib.sha256(secret.encode("utf-8", "replace")).digest()
    row = snapshot.one(_SESSION, hash=hash)
    if row is None or now >= row[3]:
        return None
    return PageSession(owner_id=row[0], handle=row[1], csrf=row[2], hash=hash)


def desk_session(snapshot: Snapshot, role: str, secret: str, now: Ms) -> DeskSession | None:
    """The session of a `partner` or an `operator` behind a cookie's value, or None. One that a partner's key
    asked for ends with the last of its client's keys that the agreement still names."""
    hash = hashlib.sha256(secret.encode("utf-8", "replace")).digest()
    row = snapshot.one(_DESK, hash=hash, role=role)
    if row is None or now >= row[4]:
        return None
    found = DeskSession(role=role, name=row[0], client_id=row[1], operative=row[2], csrf=row[3], hash=hash)
    if found.client_id is not None:
        client = register.client(snapshot, found.client_id)
        current = register.current(snapshot, client.agreement) if client is not None else None
        if client is None or current is None or current[0].terms.partner.id != found.name:
            return None
        agreed = [k for k in current[0].jwks()["keys"] if k.get("exp") is None or now < k["exp"] * 1000]
        if not any(key in agreed for key in client.jwks.get("keys", ())):
            return None
    return found


def offer_desk(
    tx: Transaction, hash: bytes, role: str, name: str, client_id: str | None, operative: str | None, now: Ms
) -> None:
    """Procedure: a one-time link, by the hash of its secret. Raises Invalid for a partner of no agreement, and for
    one whose agreement wants operatives named where none is."""
    if role == PARTNER:
        theirs = [
            a for a, s, _ in register.every(tx) if s != register.SUPERSEDED and a.terms.partner.id == name
        ]
        if not theirs:
            raise Invalid(Code.NOT_FOUND, "no agreement names this partner")
        if operative is None and any(a.terms.partner.operatives == "named" for a in theirs):
            raise Invalid(Code.INVALID_ARGUMENTS, "the agreement wants operatives named: say who signs in")
    tx.run(_FORGET_DESKS, now=now)
    tx.run(
        _OFFER_DESK, hash=hash, role=role, stage="link", name=name, client_id=client_id, operative=operative, csrf="",
        expires_at=now + LINK_MS,
    )  # fmt: skip


def cookie(headers: Headers, name: str) -> str | None:
    """The value of a cookie; None where it is missing or stands twice (somebody else may have set one)."""
    found = [
        value.strip()
        for line in _every(headers, b"cookie")
        for key, _, value in (pair.partition("=") for pair in line.split(";"))
        if key.strip() == name
    ]
    return found[0] if len(found) == 1 and found[0] else None


def spend(tx: Transaction, used: list[list[Any]]) -> None:
    """Procedure: uses up assertions and proofs, [hash, expiry] each. Raises Invalid(INVALID_PROOF) for a
    replay."""
    for hash, expires_at in used:
        reading.use_proof(tx, hash, expires_at)


def _every(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]


def _no(detail: str) -> Invalid:
    return Invalid(Code.INVALID_PROOF, detail)


def _no_token() -> Invalid:
    return Invalid(Code.INVALID_TOKEN, "the token is not valid here")


_decode_claims = msgspec.json.Decoder(_Claims).decode


@lru_cache(maxsize=1024)
def _key_of(head: str) -> tuple[str, _Verify]:
    """(thumbprint, verify) of a proof's header segment: a partner sends the same one every time, so the
    key is built once. Raises Invalid(INVALID_PROOF); errors are not kept."""
    if len(head) > LONGEST_PROOF // 2:
        raise _no("the header is too long")
    try:
        header = keys.strict_json(keys.unb64url(head))
    except (Invalid, ValueError):
        raise _no("the header cannot be read") from None
    if not isinstance(header, dict) or header.get("typ") != "dpop+jwt":
        raise _no("typ must be dpop+jwt")
    alg = "EdDSA" if header.get("alg") == "Ed25519" else header.get("alg")
    if alg not in ALGORITHMS:
        raise _no("alg must be one of " + ", ".join(ALGORITHMS))
    if header.keys() - {"typ", "alg", "jwk", "kid"}:
        raise _no("the header may hold typ, alg and jwk")
    jwk = header.get("jwk")
    if not isinstance(jwk, dict):
        raise _no("jwk must be the public key")
    try:
        key = keys.public_key(jwk)
    except Invalid as error:
        raise _no(error.detail) from None
    if not key.fits(alg):
        raise _no("alg and jwk do not fit")
    return key.thumbprint(), _verifier(alg, key.native())


def _verifier(alg: str, native: Any) -> _Verify:
    """Bare `cryptography`: (signature, message) → None, or InvalidSignature."""
    if alg == "ES256":
        method = ec.ECDSA(hashes.SHA256())

        def es256(signature: bytes, message: bytes) -> None:
            if len(signature) != 64:
                raise InvalidSignature
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            native.verify(encode_dss_signature(r, s), message, method)

        return es256
    if alg == "PS256":
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        return lambda signature, message: native.verify(signature, message, pss, hashes.SHA256())
    return lambda signature, message: native.verify(signature, message)


@lru_cache(maxsize=256)
def _normal(uri: str) -> str | None:
    """`uri` by RFC 3986 §6.2.2 and §6.2.3 without query and fragment (RFC 9449 §4.3); None for what is
    none."""
    if len(uri) > 4096:
        return None
    try:
        parts = urlsplit(uri)
        port, host = parts.port, (parts.hostname or "").encode("ascii").decode()
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        return None
    shown = "" if port is None or port == {"http": 80, "https": 443}[parts.scheme] else f":{port}"
    bracketed = f"[{host}]" if ":" in host else host
    try:
        path = parts.path.encode("ascii")
    except ValueError:
        return None
    plain = re.sub(rb"%[0-9A-Fa-f]{2}", _octet, path).decode() or "/"
    return f"{parts.scheme}://{bracketed}{shown}{plain}"


def _octet(found: re.Match[bytes]) -> bytes:
    plain = unquote_to_bytes(found[0])
    return plain if _UNRESERVED.fullmatch(plain) else found[0].upper()
