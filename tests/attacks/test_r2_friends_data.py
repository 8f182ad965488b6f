"""Replay R2 (spec defences.md): an app harvests the friends of those who agreed to it.

Everybody in a small town writes a word of their own, a taint, into all that they write; three in ten messages
quote or forward. Every owner lets a partner read their inbox whole, a few friends say yes, and the partner reads
everything by every endpoint, changes and push with them; the owners' assistants read by MCP. In an inbox's bytes
stand the taints of its owner and of those who said yes, and of nobody else; the ledger names the same people; half
of them take it back, and with the next request they are gone. What the owner's own export holds beside it tells how
many parts of others were held back (`pytest -s` prints it).

Imports nothing of byleave but the partner: the town, the choices and the figures go by the command line.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from byleave.partner.client import AsyncPartner, Partner, Token, new_key

PEOPLE, MESSAGES, OWNERS, FRIENDS = 10, 400, 3, 3
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(p).resolve()) for p in sys.path if p)}
TAINT = re.compile(r"zy(?:[bdfgklmnprstv][aeiou]){4}", re.IGNORECASE)
PROPERTIES = [
    "id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt", "messageId", "inReplyTo",
    "references", "sender", "from", "to", "cc", "bcc", "replyTo", "subject", "sentAt", "headers",
    "bodyStructure", "bodyValues", "textBody", "htmlBody", "attachments", "hasAttachment", "preview",
    "header:Subject:asText", "header:From:asAddresses", "header:To", "header:Received:all", "header:X-Mailer",
]  # fmt: skip
_MANY = """
import json, sys
from byleave.cli import main
for line in sys.stdin:
    sys.argv = ["byleave", *json.loads(line)]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""


class Town:
    """A store in a folder of its own, driven by the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "byleave.db"
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.key = new_key()

    def run(self, *lines: list[str]) -> list[Any]:
        """Each of `lines` is one command; answers what each said with `--json`."""
        said = "".join(json.dumps([*line, "--store", str(self.store), "--json"]) + "\n" for line in lines)
        done = subprocess.run(
            [sys.executable, "-c", _MANY],
            input=said,
            capture_output=True,
            text=True,
            cwd=self.folder,
            check=False,
            env=ENVIRONMENT,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(("{", "["))]

    def bare(self, *line: str) -> str:
        """What one command prints that knows no `--json`."""
        done = subprocess.run(
            [sys.executable, "-c", "from byleave.cli import main; main()", *line],
            capture_output=True, text=True, cwd=self.folder, check=False,
            env={**ENVIRONMENT, "BYLEAVE_STORE": str(self.store)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def settle(self) -> None:
        """The town moves in; a partner has an agreement."""
        size = ["--people", str(PEOPLE), "--messages", str(MESSAGES), "--quotes", "0.3", "--taints"]
        self.run(["town", *size, "--out", str(self.folder / "town"), "--load"])
        self.world = json.loads((self.folder / "town" / "world.json").read_bytes())
        private = self.folder / "partner.jwk"
        private.touch(mode=0o600)
        private.write_text(json.dumps(self.key.as_dict(private=True)))
        (self.folder / "public.jwk").write_text(json.dumps(self.key.as_dict(private=False)))
        deal = ["--partner", "streamflix", "--id", "deal", "--out", "deal.json"]
        self.bare(
            "agreement",
            "new",
            "--purpose",
            "portability:text",
            "--purpose",
            "tailoring:masked",
            "--key",
            str(private),
            *deal,
        )
        self.bare("agreement", "sign", "deal.json", "--key", str(private))
        self.run(["agreement", "sign", "deal.json"], ["agreement", "add", "deal.json"])
        self.people = {p["id"]: p for p in self.world["people"]}
        self.taint_of = {p["taint"]: id for id, p in self.people.items()}
        self.person_of = {h: id for id, p in self.people.items() for h in p["handles"]}

    def serve(self) -> None:
        line = ["serve", "--port", "0", "--workers", "1", "--store", str(self.store)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from byleave.cli import main; main()", *line],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
        )  # fmt: skip
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said.startswith("listening on "), self.process.communicate()[1]
        self.url = said.removeprefix("listening on ").strip()

    def close(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.communicate(timeout=20)

    def choices(self, people: list[str], level: str, purpose: str | None) -> None:
        more = ["--purpose", purpose] if purpose else []
        self.run(
            *(
                ["choice", "set", "--person", h, "--level", level, *more]
                for p in people
                for h in self.people[p]["handles"]
            )
        )

    def grants(self, owners: list[str], purpose: str, level: str) -> dict[str, Token]:
        """owner → a token for a partner's grant on their whole inbox."""
        made = self.run(
            *(
                [
                    "grant",
                    "create",
                    "--owner",
                    o,
                    "--purpose",
                    purpose,
                    "--level",
                    level,
                    "--agreement",
                    "deal",
                ]
                for o in owners
            )
        )
        key = str(self.folder / "public.jwk")
        tokens = self.run(
            *(["token", "--grant", m["grant"], "--dpop-jwk", key, "--base-url", self.url] for m in made)
        )
        return {
            owner: Token(
                access_token=t["access_token"], account_id=t["account_id"], expires_in=t["expires_in"]
            )
            for owner, t in zip(owners, tokens, strict=True)
        }

    def cast(self) -> tuple[list[str], list[str]]:
        """Owners who grant, and friends who say yes: those who stand in most of the owners' conversations."""
        owners = list(self.world["inboxes"])[:OWNERS]
        keys = {key for o in owners for key in self.world["inboxes"][o]["conversations"]}
        talks = [c["members"] for c in self.world["conversations"] if c["key"] in keys]
        rest = [p for p in self.people if p not in owners]
        return owners, sorted(rest, key=lambda p: -sum(p in t for t in talks))[:FRIENDS]

    def foreign(self, owner: str, let: set[str]) -> tuple[int, int]:
        """(hidden messages, parts of others inside messages that may be seen) in an inbox as its owner exports it,
        where only the people `let` may be seen."""
        lines = [json.loads(line) for line in self.bare("export", "--owner", owner).splitlines()]
        hidden = parts = 0
        for record in lines:
            by = self.person_of.get(record["sender"] or "")
            words = {self.taint_of[t.lower()] for t in TAINT.findall(record["text"])}
            if by in let:
                parts += len(words - let)
            else:
                hidden += 1
        return hidden, parts

    def assistant(self, owner: str, ask: Callable[[Assistant], None]) -> bytes:
        """What the owner's assistant is told over MCP, every byte."""
        (made,) = self.run(["grant", "create", "--owner", owner, "--purpose", "own-agent", "--level", "text"])
        line = ["mcp", "--grant", made["grant"], "--open", "1h", "--store", str(self.store)]
        with subprocess.Popen(
            [sys.executable, "-c", "from byleave.cli import main; main()", *line],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT,
        ) as process:  # fmt: skip
            asked = Assistant(process)
            ask(asked)
            process.communicate(timeout=30)
        return asked.bytes

    def exposed(self) -> set[str]:
        """Everybody of whom the ledger says that the partner read words of theirs."""
        asked = [(p, h) for p, person in self.people.items() for h in person["handles"]]
        told = self.run(*(["ledger", "show", "--person", h] for _, h in asked))
        assert len(told) == len(asked)
        return {
            p
            for (p, _), readings in zip(asked, told, strict=True)
            if any(r["messages"] for r in _list(readings))
        }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else next(v for v in value.values() if isinstance(v, list))


class Assistant:
    """MCP over a process' stdin and stdout, line by line (spec 2025-06-18, "stdio")."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.bytes = b""
        self._n = 0
        hello = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "a", "version": "1"},
        }
        self.ask("initialize", hello)
        self._say({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _say(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        self._n += 1
        self._say({"jsonrpc": "2.0", "id": self._n, "method": method, "params": params})
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            self.bytes += line.encode()
            told = json.loads(line)
            if told.get("id") == self._n:
                return told["result"]
        raise AssertionError("the assistant's server ended")

    def tool(self, name: str, **arguments: Any) -> Any:
        told = self.ask("tools/call", {"name": name, "arguments": arguments})
        assert not told.get("isError"), told
        return json.loads(told["content"][0]["text"])

    def everything(self, taints: list[str]) -> None:
        """Every conversation back to its beginning, and every taint searched for."""
        for talk in self.tool("list_conversations", limit=100)["conversations"]:
            before: dict[str, str] = {}
            while found := self.tool("read_messages", conversation=talk["id"], limit=100, **before)[
                "messages"
            ]:
                before = {"before": found[-1]["at"]}
        for taint in taints:
            self.tool("search_messages", query=taint, limit=100)


class Stream:
    """EventSource, open while things change: its bytes, and whether it has told of a state."""

    def __init__(self, partner: Partner, token: Token) -> None:
        self.partner, self.token = partner, token
        self.bytes = b""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        self.until(lambda: b"open" in self.bytes)

    def _read(self) -> None:
        asyncio.run(self._follow())

    async def _follow(self) -> None:
        url = self.partner.base_url + "/jmap/eventsource?types=*&closeafter=state&ping=0"
        flows = self.partner.flows
        async with AsyncPartner(flows.base_url, flows.client_id, flows.key, flows.redirect_uri) as partner:
            streamed = await partner.run(partner.flows.request("GET", url, self.token), stream=True)
            async for data in streamed.aiter_raw():
                self.bytes += data

    def until(self, so: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end and not so():
            time.sleep(0.05)
        assert so(), self.bytes

    def told(self) -> bytes:
        """Every byte, once a state has been told: the stream closes with it."""
        self.thread.join(30)
        assert b"StateChange" in self.bytes
        return self.bytes


class Harvest:
    """What the partner got of one inbox: every byte, and the ids to ask for again."""

    def __init__(self, partner: Partner, token: Token) -> None:
        self.partner, self.token = partner, token
        self.account = token.account_id
        self.bytes = b""
        self.ids: list[str] = []
        self.blobs: list[str] = []
        self.state = self.query_state = ""

    def jmap(self, *calls: list[Any]) -> list[Any]:
        using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]
        made = [[name, {"accountId": self.account, **given}, "c"] for name, given in calls]
        answer = self.partner.request(
            "POST", self.partner.base_url + "/jmap/api", self.token,
            json.dumps({"using": using, "methodCalls": made}).encode(),
        )  # fmt: skip
        self.bytes += answer.content
        assert answer.status_code == 200, answer.text
        return [response[1] for response in answer.json()["methodResponses"]]

    def get(self, path: str) -> Any:
        answer = self.partner.request("GET", self.partner.base_url + path, self.token)
        self.bytes += answer.content
        return answer

    def everything(self, taints: list[str]) -> None:
        self.get("/jmap/session")
        states = self.jmap(
            ["Mailbox/get", {"ids": None}], ["Mailbox/query", {}], ["Thread/get", {"ids": []}],
            ["Email/get", {"ids": []}], ["Email/query", {"calculateTotal": True}],
        )  # fmt: skip
        total = states[-1]["total"]
        self.state, self.query_state = states[-2]["state"], states[-1]["queryState"]
        while len(self.ids) < total:
            page = self.jmap(["Email/query", {"position": len(self.ids), "limit": 500}])[0]["ids"]
            self.ids += page
            (found,) = self.jmap(
                ["Email/get", {"ids": page, "properties": PROPERTIES, "fetchAllBodyValues": True}]
            )
            assert len(found["list"]) == len(page) and not found["notFound"]
            self.blobs += [e["blobId"] for e in found["list"]]
            self.blobs += [p["blobId"] for e in found["list"] for p in e["textBody"] + e["attachments"]]
            threads = sorted({e["threadId"] for e in found["list"]})
            (talks,) = self.jmap(["Thread/get", {"ids": threads}])
            assert {i for t in talks["list"] for i in t["emailIds"]} <= set(self.ids) | set(
                page
            ) or total > 500
            for email in found["list"][::7]:
                (blob,) = [
                    self.get(f"/jmap/download/{self.account}/{email['blobId']}/x?accept=message/rfc822")
                ]
                assert blob.status_code == 200 and len(blob.content) == email["size"], email
        for blob_id in self.blobs[1::11]:
            assert self.get(f"/jmap/download/{self.account}/{blob_id}/x?accept=text/plain").status_code == 200
        self.search(taints)  # every person of the town

    def changes(self, before: Harvest) -> dict[str, Any]:
        """What has changed since an earlier harvest, by every method that tells; the Email changes."""
        since = {"sinceState": before.state}
        emails, *_, queried = self.jmap(
            ["Email/changes", since], ["Thread/changes", since], ["Mailbox/changes", since],
            ["Mailbox/queryChanges", {"sinceQueryState": before.query_state}],
            ["Email/queryChanges", {"sinceQueryState": before.query_state, "calculateTotal": True}],
        )  # fmt: skip
        assert emails["oldState"] == before.state, emails
        assert "type" in queried or set(queried["removed"]) <= set(before.ids)
        made = list(emails["created"])
        self.jmap(["Email/get", {"ids": made[:500], "properties": PROPERTIES, "fetchAllBodyValues": True}])
        return dict(emails)

    def search(self, taints: list[str]) -> None:
        """Every taint in every field: found only where it stands in the view; snippets too."""
        for taint in taints:
            fields = ("text", "body", "subject", "from", "to", "cc")
            calls: list[list[Any]] = [
                ["Email/query", {"filter": {f: taint}, "calculateTotal": True}] for f in fields
            ]
            *found, snippets = self.jmap(
                *calls, ["SearchSnippet/get", {"filter": {"text": taint}, "emailIds": self.ids[:500]}]
            )
            if any(f["ids"] or f["total"] for f in found):
                self.bytes += b" " + taint.encode()
            assert len(snippets["list"]) == len(self.ids[:500])

    def around(self, taint: str) -> bytes:
        at = self.bytes.lower().find(taint.encode())
        return self.bytes[max(0, at - 200) : at + 60]

    def taints(self) -> set[str]:
        return {t.lower() for t in TAINT.findall(self.bytes.decode(errors="replace"))}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    made = Town(tmp_path_factory.mktemp("r2"))
    made.settle()
    made.serve()
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(("purpose", "level"), [("portability", "text"), ("tailoring", "masked")])
def test_taints_are_those_of_the_consenters(town: Town, purpose: str, level: str) -> None:
    owners, friends = town.cast()
    town.choices([p for p in town.people if p not in friends], "none", None)
    town.choices(friends, level, purpose)
    tokens = town.grants(owners, purpose, level)
    partner = Partner(town.url, "streamflix", town.key, "https://streamflix.example/cb")
    before = harvest(town, partner, tokens, friends)
    assert town.exposed() == {*owners, *friends}
    held = [town.foreign(owner, {owner, *friends}) for owner in owners]
    print(
        f"{purpose}: held back {sum(h for h, _ in held)} messages and {sum(p for _, p in held)} parts of others"
    )
    assert all(hidden and parts for hidden, parts in held), "nothing was held back: this test tests nothing"

    leavers = friends[::2]
    streams = [Stream(partner, token) for token in tokens.values()]
    town.choices(leavers, "none", None)
    gone = {town.people[p]["taint"] for p in leavers}
    for stream in streams:
        assert not TAINT.search(stream.told().decode())
    for owner, old in before.items():
        again = Harvest(partner, tokens[owner])
        again.jmap(
            ["Email/get", {"ids": old.ids[:500], "properties": PROPERTIES, "fetchAllBodyValues": True}]
        )
        assert not again.taints() & gone, "the next request shows them still"
        for blob in old.blobs[::5]:
            again.get(f"/jmap/download/{again.account}/{blob}/x?accept=text/plain")
        assert not again.taints() & gone, "an old blob id shows them still"
        changed = again.changes(old)
        assert set(changed["destroyed"]) & set(old.ids) and not again.taints() & gone
    after = harvest(town, partner, tokens, [f for f in friends if f not in leavers])
    assert sum(len(h.ids) for h in after.values()) < sum(len(h.ids) for h in before.values())
    assert town.exposed() == {*owners, *friends}, "what was read stays in the ledger"
    town.choices(leavers, level, purpose)
    harvest(town, partner, tokens, friends)


def test_assistants_are_told_what_the_friends_allowed(town: Town) -> None:
    """Over MCP: the own-agent's bytes hold the owner's taint and the friends', and nobody else's."""
    owners, friends = town.cast()
    town.choices([p for p in town.people if p not in friends], "none", None)
    town.choices(friends, "text", "own-agent")
    taints = list(town.taint_of)
    for left in (friends, friends[1:]):
        seen: set[str] = set()
        for owner in owners:
            told = town.assistant(owner, lambda a: a.everything(taints)).decode()
            people = {town.taint_of[t.lower()] for t in TAINT.findall(told)}
            assert owner in people and people <= {owner, *left}, people
            seen |= people
        assert seen == {*owners, *left}
        town.choices(friends[:1], "none", "own-agent")


def harvest(town: Town, partner: Partner, tokens: dict[str, Token], friends: list[str]) -> dict[str, Harvest]:
    """Reads every inbox by everything; fails where a taint stands that may not, or one is missing."""
    found: dict[str, Harvest] = {}
    seen: set[str] = set()
    for owner, token in tokens.items():
        got = found[owner] = Harvest(partner, token)
        got.everything(list(town.taint_of))
        people = {town.taint_of[t] for t in got.taints()}
        assert owner in people, "an owner's grant is their own yes"
        wrong = people - {owner, *friends}
        assert not wrong, (owner, [got.around(town.people[p]["taint"]) for p in wrong])
        seen |= people
    assert seen == {*tokens, *friends}
    return found
