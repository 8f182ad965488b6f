"""A click beside a bare Starlette redirect, in the same run: CPU and wall a click, and what the difference buys.

    python bench/clicks.py --clicks 2000

Both are called as ASGI applications in this process, so that no server and no socket is in either. The click's CPU
holds all of it: token, session, the transaction with its fsync (whose wall is shown apart), count and redirect. `bare`
answers 302 with the same headers and does nothing else; `bare + row` also commits one row, which is the least that
"durable before the redirect" can cost.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.exchange.world import AGENT, ANN, Exchanging

from byleave.store import prepare
from byleave.store.tables import click

HEADERS = {
    "Location": "https://streamflix.example/title/t100", "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex",
}  # fmt: skip
_ROW = prepare(insert(click))


async def bare(request: Request) -> Response:
    return Response(b"", 302, HEADERS)


def scope_of(path: str) -> dict[str, Any]:
    headers = [
        (b"host", b"127.0.0.1:8420"),
        (b"user-agent", AGENT.encode()),
        (b"sec-fetch-mode", b"navigate"),
    ]
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers, "client": ("192.0.2.7", 1),
        "server": ("127.0.0.1", 8420),
    }  # fmt: skip


async def drive(
    app: Callable[..., Awaitable[None]], path: str, times: int, before: Callable[[], None]
) -> tuple[float, float]:
    """(CPU, wall) in µs a click."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 302, message

    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(times):
        before()
        await app(scope_of(path), receive, send)
    return (time.process_time() - cpu) / times * 1e6, (time.perf_counter() - wall) / times * 1e6


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--clicks", type=int, default=1000)
    times = options.parse_args().clicks
    with tempfile.TemporaryDirectory() as folder:
        it = Exchanging(Path(folder))
        it.takes_cards(ANN)
        it.confirm(it.put(), leave="yes")
        it.now += 60_000
        links = []
        for n in range(9):
            it.put(key=str(n))
        links = [link for link, _ in it.links(ANN)]
        it.now += 10_000
        count = 0

        def tick() -> None:
            it.now += 31_000 if it.now % 2 else 1

        def row(request: Request) -> Response:
            nonlocal count
            count += 1
            it.world.store.write(_put, count)
            return Response(b"", 302, HEADERS)

        apps = {
            "bare": (Router([Route("/c/{token}", bare)]), lambda: None),
            "bare + row": (Router([Route("/c/{token}", _async(row))]), lambda: None),
            "click": (it.app, tick),
        }
        found = {}
        for name, (app, before) in apps.items():
            asyncio.run(drive(app, links[0], 50, before))
            each = max(1, min(900, times // len(links)))
            parts = [asyncio.run(drive(app, link, each, before)) for link in links]
            found[name] = [sum(p[i] for p in parts) / len(parts) for i in (0, 1)]
        base = found["bare"][0]
        print(f"{'':12}{'CPU µs':>10}{'× bare':>9}{'wall µs':>10}")
        for name, (cpu, wall) in found.items():
            print(f"{name:12}{cpu:10.0f}{cpu / base:9.1f}{wall:10.0f}")


def _async(made: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        return made(request)

    return handle


def _put(tx: Any, n: int) -> None:
    tx.run(_ROW, owner_id=b"\0" * 16, send_id=b"\0" * 16, number=n, at=0, reason="bench", client=b"")


if __name__ == "__main__":
    main()
