"""Clicks over real HTTP beside a bare Starlette redirect, in the same run: the servers' CPU a request.

    python bench/clicks.py --clicks 4000 --at-once 64

`bare` is Starlette's Router with one Route that answers `RedirectResponse(…, 302)` and does nothing else, under the
uvicorn of `serve`. `click` is `byleave serve --workers 1` as it is, worker and writer counted together: each link is a
send of its own, clicked for the first time, and is on disk before its redirect leaves. Both get the same requests, over
as many connections at once; what is measured is utime + stime of their processes, in this order: bare, click, bare,
click, … so that a busy machine is busy for both. At the end every redirect that was answered is looked up in the store.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, func, insert, select
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.exchange.world import AGENT, ANN, Exchanging

from byleave.exchange import click, sums
from byleave.store import prepare
from byleave.store.tables import click as click_table
from byleave.store.tables import click_key, send, send_place

OWNERS = 400
_ONE = prepare(select(*send.c).where(send.c.state == "accepted"))
_KEY = prepare(select(click_key.c.kid, click_key.c.salt).where(click_key.c.expires_at.is_(None)))
_SEND, _PLACE = prepare(insert(send)), prepare(insert(send_place))
_KEPT = prepare(select(func.count()).where(click_table.c.reason == bindparam("reason")))
_HERTZ = os.sysconf("SC_CLK_TCK")


async def bare(request: Request) -> Response:
    return RedirectResponse("https://streamflix.example/title/t100", 302)


def run_bare(listening: socket.socket) -> None:
    import uvicorn

    from byleave.cli.serve import bounded

    app = Router([Route("/c/{token}", bare)])
    config = uvicorn.Config(
        app, http=bounded(), lifespan="off", ws="none", access_log=False, log_config=None, server_header=False
    )
    uvicorn.Server(config).run([listening])


def cpu(pids: list[int]) -> float:
    """Seconds of processor time of these processes so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _HERTZ


async def ask(port: int, paths: list[str], at_once: int) -> int:
    """Asks for every path once, over `at_once` connections; answers how many redirects came."""
    left, found = iter(paths), 0

    async def one() -> None:
        nonlocal found
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for path in left:
            head = (
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: {AGENT}\r\n"
                "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n\r\n"
            )
            writer.write(head.encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            found += answer.startswith(b"HTTP/1.1 302")
            for line in answer.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    await reader.readexactly(int(line.partition(b":")[2]))
        writer.close()

    await asyncio.gather(*(one() for _ in range(at_once)))
    return found


def links(folder: Path, count: int) -> tuple[Path, list[str]]:
    """A store with `count` accepted sends by 400 owners, and their links."""
    it = Exchanging(folder)
    it.takes_cards(ANN)
    it.confirm(it.put())
    it.links(ANN)
    with it.world.store.read() as snapshot:
        row = snapshot.one(_ONE)
        kid, salt = snapshot.all(_KEY)[0]
    assert row is not None
    like = dict(zip((column.name for column in send.c), row, strict=True))
    like["accepted_at"] = like["made_at"] = int(time.time() * 1000) - 3_600_000
    like["day"] = sums.day_of(like["made_at"])
    owners = [secrets.token_bytes(16) for _ in range(OWNERS)]
    made = [(owners[n % OWNERS], secrets.token_bytes(16)) for n in range(count)]
    rows = [{**like, "owner_id": owner, "send_id": id} for owner, id in made]
    for start in range(0, count, 1000):
        it.world.store.write(_fill, rows[start : start + 1000])
    path, secret = it.world.path, it.world.installation.ids
    it.world.store.close()
    key = click.key_of(secret, kid, salt)
    return path, ["/c/" + click.write(key, kid, id) for _, id in made]


def _fill(tx: Any, rows: list[dict[str, Any]]) -> None:
    tx.many(_SEND, rows)
    tx.many(_PLACE, [{"send_id": row["send_id"], "owner_id": row["owner_id"]} for row in rows])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--clicks", type=int, default=4000)
    options.add_argument("--at-once", type=int, default=64)
    options.add_argument("--rounds", type=int, default=4)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ending:
        path, all_links = links(Path(folder), chosen.clicks)
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        beside = multiprocessing.get_context("fork").Process(target=run_bare, args=(listening,), daemon=True)
        beside.start()
        ending.callback(beside.terminate)
        line = [
            sys.executable,
            "-c",
            "from byleave.cli import main; main()",
            "serve",
            "--port",
            "0",
            "--workers",
            "1",
        ]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        serve = subprocess.Popen(
            [*line, "--store", str(path)], stdout=subprocess.PIPE, text=True, env=environment
        )
        ending.callback(serve.wait)
        ending.callback(serve.send_signal, signal.SIGTERM)
        assert serve.stdout is not None
        port = int(serve.stdout.readline().rpartition(":")[2])
        children = Path(f"/proc/{serve.pid}/task/{serve.pid}/children").read_text().split()
        servers = {
            "bare": (listening.getsockname()[1], [beside.pid]), "click": (port, [int(pid) for pid in children]),
        }  # fmt: skip
        for name in servers:  # what is loaded once is not a click's
            asyncio.run(ask(servers[name][0], ["/c/" + "A" * 46] * 200, 8))
        total = {name: [0.0, 0.0] for name in servers}
        each = chosen.clicks // chosen.rounds
        for n in range(chosen.rounds):
            for name, (where, pids) in servers.items():
                asked = all_links[n * each : (n + 1) * each]
                before, began = cpu(pids), time.perf_counter()
                assert asyncio.run(ask(where, asked, chosen.at_once)) == len(asked)
                total[name][1] += time.perf_counter() - began
                total[name][0] += cpu(pids) - before
        count = each * chosen.rounds
        print(f"{'':8}{'CPU µs':>10}{'× bare':>9}{'wall µs':>10}   {count} clicks, {chosen.at_once} at once")
        for name, (busy, wall) in total.items():
            print(
                f"{name:8}{busy / count * 1e6:10.0f}{busy / total['bare'][0]:9.2f}{wall / count * 1e6:10.0f}"
            )
        from byleave.store.sqlite import Store

        with Store.open(path).read() as snapshot:
            kept = snapshot.value(_KEPT, reason="first")
        print(f"{kept} of {count} answered redirects stand in the store")
        assert kept == count


if __name__ == "__main__":
    main()
