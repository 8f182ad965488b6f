"""A small scripted partner: keys, client assertion, DPoP proofs, PAR, code, token, JMAP. Imports nothing
of byleave.

Every claim can be overridden, so that a test can send exactly one thing wrong: `proof(…, claims={"htu": …})`;
a claim of `None` is left out.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import time
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CALLBACK = "https://streamflix.example/cb"
Jwk = dict[str, Any]


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def new_key(kind: str = "ES256") -> Jwk:
    """A private JWK with its thumbprint as kid."""
    key: Any = ECKey.generate_key("P-256") if kind == "ES256" else OKPKey.generate_key("Ed25519")
    return {**key.as_dict(private=True), "kid": key.thumbprint(), "alg": kind, "use": "sig"}


def public(jwk: Jwk) -> Jwk:
    return {name: value for name, value in jwk.items() if name != "d"}


def bare(jwk: Jwk) -> Jwk:
    """The public members alone, as a DPoP header has them."""
    return {name: jwk[name] for name in ("kty", "crv", "x", "y") if name in jwk}


def sign(header: dict[str, Any], claims: dict[str, Any], jwk: Jwk) -> str:
    key: Any = (ECKey if jwk["kty"] == "EC" else OKPKey).import_key(jwk)
    left = {name: value for name, value in claims.items() if value is not None}
    registry = jws.JWSRegistry(algorithms=["ES256", "EdDSA"], strict_check_header=False)
    return jws.serialize_compact(header, json.dumps(left).encode(), key, registry=registry)


class Partner:
    """One client of one partner. `nonce` is the last that the server gave."""

    def __init__(
        self,
        base_url: str,
        client_id: str,
        key: Jwk,
        *,
        operative: str | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        self.base_url = base_url
        self.client_id = client_id
        self.key = key
        self.proof_key = new_key()
        self.operative = operative
        self.http = http or httpx.Client(base_url=base_url, timeout=30)
        self.nonce: str | None = None
        self.verifier = ""
        self.state = ""
        self.token = ""
        self.refresh_token = ""
        self.answer: dict[str, Any] = {}

    # ── making things ──
    def assertion(
        self,
        *,
        key: Jwk | None = None,
        header: dict[str, Any] | None = None,
        claims: dict[str, Any] | None = None,
    ) -> str:
        key = key or self.key
        now = int(time.time())
        said: dict[str, Any] = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.base_url,
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_urlsafe(16),
        }
        if self.operative is not None:
            said["act"] = {"sub": self.operative}
        return sign({"alg": key["alg"], "kid": key["kid"], **(header or {})}, {**said, **(claims or {})}, key)

    def client(self, **options: Any) -> dict[str, str]:
        """The fields that authenticate this client."""
        return {
            "client_id": self.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion(**options),
        }

    def proof(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        key: Jwk | None = None,
        header: dict[str, Any] | None = None,
        claims: dict[str, Any] | None = None,
    ) -> str:
        key = key or self.proof_key
        said: dict[str, Any] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": self.base_url + path,
            "iat": int(time.time()),
            "nonce": self.nonce,
        }
        if token is not None:
            said["ath"] = b64url(hashlib.sha256(token.encode()).digest())
        return sign(
            {"typ": "dpop+jwt", "alg": key["alg"], "jwk": bare(key), **(header or {})},
            {**said, **(claims or {})},
            key,
        )

    def details(self, **more: Any) -> list[dict[str, Any]]:
        said: dict[str, Any] = {
            "type": "inbox_access",
            "purpose": "tailoring",
            "level": "masked",
            "agreement": "streamflix-deal",
            "locations": [self.base_url + "/jmap"],
        }
        return [{name: value for name, value in {**said, **more}.items() if value is not None}]

    # ── OAuth ──
    def request(self, **more: Any) -> dict[str, Any]:
        """The fields of a pushed request."""
        self.verifier, self.state = secrets.token_urlsafe(48), secrets.token_urlsafe(8)
        said: dict[str, Any] = {
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "state": self.state,
            "code_challenge_method": "S256",
            "code_challenge": b64url(hashlib.sha256(self.verifier.encode()).digest()),
            "scope": "inbox.read",
            "authorization_details": json.dumps(self.details()),
        }
        return {name: value for name, value in {**said, **more}.items() if value is not None}

    def push(self, *, bound: bool = True, **more: Any) -> httpx.Response:
        form = self.request(**more)
        return self.form("/oauth/par", form, proof=bound)

    def form(self, path: str, form: dict[str, Any], *, proof: bool = False) -> httpx.Response:
        """POSTs an authenticated form, once more where the server wants its nonce in the proof."""
        for _ in range(2):
            headers = {"DPoP": self.proof("POST", path)} if proof else {}
            answer = self.http.post(path, data={**self.client(), **form}, headers=headers)
            self.heard(answer)
            if not (answer.status_code == 400 and answer.json().get("error") == "use_dpop_nonce"):
                break
        return answer

    def heard(self, answer: httpx.Response) -> httpx.Response:
        self.nonce = answer.headers.get("dpop-nonce", self.nonce)
        return answer

    def authorize_path(self, request_uri: str) -> str:
        return "/oauth/authorize?" + str(
            httpx.QueryParams({"client_id": self.client_id, "request_uri": request_uri})
        )

    def redeem(self, code: str, /, **more: Any) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": self.verifier,
        }
        answer = self.form("/oauth/token", {**form, **more}, proof=True)
        if answer.status_code == 200:
            self.answer = answer.json()
            self.token = self.answer["access_token"]
            self.refresh_token = self.answer.get("refresh_token", self.refresh_token)
        return answer

    def renew(self, **more: Any) -> httpx.Response:
        answer = self.form(
            "/oauth/token",
            {"grant_type": "refresh_token", "refresh_token": self.refresh_token, **more},
            proof=True,
        )
        if answer.status_code == 200:
            self.answer = answer.json()
            self.token = self.answer["access_token"]
        return answer

    # ── the resource ──
    def ask(
        self,
        method: str,
        path: str,
        *,
        http: httpx.Client | None = None,
        proof: str | None = None,
        scheme: str = "DPoP",
        **options: Any,
    ) -> httpx.Response:
        """One request with token and proof; the nonce is taken from the answer and the request made once
        more."""
        for _ in range(2):
            made = proof or self.proof(method, path.partition("?")[0], token=self.token)
            headers = {"Authorization": f"{scheme} {self.token}", "DPoP": made, **options.get("headers", {})}
            rest = {name: value for name, value in options.items() if name != "headers"}
            answer = self.heard((http or self.http).request(method, path, headers=headers, **rest))
            if proof is not None or "use_dpop_nonce" not in answer.headers.get("www-authenticate", ""):
                break
        return answer

    def jmap(self, *calls: list[Any], http: httpx.Client | None = None) -> httpx.Response:
        using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]
        return self.ask("POST", "/jmap/api", http=http, json={"using": using, "methodCalls": list(calls)})

    def everything(self, http: httpx.Client | None = None) -> list[dict[str, Any]]:
        """Every Email with its text, as the account shows it."""
        account = self.answer["authorization_details"][0]["identifier"]
        answer = self.jmap(
            ["Email/query", {"accountId": account, "limit": 500}, "q"],
            [
                "Email/get",
                {
                    "accountId": account,
                    "#ids": {"resultOf": "q", "name": "Email/query", "path": "/ids"},
                    "properties": ["id", "from", "preview", "bodyValues", "textBody"],
                    "fetchTextBodyValues": True,
                },
                "g",
            ],
            http=http,
        )
        answer.raise_for_status()
        return list(answer.json()["methodResponses"][1][1]["list"])


class Fields(HTMLParser):
    """The hidden fields of a page's first form that posts to /oauth/authorize."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "input" and given.get("type") == "hidden" and given.get("name") in ("dialogue", "csrf"):
            self.found[str(given["name"])] = given.get("value") or ""


def decide(http: httpx.Client, path: str, cookies: dict[str, str], **form: Any) -> httpx.Response:
    """The owner's browser: opens the question, answers it. Without `decision` it says yes."""
    http.cookies.clear()
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    page = http.get(path, headers={"Cookie": cookie})
    if page.status_code != 200:
        return page
    fields = {**Fields(page.text).found, "decision": "allow", **form}
    return http.post("/oauth/authorize", data=fields, headers={"Cookie": cookie})


def code_of(answer: httpx.Response) -> dict[str, str]:
    """The parameters that an answer sends back to the partner."""
    assert answer.status_code == 303, (answer.status_code, re.sub(r"<[^>]+>", " ", answer.text)[:300])
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
