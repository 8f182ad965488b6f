"""SIGKILL in the writer process itself, at fifty seeded points, while people send and click and reports come in over HTTP.

The gateway answers through a writer in a process of its own, as `serve` starts it. That process is killed at a seeded
statement of a group, at a seeded moment inside COMMIT (another thread does it while the disk works), or after COMMIT and
before anybody is told. The next writer takes over, and clients ask again with the same keys. Afterwards: no send twice,
no click lost whose redirect was answered, no report half accepted, receipts as they were given, sums equal to rows.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import uuid_utils
from sqlalchemy import func, select

from byleave.exchange import click, send, sums
from byleave.exchange import report as reports
from byleave.gateway.app import Gateway
from byleave.installation import open_installation
from byleave.keys import read_jwk
from byleave.ledger import log
from byleave.partner.client import AsyncPartner, Refusal
from byleave.store import prepare
from byleave.store.tables import card, report, send_count
from byleave.store.tables import click as clicks
from byleave.store.tables import send as sends
from byleave.store.writer import Writer, WriterClient
from tests.exchange.test_delivery import end_of
from tests.exchange.world import AGENT, ANN, CARD, CELL, DAY_MS, URL, Exchanging
from tests.servers.partner import CALLBACK

POINTS = 50
AT_ONCE = 6
ARMED, INSIDE = 0, 1
"""Bytes of the page that test and writer share."""
_SUMS = prepare(
    select(
        func.sum(send_count.c.sends),
        func.sum(send_count.c.recipient_clicks),
        func.sum(send_count.c.clicks_total),
    )
)
_ACCEPTED = prepare(select(func.count()).where(sends.c.state == "accepted"))
_SENDS = prepare(select(func.count()).select_from(sends))
_CARDS = prepare(select(func.count()).select_from(card))
_CLICKS = prepare(select(clicks.c.reason, func.count()).group_by(clicks.c.reason))
_CLIENTS = prepare(select(clicks.c.client))
_REPORTS = prepare(select(report.c.report_id, report.c.receipt))


class Mortal:
    """The writer's connection: dies at its `at`-th statement once armed, or inside or behind a COMMIT."""

    def __init__(self, inner: Any, shared: mmap.mmap, how: str, at: int, wait_s: float) -> None:
        self._inner, self._shared, self._how, self._at, self._wait_s = inner, shared, how, at, wait_s
        self._count = 0
        self._now = threading.Event()
        threading.Thread(target=self._wait_and_die, daemon=True).start()

    def _wait_and_die(self) -> None:
        """Parked beforehand, so that it wakes as soon as COMMIT lets go of the interpreter."""
        self._now.wait()
        time.sleep(self._wait_s)
        die()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def execute(self, sql: str, *values: Any) -> Any:
        if not self._shared[ARMED]:
            return self._inner.execute(sql, *values)
        self._count += 1
        if self._how == "statement" and self._count >= self._at:
            die()
        if sql != "COMMIT" or self._how == "statement" or self._count < self._at:
            return self._inner.execute(sql, *values)
        self._shared[INSIDE] = 1
        if self._how == "inside":
            self._now.set()
        done = self._inner.execute(sql, *values)
        self._shared[INSIDE] = 0
        if self._how == "behind":
            die()
        return done


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _outlives_nobody(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    die()


def writer(path: Path, at: Path, now: int, shared: mmap.mmap, point: tuple[str, int, float]) -> int:
    """Starts a writer process; answers its pid when it listens."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ready)
            parent = os.getppid()
            threading.Thread(target=lambda: _outlives_nobody(parent), daemon=True).start()
            asyncio.set_event_loop(None)
            made = Writer(path, at, lambda: now)
            made._connection = Mortal(made._connection, shared, *point)  # type: ignore[assignment]
            asyncio.Runner().run(made.serve(lambda: os.write(tell, b"1")))
        finally:
            os._exit(1)
    os.close(tell)
    with os.fdopen(ready, "rb") as pipe:
        assert pipe.read(1) == b"1", "the writer did not start"
    return pid


class Load:
    """What one partner and its visitors do, and what they were told."""

    def __init__(self, it: Exchanging, app: Gateway) -> None:
        self.it, self.draw = it, random.Random(2026)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=URL)
        self.partner = AsyncPartner(
            URL, "streamflix-web", it.key, CALLBACK, http=self.http, clock=lambda: it.now / 1000
        )
        self.sent: dict[str, Any] = {}
        self.links: list[str] = []
        self.answered: list[bytes] = []
        self.receipts: dict[str, str] = {}
        self.report: tuple[int, int, str | None] = (1, 0, None)
        self.numbers = iter(range(10**6))
        self.address = it.address(ANN)
        self.secret = it.world.installation.ids

    async def click(self) -> None:
        agent = f"{AGENT} visitor/{next(self.numbers)}"
        answer = await self.http.get(
            self.draw.choice(self.links), headers={"User-Agent": agent, "Sec-Fetch-Mode": "navigate"}
        )
        if answer.status_code == 302:
            self.answered.append(click.client_of(self.secret, sums.day_of(self.it.now), "127.0.0.1", agent))
        else:
            assert answer.status_code in (500, 503), answer.text

    async def send(self, key: str) -> None:
        self.sent.setdefault(key, None)
        try:
            told = await self.partner.send(self.it.token, self.address, CARD, CELL, key=key)
        except Refusal as refusal:
            assert refusal.status in (500, 503), refusal
            return
        assert self.sent[key] in (None, told["id"]), "one key, one send"
        self.sent[key] = told["id"]

    async def submit(self, own: Any, made: reports.Report) -> bool:
        try:
            kept = await self.partner.submit(own, made)
        except Refusal as refusal:
            assert refusal.status in (500, 503), refusal
            return False
        assert self.receipts.setdefault(kept["report_id"], kept["receipt"]) == kept["receipt"]
        return True


async def fifty(it: Exchanging, folder: Path) -> tuple[Load, Counter[str]]:
    at, shared = folder / "writer", mmap.mmap(-1, 16)
    installation = open_installation(it.world.path, WriterClient(at))
    load = Load(it, Gateway(installation, URL, lambda: it.now))
    with it.world.store.read() as snapshot:
        [first] = send.of_owner(snapshot, it.owner, 9)
        load.links = ["/c/" + t for t in (click.tokens(snapshot, load.secret, first.send_id) or ())[:1]]
    load.sent["first"] = first.send_id.hex()
    draw, fell = random.Random(50), Counter[str]()

    def point() -> tuple[str, int, float]:
        how = draw.choice(("statement", "statement", "inside", "inside", "behind"))
        return how, draw.randint(2, 160), draw.choice((0.0, 0.0, draw.uniform(0, 0.001)))

    pid = writer(it.world.path, at, it.now, shared, point())
    for n in range(POINTS):
        it.now += DAY_MS
        it.token = await load.partner.renew(it.token)
        sequence, revision, before = load.report
        own = await load.partner.own_token()
        made = None
        if it.now >= end_of(sequence):
            made = reports.build(
                reports.count([], it.terms, sequence), it.terms, sequence=sequence, revision=revision, supersedes=before,
                report_id=str(uuid_utils.uuid7(nanoseconds=it.now * 1_000_000)), generated_at_ms=it.now,
                key=read_jwk(it.key.as_dict(private=True)), bot_filter_version="none", preparer="Reports desk",
            )  # fmt: skip
        dead = asyncio.Event()
        keys = iter([f"key-{n}-{i}" for i in range(9)])

        async def busy(who: int, dead: asyncio.Event = dead, keys: Any = keys) -> None:
            while not dead.is_set():
                key = next(keys, None) if who < 3 else None
                await (load.send(key) if key else load.click())

        async def report_once(own: Any = own, made: Any = made) -> None:
            if made is not None:
                await load.submit(own, made)

        async def watch(
            pid: int = pid, dead: asyncio.Event = dead, until: float = time.monotonic() + 60
        ) -> None:
            while os.waitpid(pid, os.WNOHANG)[0] == 0:
                assert time.monotonic() < until, "the writer does not die"
                await asyncio.sleep(0.002)
            dead.set()

        shared[ARMED] = 1
        tasks = [asyncio.ensure_future(busy(i)) for i in range(AT_ONCE)]
        tasks.append(asyncio.ensure_future(report_once()))
        await watch()
        fell["inside a commit" if shared[INSIDE] else "elsewhere"] += 1
        shared[ARMED] = shared[INSIDE] = 0
        pid = writer(it.world.path, at, it.now, shared, point())
        await asyncio.gather(*tasks)
        for key in [key for key, told in load.sent.items() if told is None]:
            await load.send(key)
            assert load.sent[key] is not None
        if made is not None:
            assert await load.submit(own, made)
            again = made.manifest["report_id"]
            load.report = (
                (sequence + 1, 0, None) if it.now >= end_of(sequence, 9) else (sequence, revision + 1, again)
            )
        if n % 10 == 9:
            with it.world.store.read() as snapshot:
                newest = [s.send_id for s in send.of_owner(snapshot, it.owner, 5) if s.delivered]
                load.links += ["/c/" + (click.tokens(snapshot, load.secret, id) or ("",))[0] for id in newest]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    await load.http.aclose()
    installation.store.close()
    return load, fell


def test_fifty_points_in_the_writer(tmp_path: Path) -> None:
    it = Exchanging(tmp_path)
    it.takes_cards(ANN)
    it.confirm(it.put(key="first"), leave="yes")
    it.links(ANN)
    with it.world.store.read() as snapshot:
        [first] = send.of_owner(snapshot, it.owner, 9)
    it.world.store.write(_leave_for_good, it.owner, first.grant_id, first.person, it.now + 80 * DAY_MS)
    load, fell = asyncio.run(fifty(it, tmp_path))
    print(
        f"{dict(fell)}; {len(load.sent)} sends, {len(load.answered)} clicks answered, {len(load.receipts)} reports"
    )
    assert sum(fell.values()) == POINTS and fell["inside a commit"] >= 3
    assert len(load.answered) >= 20 and len(load.receipts) >= 20
    ids = list(load.sent.values())
    with it.world.store.read() as snapshot:
        assert snapshot.value(_SENDS) == snapshot.value(_ACCEPTED) == snapshot.value(_CARDS) == len(set(ids))
        assert len(set(ids)) == len(ids), "no two keys became one send"
        for owner_id in (it.owner, first.person):
            assert len(log.of_kind(snapshot, owner_id, "send")) == len(ids)
        kept = Counter(row[0] for row in snapshot.all(_CLIENTS))
        lost = [client for client in load.answered if kept[client] != 1]
        assert lost == [], "a click whose redirect was answered is kept, once"
        reasons = dict(snapshot.all(_CLICKS))
        first_ones, valid = reasons.get("first", 0), reasons.get("first", 0) + reasons.get("repeat", 0)
        assert snapshot.one(_SUMS) == (len(ids), first_ones, valid)
        assert dict(snapshot.all(_REPORTS)) == load.receipts
        assert len(log.of_kind(snapshot, log.STORE_OWNER, "report")) == len(load.receipts)
    it.world.store.close()


def _leave_for_good(tx: Any, owner_id: bytes, grant_id: bytes, person: bytes, until: int) -> None:
    """Leave for longer than anybody can give it: this test is not about leave."""
    tx.run(send._TAKE, of_owner=owner_id, of_grant=grant_id, of_person=person)
    tx.run(send._GIVE, owner_id=owner_id, grant_id=grant_id, person=person, given_at=0, until=until)
