"""One page, the whole request: DPoP proof, token, view, JMAP, ledger (fsync on) and ASGI, as a ratio to a bare ASGI +
SQLite page of as many messages of ~350 bytes in the same run.

`python bench/page.py [--quick] [--sizes 20000 …] [--keep DIR]` prints one table: processor time of the serving
process (writer included) a page, warm (median of many, and the least of them: the disk's waits let other processes
empty the caches) and cold (the first page of a process that has just started: connection, cipher, address book and
the database's own compiling new, file cache dropped). Bars: ≤ 3,500 µs for 500 messages (aim 1,800) and ≤ 800 µs for
50, ≤ 4 × the bare page (aim 2), growth 20 k → 1 M ≤ 20 %. Chats: properties without bodies, at 100, 20 and 5 %
visible. Mails: two in three answer another mail and quote it under its author's name; a grant at `masked` and one at
`text`, each with preview, structure and the text itself. The inbox is written straight through `ingest` without
masking, which is `bench/import.py`'s business.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.servers.partner import Partner, new_key
from tests.worlds import DAY, NOW, World, chat, mail

from byleave.consent import token
from byleave.gateway.app import Gateway
from byleave.ingest import encode
from byleave.ingest.gather import gather
from byleave.ingest.run import Ingest
from byleave.installation import open_installation
from byleave.keys import read_jwk
from byleave.model import Level, Record
from byleave.words.mask import Titles

BASE = "http://127.0.0.1:8420"
WORDS = [
    "the",
    "harbour",
    "was",
    "quiet",
    "and",
    "bright",
    "this",
    "morning",
    "so",
    "we",
    "walked",
    "along",
    "the",
    "old",
    "pier",
    "and",
    "talked",
    "about",
    "films",
]
PROPERTIES = [
    "id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt", "from", "to", "subject", "sentAt",
    "hasAttachment", "preview",
]  # fmt: skip
BODIES = ["textBody", "bodyValues"]
BAR, AIM, GROWTH = 4.0, 2.0, 1.20
MOST_US = {500: 3_500, 50: 800}
App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class Granted(NamedTuple):
    """A grant of a world: every n-th of `handle`'s people said yes to it."""

    purpose: str
    level: Level
    handle: str
    every: int = 1


CHATS = {
    str(share): Granted("tailoring", Level.MASKED, "telegram:user{}", every)
    for share, every in ((100, 1), (20, 5), (5, 20))
}
"""Per cent of the inbox that is visible → its grant."""
MAILS = {
    "masked": Granted("tailoring", Level.MASKED, "mail:user{}@example.test"),
    "text": Granted("portability", Level.TEXT, "mail:user{}@example.test"),
}


# ── the worlds ──────────────────────────────────────────────────────────────────────────────────────────────
def records(count: int, senders: int) -> Iterator[Record]:
    dice = random.Random(7)
    step = 700 * DAY // count
    for n in range(count):
        yield chat(
            " ".join(dice.choices(WORDS, k=12)), f"telegram:user{dice.randrange(senders)}", id=f"n{n}",
            at=NOW - 700 * DAY + n * step, place=f"c{n % 40}",
        )  # fmt: skip


def mails(count: int, senders: int) -> Iterator[Record]:
    """Every third mail opens a thread; the two behind it answer it, quote it under its author's name, and go to two
    people."""
    dice = random.Random(7)
    step = 700 * DAY // count
    said, root, who = "", "", ""
    for n in range(count):
        sender, words = f"user{dice.randrange(senders)}@example.test", " ".join(dice.choices(WORDS, k=12))
        text, to = words, ["mail:me@example.test"]
        if n % 3:
            text = (
                f"{words}\n\nOn Mon, 5 Jan 2026 at 10:00, {who.partition('@')[0]} <{who}> wrote:\n> {said}\n"
            )
            to.append(f"mail:{who}")
        else:
            said, root, who = words, f"n{n}@example.test", sender
        yield mail(
            text, f"mail:{sender}", at=NOW - 700 * DAY + n * step, id=f"n{n}@example.test", subject="The harbour", to=to,
            references=[root] if n % 3 else [],
        )  # fmt: skip


def build(
    folder: Path, made: Callable[[], Iterator[Record]], senders: int, grants: dict[str, Granted]
) -> None:
    """A store with `made` messages and its grants; its facts in world.json."""
    folder.mkdir(parents=True)
    world = World(folder)
    owner_id = world.owner()
    deals = {}
    for n, (label, granted) in enumerate(grants.items()):
        deals[label] = world.agree(partner=f"partner{n}", purposes=((granted.purpose, granted.level.word),))
        for who in range(0, senders, granted.every):
            handle = granted.handle.format(who)
            world.choose(handle, granted.level, granted.purpose, f"partner{n}")
    encode.mask = lambda *_, **__: ()  # type: ignore[assignment]
    found = gather(made, lambda s, n: None)
    Ingest(
        world.store,
        world.installation.people,
        owner_id,
        world.id(),
        found,
        own=("mail:me@example.test",),
        titles=Titles(()),
        now=NOW,
        file_time=NOW,
    ).run(made, "bench", lambda s, n: None)
    facts: dict[str, Any] = {"grants": {}}
    for n, (label, granted) in enumerate(grants.items()):
        grant = world.allow(
            owner_id, granted.purpose, granted.level, agreement_id=deals[label], partner=f"partner{n}",
            until=NOW + 89 * DAY,
        )  # fmt: skip
        key, bearer = new_key(), token.fresh()
        jkt = read_jwk(key).thumbprint()
        world.store.write(
            token.issue, token.hash_of(bearer), owner_id, grant.grant_id, None, jkt, None, "inbox.read", NOW
        )
        facts["grants"][label] = {"key": key, "token": bearer, "grant": grant.grant_id.hex()}
    world.store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    world.store.close()
    build_bare(folder, found.records)
    (folder / "world.json").write_text(json.dumps(facts))


def build_bare(folder: Path, count: int) -> None:
    bare = sqlite3.connect(folder / "bare.db")
    bare.execute(
        "CREATE TABLE page (owner BLOB, at INTEGER, id BLOB, json BLOB, PRIMARY KEY (owner, at, id)) WITHOUT ROWID"
    )
    dice = random.Random(8)
    rows = (
        (
            b"o" * 16,
            n,
            n.to_bytes(16, "big"),
            json.dumps({"id": n, "text": "".join(dice.choices("abcdefgh ", k=320))}).encode(),
        )
        for n in range(count)
    )
    bare.executemany("INSERT INTO page VALUES (?, ?, ?, ?)", rows)
    bare.commit()
    bare.close()


# ── the two applications ────────────────────────────────────────────────────────────────────────────────────
def bare_app(folder: Path) -> App:
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA mmap_size=1073741824")

    async def page(request: Request) -> Response:
        rows = connection.execute(
            "SELECT json FROM page WHERE owner = ? ORDER BY at DESC, id DESC LIMIT ?",
            (b"o" * 16, int(request.query_params["n"])),
        ).fetchall()
        return Response(b"[" + b",".join([r for (r,) in rows]) + b"]", media_type="application/json")

    return Starlette(routes=[Route("/page", page)])


async def ask(
    app: App, method: str, path: str, query: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> tuple[int, bytes, dict[bytes, bytes]]:
    """One request straight into the application: what a server does besides is the same for both."""
    got: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        got.append(message)

    scope = {
        "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "root_path": "", "headers": [(b"host", b"127.0.0.1:8420"), *headers],
        "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 8420),
    }  # fmt: skip
    await app(scope, receive, send)
    return got[0]["status"], b"".join(m.get("body", b"") for m in got[1:]), dict(got[0]["headers"])


class Asking:
    """A partner with a token, in front of the gateway; `limit` messages a page."""

    def __init__(self, folder: Path, facts: dict[str, Any], limit: int, bodies: bool) -> None:
        self.app = Gateway(open_installation(folder / "byleave.db"), BASE, lambda: NOW + 1000)
        self.partner = Partner(BASE, "bench", facts["key"])
        self.partner.proof_key, self.partner.token = facts["key"], facts["token"]
        self.partner.nonce = self.app.guard.nonce(NOW + 1000)
        account = open_view_account(self.app, bytes.fromhex(facts["grant"]))
        back = {"resultOf": "q", "name": "Email/query", "path": "/ids"}
        get: dict[str, Any] = {"accountId": account, "#ids": back, "properties": PROPERTIES}
        if bodies:
            get |= {"properties": [*PROPERTIES, *BODIES], "fetchTextBodyValues": True}
        calls = [
            ["Email/query", {"accountId": account, "limit": limit, "sort": [{"property": "receivedAt", "isAscending": False}]}, "q"],
            ["Email/get", get, "g"],
        ]  # fmt: skip
        using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]
        self.body = json.dumps({"using": using, "methodCalls": calls}).encode()
        self.limit = limit

    def proofs(self, count: int) -> list[str]:
        from tests.servers import partner as partners

        real, partners.time.time = time.time, lambda: (NOW + 1000) / 1000  # type: ignore[assignment]
        try:
            return [self.partner.proof("POST", "/jmap/api", token=self.partner.token) for _ in range(count)]
        finally:
            partners.time.time = real  # type: ignore[assignment]

    async def page(self, proof: str) -> None:
        headers = [
            (b"authorization", f"DPoP {self.partner.token}".encode()), (b"dpop", proof.encode()),
            (b"content-type", b"application/json"), (b"content-length", str(len(self.body)).encode()),
        ]  # fmt: skip
        status, body, _ = await ask(self.app, "POST", "/jmap/api", "", headers, self.body)
        if status != 200:
            raise SystemExit(f"{status}: {body[:400]!r}")
        self.got = body


def open_view_account(app: Gateway, grant_id: bytes) -> str:
    from byleave.view.shape import Ids

    return Ids(app.installation.ids, grant_id).account_id


# ── measuring ───────────────────────────────────────────────────────────────────────────────────────────────
async def times(call: Callable[[int], Awaitable[None]], count: int) -> tuple[float, float]:
    """(median, least) of the processor's µs a call."""
    found = []
    gc.collect()
    gc.disable()
    for n in range(count):
        start = time.process_time_ns()
        await call(n)
        found.append((time.process_time_ns() - start) / 1000)
    gc.enable()
    return statistics.median(found), min(found)


def drop(folder: Path) -> None:
    """Asks the system to forget what it has read of these files."""
    for path in folder.glob("*.db*"):
        with path.open("rb") as file:
            os.fdatasync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cold(folder: Path, label: str, limit: int, bodies: bool) -> tuple[float, float]:
    """(µs of the first page, µs of the first bare page), each in a fork that has opened nothing yet."""
    found = []
    for kind in ("ours", "bare"):
        drop(folder)
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            facts = json.loads((folder / "world.json").read_text())["grants"][label]
            if kind == "ours":
                asking = Asking(folder, facts, limit, bodies)
                (proof,) = asking.proofs(1)
                spent, _ = asyncio.run(times(lambda n, asking=asking, proof=proof: asking.page(proof), 1))
            else:
                app = bare_app(folder)
                spent, _ = asyncio.run(times(lambda n, app=app: _bare(app, limit), 1))
            os.write(writing, str(spent).encode())
            os._exit(0)
        os.waitpid(child, 0)
        found.append(float(os.read(reading, 64)))
    return found[0], found[1]


async def _bare(app: App, limit: int) -> None:
    await ask(app, "GET", "/page", f"n={limit}", [], b"")


def warm(folder: Path, label: str, limit: int, bodies: bool, rounds: int) -> tuple[float, float, float]:
    """(median µs a page, least, median of the bare page)."""
    facts = json.loads((folder / "world.json").read_text())["grants"][label]
    asking, app = Asking(folder, facts, limit, bodies), bare_app(folder)
    proofs = asking.proofs(rounds + 3)

    async def both() -> tuple[float, float, float]:
        for proof in proofs[:3]:
            await asking.page(proof)
            await _bare(app, limit)
        ours = await times(lambda n: asking.page(proofs[n + 3]), rounds)
        bare, _ = await times(lambda n: _bare(app, limit), rounds)
        return *ours, bare

    try:
        answer = asyncio.run(both())
        listed = json.loads(asking.got)["methodResponses"][1][1]["list"]
        if len(listed) != limit:
            raise SystemExit(f"{len(listed)} of {limit} messages came")
        return answer
    finally:
        asking.app.store.close()


def main() -> int:
    ask_ = argparse.ArgumentParser(description=__doc__)
    ask_.add_argument("--quick", action="store_true", help="20,000 messages only")
    ask_.add_argument("--sizes", nargs="*", type=int, default=[20_000, 100_000, 1_000_000])
    ask_.add_argument("--senders", nargs="*", type=int, default=[30, 5_000])
    ask_.add_argument("--pages", nargs="*", type=int, default=[500, 50])
    ask_.add_argument("--mails", type=int, default=20_000, help="of the mails' world")
    ask_.add_argument("--keep", type=Path, help="a folder to keep the worlds in")
    args = ask_.parse_args()
    sizes, rounds = ([20_000], 15) if args.quick else (args.sizes, 40)
    print(
        f"{'messages':>9} {'senders':>7} {'seen':>6} {'page':>5} {'warm µs':>8} {'least':>6} {'bare µs':>8} {'ratio':>6} "
        f"{'cold µs':>8} {'ratio':>6} {'growth':>7}"
    )
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        at = args.keep or Path(temporary)
        for senders in args.senders:
            first: dict[tuple[str, int], float] = {}
            for size in sizes:
                folder = at / f"{size}-{senders}"
                if not (folder / "world.json").exists():
                    build(folder, lambda s=size, n=senders: records(s, n), senders, CHATS)
                failed |= table(folder, size, senders, list(CHATS), args.pages, False, rounds, first)
            folder = at / f"mails-{args.mails}-{senders}"
            if not (folder / "world.json").exists():
                build(folder, lambda n=senders: mails(args.mails, n), senders, MAILS)
            failed |= table(folder, args.mails, senders, list(MAILS), args.pages, True, rounds, {})
    return int(failed)


def table(
    folder: Path, size: int, senders: int, labels: list[str], pages: list[int], bodies: bool, rounds: int,
    first: dict[tuple[str, int], float],
) -> bool:  # fmt: skip
    """Prints a world's rows; answers whether one is beyond its bars. `first`: µs of the smallest world."""
    failed = False
    for label in labels:
        for limit in pages:
            ours, least, bare = warm(folder, label, limit, bodies, rounds)
            ours_cold, bare_cold = cold(folder, label, limit, bodies)
            grown = ours / first.setdefault((label, limit), ours)
            below = {
                f"> {MOST_US.get(limit, ours):,} µs": ours > MOST_US.get(limit, ours),
                f"> {BAR:.0f} × bare": ours > BAR * bare,
                f"grows > {GROWTH - 1:.0%}": grown > GROWTH,
            }
            failed |= any(below.values())
            print(
                f"{size:>9,} {senders:>7,} {label:>6} {limit:>5} {ours:>8,.0f} {least:>6,.0f} {bare:>8,.0f} "
                f"{ours / bare:>6.2f} {ours_cold:>8,.0f} {ours_cold / bare_cold:>6.2f} {grown - 1:>+7.0%}"
                + "".join(f"   {what}" for what, is_so in below.items() if is_so),
                flush=True,
            )
    return failed


if __name__ == "__main__":
    sys.exit(main())
