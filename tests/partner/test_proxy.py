"""The proxy for plain JMAP clients: proofs, nonce, renewal, rewritten URLs, streams, and who may call it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from byleave.partner.client import AsyncPartner, Token, new_key
from byleave.partner.proxy import MAX_BODY, Proxy
from tests.partner.test_client import SERVER, URL, claims
from tests.servers.partner import CALLBACK

HERE = "http://localhost:8421"
TOKEN = Token(access_token="at", refresh_token="rt")
SESSION = {
    "apiUrl": f"{URL}/jmap/api", "downloadUrl": f"{URL}/jmap/download/{{accountId}}/{{blobId}}/{{name}}?accept={{type}}",
    "uploadUrl": f"{URL}/jmap/upload/{{accountId}}/", "eventSourceUrl": f"{URL}/jmap/eventsource/?types={{types}}",
    "username": f"see {URL}/jmap/api", "state": "s",
}  # fmt: skip
Handle = Callable[[httpx.Request], httpx.Response]


class Pieces(httpx.AsyncByteStream):
    """A body as a network brings it: not there before it is asked for."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for i in range(0, len(self.content), 7):
            yield self.content[i : i + 7]


class Upstream:
    """A gateway that says what a test wants, and keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.left = list(answers)
        self.asked: list[httpx.Request] = []
        self.renewed = 0
        self.kept: list[Token] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/.well-known/oauth-authorization-server":
            return httpx.Response(200, json=SERVER)
        if request.url.path == "/oauth/token":
            self.renewed += 1
            return httpx.Response(200, json={"access_token": f"at{self.renewed}", "expires_in": 60})
        self.asked.append(request)
        answer = self.left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer.stream, httpx.ByteStream):
            return answer
        return httpx.Response(answer.status_code, headers=answer.headers, stream=Pieces(answer.content))

    def proxy(self, token: Token = TOKEN, **options: Any) -> Proxy:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self.handle))
        partner = AsyncPartner(URL, "web", new_key(), CALLBACK, http=http, clock=lambda: 1_800_000_000)
        return Proxy(partner, token, keep=self.kept.append, **options)


def ask(proxy: Proxy, method: str, path: str, **more: Any) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=proxy)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
            return await client.request(method, path, **more)

    return asyncio.run(asked())


def test_a_request_gets_token_and_proof_and_nothing_of_the_clients() -> None:
    up = Upstream(
        httpx.Response(200, json={"methodResponses": []}, headers={"Set-Cookie": "a=b", "DPoP-Nonce": "n"})
    )
    sent = {
        "Authorization": "Bearer unused",
        "Cookie": "byleave=1",
        "Content-Type": "application/json",
        "X-Odd": "1",
    }
    answer = ask(up.proxy(), "POST", "/jmap/api", content=b'{"using":[]}', headers=sent)
    assert answer.json() == {"methodResponses": []}
    assert "set-cookie" not in answer.headers and "dpop-nonce" not in answer.headers
    [request] = up.asked
    assert request.headers["Authorization"] == "DPoP at" and request.content == b'{"using":[]}'
    assert "cookie" not in request.headers and "x-odd" not in request.headers
    assert claims(request)["htu"] == f"{URL}/jmap/api" and claims(request)["htm"] == "POST"


def test_a_nonce_is_taken_up_without_the_client_knowing() -> None:
    wants = httpx.Response(
        401, headers={"WWW-Authenticate": 'DPoP error="use_dpop_nonce"', "DPoP-Nonce": "n1"}
    )
    up = Upstream(wants, httpx.Response(200, content=b"{}"))
    assert ask(up.proxy(Token(access_token="at")), "POST", "/jmap/api", content=b"{}").status_code == 200
    assert [claims(r).get("nonce") for r in up.asked] == [None, "n1"]
    assert [r.content for r in up.asked] == [b"{}", b"{}"]


def test_a_token_that_ran_out_is_renewed_once_and_kept() -> None:
    no = {"WWW-Authenticate": 'DPoP error="invalid_token"'}
    up = Upstream(httpx.Response(401, headers=no), httpx.Response(200, content=b"fine"))
    assert ask(up.proxy(), "GET", "/jmap/session2").text == "fine"
    assert up.renewed == 1 and [t.access_token for t in up.kept] == ["at1"]
    assert up.asked[1].headers["Authorization"] == "DPoP at1"
    told = {"title": "no token"}
    up = Upstream(httpx.Response(401, headers=no), httpx.Response(401, headers=no, json=told))
    answer = ask(up.proxy(), "GET", "/jmap/x")
    assert answer.status_code == 401 and answer.json() == told and up.renewed == 1
    up = Upstream(httpx.Response(401, headers=no, json=told))
    assert ask(up.proxy(Token(access_token="at")), "GET", "/jmap/x").json() == told


def test_requests_that_wait_share_one_renewal() -> None:
    class ByToken(Upstream):
        def handle(self, request: httpx.Request) -> httpx.Response:
            stale = request.headers.get("Authorization") == "DPoP at"
            self.left = [httpx.Response(401 if stale else 200)]
            return super().handle(request)

    up = ByToken()
    proxy = up.proxy()

    async def three() -> list[int]:
        transport = httpx.ASGITransport(app=proxy)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
            found = await asyncio.gather(*(client.get("/jmap/x") for _ in range(3)))
            return [answer.status_code for answer in found]

    assert asyncio.run(three()) == [200, 200, 200] and up.renewed == 1


@pytest.mark.parametrize("path", ["/.well-known/jmap", "/jmap/session"])
def test_the_sessions_urls_lead_back_here_and_nothing_else_changes(path: str) -> None:
    up = Upstream(httpx.Response(200, json=SESSION))
    told = ask(up.proxy(), "GET", path).json()
    assert told == {
        **SESSION,
        **{name: str(SESSION[name]).replace(URL, HERE) for name in SESSION if name.endswith("Url")},
    }
    assert told["username"] == f"see {URL}/jmap/api"


@pytest.mark.parametrize(
    "session", [b"[]", b"{", b'{"apiUrl": 1}', b'{"apiUrl": "https://elsewhere.example/jmap/api"}']
)
def test_a_session_that_leads_elsewhere_is_not_passed_on(session: bytes) -> None:
    up = Upstream(httpx.Response(200, content=session))
    answer = ask(up.proxy(), "GET", "/.well-known/jmap")
    assert answer.status_code == 502 and answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "inbox.evil.example"},
        {"Host": "localhost.evil.example:8421"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_no_web_page_and_no_other_name_gets_in(headers: dict[str, str]) -> None:
    up = Upstream()
    assert ask(up.proxy(), "POST", "/jmap/api", content=b"{}", headers=headers).status_code == 403
    assert up.asked == []


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/sends",
        "/jmapx",
        "/reports",
        "/jmap/../sends",
        "/jmap/%2e%2E/sends",
        "/jmap/./a",
        "/oauth/token",
    ],
)
def test_only_jmap_goes_through(path: str) -> None:
    up = Upstream()

    async def raw() -> int:
        told: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            told.append(message)

        scope = {
            "type": "http", "scheme": "http", "method": "GET", "path": path, "raw_path": path.encode(),
            "query_string": b"", "headers": [(b"host", b"localhost:8421")],
        }  # fmt: skip
        await up.proxy()(scope, receive, send)
        return int(told[0]["status"])

    assert asyncio.run(raw()) == 404 and up.asked == []


def test_a_secret_keeps_others_out() -> None:
    basic = base64.b64encode(b"anybody:word").decode()
    for said, status in (
        (None, 401), ("Bearer wrong", 401), ("Basic !!", 401), ("Bearer word", 200), (f"Basic {basic}", 200),
    ):  # fmt: skip
        up = Upstream(httpx.Response(200))
        headers = {} if said is None else {"Authorization": said}
        assert ask(up.proxy(secret="word"), "GET", "/jmap/x", headers=headers).status_code == status, said


def test_errors_are_told_in_one_line() -> None:
    answer = ask(Upstream(httpx.ConnectError("secret-host")).proxy(), "GET", "/jmap/x")
    assert (
        answer.status_code == 502
        and answer.json()["detail"] == "the gateway at 127.0.0.1:8420 cannot be reached"
    )
    up = Upstream()
    assert ask(up.proxy(), "POST", "/jmap/api", content=b"x" * (MAX_BODY + 1)).status_code == 413
    assert up.asked == []


def test_a_grant_that_ended_is_said_so() -> None:
    up = Upstream(httpx.Response(401))

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/token":
            return httpx.Response(
                400, json={"error": "invalid_grant", "error_description": "the grant has ended"}
            )
        return up.handle(request)

    http = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    proxy = Proxy(AsyncPartner(URL, "web", new_key(), CALLBACK, http=http), TOKEN)
    answer = ask(proxy, "GET", "/jmap/x")
    assert answer.status_code == 401
    assert answer.json()["detail"] == "400 invalid_grant: the grant has ended; ask the owner again"


def test_query_and_escapes_arrive_as_they_were_written() -> None:
    up = Upstream(httpx.Response(200, content=b"bytes", headers={"Content-Type": "message/rfc822"}))
    path = "/jmap/download/a1/b2/na%20me%2Fx.eml?accept=message%2Frfc822&x=a+b"
    answer = ask(up.proxy(), "GET", path)
    assert answer.content == b"bytes" and answer.headers["Content-Type"] == "message/rfc822"
    assert str(up.asked[0].url) == URL + path and claims(up.asked[0])["htu"] == URL + path.partition("?")[0]


def test_events_pass_as_they_happen_and_a_client_that_leaves_closes_the_stream() -> None:
    """Two events, the second only after the first has arrived; then the client goes, and upstream is closed."""

    async def talk() -> tuple[list[bytes], bool]:
        first_seen, closed = asyncio.Event(), asyncio.Event()
        got: list[bytes] = []

        class Events(httpx.AsyncByteStream):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                yield b"event: state\n\n"
                await first_seen.wait()
                yield b"event: ping\n\n"
                await asyncio.Event().wait()

            async def aclose(self) -> None:
                closed.set()

        up = Upstream(httpx.Response(200, stream=Events(), headers={"Content-Type": "text/event-stream"}))
        left = asyncio.Event()
        asked = False

        async def receive() -> Any:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b""}
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body" and message["body"]:
                got.append(message["body"])
                first_seen.set()
                if len(got) == 2:
                    left.set()

        scope = {
            "type": "http", "scheme": "http", "method": "GET", "path": "/jmap/eventsource/", "query_string": b"types=*",
            "headers": [(b"host", b"localhost:8421"), (b"last-event-id", b"s1")],
        }  # fmt: skip
        await asyncio.wait_for(up.proxy()(scope, receive, send), 10)
        assert up.asked[0].headers["Last-Event-ID"] == "s1"
        return got, closed.is_set()

    got, closed = asyncio.run(talk())
    assert got == [b"event: state\n\n", b"event: ping\n\n"] and closed


def test_the_owners_own_bearer_needs_no_proof() -> None:
    up = Upstream(httpx.Response(200))
    ask(up.proxy(Token(access_token="own", token_type="Bearer")), "GET", "/jmap/x")
    assert up.asked[0].headers["Authorization"] == "Bearer own" and "dpop" not in up.asked[0].headers


def test_what_is_no_http_is_left_alone() -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError

    asyncio.run(Upstream().proxy()({"type": "websocket"}, never, never))
