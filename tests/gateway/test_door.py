"""What a request costs that is refused, what is counted rather than written down, and what is marked undelivered."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from byleave.consent import token
from byleave.gateway import app as gateway
from byleave.ledger import entry as entries
from byleave.store import prepare
from byleave.store.tables import asked, delivering, entry
from byleave.view import reading
from tests.gateway.test_app import InProcess, run
from tests.servers.gateway import Served, serving

_ASKED = prepare(select(asked.c.denied))
_DELIVERING = prepare(select(delivering.c.entry_id))
_KIND = prepare(select(entry.c.event).where(entry.c.kind == "undelivered"))
_COUNTED = prepare(select(entry.c.event).where(entry.c.kind == "counted"))


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[InProcess]:
    with serving(tmp_path, start=False) as served:
        yield InProcess(served)


def rows(inside: InProcess, statement: Any) -> list[tuple[Any, ...]]:
    with inside.world.store.read() as snapshot:
        return snapshot.all(statement)


def again(inside: InProcess, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Asks with one and the same proof, however often."""
    proof = inside.partner.proof("POST", "/jmap/api", token=inside.partner.token)
    monkeypatch.setattr(inside.partner, "proof", lambda *_, **__: proof)
    return lambda: run(inside.post())


def test_a_proof_is_used_up_by_a_failure(inside: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def respond(*_: Any) -> bytes:
        raise RuntimeError

    monkeypatch.setattr(gateway.jmap, "respond", respond)
    ask = again(inside, monkeypatch)
    assert ask().status_code == 500
    second = ask()
    assert second.status_code == 401 and "used before" in second.text


def test_a_proof_is_used_up_by_a_grant_that_has_ended(
    inside: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = again(inside, monkeypatch)
    monkeypatch.setattr("byleave.gateway.door.open_view", lambda *_: None)
    assert "has ended" in ask().text
    assert "used before" in ask().text
    assert rows(inside, _ASKED) == [(1,)], "a replay is not counted: whose it is, is not known"


def test_a_proof_is_used_up_by_a_missing_scope(inside: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    real = token.find

    def lesser(*arguments: Any) -> token.Token | None:
        found = real(*arguments)
        return None if found is None else token.Token(**{**asdict(found), "scope": "send"})

    def asdict(found: token.Token) -> dict[str, Any]:
        return {name: getattr(found, name) for name in found.__struct_fields__}

    monkeypatch.setattr("byleave.gateway.guard.token.find", lesser)
    ask = again(inside, monkeypatch)
    assert ask().status_code == 403
    assert "used before" in ask().text


def test_what_gives_nothing_is_one_entry_a_minute(inside: InProcess) -> None:
    call = {"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {}, "e"]]}
    for body in (call, call, {"using": ["urn:none"], "methodCalls": []}):
        run(inside.post(body))
    assert inside.readings() == 0
    assert sorted(rows(inside, _ASKED)) == [(0,), (0,), (1,)]
    job = reading.job(inside.world.id, lambda: b"s" * 32)
    later = int(time.time() * 1000) + 2 * reading.MINUTE_MS
    inside.world.store.write(job, later)
    inside.world.store.write(job, later)
    [(event,)] = rows(inside, _COUNTED)
    counted = entries.decode(event)
    assert isinstance(counted, entries.Counted)
    assert (counted.denials, counted.empty, counted.partner) == (1, 2, "streamflix")
    assert rows(inside, _ASKED) == []


def test_a_fifth_request_of_a_token_hears_the_limit(inside: InProcess) -> None:
    most = gateway.jmap.LIMITS["maxConcurrentRequests"]
    whose = token.hash_of(inside.partner.token)
    taken = [inside.app.door.seats.take("request", whose, most) for _ in range(most)]
    answer = run(inside.post())
    assert answer.status_code == 400 and answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:ietf:params:jmap:error:limit"
    assert answer.json()["limit"] == "maxConcurrentRequests"
    inside.app.door.seats.leave(taken[0])
    assert run(inside.post()).status_code == 200
    assert run(inside.post()).status_code == 200, "a seat is given back"


def test_what_has_left_is_confirmed_and_what_is_lost_is_marked(inside: InProcess) -> None:
    account = {"accountId": inside.account, "limit": 3}
    call = {
        "using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"],
        "methodCalls": [["Email/query", account, "q"]],
    }

    async def well() -> None:
        assert (await inside.post(call)).status_code == 200
        assert len(rows(inside, _DELIVERING)) == 1
        await asyncio.sleep(0.7)

    asyncio.run(well())
    assert rows(inside, _DELIVERING) == [] and rows(inside, _KIND) == []
    run(inside.post(call))  # the loop ends before anything is confirmed
    [(id,)] = rows(inside, _DELIVERING)
    job = reading.job(inside.world.id, lambda: b"s" * 32)
    inside.world.store.write(job, int(time.time() * 1000) + reading.OVERDUE_MS + 1000)
    [(event,)] = rows(inside, _KIND)
    marked = entries.decode(event)
    assert isinstance(marked, entries.Act) and marked.facts == {"reading": id.hex()}
    assert rows(inside, _DELIVERING) == []


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, workers=1) as made:
        yield made


def test_a_connection_that_breaks_leaves_its_reading_marked(served: Served) -> None:
    """The client hangs up with its request's last byte, so that no answer can reach it."""
    partner = served.authorized()
    partner.ask("GET", "/jmap/session")
    host, _, port = served.url.removeprefix("http://").partition(":")
    [account] = partner.ask("GET", "/jmap/session").json()["accounts"]
    body = (
        b'{"using":["urn:ietf:params:jmap:core","urn:ietf:params:jmap:mail"],"methodCalls":'
        b'[["Email/query",{"accountId":"%b"},"q"]]}' % account.encode()
    )

    def marked() -> list[tuple[Any, ...]]:
        with served.world.store.read() as snapshot:
            return snapshot.all(_KIND)

    for _ in range(20):
        proof = partner.proof("POST", "/jmap/api", token=partner.token)
        head = (
            f"POST /jmap/api HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: DPoP {partner.token}\r\nDPoP: {proof}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection((host, int(port))) as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            raw.sendall(head.encode() + body)
        time.sleep(0.2)
        if marked():
            break
    assert marked()
