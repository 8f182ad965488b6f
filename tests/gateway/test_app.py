"""The loop around one answer: made again when consent moves, given up in the end, no word of a failure."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from byleave.consent import grant, token
from byleave.errors import Code, Unavailable
from byleave.gateway import app as gateway
from byleave.installation import open_installation
from byleave.keys import read_jwk
from byleave.model import Level
from byleave.view import Query, View, told
from byleave.view.shape import Ids
from tests.servers.gateway import ANN, Served, serving
from tests.servers.partner import Partner, new_key

BASE = "http://127.0.0.1:8420"


class InProcess:
    """The gateway in this process, with one partner's token."""

    def __init__(self, served: Served) -> None:
        self.world = served.world
        self.app = gateway.Gateway(open_installation(self.world.path), BASE, lambda: int(time.time() * 1000))
        found = self.world.allow(served.owner, agreement_id=served.agreement_id, partner="streamflix")
        self.partner = Partner(BASE, "streamflix-web", new_key())
        self.partner.token = token.fresh()
        jkt = read_jwk(self.partner.proof_key).thumbprint()
        self.world.store.write(
            token.issue,
            token.hash_of(self.partner.token),
            found.owner_id,
            found.grant_id,
            None,
            jkt,
            None,
            "inbox.read",
            int(time.time() * 1000),
        )
        self.grant = found
        self.account = Ids(self.world.installation.ids, found.grant_id).account_id
        self.partner.nonce = self.app.guard.nonce(int(time.time() * 1000))

    async def post(self, body: Any = None) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
            proof = self.partner.proof("POST", "/jmap/api", token=self.partner.token)
            headers = {"Authorization": f"DPoP {self.partner.token}", "DPoP": proof}
            call = {"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"a": 1}, "e"]]}
            return await http.post("/jmap/api", json=body or call, headers=headers)

    def readings(self) -> int:
        with self.world.store.read() as snapshot:
            return len(told.of_owner(snapshot, self.grant.owner_id))


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[InProcess]:
    with serving(tmp_path, start=False) as served:
        yield InProcess(served)


def showing_all(view: View) -> bytes:
    borns = view.query(Query(limit=10)).borns
    return orjson.dumps({"seen": len(borns)})


def run(coroutine: Any) -> httpx.Response:
    return asyncio.run(coroutine)  # type: ignore[no-any-return]


def test_consent_that_moves_while_an_answer_is_made(
    inside: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []

    def respond(body: bytes, view: View, now: int, scope: frozenset[str]) -> bytes:
        made.append(showing_all(view))
        if len(made) == 1:
            inside.world.choose(ANN, Level.NONE, None)
        return made[-1]

    monkeypatch.setattr(gateway.jmap, "respond", respond)
    answer = run(inside.post())
    assert made == [b'{"seen":2}', b'{"seen":1}'] and answer.content == made[1]
    assert inside.readings() == 1


def test_consent_that_never_stands_still(inside: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []

    def respond(body: bytes, view: View, now: int, scope: frozenset[str]) -> bytes:
        made.append(showing_all(view))
        inside.world.choose("telegram:user1000", Level.MASKED, "tailoring")
        return made[-1]

    monkeypatch.setattr(gateway.jmap, "respond", respond)
    answer = run(inside.post())
    assert answer.status_code == 503 and len(made) == 4 and answer.headers["retry-after"] == "1"
    assert inside.readings() == 0


@pytest.mark.parametrize("kind", [RuntimeError, KeyError, RecursionError])
def test_a_failure_tells_nothing(
    inside: InProcess,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: type[Exception],
) -> None:
    def respond(body: bytes, view: View, now: int, scope: frozenset[str]) -> bytes:
        raise kind("ann@example.test said something")

    monkeypatch.setattr(gateway.jmap, "respond", respond)
    with caplog.at_level(logging.DEBUG, "byleave"):
        answer = run(inside.post())
    assert answer.status_code == 500 and "ann@" not in answer.text and "ann@" not in caplog.text
    assert answer.json()["instance"].removeprefix("urn:byleave:incident:") in caplog.text


def test_no_bytes_without_an_entry(inside: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> None:
        raise Unavailable(Code.UNAVAILABLE, "the disk is full")

    monkeypatch.setattr(inside.app.store, "write_soon", broken)
    answer = run(inside.post())
    assert answer.status_code == 503 and b"methodResponses" not in answer.content


def test_a_grant_that_ends_between_answer_and_entry(
    inside: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def respond(body: bytes, view: View, now: int, scope: frozenset[str]) -> bytes:
        inside.world.store.write(
            grant.revoke, inside.grant.owner_id, inside.grant.grant_id, now, inside.world.id(), b"s" * 32
        )
        return showing_all(view)

    monkeypatch.setattr(gateway.jmap, "respond", respond)
    answer = run(inside.post())
    assert answer.status_code == 401 and b"seen" not in answer.content


def test_odd_claims_do_not_fail(inside: InProcess) -> None:
    for claims in ({"x": [[]]}, {"iat": 10**400}, {"jti": "\ud800"}, {"htu": "http://[::1"}, {"nonce": "é"}):
        partner = inside.partner
        proof = partner.proof("POST", "/jmap/api", token=partner.token)
        with inside.world.store.read() as snapshot:
            try:
                proof = partner.proof("POST", "/jmap/api", token=partner.token, claims=claims)
            except (ValueError, OverflowError):
                continue
            headers = [(b"authorization", f"DPoP {partner.token}".encode()), (b"dpop", proof.encode())]
            try:
                inside.app.guard.caller(snapshot, "POST", "/jmap/api", headers, int(time.time() * 1000))
            except gateway.Invalid as error:
                assert error.code in (Code.INVALID_PROOF, Code.USE_NONCE)


def test_hosts() -> None:
    assert gateway.hosts_of("https://mail.example") == {"mail.example", "mail.example:443"}
    assert "localhost:8420" in gateway.hosts_of(BASE) and "[::1]:8420" in gateway.hosts_of(BASE)
    assert "localhost" not in gateway.hosts_of("https://mail.example:8443")
