"""The partner's half of every protocol, without a network: generators that yield requests and are sent answers.

Rules of this file:

1. A flow yields an `Ask` and is sent the `httpx.Response` to it; what it returns is the result. `client.py` drives
   the same flows with a blocking and with an async client, `proxy.py` with streams. There is no second copy of
   any of it.
2. A request with an access token carries a fresh proof of the key; refused for want of the server's nonce it is
   sent once more (RFC 9449 §8, §9). Only the headers of such an answer are looked at, so that its body may stream.
3. Secrets stand in headers and forms, never in an error's text.

PAR (RFC 9126), RAR (9396), PKCE (7636), private_key_jwt (7523), `iss` (9207), DPoP (9449), JMAP (8620),
Content-Digest (9530).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeAlias, TypeVar
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx
import msgspec
import orjson
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey

from byleave.errors import Code, Invalid
from byleave.exchange.report import Form, Parcel, Report

T = TypeVar("T")


class Ask(NamedTuple):
    """One request to be sent."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes | None = None


Flow: TypeAlias = Generator[Ask, httpx.Response, T]
PrivateKey: TypeAlias = ECKey | OKPKey

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CORE, MAIL = "urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"
USING = (CORE, MAIL)
SIGNALS = "https://byleave.example/ns/signals"
PAGE = 500
"""Messages asked for at once: the gateway's maxObjectsInGet."""
JSON = "application/json"
RECALL_ANSWER = "byleave-recall-answer+jws"
IMAGES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
IMAGE_BYTES = 200_000


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An access token for one inbox, bound to the key it was asked with. `details` are what the owner granted:
    {type, purpose, level, agreement, identifier, expires_at, …}. A `token_type` of "Bearer" is the owner's own
    token, and needs no proof."""

    access_token: str
    account_id: str = ""
    expires_in: int = 0
    refresh_token: str | None = None
    details: dict[str, Any] = {}
    token_type: str = "DPoP"

    def __repr__(self) -> str:
        """Without the secrets: tokens end up in logs."""
        return f"Token(account_id={self.account_id!r}, expires_in={self.expires_in})"


class Refusal(Invalid):
    """What the gateway refused: `status`, `kind` (the last word of the problem type, or the OAuth or JMAP error), and
    its `problem` (RFC 9457), with `violations` for a report."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        said = str(problem.get("error") or problem.get("type") or "")
        kind = said.rpartition("/")[2].rpartition(":")[2] or str(status)
        detail = (
            problem.get("error_description") or problem.get("detail") or problem.get("title") or "refused"
        )
        super().__init__(Code.INVALID_REQUEST, f"{status} {kind}: {detail}")
        self.status = status
        self.kind = kind
        self.problem = problem


class Pushed(msgspec.Struct, frozen=True):
    """A pushed authorization request: where to send the owner, and what the answer must carry. Keep it with the
    visitor's session until they come back."""

    authorize_url: str
    state: str
    verifier: str


class Flows:
    """One client of one gateway; its state is the key, the newest nonce of each origin, and what the gateway
    publishes about itself."""

    def __init__(
        self, base_url: str, client_id: str, key: PrivateKey, redirect_uri: str, operative: str | None,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.base_url = base_url.rstrip("/")
        self.client_id = client_id
        self.key = key
        self.redirect_uri = redirect_uri
        self.operative = operative
        self._clock = clock
        self._nonces: dict[str, str] = {}
        self._metadata: dict[str, Any] = {}
        self._api_url = ""

    def metadata(self) -> Flow[dict[str, Any]]:
        """The authorization server's metadata (RFC 8414), fetched once. Raises Refusal."""
        if not self._metadata:
            url = f"{self.base_url}/.well-known/oauth-authorization-server"
            found = told((yield Ask("GET", url, {"Accept": JSON})))
            if found.get("issuer") != self.base_url:  # RFC 8414 §3.3: else any server could pose as another
                raise Invalid(Code.INVALID_REQUEST, "the gateway's metadata name another issuer than its URL")
            self._metadata = found
        return self._metadata

    # ── getting leave ──
    def push(self, details: dict[str, Any], scope: str = "inbox.read") -> Flow[Pushed]:
        """Pushes an authorization request with `details` (RAR type `inbox_access`: {purpose, level, agreement,
        conversations?, period?}); for cards too, `scope` is "inbox.read send". Send the owner to `authorize_url`
        within a minute. Raises Refusal."""
        server = yield from self.metadata()
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        access = {"type": "inbox_access", "locations": [f"{self.base_url}/jmap"], **details}
        form = {
            "response_type": "code", "redirect_uri": self.redirect_uri, "state": state,
            "code_challenge": b64(hashlib.sha256(verifier.encode()).digest()), "code_challenge_method": "S256",
            "scope": scope, "authorization_details": orjson.dumps([access]).decode(),
        }  # fmt: skip
        pushed = yield from self._form(server["pushed_authorization_request_endpoint"], form)
        query = urlencode({"client_id": self.client_id, "request_uri": pushed["request_uri"]})
        return Pushed(f"{server['authorization_endpoint']}?{query}", state, verifier)

    def redeem(self, pushed: Pushed, callback_url: str) -> Flow[Token]:
        """The token for the code that came back to `callback_url`. Raises Invalid where the owner said no, or where
        the answer belongs to another request or server; Refusal where the code no longer holds."""
        server = yield from self.metadata()
        answer = {name: values[0] for name, values in parse_qs(urlsplit(callback_url).query).items()}
        if answer.get("state") != pushed.state or answer.get("iss") != server["issuer"]:
            raise Invalid(Code.INVALID_REQUEST, "the answer belongs to another request or another server")
        if "code" not in answer:
            raise Invalid(Code.INVALID_GRANT, "the owner said no")
        form = {
            "grant_type": "authorization_code", "code": answer["code"], "redirect_uri": self.redirect_uri,
            "code_verifier": pushed.verifier,
        }  # fmt: skip
        got = yield from self._form(server["token_endpoint"], form)
        details = got.get("authorization_details", [{}])[0]
        return Token(
            access_token=got["access_token"], account_id=details.get("identifier", ""), expires_in=got["expires_in"],
            refresh_token=got.get("refresh_token"), details=details,
        )  # fmt: skip

    def renew(self, token: Token) -> Flow[Token]:
        """A new access token for the same grant (RFC 6749 §6); an access token lasts an hour. Raises Refusal where
        the grant has ended."""
        server = yield from self.metadata()
        form = {"grant_type": "refresh_token", "refresh_token": token.refresh_token or ""}
        got = yield from self._form(server["token_endpoint"], form)
        return msgspec.structs.replace(
            token, access_token=got["access_token"], expires_in=got["expires_in"],
            refresh_token=got.get("refresh_token", token.refresh_token),
        )  # fmt: skip

    def revoke(self, token: Token) -> Flow[None]:
        """Gives leave back (RFC 7009): the refresh token where there is one, and what was made from it. Raises
        Refusal."""
        server = yield from self.metadata()
        yield from self._form(
            server["revocation_endpoint"], {"token": token.refresh_token or token.access_token}
        )

    # ── reading ──
    def session(self, token: Token) -> Flow[dict[str, Any]]:
        """The JMAP session object (RFC 8620 §2). Raises Refusal."""
        return told((yield from self.request("GET", f"{self.base_url}/jmap/session", token)))

    def jmap(
        self, token: Token, calls: list[list[Any]], using: tuple[str, ...] = USING
    ) -> Flow[list[list[Any]]]:
        """The responses to method `calls` [[name, arguments, id], …], in order; a method's own error is a response
        ["error", {type, …}, id]. Raises Refusal where the whole request is refused."""
        if not self._api_url:
            self._api_url = (yield from self.session(token))["apiUrl"]
        body = orjson.dumps({"using": using, "methodCalls": calls})
        answer = told((yield from self.request("POST", self._api_url, token, body)))
        responses: list[list[Any]] = answer["methodResponses"]
        return responses

    def emails(
        self,
        token: Token,
        properties: list[str],
        filter: dict[str, Any] | None = None,
        most: int | None = None,
    ) -> Flow[list[dict[str, Any]]]:
        """The messages that the grant can see, the newest first, at most `most`: as many pages as it takes
        (RFC 8621 §4.4, §4.2). Raises Refusal, also for a method's error."""
        found: list[dict[str, Any]] = []
        while most is None or len(found) < most:
            limit = PAGE if most is None else min(PAGE, most - len(found))
            page = {"accountId": token.account_id, "position": len(found), "limit": limit}
            query = {**page, "filter": filter, "sort": [{"property": "receivedAt", "isAscending": False}]}
            ids = {"resultOf": "q", "name": "Email/query", "path": "/ids"}
            get = {"accountId": token.account_id, "#ids": ids, "properties": properties}
            calls = [["Email/query", query, "q"], ["Email/get", get, "g"]]
            responses = yield from self.jmap(token, calls)
            for name, answer, _ in responses:
                if name == "error":
                    raise Refusal(200, answer)
            found += responses[1][1]["list"]
            if len(responses[0][1]["ids"]) < limit:
                break
        return found

    def blob(self, token: Token, blob_id: str, content_type: str = "application/octet-stream") -> Flow[bytes]:
        """The bytes behind a blobId, as the grant sees them (RFC 8620 §6.2). Raises Refusal."""
        values = {"accountId": token.account_id, "blobId": blob_id, "name": "blob", "type": content_type}
        url: str = (yield from self.session(token))["downloadUrl"]
        for name, value in values.items():
            url = url.replace("{" + name + "}", quote(value, safe=""))
        answer = yield from self.request("GET", url, token)
        if answer.status_code != 200:
            told(answer)
        return answer.content

    # ── titles ──
    def signals(self, token: Token, filter: dict[str, Any] | None = None) -> Flow[list[dict[str, Any]]]:
        """What the grant knows of titles, the newest day first, each {id, personId, titleId, stance, confidence, day}:
        as many pages as it takes. The token needs the scope `signals`. Raises Refusal, also for a method's error."""
        found: list[dict[str, Any]] = []
        while True:
            page = {"accountId": token.account_id, "position": len(found), "limit": PAGE, "filter": filter}
            ids = {"resultOf": "q", "name": "TitleSignal/query", "path": "/ids"}
            get = {"accountId": token.account_id, "#ids": ids}
            calls = [["TitleSignal/query", page, "q"], ["TitleSignal/get", get, "g"]]
            responses = yield from self.jmap(token, calls, using=(CORE, SIGNALS))
            for name, answer, _ in responses:
                if name == "error":
                    raise Refusal(200, answer)
            found += responses[1][1]["list"]
            if len(responses[0][1]["ids"]) < PAGE:
                return found

    def rankings(self, token: Token, limit: int = 10) -> Flow[list[dict[str, Any]]]:
        """Titles to put forward to the grant's owner now, best first, each {titleId, reason, score}: out of their own
        signals and what friends say who agreed. At most 20 a day. Raises Refusal."""
        body = orjson.dumps({"limit": limit})
        answer = told((yield from self.request("POST", f"{self.base_url}/rankings", token, body)))
        titles: list[dict[str, Any]] = answer["titles"]
        return titles

    # ── sending ──
    def put_image(self, token: Token, image: bytes) -> Flow[str]:
        """Sends a card's picture, PNG or JPEG of at most 200 kB; answers its sha-256 in hex, which is what `card.image`
        names. Sent twice it is one picture. Raises Invalid for another format or size, Refusal."""
        kind = next((kind for head, kind in IMAGES.items() if image.startswith(head)), None)
        if kind is None or len(image) > IMAGE_BYTES:
            raise Invalid(
                Code.INVALID_ARGUMENTS, f"an image is PNG or JPEG and has at most {IMAGE_BYTES} bytes"
            )
        name = hashlib.sha256(image).hexdigest()
        answer = yield from self.request(
            "PUT", f"{self.base_url}/sends/images/{name}", token, image, headers={"Content-Type": kind}
        )
        if not answer.is_success:
            told(answer)
        return name

    def send(
        self, token: Token, recipient: str, card: dict[str, Any], cell: dict[str, str], *, key: str | None = None
    ) -> Flow[dict[str, Any]]:  # fmt: skip
        """Proposes a recommendation card in the owner's name; `recipient` is the address token that JMAP shows,
        `card` {type: "recommendation", title_ref: {scheme, id}, title, text, image?}, `cell` {interface, surface,
        variant}. Answers {id, state, …}: `accepted` where the owner gave standing leave, else `waiting` with
        `confirm_url`. `key` is the Idempotency-Key: the same one is one send, so keep it over your own retries.

        Raises Refusal.
        """
        said = {"recipient": recipient, "card": card, "cell": cell}
        body = orjson.dumps({"sender": token.account_id, **said} if token.account_id else said)
        headers = {"Idempotency-Key": key or secrets.token_urlsafe(24)}
        return told((yield from self.request("POST", f"{self.base_url}/sends", token, body, headers=headers)))

    def sends(self, token: Token) -> Flow[list[dict[str, Any]]]:
        """Every send of the token's grant, the oldest first; an accepted one has its `day`. Raises Refusal."""
        found: list[dict[str, Any]] = []
        while True:
            after = f"?after={found[-1]['id']}" if found else ""
            page = told((yield from self.request("GET", f"{self.base_url}/sends{after}", token)))
            found += page["sends"]
            if not page["more"]:
                return found

    # ── answering for it ──
    def page_link(self) -> Flow[dict[str, Any]]:
        """{url, expires_in}: a one-time link to the partner's page, for a browser. Raises Invalid."""
        yield from self.metadata()
        return (yield from self._form(f"{self.base_url}/partner/signin", {}))

    def own_token(self) -> Flow[Token]:
        """The partner's own token: scope `report`, no inbox behind it (RFC 6749 §4.4). Raises Refusal."""
        server = yield from self.metadata()
        form = {"grant_type": "client_credentials", "scope": "report"}
        got = yield from self._form(server["token_endpoint"], form)
        return Token(access_token=got["access_token"], account_id="", expires_in=got["expires_in"])

    def arrivals_key(self, own: Token) -> Flow[bytes]:
        """The key that `bl` on arriving visitors is checked with (`byleave.exchange.arrival.read`). Raises Refusal."""
        found = told((yield from self.request("GET", f"{self.base_url}/reports/arrivals", own)))["key"]
        return base64.urlsafe_b64decode(found + "=" * (-len(found) % 4))

    def submit(self, own: Token, report: Report | Parcel, *, form: Form = "csv") -> Flow[dict[str, Any]]:
        """Submits a sealed report, or its files as they are; answers what was kept, with the provider's `receipt`. The
        same report again gets the same receipt. Raises Refusal, with every violation in `problem`."""
        parcel = report if isinstance(report, Parcel) else report.parcel(form)
        url, kind, body = f"{self.base_url}/reports", JSON, parcel.rows
        if parcel.manifest is not None:
            media = "application/vnd.apache.parquet" if parcel.form == "parquet" else "text/csv"
            files = {
                "manifest": ("manifest.json", parcel.manifest, JSON),
                "rows": (f"rows.{parcel.form}", parcel.rows, media),
            }
            made = httpx.Request("POST", url, files=files)
            kind, body = made.headers["Content-Type"], made.read()
        headers = {
            "Content-Type": kind,
            "Content-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:",
            "Idempotency-Key": hashlib.sha256(parcel.rows + (parcel.manifest or b"")).hexdigest(),
        }
        return told((yield from self.request("POST", url, own, body, headers=headers)))

    def reports(self, own: Token, known_at: str | None = None) -> Flow[dict[str, Any]]:
        """The calendar with each period's state, and every accepted version; `known_at` (RFC 3339): as known then.
        Raises Refusal."""
        at = "" if known_at is None else "?" + urlencode({"known_at": known_at})
        return told((yield from self.request("GET", f"{self.base_url}/reports{at}", own)))

    def notices(self, own: Token) -> Flow[list[dict[str, Any]]]:
        """What there is to be told of deadlines: [{at, sequence, kind, to}], the oldest first. Raises Refusal."""
        found: list[dict[str, Any]] = told(
            (yield from self.request("GET", f"{self.base_url}/reports/notices", own))
        )["notices"]
        return found

    def receipt(self, own: Token, report_id: str) -> Flow[str]:
        """The provider's receipt, a compact JWS. Raises Refusal."""
        answer = yield from self.request("GET", f"{self.base_url}/reports/{quote(report_id)}/receipt", own)
        if answer.status_code != 200:
            told(answer)
        return answer.text

    def reconciliation(self, own: Token, report_id: str) -> Flow[dict[str, Any]]:
        """Both sides' figures of an accepted report, and what they disagree in. Raises Refusal."""
        url = f"{self.base_url}/reports/{quote(report_id)}/reconciliation"
        return told((yield from self.request("GET", url, own)))

    # ── deleting ──
    def recalls(self, own: Token) -> Flow[list[dict[str, Any]]]:
        """Every recall, the oldest first: [{id, made_at, due_at, messages, state, notice}]. `notice` is a JWS by the
        provider that names the account and the ids to `delete`. Raises Refusal."""
        found: list[dict[str, Any]] = []
        while True:
            after = f"?after={found[-1]['id']}" if found else ""
            page = told((yield from self.request("GET", f"{self.base_url}/recalls{after}", own)))
            found += page["recalls"]
            if not page["more"]:
                return found

    def answer_recall(self, own: Token, recall: str) -> Flow[dict[str, Any]]:
        """Says, signed with our key, that all that a recall names has been deleted. Raises Refusal."""
        said = _signed(
            {"kid": self._kid(), "typ": RECALL_ANSWER}, {"recall": recall, "deleted": True}, self.key
        )
        url, headers = f"{self.base_url}/recalls/{quote(recall)}/answer", {"Content-Type": "application/jose"}
        return told((yield from self.request("POST", url, own, said.encode(), headers=headers)))

    # ── requests ──
    def request(
        self, method: str, url: str, token: Token, body: bytes | None = None, *, key: PrivateKey | None = None,
        headers: dict[str, str] | None = None,
    ) -> Flow[httpx.Response]:  # fmt: skip
        """Any request with the token and a proof of the key (`key`: of another one); asked for a nonce, it is sent once
        more. The answer is whatever came."""
        asked = str(httpx.URL(url))  # as the client will write it: htu must say the same
        for attempt in range(2):
            said = {
                **({} if body is None else {"Content-Type": JSON}),
                **(headers or {}),
                "Authorization": f"{token.token_type} {token.access_token}",
            }
            if token.token_type == "DPoP":
                said["DPoP"] = self._proof(method, asked, key or self.key, token.access_token)
            answer = yield Ask(method, asked, said, body)
            wanted = "use_dpop_nonce" in answer.headers.get("WWW-Authenticate", "")
            if not (self._keep_nonce(asked, answer) and answer.status_code == 401 and wanted and not attempt):
                break
        return answer

    def _form(self, url: str, form: dict[str, str]) -> Flow[dict[str, Any]]:
        """An authenticated form at the authorization server. Raises Refusal."""
        asked = str(httpx.URL(url))
        for attempt in range(2):
            values = {
                **form, "client_id": self.client_id, "client_assertion_type": ASSERTION,
                "client_assertion": self._assertion(),
            }  # fmt: skip
            headers = {
                "Content-Type": "application/x-www-form-urlencoded",
                "DPoP": self._proof("POST", asked, self.key, None),
            }
            answer = yield Ask("POST", asked, headers, urlencode(values).encode())
            wanted = b'"use_dpop_nonce"' in answer.content[:400]
            if not (self._keep_nonce(asked, answer) and answer.status_code == 400 and wanted and not attempt):
                break
        return told(answer)

    def _keep_nonce(self, url: str, answer: httpx.Response) -> bool:
        nonce = answer.headers.get("DPoP-Nonce")
        if nonce:
            self._nonces[urlsplit(url).netloc] = nonce
        return bool(nonce)

    def _assertion(self) -> str:
        now = int(self._clock())
        claims: dict[str, Any] = {
            "iss": self.client_id, "sub": self.client_id, "aud": self._metadata["issuer"], "iat": now, "exp": now + 60,
            "jti": secrets.token_urlsafe(16),
        }  # fmt: skip
        if self.operative is not None:
            claims["act"] = {"sub": self.operative}
        return _signed({"kid": self._kid()}, claims, self.key)

    def _kid(self) -> str:
        return str(self.key.as_dict(private=False).get("kid") or self.key.thumbprint())

    def _proof(self, method: str, url: str, key: PrivateKey, access_token: str | None) -> str:
        """A DPoP proof (RFC 9449 §4.2); htu is the URL as it is sent, without query and fragment."""
        claims: dict[str, Any] = {
            "htm": method, "htu": url.partition("?")[0].partition("#")[0], "iat": int(self._clock()),
            "jti": secrets.token_urlsafe(16),
        }  # fmt: skip
        if access_token is not None:
            claims["ath"] = b64(hashlib.sha256(access_token.encode()).digest())
        nonce = self._nonces.get(urlsplit(url).netloc)
        if nonce:
            claims["nonce"] = nonce
        public = {k: v for k, v in key.as_dict(private=False).items() if k in ("kty", "crv", "x", "y")}
        return _signed({"typ": "dpop+jwt", "jwk": public}, claims, key)


def told(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer that says yes. Raises Refusal."""
    try:
        found = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        found = {}
    if not isinstance(found, dict):
        found = {}
    if answer.status_code not in (200, 201, 202):
        raise Refusal(answer.status_code, found)
    return found


def new_key() -> ECKey:
    """A fresh P-256 key for ES256; its kid is the RFC 7638 thumbprint. `key.as_dict(private=True)` is its JWK."""
    key = ECKey.generate_key("P-256", private=True)
    return ECKey.import_key(
        {**key.as_dict(private=True), "kid": key.thumbprint(), "alg": "ES256", "use": "sig"}
    )


def registration(
    client_id: str, agreement: str, redirect_uris: list[str], *keys: PrivateKey
) -> dict[str, Any]:
    """What the provider's operator registers (`byleave client add`, RFC 7591); keys and redirect URIs must stand in
    the agreement. The private halves stay here."""
    public = [key.as_dict(private=False) for key in keys]
    return {
        "client_id": client_id,
        "agreement": agreement,
        "redirect_uris": redirect_uris,
        "jwks": {"keys": public},
    }


def _signed(header: dict[str, Any], claims: dict[str, Any], key: PrivateKey) -> str:
    alg = "ES256" if key.key_type == "EC" else "EdDSA"
    return jwt.encode({"alg": alg, **header}, claims, key, algorithms=[alg])


def b64(data: bytes) -> str:
    """base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
