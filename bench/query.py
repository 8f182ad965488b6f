"""Polls, searches, filters and counts: processor time of the view and its method alone, and of the whole request.

`python bench/query.py [--size 20000] [--keep DIR]` prints one table. *view* is from an open connection to the JMAP
answer's bytes: snapshot, grant, view, method. *whole* is the request through the ASGI application with its DPoP
proof and its entry or count in the ledger (fsync on, group of one); `Core/echo` shows what that costs where the view
has nothing to do. *bare* is a Starlette + SQLite application in the same run: one row for a poll, FTS5 with 50 hits for
a search, an indexed column for a filter, one sum for counts. Bars (spec api.md): a poll without news ≤ 300 µs and a
search with 50 hits ≤ 6,000 µs in the view. Depth is shown as a ratio to the same query at the top.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import msgspec
from bench import page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from byleave.consent import grant
from byleave.gateway.app import Gateway
from byleave.gateway.jmap import request as jmap
from byleave.model import Record
from byleave.view import open_view

NOW = page.NOW + 1000
SEARCHED = "harbour"
BARS = {"poll: Email/changes": 300, "poll: Mailbox, Thread, Email": 300, "search, 50 hits": 6_000}
USING = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]
BARE = {"poll": "one", "search": "fts", "filter": "filter", "counts": "sum", "page": "deep"}


def bare_app(folder: Path, size: int) -> Any:
    """Polls, searches and sums of an application that asks nobody's leave."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE mail (id INTEGER PRIMARY KEY, size INTEGER, box INTEGER, json TEXT)")
    connection.execute("CREATE INDEX by_size ON mail (size)")
    connection.execute("CREATE VIRTUAL TABLE words USING fts5(text, content='')")
    every = max(1, size // 50)
    for n in range(size):
        text = "quiet and bright this morning" + (" harbour" if n % every == 0 else "")
        connection.execute("INSERT INTO mail VALUES (?, ?, ?, ?)", (n, 300 + n % 97, n % 3, "x" * 320))
        connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (n, text))
    asked = {
        "one": "SELECT id FROM mail ORDER BY id DESC LIMIT 1",
        "fts": "SELECT rowid FROM words WHERE words MATCH 'harbour' ORDER BY rowid DESC LIMIT 50",
        "filter": "SELECT id FROM mail WHERE size >= 390 ORDER BY id DESC LIMIT 50",
        "sum": "SELECT box, count(*) FROM mail GROUP BY box",
        "deep": f"SELECT id FROM mail ORDER BY id DESC LIMIT 50 OFFSET {size // 2}",
    }

    async def answer(request: Request) -> Response:
        rows = connection.execute(asked[request.query_params["q"]]).fetchall()
        return Response(json.dumps(rows), media_type="application/json")

    return Starlette(routes=[Route("/bare", answer)])


class Asked:
    """One request, through the view alone and as a whole."""

    def __init__(self, asking: page.Asking, grant_id: bytes) -> None:
        self.asking = asking
        self.app: Gateway = asking.app
        with self.app.store.read() as snapshot:
            self.owner_id = grant.by_id(snapshot, grant_id).owner_id
        self.grant_id = grant_id

    def view(self, body: bytes) -> bytes:
        with self.app.store.read() as snapshot:
            found = grant.find(snapshot, self.owner_id, self.grant_id)
            view = open_view(snapshot, found, self.app.installation.ids, NOW)
            assert view is not None
            return jmap.respond(body, view, NOW)

    def state(self) -> tuple[str, str]:
        with self.app.store.read() as snapshot:
            found = grant.find(snapshot, self.owner_id, self.grant_id)
            view = open_view(snapshot, found, self.app.installation.ids, NOW)
            assert view is not None
            return view.account_id, view.state


def calls(account: str, state: str, visible: int) -> dict[str, tuple[str, list[Any]]]:
    """name → (kind of the bare question beside it, method calls)."""

    def call(name: str, id: str = "c", **arguments: Any) -> list[Any]:
        return [name, {"accountId": account, **arguments}, id]

    def query(id: str = "q", **arguments: Any) -> list[Any]:
        return call("Email/query", id, limit=50, **arguments)

    since = {"sinceState": state}
    back = {"resultOf": "q", "name": "Email/query", "path": "/ids"}
    get = call("Email/get", "g", **{"#ids": back}, properties=page.PROPERTIES)
    return {
        "Core/echo": ("poll", [call("Core/echo")]),
        "poll: Email/changes": ("poll", [call("Email/changes", **since)]),
        "poll: Mailbox, Thread, Email": (
            "poll", [call(f"{t}/changes", t, **since) for t in ("Mailbox", "Thread", "Email")],
        ),
        "search, 50 hits": ("search", [query(filter={"text": SEARCHED}), get]),
        "search, ids only": ("search", [query(filter={"text": SEARCHED})]),
        "search, many hits": ("search", [query(filter={"text": "morning"}, calculateTotal=True)]),
        "minSize": ("filter", [query(filter={"minSize": 330}, calculateTotal=True)]),
        "from": ("filter", [query(filter={"from": "masked"}, calculateTotal=True)]),
        "counts: Mailbox/get": ("counts", [call("Mailbox/get", ids=None)]),
        "page at the top": ("page", [query(calculateTotal=True)]),
        "page in the middle": ("page", [query(position=visible // 2, calculateTotal=True)]),
        "page from the end": ("page", [query(position=-50)]),
        "threads": ("page", [query(collapseThreads=True, calculateTotal=True)]),
    }  # fmt: skip


def spent(call: Callable[[], Any], rounds: int) -> float:
    found = []
    for _ in range(rounds + 3):
        start = time.process_time_ns()
        call()
        found.append((time.process_time_ns() - start) / 1000)
    return median(found[3:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=20_000)
    parser.add_argument("--share", type=int, default=20, choices=sorted(map(int, page.CHATS)))
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--keep", type=Path, help="a folder to keep the world in")
    args = parser.parse_args()
    page.WORDS = [w for w in page.WORDS if w != SEARCHED]
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.keep or Path(temporary)) / f"query-{args.size}"
        if not (folder / "world.json").exists():
            build(folder, args.size, args.share)
        facts = json.loads((folder / "world.json").read_text())["grants"][str(args.share)]
        asking = page.Asking(folder, facts, 50, False)
        asked = Asked(asking, bytes.fromhex(facts["grant"]))
        app, visible = bare_app(folder, args.size), args.size * args.share // 100
        loop = asyncio.new_event_loop()
        print(
            f"{args.size:,} messages, {args.share} % visible; µs of processor time, median of {args.rounds}"
        )
        print(f"{'asked':<30} {'view':>8} {'whole':>8} {'bare':>7} {'view/bare':>9}")
        for name, (kind, methods) in calls(*asked.state(), visible).items():
            body = json.dumps({"using": USING, "methodCalls": methods}).encode()
            answers = json.loads(asked.view(body))["methodResponses"]
            if any(a[0] == "error" for a in answers):
                raise SystemExit(f"{name}: {answers}")
            if name.startswith("search, 50") and len(answers[0][1]["ids"]) != 50:
                raise SystemExit(f"{len(answers[0][1]['ids'])} hits")
            alone = spent(lambda body=body: asked.view(body), args.rounds)
            proofs, asking.body = iter(asking.proofs(args.rounds + 3)), body
            whole = spent(
                lambda proofs=proofs: loop.run_until_complete(asking.page(next(proofs))), args.rounds
            )

            bare = spent(
                lambda kind=kind: loop.run_until_complete(
                    page.ask(app, "GET", "/bare", f"q={BARE[kind]}", [], b"")
                ),
                args.rounds,
            )
            above = alone > BARS.get(name, float("inf"))
            failed = failed or above
            note = f"   above {BARS[name]:,}" if above else ""
            print(
                f"{name:<30} {alone:>8,.0f} {whole:>8,.0f} {bare:>7,.0f} {alone / bare:>9.1f}{note}",
                flush=True,
            )
        loop.run_until_complete(asyncio.sleep(0.6))  # what has left is confirmed
        asking.app.store.close()
    return int(failed)


def build(folder: Path, size: int, share: int) -> None:
    """`page`'s world of chats, in which fifty of the visible messages hold the word that is searched for."""
    senders, granted = 30, page.CHATS[str(share)]

    def made() -> Iterator[Record]:
        left = 50
        for n, record in enumerate(page.records(size, senders)):
            number = int(str(record.sender).removeprefix("telegram:user"))
            if left and number % granted.every == 0 and n % 7 == 0:
                left -= 1
                record = msgspec.structs.replace(record, text=f"{record.text} {SEARCHED}")
            yield record

    page.build(folder, made, senders, {str(share): granted})


if __name__ == "__main__":
    sys.exit(main())
