"""Replay R2 (spec defences.md) at full size: an app reads the inboxes of those who agreed, and of no friend of theirs.

    PYTHONPATH=src python bench/r2.py --people 300000 --consenters 930

Every consenter has an inbox of their own, lets one partner read it whole (a mailbox-wide grant at `text`) and says yes to
it everywhere; all others of the town said nothing or no. Each inbox holds friends nobody else has, and a few consenters;
everybody writes a taint of their own into all that they write and bear: words, quotes, forwards, subjects taken over,
reactions, contact cards, member lists, names. At least three messages in ten carry somebody else's. Half is mail, half
chat. The town's generator is for a hundred thousand people at most, so this one is made here, record by record.

The partner reads everything by every endpoint, in process: session, mailboxes, queries with totals and searches for
taints, every property of every Email, threads, changes, snippets, blobs, signals; twenty inboxes by MCP too. (Push and
the command line's export are in tests/attacks, over HTTP.) Then a hundred consenters take it all back, and it reads again
with the tokens and ids that it has. Wanted: the taints in its bytes are the consenters' exactly, before and after; by
inbox too; the people whom the ledger says were exposed are the same, to the person.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import select

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.servers.partner import CALLBACK, Partner, new_key
from tests.worlds import DAY, NOW, World, chat, mail

from byleave.consent import grant, register, token
from byleave.gateway import app, mcp
from byleave.installation import open_installation
from byleave.keys import read_jwk
from byleave.model import Conversation, Level, Person, Reaction, Record
from byleave.store import prepare
from byleave.store.tables import handle as handle_table
from byleave.store.tables import read_of
from byleave.view import told
from byleave.words.fragment import CHAT

BASE = "http://127.0.0.1:8420"
CONSONANTS, VOWELS = "bdfgklmnprstvhj", "aeiou"
TAINT = re.compile(rb"zy(?:[bdfgklmnprstvhj][aeiou]){4}", re.IGNORECASE)
KNOWN = 5
"""Consenters among the friends of each."""
WORDS = [
    "the",
    "film",
    "is",
    "on",
    "again",
    "and",
    "I",
    "would",
    "go",
    "with",
    "you",
    "on",
    "Sunday",
    "if",
    "the",
    "train",
    "runs",
    "and",
    "the",
    "rain",
    "stops",
]
PROPERTIES = [
    "id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt", "messageId", "inReplyTo", "references",
    "sender", "from", "to", "cc", "bcc", "replyTo", "subject", "sentAt", "hasAttachment", "preview", "bodyValues",
    "textBody", "htmlBody", "attachments", "bodyStructure", "headers", CHAT,
]  # fmt: skip
_EXPOSED = prepare(
    select(handle_table.c.value)
    .join(read_of, (read_of.c.owner_id == handle_table.c.owner_id) & (read_of.c.handle == handle_table.c.handle))
    .where(read_of.c.messages > 0)
    .distinct()
)  # fmt: skip


def taint(n: int) -> str:
    made = "zy"
    for _ in range(4):
        n, pair = divmod(n, 75)
        made += CONSONANTS[pair % 15] + VOWELS[pair // 15]
    return made


NUMBER = {pair: n for n in range(75) for pair in (CONSONANTS[n % 15] + VOWELS[n // 15],)}


def who(found: bytes) -> int:
    text = found.decode().lower()
    return sum(NUMBER[text[2 + 2 * i : 4 + 2 * i]] * 75**i for i in range(4))


def mail_of(n: int) -> str:
    return f"mail:p{n}@town.example"


def chat_of(n: int) -> str:
    return f"telegram:user{n}"


def name_of(n: int) -> str:
    return f"Robin {taint(n).capitalize()}"


class Town:
    """Consenters are 0 … consenters - 1; everybody else is the friend of one of them."""

    def __init__(self, people: int, consenters: int, seed: int) -> None:
        self.people, self.consenters, self.seed = people, consenters, seed
        self.hidden = self.held = self.written = self.foreign = 0

    def friends(self, owner: int) -> tuple[list[int], list[int]]:
        """(consenters, others) in the inbox of `owner`."""
        near = [(owner + n) % self.consenters for n in range(1, min(KNOWN, self.consenters - 1) + 1)]
        return near, list(range(self.consenters + owner, self.people, self.consenters))

    def inbox(self, owner: int) -> Iterator[Conversation | Record]:
        """What `owner` holds, and counts of it; the same each time it is called."""
        draw, (near, far) = random.Random(self.seed * 1_000_003 + owner), self.friends(owner)
        members = tuple(Person(chat_of(n), name_of(n)) for n in (owner, *near, *far[:40]))
        yield Conversation(source="telegram", key=f"c{owner}", name=f"About {taint(far[0])}", members=members)
        writers = [*far, *(draw.choice([owner, *near]) for _ in range(max(60, len(far) // 3)))]
        writers += [owner, owner, *near, *near]
        draw.shuffle(writers)
        for i, writer in enumerate(writers):
            yield self.message(draw, owner, near, far, writer, i)

    def words(self, draw: random.Random, n: int) -> str:
        said = " ".join(draw.choice(WORDS) for _ in range(draw.randint(6, 16)))
        return f"I say that {said}, {taint(n)}."

    def message(
        self, draw: random.Random, owner: int, near: list[int], far: list[int], writer: int, i: int
    ) -> Record:
        at = NOW - 300 * DAY + i * 3_600_000
        seen = writer == owner or writer in near
        of = draw.choice(far) if draw.random() < 0.8 else draw.choice([owner, *near])
        foreign, text = draw.random() < 0.4, self.words(draw, writer)
        if i % 2:
            return self.said(draw, owner, writer, of, foreign, text, at, i, seen)
        subject, references = f"About {taint(writer)}", ()
        if foreign:
            shape = draw.randrange(3)
            if shape == 0:
                text += f"\n\nOn Fri, 11 Sep 2026 at 10:00, {name_of(of)} <p{of}@town.example> wrote:\n> {self.words(draw, of)}\n"
            elif shape == 1:
                text += (
                    f"\n\n---------- Forwarded message ---------\nFrom: {name_of(of)} <p{of}@town.example>\n"
                    f"Date: Fri, 11 Sep 2026 at 10:00\nSubject: About {taint(of)}\nTo: p{owner}@town.example\n\n{self.words(draw, of)}\n"
                )
            subject = f"{'Fwd' if shape == 1 else 'Re'}: About {taint(of)}"
        to = (mail_of(owner), mail_of(draw.choice(far)))
        self.count(seen, foreign, of)
        return mail(
            text,
            mail_of(writer),
            at=at,
            id=f"{owner}.{i}@town.example",
            subject=subject,
            to=to,
            references=references,
        )

    def said(
        self, draw: random.Random, owner: int, writer: int, of: int, foreign: bool, text: str, at: int, i: int, seen: bool
    ) -> Record:  # fmt: skip
        more: dict[str, Any] = {}
        shape = draw.randrange(4)
        if foreign and shape == 0:
            more, text = {"forwarded_from": Person(chat_of(of), name_of(of))}, self.words(draw, of)
        elif foreign and shape == 1:
            text = f"> {self.words(draw, of)}\n\n{text}"
        elif foreign and shape == 2:
            more = {"reactions": (Reaction(f"+ {taint(of)}", chat_of(of), name_of(of)), Reaction("+", None))}
        elif foreign:
            more = {"shared_text": f"{name_of(of)} +15550100", "shared_of": f"tel:+1555{of:07d}"}
        self.count(seen, foreign, of)
        return chat(text, chat_of(writer), at=at, id=str(i), place=f"c{owner}", **more)

    def count(self, seen: bool, foreign: bool, of: int) -> None:
        self.written += 1
        self.foreign += foreign
        self.hidden += not seen
        self.held += seen and foreign and of >= self.consenters


class Reader:
    """The partner, with a token for each inbox."""

    def __init__(self, world: World, owners: dict[int, bytes]) -> None:
        self.world, self.owners = world, owners
        self.app = app.Gateway(world.installation, BASE, lambda: world.now)
        self.partner = Partner(BASE, "streamflix-web", new_key())
        self.partner.proof_key = new_key()
        self.partner.nonce = self.app.guard.nonce(world.now)
        self.tokens: dict[int, str] = {}
        self.grants: dict[int, bytes] = {}
        self.held: dict[int, tuple[str, list[str], list[str], str]] = {}
        """Inbox → account, ids, blobs, state of the last harvest."""
        self.n = 0

    def token(self, owner: int, grant_id: bytes) -> None:
        self.grants[owner] = grant_id
        self.tokens[owner] = f"token-of-{owner:08d}".ljust(43, "t")
        jkt = read_jwk(self.partner.proof_key).thumbprint()
        self.world.store.write(
            token.issue, token.hash_of(self.tokens[owner]), self.owners[owner], grant_id, "streamflix-web", jkt, None,
            "inbox.read signals", self.world.now,
        )  # fmt: skip

    async def ask(self, owner: int, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        self.n += 1
        claims = {"iat": self.world.now // 1000, "jti": f"r2 {self.n}"}
        place, _, query = path.partition("?")
        proof = self.partner.proof(method, place, token=self.tokens[owner], claims=claims)
        headers = [
            (b"host", b"127.0.0.1:8420"), (b"content-type", b"application/json"),
            (b"authorization", f"DPoP {self.tokens[owner]}".encode()), (b"dpop", proof.encode()),
        ]  # fmt: skip
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": place, "raw_path": place.encode(), "query_string": query.encode(), "headers": headers,
            "client": ("192.0.2.7", 1), "server": ("127.0.0.1", 8420), "root_path": "",
        }  # fmt: skip
        status, told = [0], bytearray()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            status[0] = message.get("status", status[0])
            told.extend(message.get("body", b""))
            for name, value in message.get("headers", ()):
                told.extend(name + value)

        await self.app(scope, receive, send)
        return status[0], bytes(told)

    async def jmap(self, owner: int, *calls: list[Any]) -> tuple[bytes, list[Any]]:
        account = self.held[owner][0]
        using = [
            "urn:ietf:params:jmap:core",
            "urn:ietf:params:jmap:mail",
            CHAT,
            "https://byleave.example/ns/signals",
        ]
        made = [[name, {"accountId": account, **given}, "c"] for name, given in calls]
        status, told = await self.ask(
            owner, "POST", "/jmap/api", orjson.dumps({"using": using, "methodCalls": made})
        )
        assert status == 200, told[:300]
        body = told[told.index(b'{"methodResponses"') :]
        return told, [
            response[1] for response in orjson.loads(body[: body.rindex(b"}") + 1])["methodResponses"]
        ]

    async def everything(self, owner: int, taints: list[str]) -> bytes | None:
        """Every byte of one inbox; None where the account is gone."""
        status, seen = await self.ask(owner, "GET", "/jmap/session")
        session = seen[seen.index(b'{"') : seen.rindex(b"}") + 1] if status == 200 else b""
        accounts = list(orjson.loads(session)["accounts"]) if session else []
        if not accounts:
            return None
        old = self.held.get(owner)
        self.held[owner] = (accounts[0], [], [], "")
        parts = [seen]
        told, found = await self.jmap(
            owner, ["Mailbox/get", {"ids": None}], ["Email/query", {"calculateTotal": True, "limit": 500}],
            ["Email/get", {"ids": []}], ["TitleSignal/get", {"ids": None}], ["Mailbox/query", {}],
        )  # fmt: skip
        parts.append(told)
        ids, total, state = found[1]["ids"], found[1]["total"], found[2]["state"]
        while len(ids) < total:
            told, (page,) = await self.jmap(owner, ["Email/query", {"position": len(ids), "limit": 500}])
            ids += page["ids"]
            parts.append(told)
        assert sum(m["totalEmails"] for m in found[0]["list"]) == total == len(ids)
        blobs: list[str] = []
        for at in range(0, len(ids), 500):
            told, (page,) = await self.jmap(
                owner, ["Email/get", {"ids": ids[at : at + 500], "properties": PROPERTIES, "fetchAllBodyValues": True}]
            )  # fmt: skip
            parts.append(told)
            blobs += [e["blobId"] for e in page["list"]]
            threads = sorted({e["threadId"] for e in page["list"]})
            parts.append((await self.jmap(owner, ["Thread/get", {"ids": threads}]))[0])
        if old is not None:  # with the ids of before
            since = {"sinceState": old[3]}
            told, changed = await self.jmap(
                owner, ["Email/get", {"ids": old[1][:500], "properties": PROPERTIES, "fetchAllBodyValues": True}],
                ["Email/changes", since], ["Thread/changes", since], ["Mailbox/changes", since],
                ["Email/queryChanges", {"sinceQueryState": old[3]}],
            )  # fmt: skip
            assert set(changed[0]["notFound"]) == set(old[1][:500]) - set(ids)
            parts.append(told)
            blobs += old[2][::9]
        for fields in (("text", "subject"), ("from", "to")):
            calls = [
                ["Email/query", {"filter": {f: t}, "calculateTotal": True}]
                for t in taints[:8]
                for f in fields
            ]
            told, hits = await self.jmap(owner, *calls[:15])
            for (_, given), hit in zip(calls, hits, strict=False):
                if hit.get("total"):
                    parts.append(next(iter(given["filter"].values())).encode())
        parts.append(
            (
                await self.jmap(
                    owner, ["SearchSnippet/get", {"filter": {"text": taints[0]}, "emailIds": ids[:50]}]
                )
            )[0]
        )
        for blob in blobs[::9]:
            parts.append(
                (
                    await self.ask(
                        owner, "GET", f"/jmap/download/{accounts[0]}/{blob}/a?accept=message/rfc822"
                    )
                )[1]
            )
        self.held[owner] = (accounts[0], ids, blobs, state)
        return b"\n".join(p for p in parts)


def check(town: Town, gone: set[int], owner: int, seen: set[int]) -> None:
    near, _ = town.friends(owner)
    wanted = {owner, *near} - (gone - {owner})
    wrong, missing = seen - wanted, wanted - seen
    assert not wrong, f"inbox {owner}: taints of {sorted(wrong)[:5]} stand in the partner's bytes"
    assert not missing, f"inbox {owner}: taints of {sorted(missing)[:5]} are missing"


async def harvest(town: Town, reader: Reader, gone: set[int]) -> set[int]:
    people: set[int] = set()
    for owner in reader.owners:
        near, far = town.friends(owner)
        taints = [taint(n) for n in (far[0], near[0], far[-1], owner, *far[1:5])]
        got = await reader.everything(owner, taints)
        assert (got is None) == (owner in gone), f"inbox {owner}"
        if got is not None:
            seen = {who(t) for t in set(TAINT.findall(got))}
            check(town, gone, owner, seen)
            people |= seen
    return people


def exposed(world: World) -> set[int]:
    """Everybody of whom the ledger says that words of theirs were read."""
    while world.store.write(told.tell, world.now):
        pass
    with world.store.read() as snapshot:
        values = [v for (v,) in snapshot.all(_EXPOSED)]
    return {int(re.sub(r"\D", "", v)) for v in values if v.startswith(("mail:p", "telegram:user"))}


def by_assistant(town: Town, world: World, owners: dict[int, bytes], some: list[int]) -> None:
    """A few owners' assistants, by every tool."""
    for owner in some:
        made = world.allow(owners[owner], "own-agent", Level.TEXT)
        world.store.write(
            mcp.open_session, world.id() + b"s" * 16, owners[owner], made.grant_id, world.now, 3_600_000
        )
        near, far = town.friends(owner)
        said = b""

        def ask(
            name: str, given: dict[str, Any], at: tuple[bytes, bytes] = (owners[owner], made.grant_id)
        ) -> bytes:
            return mcp.answer(world.installation, *at, name, given, world.now).body

        listed = ask("list_conversations", {"limit": 100})
        said += listed
        for talk in json.loads(listed)["conversations"]:
            said += ask("read_messages", {"conversation": talk["id"], "limit": 100})
        for n in (owner, near[0], *far[:5]):
            found = json.loads(ask("search_messages", {"query": taint(n)}))["messages"]
            said += json.dumps(found).encode()
        seen = {who(t) for t in set(TAINT.findall(said))}
        assert seen == {owner}, (
            f"the assistant of {owner} was told words of {seen - {owner}}: nobody said yes to it"
        )


def move_in(town: Town, world: World) -> dict[int, bytes]:
    owners: dict[int, bytes] = {}
    started = time.perf_counter()
    for n in range(town.consenters):
        owners[n] = world.owner(f"o{n}")
        world.put(owners[n], town.inbox(n), own=[mail_of(n), chat_of(n)])
        if n % max(1, town.consenters // 10) == 0:
            print(
                f"  {n + 1} inboxes, {town.written:,} messages, {time.perf_counter() - started:.0f} s",
                flush=True,
            )
    return owners


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--people", type=int, default=300_000)
    options.add_argument("--consenters", type=int, default=930)
    options.add_argument("--withdrawals", type=int, default=100)
    options.add_argument("--seed", type=int, default=7)
    given = options.parse_args()
    town = Town(given.people, given.consenters, given.seed)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        owners = move_in(town, world)
        deal = world.agree((("portability", "text"),))
        metadata = {
            "client_id": "streamflix-web", "agreement": deal, "redirect_uris": [CALLBACK],
            "jwks": {"keys": [world.partner_key.public()]},
        }  # fmt: skip
        world.store.write(
            register.add_client, json.dumps(metadata).encode(), world.now, world.id(), b"s" * 32
        )
        for n in range(town.consenters):
            for value in (mail_of(n), chat_of(n)):
                world.choose(value, Level.TEXT, "portability")
        for n in range(town.consenters, town.people, 97):  # some of the others have said no
            world.choose(mail_of(n), Level.NONE, None)
        world.installation = open_installation(world.path)
        reader = Reader(world, owners)
        for n, owner_id in owners.items():
            found = world.allow(owner_id, "portability", Level.TEXT, agreement_id=deal, partner="streamflix")
            reader.token(n, found.grant_id)
        print(f"{town.people:,} people, {town.consenters} consenters, {town.written:,} messages, {town.foreign / town.written:.0%} of them with others' words; moved in after {time.perf_counter() - started:.0f} s")  # fmt: skip
        print(
            f"to be held back: {town.hidden:,} messages, and {town.held:,} parts of others in the messages shown",
            flush=True,
        )
        consenters = set(range(town.consenters))

        seen = asyncio.run(harvest(town, reader, set()))
        ledger = exposed(world)
        print(f"before: taints of {len(seen)} people in the partner's bytes, {len(seen ^ consenters)} wrong; the ledger exposes {len(ledger)}, {len(ledger ^ consenters)} wrong", flush=True)  # fmt: skip

        gone = set(
            random.Random(town.seed).sample(sorted(consenters), min(given.withdrawals, town.consenters // 2))
        )
        for n in gone:
            for value in (mail_of(n), chat_of(n)):
                world.choose(value, Level.NONE, None)
            world.store.write(grant.revoke, owners[n], reader.grants[n], world.now, world.id(), b"s" * 32)
        after = asyncio.run(harvest(town, reader, gone))
        left = consenters - gone
        ledger = exposed(world)
        print(f"after {len(gone)} withdrawals: {len(after)} people, {len(after ^ left)} wrong; the ledger still says {len(ledger)}", flush=True)  # fmt: skip
        by_assistant(town, world, owners, sorted(left)[:20])
        print(
            f"20 assistants by MCP: their owners' words alone; {time.perf_counter() - started:.0f} s in all"
        )
        world.store.close()
    return int(seen != consenters or after != left or ledger != consenters)


if __name__ == "__main__":
    sys.exit(main())
