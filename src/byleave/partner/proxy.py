"""A proxy on loopback for plain JMAP clients: it holds the token and the key, and adds a fresh proof to each request.

Rules of this file:

1. It is an ASGI application for a server that listens on loopback only, and answers nobody who calls it by another
   name or out of a web page of another origin: whoever reaches it reads the inbox.
2. Only JMAP goes through. Of a request's headers the few that JMAP knows are passed on, of an answer's those that
   tell of its body; credentials and cookies of either side stop here.
3. The Session object's URLs are written anew, so that a client stays on this side; no other byte is changed. Answers
   stream: an event arrives when it happens, and a blob is never held whole.
4. A token that has run out is renewed once, where there is a refresh token; requests that wait share that.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import hmac
import ipaddress
import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import orjson

from byleave.errors import ByleaveError, Unavailable
from byleave.partner.client import AsyncPartner, Token

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Said: TypeAlias = list[tuple[bytes, bytes]]

MAX_BODY = 10 * 1024 * 1024
"""The gateway's maxSizeRequest."""
NAMES = ("localhost", "127.0.0.1", "[::1]")
PASSED = (b"accept", b"content-type", b"last-event-id", b"range")
TOLD = (
    "accept-ranges",
    "cache-control",
    "content-disposition",
    "content-language",
    "content-length",
    "content-range",
    "content-type",
    "etag",
    "retry-after",
)
URLS = ("apiUrl", "downloadUrl", "uploadUrl", "eventSourceUrl")
SESSIONS = ("/.well-known/jmap", "/jmap/session")
_PATH = re.compile(r"/jmap(/[^?#]*)?|/\.well-known/jmap")
_CLIMBS = re.compile(r"(^|/)(\.|%2e){1,2}(/|$)", re.IGNORECASE)


class Proxy:
    """The application. `keep` is given each renewed token; with `secret`, clients must send it (as bearer token, or as
    the password of Basic)."""

    def __init__(
        self, partner: AsyncPartner, token: Token, *, keep: Callable[[Token], None] = lambda token: None,
        secret: str | None = None,
    ) -> None:  # fmt: skip
        self._partner = partner
        self._token = token
        self._keep = keep
        self._secret = secret
        self._renewing = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await self._answer(scope, receive, send)
        except Unavailable as error:
            await _problem(send, 502, "gateway-unreachable", error.detail)
        except ByleaveError as error:
            await _problem(send, 401, "no-leave", f"{error.detail}; ask the owner again")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Said = list(scope["headers"])
        here = self._at_home(scope, headers)
        if here is None:
            await _problem(
                send, 403, "not-from-here", "call the proxy as localhost, from no other site's page"
            )
            return
        if not self._known(headers):
            await _problem(send, 401, "secret", "this proxy was started with a secret: send it as the token")
            return
        path = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].decode("latin-1")
        if not _PATH.fullmatch(path) or _CLIMBS.search(path):
            await _problem(send, 404, "not-jmap", "only JMAP goes through; start at /.well-known/jmap")
            return
        body = await _body(receive)
        if body is None:
            await _problem(send, 413, "too-large", f"a request has at most {MAX_BODY} bytes")
            return
        query = scope["query_string"].decode("latin-1")
        url = self._partner.base_url + path + ("?" + query if query else "")
        passed = {name.decode(): value.decode("latin-1") for name, value in headers if name in PASSED}
        answer = await self._ask(scope["method"], url, body or None, passed)
        try:
            if path in SESSIONS and answer.status_code == 200:
                await self._session(answer, here, send)
            else:
                await _stream(answer, receive, send)
        finally:
            await answer.aclose()

    async def _ask(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str]
    ) -> httpx.Response:
        """The gateway's answer, its body not read yet. Raises Unavailable, Refusal where the grant has ended."""
        token = self._token
        for attempt in range(2):
            # identity: what is passed on must be what its headers tell of
            said = {**headers, "Accept-Encoding": "identity"}
            flow = self._partner.flows.request(method, url, token, body, headers=said)
            answer = await self._partner.run(flow, stream=True)
            stale = answer.status_code == 401 and token.refresh_token is not None
            if not stale or attempt:
                break
            await answer.aclose()
            token = await self._renewed(token)
        return answer

    async def _renewed(self, stale: Token) -> Token:
        async with self._renewing:
            if self._token is stale:
                self._token = await self._partner.renew(stale)
                self._keep(self._token)
            return self._token

    async def _session(self, answer: httpx.Response, here: str, send: Send) -> None:
        """The Session object (RFC 8620 §2) with the URLs of this side."""
        try:
            session = orjson.loads(await _whole(answer))
            session.update({name: self._rewritten(session[name], here) for name in URLS if name in session})
        except (httpx.HTTPError, ValueError, AttributeError, TypeError):
            await _problem(send, 502, "no-session", "the gateway's Session object cannot be read")
            return
        headers: Said = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        await _send(send, 200, headers, orjson.dumps(session))

    def _rewritten(self, url: str, here: str) -> str:
        """A URL of the gateway on this side; any other would lead a client past the proxy. Raises ValueError."""
        base = self._partner.base_url
        if not url.startswith(base + "/"):
            raise ValueError(url)
        return here + url.removeprefix(base)

    def _at_home(self, scope: Scope, headers: Said) -> str | None:
        """This side's own address as the client wrote it; None for a foreign name (DNS rebinding) or origin."""
        hosts = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
        if len(hosts) != 1 or re.sub(r":\d{1,5}$", "", hosts[0]) not in NAMES:
            return None
        here = f"{scope['scheme']}://{hosts[0]}"
        origins = {value.decode("latin-1").lower() for name, value in headers if name == b"origin"}
        sites = {value for name, value in headers if name == b"sec-fetch-site"}
        if origins - {here} or sites & {b"cross-site", b"same-site"}:
            return None
        return here

    def _known(self, headers: Said) -> bool:
        if self._secret is None:
            return True
        said = next((value.decode("latin-1") for name, value in headers if name == b"authorization"), "")
        scheme, _, value = said.partition(" ")
        if scheme.lower() == "basic":
            try:
                value = base64.b64decode(value, validate=True).decode().partition(":")[2]
            except ValueError:
                return False
        return hmac.compare_digest(value.strip().encode(), self._secret.encode())


# ── bytes ───────────────────────────────────────────────────────────────────────────────────────────────────
async def _body(receive: Receive) -> bytes | None:
    """The request's body; None where it is larger than JMAP allows."""
    pieces, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise asyncio.CancelledError
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > MAX_BODY:
            return None
        if not message.get("more_body"):
            return b"".join(pieces)


async def _whole(answer: httpx.Response) -> bytes:
    data = b""
    async for piece in answer.aiter_bytes():
        data += piece
        if len(data) > MAX_BODY:
            raise ValueError
    return data


async def _stream(answer: httpx.Response, receive: Receive, send: Send) -> None:
    """Passes an answer on as it comes, until either side has had enough."""
    headers: Said = [(n.encode(), answer.headers[n].encode("latin-1")) for n in TOLD if n in answer.headers]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def pass_on() -> None:
        async for piece in answer.aiter_raw():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    tasks = {asyncio.ensure_future(gone()), asyncio.ensure_future(pass_on())}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        error = task.exception()
        # The answer has begun: all that is left is to break it off, which a client sees as unfinished.
        if error is not None and not isinstance(error, httpx.HTTPError):
            raise error


async def _problem(send: Send, status: int, kind: str, detail: str) -> None:
    """RFC 9457."""
    told = {
        "type": f"https://byleave.example/problems/proxy-{kind}",
        "title": "byleave proxy",
        "status": status,
        "detail": detail,
    }
    headers: Said = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="byleave proxy"'))
    await _send(send, status, headers, orjson.dumps(told))


async def _send(send: Send, status: int, headers: Said, body: bytes) -> None:
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# ── TLS on localhost ────────────────────────────────────────────────────────────────────────────────────────
def certify(folder: Path, now: datetime.datetime, days: int = 30) -> tuple[Path, Path]:
    """A fresh certificate for localhost and its key, as files in `folder`, for clients that know nothing but https.
    It signs for itself and for nothing else: a client is told to trust the file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = now - datetime.timedelta(hours=1)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "localhost.pem", folder / "localhost.key"
    private.unlink(missing_ok=True)
    private.touch(mode=0o600)
    form = serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return certificate, private
