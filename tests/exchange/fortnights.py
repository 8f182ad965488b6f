"""Fortnight after fortnight through a running gateway: people send and click, a partner answers for it from its records.

Everything that the partner knows comes over HTTP: the day of a send from the answer to it, an arrival from the `bl` of
the redirect that it followed. Its log goes to `faults.py`, a script that imports nothing of the house, which counts it,
rightly or wrongly; what comes out is sealed, submitted and reconciled by the gateway.

What makes it unlike what reconciliation assumes: about 3 % of redirects never land, in bursts, and in most periods for a
whole hour that nobody declares; clicks come minutes or three weeks after the card; people sleep in three zones; robots,
previews, HEAD requests, double clicks, honeypots and the sender's own clicks are among them.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import math
import random
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import uuid_utils
import uvicorn

from byleave.consent import grant, identity
from byleave.exchange import arrival, click, send, upkeep
from byleave.exchange import report as reports
from byleave.exchange.forms import Row
from byleave.keys import read_jwk
from byleave.ledger import sequence
from byleave.partner.client import AsyncPartner, Refusal, Token
from tests.exchange.world import AGENT, ANCHOR, CARD, DAY_MS, URL, Exchanging
from tests.servers.partner import CALLBACK

FAULTS = Path(__file__).with_name("faults.py")
HOUR_MS = 3_600_000
FRIENDS = 40
ZONES = (-8, 0, 8)
ROBOT = "Otherbot/1.0 (+https://bot.example)"
CELLS_SHARE = 0.8
"""How unlike cells are: the sd of the logarithm of what each gets."""


class Fortnights:
    """`per_day` sends a day on average; `url` is where the gateway answers."""

    def __init__(self, folder: Path, seed: int, per_day: float) -> None:
        self.draw = random.Random(f"fortnights/{seed}")
        self.seed, self.folder, self.per_day = seed, folder, per_day
        self.it = Exchanging(folder)
        self.store, self.secret = self.it.world.store, self.it.world.installation.ids
        self.key = read_jwk(self.it.key.as_dict(private=True))
        self.partner: AsyncPartner
        self.token: Token = self.it.token
        self.http: httpx.AsyncClient
        self.arrivals: bytes
        self._own: Token
        self.own_until = 0
        self.people = [f"telegram:user{2000 + n}" for n in range(FRIENDS)]
        self.log: list[dict[str, Any]] = []  # the partner's own records
        self.csv: dict[int, str] = {}
        self.heap: list[tuple[int, int, str, Any]] = []
        self.numbers = iter(range(10**9))
        self.cells = self.it.terms.cells(ANCHOR)
        self.weights = [math.exp(self.draw.gauss(0, CELLS_SHARE)) for _ in self.cells]
        self.liking = [self.draw.uniform(0.3, 0.7) for _ in self.cells]
        self.lands = [self.draw.gauss(0.97, 0.006) for _ in self.cells]
        self.common = 0.0
        self.outages: set[int] = set()
        self.job = upkeep.job(self.it.world.id, lambda: b"s" * 32)
        self._settle()

    # ── people ──
    def _settle(self) -> None:
        """Forty friends in the inbox, in three zones; four of five take cards and let clicks be counted."""
        from tests.worlds import chat

        now = self.it.now
        lines = [
            chat(f"I saw a film on evening {n}.", who, at=now - 4_000_000 + n, id=f"f{n}")  # type: ignore[arg-type]
            for n, who in enumerate(self.people)
        ]
        self.it.world.put(self.it.owner, lines, own=[])
        world = self.it.world
        self.persons = {h: identity.person_of(world.installation.people, h) for h in self.people}  # type: ignore[arg-type]
        for n, handle in enumerate(self.people):
            if n % 5:
                self.store.write(
                    send.receive, self.persons[handle], "streamflix", True, True, world.id(), b"s" * 32, now
                )
        self.store.write(click.begin, b"s" * 32, now, world.id(), b"s" * 32)
        self.zone = {handle: ZONES[n % 3] for n, handle in enumerate(self.people)}

    async def _leave(self) -> None:
        """The owner's standing leave for each friend, for thirty days; they come back to the page before it ends."""
        for again in (False, True):
            if again:  # the grant ends before the leave would: they are asked for another
                self.token = await asyncio.to_thread(self.it.authorise)
            with self.store.read() as snapshot:
                lasting = [
                    g for g in grant.of_owner(snapshot, self.it.owner)
                    if not g.for_owner and g.expires_at > self.it.now + 30 * DAY_MS
                ]  # fmt: skip
            if lasting:
                break
        self.grant_id = max(lasting, key=lambda g: g.created_at).grant_id
        for person in self.persons.values():
            self.store.write(
                send.give_leave, self.it.owner, self.grant_id, person, self.it.now + 30 * DAY_MS, self.it.world.id(),
                b"s" * 32, self.it.now,
            )  # fmt: skip
        from byleave.view.shape import Ids

        ids = Ids(self.secret, self.grant_id)
        self.address = {h: f"p{ids.eight(person)}@masked.invalid" for h, person in self.persons.items()}

    def awake(self, day_ms: int, zone: int) -> int:
        """A moment of that UTC day's waking hours in a zone."""
        hour = (self.draw.triangular(7, 24, 20) - zone) % 24
        return day_ms + int(hour * HOUR_MS)

    def push(self, at: int, what: str, facts: Any) -> None:
        heapq.heappush(self.heap, (at, next(self.numbers), what, facts))

    # ── time ──
    async def run(self, periods: int) -> AsyncIterator[int]:
        """Lives through `periods` fortnights; yields each sequence when its report may be made. The partner's token is
        its own to renew, its reports its own to submit."""
        start = reports.day_ms(ANCHOR)
        for day in range(14 * periods):
            at = start + day * DAY_MS
            if day % 28 == 0:
                self.push(at + 1, "leave", None)
            if day % 14 == 0:
                self.common += self.draw.gauss(0, 0.002)
                if self.draw.random() < 0.7:
                    self.push(at + self.draw.randrange(14 * 24) * HOUR_MS, "outage", None)
            busy = self.per_day * (1.25 if day % 7 in (4, 5) else 0.9) * self.draw.gammavariate(20, 1 / 20)
            for _ in range(max(1, round(busy / 6))):
                self.push(self.awake(at, self.draw.choice(ZONES)), "sends", 6)
            self.push(at + DAY_MS + 15 * 60_000, "close", None)
        for sequence_ in range(1, periods + 1):
            self.push(
                start + 14 * sequence_ * DAY_MS + 36 * HOUR_MS + self.draw.randrange(HOUR_MS),
                "report",
                sequence_,
            )
        end = start + 14 * periods * DAY_MS + 2 * DAY_MS
        while self.heap:
            at, _, what, facts = heapq.heappop(self.heap)
            if at > end:
                break
            self.it.now = max(self.it.now, at)
            if what == "report":
                yield facts
            else:
                await getattr(self, f"_{what}")(*([facts] if facts is not None else []))

    async def _outage(self) -> None:
        self.outages.add(self.it.now // HOUR_MS)

    async def _close(self) -> None:
        self.store.write(_upkeep, self.job, self.it.now)

    async def _renewed(self) -> None:
        try:
            self.token = await self.partner.renew(self.token)
        except Refusal:
            self.token = await asyncio.to_thread(self.it.authorise)
            await self._leave()

    async def _sends(self, count: int) -> None:
        """One evening's cards of one inbox."""
        await self._renewed()
        for _ in range(count):
            [n] = self.draw.choices(range(len(self.cells)), self.weights)
            cell, handle = self.cells[n], self.draw.choice(self.people)
            card = {**CARD, "title_ref": {"scheme": "streamflix", "id": f"t{self.draw.randrange(900)}"}}
            try:
                told = await self.partner.send(
                    self.token, self.address[handle], card, cell._asdict(), key=f"k{next(self.numbers)}"
                )
            except Refusal as refusal:
                assert refusal.status == 429, refusal  # the day's cap of one friend
                continue
            assert told["state"] == "accepted", told
            self.log.append(
                {"kind": "send", "at": self.it.now // 1000, "day": told["day"], "cell": "/".join(cell)}
            )
            if self.draw.random() < self.liking[n]:
                self._opens(bytes.fromhex(told["id"]), handle, n)

    def _opens(self, send_id: bytes, handle: str, cell: int) -> None:
        """What will happen to a card: a preview or a robot at once, its reader soon or weeks later, some of them twice."""
        draw, now = self.draw, self.it.now
        wait = draw.expovariate(1 / (5 * HOUR_MS)) if draw.random() < 0.85 else draw.uniform(1, 20) * DAY_MS
        day, zone = (now + int(wait)) // DAY_MS * DAY_MS, self.zone[handle]
        at = max(now + 3_000 + int(wait), self.awake(day, zone) if wait > 2 * HOUR_MS else 0)
        facts = (send_id, cell)
        if draw.random() < 0.12:
            self.push(now + draw.randrange(500, 9_000), "visit", (*facts, "robot"))
        if draw.random() < 0.05:
            self.push(at - 1_000, "visit", (*facts, "prefetch"))
        if draw.random() < 0.03:
            self.push(now + draw.randrange(500, 60_000), "visit", (*facts, "head"))
        if draw.random() < 0.01:
            self.push(at - 40_000, "visit", (*facts, "trap"))
        self.push(at, "visit", (*facts, "person"))
        if draw.random() < 0.1:
            self.push(at + draw.randrange(200, 20_000), "visit", (*facts, "person"))  # a double click
        if draw.random() < 0.2:
            self.push(at + draw.randrange(31, 90_000) * 1_000, "visit", (*facts, "person"))

    async def _visit(self, facts: tuple[bytes, int, str]) -> None:
        send_id, cell, who = facts
        with self.store.read() as snapshot:
            link, trap = click.tokens(snapshot, self.secret, send_id) or ("", "")
        headers = {"User-Agent": ROBOT if who in ("robot", "trap") else AGENT, "Sec-Fetch-Mode": "navigate"}
        if who == "prefetch":
            headers["Sec-Purpose"] = "prefetch"
        method = "HEAD" if who == "head" else "GET"
        answer = await self.http.request(method, f"/c/{trap if who == 'trap' else link}", headers=headers)
        if answer.status_code == 404:  # a refuser's card was never delivered: its link leads nowhere
            return
        assert answer.status_code == 302
        keeps = min(0.999, self.lands[cell] + self.common + self.draw.gauss(0, 0.01))
        if self.it.now // HOUR_MS in self.outages or self.draw.random() > keeps:
            return  # the browser was closed, or the partner's site was down
        found = arrival.read(self.arrivals, parse_qs(urlsplit(answer.headers["location"]).query)["bl"][0])
        assert found is not None
        self.log.append(
            {
                "kind": found.kind,
                "at": self.it.now // 1000,
                "day": found.day.isoformat(),
                "cell": "/".join(found.cell),
            }
        )

    # ── the partner's desk ──
    def counted(self, sequence_: int, fault: str = "none") -> list[Row]:
        """The period's rows as the script counts them."""
        start = ANCHOR + timedelta(days=14 * (sequence_ - 1))
        mine = {(start + timedelta(days=d)).isoformat() for d in range(-1, 15)}
        names = {n: self.folder / n for n in ("cells.json", "events.jsonl", "before.csv")}
        grid = {"start": start.isoformat(), "cells": ["/".join(cell) for cell in self.cells]}
        names["cells.json"].write_text(json.dumps(grid))
        names["events.jsonl"].write_text("".join(json.dumps(e) + "\n" for e in self.log if e["day"] in mine))
        names["before.csv"].write_text(self.csv.get(sequence_ - 1, ""))
        line = [
            sys.executable,
            "-I",
            str(FAULTS),
            fault,
            f"{self.seed}/{sequence_}",
            *map(str, names.values()),
        ]
        out = subprocess.run(line, capture_output=True, text=True, check=True).stdout
        if fault == "none":
            self.csv[sequence_] = out
        rows = [text.split(",") for text in out.splitlines()[1:]]
        return [Row(*row[:4], *map(int, row[4:])) for row in rows]  # type: ignore[arg-type]

    async def submit(self, sequence_: int, rows: list[Row], before: dict[str, Any] | None) -> dict[str, Any]:
        """Seals and submits; answers what was kept. Raises Refusal."""
        made = reports.build(
            rows, self.it.terms, sequence=sequence_, generated_at_ms=self.it.now, key=self.key,
            report_id=str(uuid_utils.uuid7(nanoseconds=self.it.now * 1_000_000)), bot_filter_version="none",
            preparer="Reports desk", revision=0 if before is None else before["revision"] + 1,
            supersedes=None if before is None else before["report_id"],
        )  # fmt: skip
        return await self.partner.submit(await self.own(), made)

    async def judged(self, kept: dict[str, Any]) -> dict[str, Any]:
        """The gateway's reconciliation of an accepted report."""
        return await self.partner.reconciliation(await self.own(), kept["report_id"])

    async def own(self) -> Token:
        """The partner's own token, an hour of it."""
        if self.own_until <= self.it.now:
            self._own, self.own_until = await self.partner.own_token(), self.it.now + HOUR_MS // 2
        return self._own

    def verified(self) -> Any:
        """The ledger, integrated to its end and checked against every event."""
        installation = self.it.world.installation
        key, origin = installation.keyring.active("ledger"), sequence.origin_of(installation.keyring)
        while self.store.write(_at_once, self.it.now, key, origin):
            pass
        return sequence.verify_store(self.store, installation.keyring)


def _at_once(tx: Any, now: int, key: Any, origin: str) -> bool:
    return sequence.integrate(tx, now, key, origin, at_once=True)


def _upkeep(tx: Any, job: Any, now: int) -> Any:
    return job(tx, now)


@asynccontextmanager
async def living(folder: Path, seed: int, per_day: float) -> AsyncIterator[Fortnights]:
    """The world, its gateway answering on a socket of its own, in this event loop."""
    world = Fortnights(folder, seed, per_day)
    config = uvicorn.Config(world.it.app, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    serving = asyncio.ensure_future(server._serve([listening]))  # without its signal handlers
    while not server.started:
        await asyncio.sleep(0.01)
    # The gateway's public address is another than where it listens, as behind a reverse proxy.
    transport = _Moved(httpx.AsyncHTTPTransport(), listening.getsockname()[1])
    world.http = httpx.AsyncClient(base_url=URL, transport=transport, timeout=60)
    world.partner = AsyncPartner(
        URL, "streamflix-web", world.it.key, CALLBACK, clock=lambda: world.it.now / 1000, http=world.http
    )
    world.arrivals = await world.partner.arrivals_key(await world.own())
    with world.store.read() as snapshot:
        assert send.people(snapshot, world.it.owner)
    try:
        yield world
    finally:
        await world.http.aclose()
        server.should_exit = True
        await serving
        world.store.close()


class _Moved(httpx.AsyncBaseTransport):
    """Requests for the public address go to the socket; the Host header stays."""

    def __init__(self, inner: httpx.AsyncBaseTransport, port: int) -> None:
        self.inner, self.port = inner, port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.headers["Host"]
        request.url = request.url.copy_with(port=self.port)
        request.headers["Host"] = host
        return await self.inner.handle_async_request(request)
