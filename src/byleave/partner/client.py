"""The partner's side over real HTTP: PAR, RAR, PKCE, private_key_jwt, DPoP with nonces, JMAP.

It imports nothing of the house but errors and the report's format, so that a partner can take it as it is. One `Partner` is one client
with one key and, where the agreement says so, one named operative; one `Token` reads one inbox (RFC 9126, 9396,
7636, 7523, 9449, 8620).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import msgspec
import orjson
from joserfc import jwt
from joserfc.jwk import ECKey

from byleave.errors import Code, Invalid, Unavailable
from byleave.exchange.report import Form, Parcel, Report

ALGORITHM = "ES256"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CORE, MAIL = "urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An access token for one inbox, bound to the key it was asked with."""

    access_token: str
    account_id: str
    expires_in: int
    refresh_token: str | None = None
    details: dict[str, Any] = {}


class Refusal(Invalid):
    """What the gateway refused: `status` and its `problem` (RFC 9457), with `violations` for a report."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        kind = str(problem.get("type", "")).rpartition("/")[2] or str(status)
        super().__init__(
            Code.INVALID_REQUEST, f"{status} {kind}: {problem.get('detail', problem.get('title', ''))}"
        )
        self.status = status
        self.kind = kind
        self.problem = problem


class Pushed(msgspec.Struct, frozen=True):
    """A pushed authorization request: where to send the owner, and what the answer must carry."""

    authorize_url: str
    state: str
    verifier: str


class Partner:
    """One client of one gateway at `base_url`. `clock` gives seconds since 1970; it is there for tests."""

    def __init__(
        self, base_url: str, client_id: str, key: ECKey, redirect_uri: str, *, operative: str | None = None,
        http: httpx.Client | None = None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.base_url = base_url.rstrip("/")
        self.client_id = client_id
        self.key = key
        self.redirect_uri = redirect_uri
        self.operative = operative
        self._http = http or httpx.Client(timeout=30)
        self._clock = clock
        self._nonces: dict[str, str] = {}
        self._metadata: dict[str, Any] = {}
        self._api_url = ""

    @property
    def metadata(self) -> dict[str, Any]:
        """The authorization server's metadata (RFC 8414), fetched once."""
        if not self._metadata:
            answer = self._http.get(f"{self.base_url}/.well-known/oauth-authorization-server")
            self._metadata = orjson.loads(answer.raise_for_status().content)
        return self._metadata

    # ── getting leave ──
    def push(self, details: dict[str, Any], scope: str = "inbox.read") -> Pushed:
        """Pushes an authorization request with `details` (RAR type `inbox_access`); for cards too, `scope` is
        "inbox.read send". Raises Invalid."""
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        challenge = _b64(hashlib.sha256(verifier.encode()).digest())
        form = {
            "response_type": "code", "redirect_uri": self.redirect_uri, "state": state,
            "code_challenge": challenge, "code_challenge_method": "S256", "scope": scope,
            "authorization_details": orjson.dumps([{"type": "inbox_access", "locations": [f"{self.base_url}/jmap"], **details}]).decode(),
        }  # fmt: skip
        pushed = self._form(self.metadata["pushed_authorization_request_endpoint"], form)
        query = urlencode({"client_id": self.client_id, "request_uri": pushed["request_uri"]})
        return Pushed(f"{self.metadata['authorization_endpoint']}?{query}", state, verifier)

    def redeem(self, pushed: Pushed, callback_url: str) -> Token:
        """The token for the code that came back to `callback_url`. Raises Invalid where the owner said no."""
        answer = {k: v[0] for k, v in parse_qs(urlsplit(callback_url).query).items()}
        if answer.get("state") != pushed.state or answer.get("iss") != self.metadata["issuer"]:
            raise Invalid(Code.INVALID_REQUEST, "the answer belongs to another request or another server")
        if "code" not in answer:
            raise Invalid(Code.INVALID_GRANT, "the owner said no")
        form = {
            "grant_type": "authorization_code", "code": answer["code"], "redirect_uri": self.redirect_uri,
            "code_verifier": pushed.verifier,
        }  # fmt: skip
        got = self._form(self.metadata["token_endpoint"], form)
        details = got.get("authorization_details", [{}])[0]
        return Token(
            access_token=got["access_token"], account_id=details.get("identifier", ""), expires_in=got["expires_in"],
            refresh_token=got.get("refresh_token"), details=details,
        )  # fmt: skip

    def renew(self, token: Token) -> Token:
        """A new access token for the same grant (RFC 6749 §6); an access token lasts an hour. Raises Invalid where
        the grant has ended."""
        form = {"grant_type": "refresh_token", "refresh_token": token.refresh_token or ""}
        got = self._form(self.metadata["token_endpoint"], form)
        return msgspec.structs.replace(token, access_token=got["access_token"], expires_in=got["expires_in"])

    # ── reading ──
    def session(self, token: Token) -> dict[str, Any]:
        """The JMAP session object (RFC 8620 §2)."""
        answer = self.request("GET", f"{self.base_url}/jmap/session", token)
        if answer.status_code != 200:
            raise Unavailable(Code.UNAVAILABLE, f"the gateway answers {answer.status_code}")
        found: dict[str, Any] = orjson.loads(answer.content)
        return found

    def jmap(
        self, token: Token, calls: list[list[Any]], using: tuple[str, ...] = (CORE, MAIL)
    ) -> list[list[Any]]:
        """The responses to method `calls`. Raises Unavailable where the request itself is refused."""
        if not self._api_url:
            self._api_url = self.session(token)["apiUrl"]
        answer = self.request(
            "POST", self._api_url, token, orjson.dumps({"using": using, "methodCalls": calls})
        )
        if answer.status_code != 200:
            raise Unavailable(Code.UNAVAILABLE, f"the gateway answers {answer.status_code}")
        responses: list[list[Any]] = orjson.loads(answer.content)["methodResponses"]
        return responses

    # ── sending ──
    def send(
        self,
        token: Token,
        recipient: str,
        card: dict[str, Any],
        cell: dict[str, str],
        *,
        key: str | None = None,
    ) -> dict[str, Any]:
        """Proposes a recommendation card in the owner's name; `recipient` is the address token that JMAP shows,
        `cell` {interface, surface, variant}. Answers {id, state, …}: `accepted` where the owner gave standing
        leave, else `waiting` with `confirm_url`. `key` is the Idempotency-Key: the same one is one send.

        Raises Refusal.
        """
        said = {"recipient": recipient, "card": card, "cell": cell}
        body = orjson.dumps({"sender": token.account_id, **said} if token.account_id else said)
        headers = {"Idempotency-Key": key or secrets.token_urlsafe(24)}
        return self._told(self.request("POST", f"{self.base_url}/sends", token, body, headers=headers))

    def sends(self, token: Token) -> list[dict[str, Any]]:
        """Every send of the token's grant, the oldest first; an accepted one has its `day`. Raises Refusal."""
        found: list[dict[str, Any]] = []
        while True:
            after = f"?after={found[-1]['id']}" if found else ""
            page = self._told(self.request("GET", f"{self.base_url}/sends{after}", token))
            found += page["sends"]
            if not page["more"]:
                return found

    # ── answering for it ──
    def own_token(self) -> Token:
        """The partner's own token: scope `report`, no inbox behind it (RFC 6749 §4.4). Raises Invalid."""
        got = self._form(
            self.metadata["token_endpoint"], {"grant_type": "client_credentials", "scope": "report"}
        )
        return Token(access_token=got["access_token"], account_id="", expires_in=got["expires_in"])

    def arrivals_key(self, own: Token) -> bytes:
        """The key that `bl` on arriving visitors is checked with (`byleave.exchange.arrival.read`)."""
        found = self._told(self.request("GET", f"{self.base_url}/reports/arrivals", own))["key"]
        return base64.urlsafe_b64decode(found + "=" * (-len(found) % 4))

    def submit(self, own: Token, report: Report | Parcel, *, form: Form = "csv") -> dict[str, Any]:
        """Submits a sealed report, or its files as they are; answers what was kept, with the provider's `receipt`. The same report again gets
        the same receipt. Raises Refusal, with every violation in `problem`."""
        url, parcel = (
            f"{self.base_url}/reports",
            report if isinstance(report, Parcel) else report.parcel(form),
        )
        kind, body = "application/json", parcel.rows
        if parcel.manifest is not None:
            media = "application/vnd.apache.parquet" if parcel.form == "parquet" else "text/csv"
            files = {
                "manifest": ("manifest.json", parcel.manifest, "application/json"),
                "rows": (f"rows.{parcel.form}", parcel.rows, media),
            }
            made = httpx.Request("POST", url, files=files)
            kind, body = made.headers["Content-Type"], made.read()
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        headers = {
            "Content-Type": kind, "Content-Digest": f"sha-256=:{digest}:",
            "Idempotency-Key": hashlib.sha256(parcel.rows + (parcel.manifest or b"")).hexdigest(),
        }  # fmt: skip
        return self._told(self.request("POST", url, own, body, headers=headers))

    def reports(self, own: Token) -> dict[str, Any]:
        """The calendar with each period's state, and every accepted version."""
        return self._told(self.request("GET", f"{self.base_url}/reports", own))

    def receipt(self, own: Token, report_id: str) -> str:
        """The provider's receipt, a compact JWS. Raises Refusal."""
        answer = self.request("GET", f"{self.base_url}/reports/{report_id}/receipt", own)
        return answer.text if answer.status_code == 200 else str(self._told(answer))

    def reconciliation(self, own: Token, report_id: str) -> dict[str, Any]:
        """Both sides' figures of an accepted report, and what they disagree in. Raises Refusal."""
        return self._told(self.request("GET", f"{self.base_url}/reports/{report_id}/reconciliation", own))

    def _told(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            told = orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            told = {}
        if answer.status_code not in (200, 201, 202):
            raise Refusal(answer.status_code, told if isinstance(told, dict) else {})
        found: dict[str, Any] = told
        return found

    def request(
        self, method: str, url: str, token: Token, body: bytes | None = None, *, key: ECKey | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:  # fmt: skip
        """One request with a proof of the key; asked for a nonce, it is sent once more (RFC 9449 §8)."""
        more = headers or {}
        for _ in range(2):
            headers = {
                "Authorization": f"DPoP {token.access_token}",
                "DPoP": self._proof(method, url, key or self.key, token.access_token),
                "Content-Type": "application/json",
                **more,
            }
            answer = self._http.request(method, url, content=body, headers=headers)
            if not self._told_a_nonce(url, answer):
                break
        return answer

    # ── inside ──
    def _form(self, url: str, form: dict[str, str]) -> dict[str, Any]:
        for _ in range(2):
            values = {
                **form,
                "client_id": self.client_id,
                "client_assertion_type": ASSERTION,
                "client_assertion": self._assertion(),
            }
            answer = self._http.post(
                url, data=values, headers={"DPoP": self._proof("POST", url, self.key, None)}
            )
            if not self._told_a_nonce(url, answer):
                break
        found: dict[str, Any] = orjson.loads(answer.content)
        if answer.status_code not in (200, 201):
            raise Invalid(
                Code.INVALID_REQUEST,
                f"{found.get('error', answer.status_code)}: {found.get('error_description', '')}",
            )
        return found

    def _told_a_nonce(self, url: str, answer: httpx.Response) -> bool:
        """Keeps the nonce of every answer; True where this one was refused for want of it."""
        origin = urlsplit(url).netloc
        nonce = answer.headers.get("DPoP-Nonce")
        if nonce:
            self._nonces[origin] = nonce
        wanted = (
            "use_dpop_nonce" in answer.headers.get("WWW-Authenticate", "")
            or b'"use_dpop_nonce"' in answer.content[:400]
        )
        return bool(nonce) and answer.status_code in (400, 401) and wanted

    def _assertion(self) -> str:
        now = int(self._clock())
        claims: dict[str, Any] = {
            "iss": self.client_id, "sub": self.client_id, "aud": self.metadata["issuer"], "iat": now, "exp": now + 60,
            "jti": secrets.token_urlsafe(16),
        }  # fmt: skip
        if self.operative is not None:
            claims["act"] = {"sub": self.operative}
        return jwt.encode({"alg": ALGORITHM, "kid": _kid(self.key)}, claims, self.key)

    def _proof(self, method: str, url: str, key: ECKey, access_token: str | None) -> str:
        claims: dict[str, Any] = {
            "htm": method, "htu": url.split("?")[0].split("#")[0], "iat": int(self._clock()), "jti": secrets.token_urlsafe(16),
        }  # fmt: skip
        if access_token is not None:
            claims["ath"] = _b64(hashlib.sha256(access_token.encode()).digest())
        nonce = self._nonces.get(urlsplit(url).netloc)
        if nonce:
            claims["nonce"] = nonce
        public = {k: v for k, v in key.as_dict(private=False).items() if k in ("kty", "crv", "x", "y")}
        return jwt.encode({"typ": "dpop+jwt", "alg": ALGORITHM, "jwk": public}, claims, key)


def new_key() -> ECKey:
    """A fresh P-256 key; its kid is the RFC 7638 thumbprint."""
    key = ECKey.generate_key("P-256", private=True)
    return ECKey.import_key(
        {**key.as_dict(private=True), "kid": key.thumbprint(), "alg": ALGORITHM, "use": "sig"}
    )


def _kid(key: ECKey) -> str:
    return str(key.as_dict(private=False).get("kid") or key.thumbprint())


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
