"""Law 3. What a view hides leaves no trace in it: no count, no gap, no state change, no error that differs, and
the work done to answer does not depend on it.

Two worlds differ in hidden messages alone. Every method, tool and route that the running application has is
called in both, as partner, agent, other sender and stranger: equal bytes, equal steps of the database. What is
called is taken from the application: a method, tool or route that this file does not know is a failure.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import pytest
from sqlalchemy import func, select

from byleave import view
from byleave.consent import identity
from byleave.gateway import mcp
from byleave.gateway.jmap import request
from byleave.store import prepare
from byleave.store.tables import entry
from byleave.view.shape import Ids
from tests.laws.twins import ANN, BOB, CAT, Dice, Twin

SEQUENCES = int(os.environ.get("BYLEAVE_SEQUENCES", "60"))
WORDS = ("harbour", "secret", "film", "lighthouse", "bob", "zzz", "sunday", "900321", "ann")
_ENTRIES = prepare(select(entry.c.kind, func.count()).group_by(entry.c.kind))
_ID = re.compile(rb'"((?:[mtxsbg])[0-9a-zA-Z_-]{8,})"')


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Twin, Twin, Dice]]:
    folder = tmp_path_factory.mktemp("twins")
    with pytest.MonkeyPatch.context() as patch:
        dice = Dice(patch)
        dice.n = 0
        without = Twin(folder / "without", False)
        dice.n = 0
        having = Twin(folder / "with", True)
        yield without, having, dice
        without.close()
        having.close()


def same(worlds: tuple[Twin, Twin, Dice], name: str, *arguments: Any, **options: Any) -> bytes:
    """The answer of both worlds; fails where bytes or work differ."""
    *twins, dice = worlds
    told = []
    start = dice.n = (dice.n // 1000 + 2) * 1000
    for twin in twins:
        dice.n = start
        view._IDS.clear()  # a process serves one store: what it keeps of a grant is not kept from the other world
        told.append(getattr(twin, name)(*arguments, **options))
        while twin.world.store.write(_follow, twin.world.now):
            pass
    (body, steps), (other, other_steps) = told
    assert body == other, (name, arguments, body[-600:], other[-600:])
    unlike = [pair for pair in zip_longest(*(twin.statements() for twin in twins)) if pair[0] != pair[1]]
    assert steps == other_steps, (name, arguments, steps, other_steps, unlike[:6])
    assert b"ecret" not in body or b"secret" in json.dumps([arguments, options], default=str).encode()
    return bytes(body)


def _follow(tx: Any, now: int) -> bool:
    from byleave.view import told

    return told.tell(tx, now)


# ── JMAP ────────────────────────────────────────────────────────────────────────────────────────────────────
class Calls:
    """Draws calls: ids out of earlier answers, ids that mean nothing, filters with words of hidden messages."""

    def __init__(self, draw: random.Random, account: str) -> None:
        self.draw, self.account = draw, account
        self.ids: dict[str, list[str]] = {kind: [] for kind in "mtxsbg"}

    def heard(self, body: bytes) -> None:
        for found in _ID.findall(body):
            id = found.decode()
            if id not in self.ids[id[0]]:
                self.ids[id[0]].append(id)

    def some(self, kind: str) -> list[str]:
        known = [*self.ids[kind][-30:], f"{kind}AAAAAAAAAAAAAAAA", "none"]
        return self.draw.sample(known, min(len(known), self.draw.randint(0, 6)))

    def one(self, kind: str) -> str:
        return self.draw.choice([*self.ids[kind][-30:], f"{kind}AAAAAAAAAAAAAAAA"])

    def condition(self) -> dict[str, Any]:
        word = self.draw.choice(WORDS)
        return self.draw.choice(
            [
                {name: word}
                for name in ("text", "body", "subject", "from", "to", "cc")
            ]
            + [
                {"inMailbox": self.one("x")}, {"inMailboxOtherThan": [self.one("x")]}, {"hasAttachment": False},
                {"minSize": 100}, {"maxSize": 400}, {"hasKeyword": "$seen"}, {"notKeyword": "$seen"},
                {"before": "2026-09-17T00:00:00Z"}, {"after": "2026-09-15T12:00:00Z"}, {"header": ["Subject", word]},
            ]
        )  # fmt: skip

    def filter(self) -> dict[str, Any]:
        if self.draw.random() < 0.6:
            return self.condition()
        operator = self.draw.choice(("AND", "OR", "NOT"))
        return {
            "operator": operator,
            "conditions": [self.condition() for _ in range(self.draw.randint(1, 3))],
        }

    def query(self) -> dict[str, Any]:
        drawn: dict[str, Any] = {"calculateTotal": True}
        if self.draw.random() < 0.8:
            drawn["filter"] = self.filter()
        if self.draw.random() < 0.5:
            named = self.draw.choice(("receivedAt", "sentAt", "size", "from", "to", "subject"))
            drawn["sort"] = [{"property": named, "isAscending": self.draw.random() < 0.5}]
        if self.draw.random() < 0.3:
            drawn |= {"anchor": self.one("m"), "anchorOffset": self.draw.randint(-3, 3)}
        else:
            drawn |= {"position": self.draw.randint(-3, 5)}
        drawn["limit"] = self.draw.randint(0, 9)
        drawn["collapseThreads"] = self.draw.random() < 0.4
        return drawn

    def call(self, name: str) -> list[Any]:
        given = CALLS[name](self)
        if name not in request._WITHOUT_ACCOUNT:
            account = self.account if self.draw.random() < 0.95 else "a-foreign-account"
            given = {"accountId": account, **given}
        return [name, given, "c"]


BODIES = {"fetchTextBodyValues": True, "bodyProperties": ["partId", "blobId", "size", "type"]}
CALLS: dict[str, Any] = {
    "Core/echo": lambda c: {"a": 1},
    "PushSubscription/get": lambda c: {"ids": c.some("m")},
    "PushSubscription/set": lambda c: {"destroy": c.some("m")},
    "Mailbox/get": lambda c: {"ids": c.draw.choice([None, c.some("x")])},
    "Mailbox/changes": lambda c: {"sinceState": c.one("s")},
    "Mailbox/query": lambda c: {"filter": c.draw.choice([{}, {"role": "inbox"}, {"hasAnyRole": True}])},
    "Mailbox/queryChanges": lambda c: {"sinceQueryState": c.one("s")},
    "Mailbox/set": lambda c: {"destroy": c.some("x")},
    "Thread/get": lambda c: {"ids": c.some("t")},
    "Thread/changes": lambda c: {"sinceState": c.one("s")},
    "Email/get": lambda c: {
        "ids": c.draw.choice([None, c.some("m"), c.some("m")]), **BODIES,
        "properties": c.draw.choice([
            ["id", "subject", "from", "to", "preview", "size", "threadId", "mailboxIds", "receivedAt", "keywords"],
            ["id", "bodyValues", "textBody", "references", "inReplyTo", "messageId", "blobId"],
            ["id", "headers", "header:Subject:asText", "attachments", "hasAttachment", "bodyStructure"],
        ]),
    },
    "Email/changes": lambda c: {"sinceState": c.one("s"), "maxChanges": c.draw.choice([None, 1, 50])},
    "Email/query": lambda c: c.query(),
    "Email/queryChanges": lambda c: {"sinceQueryState": c.one("s")},
    "Email/parse": lambda c: {"blobIds": c.some("b")},
    "Email/set": lambda c: {"destroy": c.some("m")},
    "Email/copy": lambda c: {"fromAccountId": "a", "create": {}},
    "Email/import": lambda c: {"emails": {}},
    "SearchSnippet/get": lambda c: {"filter": c.condition(), "emailIds": c.some("m")},
    "Blob/copy": lambda c: {"fromAccountId": "a", "blobIds": c.some("b")},
    "Identity/get": lambda c: {"ids": None},
    "Identity/changes": lambda c: {"sinceState": c.one("s")},
    "Identity/set": lambda c: {"destroy": ["i"]},
    "EmailSubmission/get": lambda c: {"ids": c.some("m")},
    "EmailSubmission/changes": lambda c: {"sinceState": c.one("s")},
    "EmailSubmission/query": lambda c: {"filter": {"emailIds": c.some("m")}, "calculateTotal": True},
    "EmailSubmission/queryChanges": lambda c: {"sinceQueryState": c.one("s")},
    "EmailSubmission/set": lambda c: {"create": {}},
    "Quota/get": lambda c: {"ids": None},
    "Quota/changes": lambda c: {"sinceState": c.one("s")},
    "Quota/query": lambda c: {"calculateTotal": True},
    "Quota/queryChanges": lambda c: {"sinceQueryState": c.one("s")},
    "TitleSignal/get": lambda c: {"ids": c.draw.choice([None, c.some("g"), c.some("g")])},
    "TitleSignal/changes": lambda c: {"sinceState": c.one("s"), "maxChanges": c.draw.choice([None, 1, 50])},
    "TitleSignal/query": lambda c: {
        "calculateTotal": True, "position": c.draw.randint(-2, 3),
        "filter": c.draw.choice([None, {"titleId": c.draw.choice(("t1", "t2"))}, {"stance": "liked"}, {"text": "film"}]),
    },
}  # fmt: skip


def test_every_method(worlds: tuple[Twin, Twin, Dice]) -> None:
    assert set(CALLS) == set(request.METHODS) | set(request._WITHOUT_ACCOUNT), (
        "a method that this test does not know"
    )
    account = account_of(worlds)
    for seed in range(20):
        calls = Calls(random.Random(seed), account)
        calls.heard(same(worlds, "jmap", [calls.call("Email/query"), calls.call("Mailbox/get")]))
        calls.heard(same(worlds, "jmap", [["Email/get", {"accountId": account, "ids": None}, "all"]]))
        for _ in range(3):
            names = [calls.draw.choice(sorted(CALLS)) for _ in range(4)]
            calls.heard(same(worlds, "jmap", [calls.call(name) for name in names]))
    for name in sorted(CALLS):
        same(worlds, "jmap", [calls.call(name)])
    ranked = same(worlds, "ask", "POST", "/rankings", "partner", json={"limit": 30})
    assert ranked.startswith(b"200") and b'"f3"' in ranked


def account_of(worlds: tuple[Twin, Twin, Dice]) -> str:
    body = same(worlds, "ask", "GET", "/jmap/session", "partner").partition(b"\n\n")[2]
    [account] = json.loads(body)["accounts"]
    return str(account)


# ── MCP ─────────────────────────────────────────────────────────────────────────────────────────────────────
TOOLS: dict[str, list[dict[str, Any]]] = {
    "list_conversations": [{}, {"limit": 1}, {"limit": 0}],
    "search_messages": [{"query": word} for word in WORDS]
    + [{"query": "harbour film", "limit": 1}, {"query": ""}],
    "read_messages": [{"conversation": "cAAAAAAAAAAAAAAAA"}],
    "list_title_signals": [{}, {"limit": 1}, {"limit": 0}, {"stance": "liked"}, {"stance": "secret"}],
}


def test_every_tool(worlds: tuple[Twin, Twin, Dice]) -> None:
    assert set(TOOLS) == set(mcp.TOOLS), "a tool that this test does not know"
    listed = json.loads(same(worlds, "tool", "list_conversations", {}))["conversations"]
    assert listed
    asked = {**TOOLS, "read_messages": [*TOOLS["read_messages"]]}
    for talk in listed:
        asked["read_messages"] += [{"conversation": talk["id"], "limit": n} for n in (1, 50)]
        asked["read_messages"] += [{"conversation": talk["id"], "before": "2026-09-16T00:00:00Z"}]
    for name, each in asked.items():
        for arguments in each:
            same(worlds, "tool", name, arguments)


# ── routes ──────────────────────────────────────────────────────────────────────────────────────────────────
FORM = {"csrf": "csrf"}
OUTSIDE = ("partner", "ann", "bob", "stranger", "desk", "other")
# Pages of the owner show the owner's own messages; their counts may differ. What others see of the same routes
# may not. Path → forms to post (each with every caller from OUTSIDE).
FORMS: dict[str, list[dict[str, str]]] = {
    "/oauth/par": [{}, {"client_id": "streamflix-web"}],
    "/oauth/token": [{}, {"grant_type": "authorization_code", "code": "x"}],
    "/oauth/introspect": [{"token": "t" * 43}, {"token": "x"}],
    "/oauth/revoke": [{"token": "x"}],
    "/oauth/authorize": [{}, {"dialogue": "x", "csrf": "csrf", "decision": "allow"}],
    "/jmap/api": [],
    "/jmap/upload/{account}": [{}],
    "/jmap/upload/{account}/": [{}],
    "/me/signin/{secret}": [{"next": "/me/"}],
    "/me/signout": [],
    "/me/choices": [
        {}, FORM, {**FORM, "answer": "yes", "level": "masked", "purpose": "tailoring"},
        {**FORM, "answer": "no", "level": "none"},
    ],
    "/me/choices/{id}/withdraw": [{}, FORM],
    "/me/grants": [{}, FORM],
    "/me/grants/{id}/revoke": [{}, FORM],
    "/me/grants/{id}/raise": [FORM],
    "/me/grants/{id}/titles": [{**FORM, "title": "t1", "stance": "liked"}, {**FORM, "title": "t1", "remove": "yes"}],
    "/me/grants/{id}/open": [{**FORM, "hours": "1"}],
    "/me/grants/{id}/close": [FORM],
    "/me/tokens": [{**FORM, "understood": "yes"}],
    "/me/tokens/{hash}/revoke": [FORM],
    "/sends": [{"recipient": "x"}],
    "/rankings": [{}, {"limit": "3"}],
    "/reports": [{"manifest": "x"}],
    "/recalls/{id}/answer": [{"x": "y"}],
    "/me/sends/leave/end": [{**FORM, "grant": "00", "person": "00"}],
    "/me/sends/{id}/confirm": [FORM],
    "/me/sends/{id}/decline": [FORM],
    "/me/cards/choose": [FORM, {**FORM, "partner": "streamflix", "cards": "yes", "clicks": "yes"}],
    "/me/{rest:path}": [FORM],
    "/partner/signin": [{}, {"client_id": "streamflix-web"}],
    **{path: [FORM] for role in ("partner", "operator") for path in (
        f"/{role}/signin/{{secret}}", f"/{role}/signout", f"/{role}/{{rest:path}}",
    )},
    "/partner/agreements/{id}/file": [FORM, {**FORM, "act": "submit"}],
    "/operator/outages": [{**FORM, "start": "2026-09-01T09:00"}],
    "/operator/agreements/{id}/waive": [{**FORM, "sequence": "1"}],
    "/operator/agreements/{id}/approve": [{**FORM, "sequence": "1"}],
}  # fmt: skip
READ = {
    "/", "/healthz", "/agreements", "/agreements.json", "/agreements/{id}", "/agreements/{id}.json",
    "/.well-known/jmap", "/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/jmap", "/jmap/session", "/jmap/eventsource", "/jmap/eventsource/",
    "/jmap/download/{account}/{blob}/{name:path}", "/oauth/authorize", "/oauth/grants/{id}", "/me", "/me/",
    "/me/signin", "/me/signin/{secret}", "/me/inbox", "/me/inbox/c/{id}", "/me/inbox/t/{id}", "/me/grants",
    "/me/choices", "/me/readings", "/me/readings.json", "/me/readings.csv", "/me/readings/chart.svg",
    "/me/static/{name}", "/me/{rest:path}", "/sends", "/sends/{id}", "/c/{token}", "/reports", "/recalls", "/reports/arrivals", "/reports/notices",
    "/reports/{id}", "/reports/{id}/{what}", "/me/sends", "/me/sends/{id}", "/me/sends/{id}/why", "/me/grants/{id}/titles", "/me/cards",
    "/me/cards/{id}", "/me/cards/{id}/mail", "/me/cards/{id}/image", "/me/sends/{id}/image", "/me/cards/{id}/oembed",
    "/partner/agreements/{id}/sends", "/partner/agreements/{id}/file",
    *(f"/{role}{path}" for role in ("partner", "operator") for path in (
        "", "/", "/signin/{secret}", "/agreements/{id}", "/agreements/{id}/chart.svg", "/agreements/{id}/reports/{report}",
        "/agreements/{id}/reports/{report}/receipt", "/{rest:path}",
    )),
}  # fmt: skip
LEDGER = {"/ledger/checkpoint", "/ledger/tile/{path:path}"}
"""The public log holds blinded leaves and a count of acts; it is compared by test_the_public_log."""


def places(worlds: tuple[Twin, Twin, Dice], path: str) -> list[str]:
    """`path` with what may stand in it: ids of the view, ids of nothing, names of people."""
    twin = worlds[0]
    account = account_of(worlds)
    body = same(worlds, "jmap", [["Email/get", {"accountId": account, "ids": None}, "a"]])
    blobs = [i.decode() for i in _ID.findall(body) if i.startswith(b"b")][:4]
    values = {
        "account": [account, "nobody"], "blob": [*blobs, "bAAAAAAAAAAAAAAAA"], "name:path": ["a.eml"],
        "id": ["streamflix-deal", "none", twin.granted.grant_id.hex(), "c9", ANN, BOB], "secret": ["x"],
        "hash": ["00"], "rest:path": ["nothing", "people/bob"], "name": ["byleave.css", "none"],
        "token": ["A" * 46, "AQ" + "A" * 44, "x"], "what": ["receipt", "reconciliation", "x"], "report": ["none"],
    }  # fmt: skip
    found = [path]
    for name in re.findall(r"{([^}]+)}", path):
        assert name in values, f"a route with a parameter that this test does not know: {path}"
        found = [p.replace("{" + name + "}", v) for p in found for v in values[name]]
    return found


def recipients(worlds: tuple[Twin, Twin, Dice]) -> list[str]:
    """Everybody in the address book, as the grant would name them."""
    from sqlalchemy import select

    from byleave.store import prepare
    from byleave.store.tables import handle
    from byleave.view.shape import Ids

    twin = worlds[0]
    ids = Ids(twin.world.installation.ids, twin.granted.grant_id)
    with twin.world.store.read() as snapshot:
        people = snapshot.all(prepare(select(handle.c.person)))
    return sorted({f"p{ids.eight(person)}@masked.invalid" for (person,) in people})


def test_every_route(worlds: tuple[Twin, Twin, Dice]) -> None:
    routes = list(worlds[0].app._router.routes)
    gets = {r.path for r in routes if "GET" in r.methods}
    posts = {r.path for r in routes if "POST" in r.methods}
    assert gets == READ | LEDGER, "a route that this test does not know"
    assert posts == set(FORMS), "a form that this test does not know"
    puts = {r.path for r in routes if "PUT" in r.methods}
    assert puts == {"/sends/images/{sha256}"}, "a route that this test does not know"
    assert {m for r in routes for m in r.methods} <= {"GET", "HEAD", "POST", "PUT", "DELETE"}
    for path in sorted(READ):
        for place in places(worlds, path):
            for caller in OUTSIDE:
                same(worlds, "ask", "GET", place, caller)
    for path in sorted(FORMS):
        for place in places(worlds, path):
            for caller in OUTSIDE:
                for form in FORMS[path]:
                    if caller == "bob" and form.get("answer") == "yes":
                        continue  # then his words are hidden no longer
                    same(worlds, "ask", "POST", place, caller, data=form)
    for recipient in ("paaaaaaaa@masked.invalid", *recipients(worlds)):
        body = {
            "recipient": recipient,
            "card": "t1",
            "cell": {"interface": "web", "surface": "chat", "variant": "a"},
        }
        for caller in OUTSIDE:
            same(worlds, "ask", "POST", "/sends", caller, json=body, headers={"Idempotency-Key": recipient})
    for caller in OUTSIDE:
        same(worlds, "ask", "DELETE", "/oauth/grants/none", caller)
        for sha256 in ("0" * 64, "x"):
            same(worlds, "ask", "PUT", f"/sends/images/{sha256}", caller, content=b"no picture")
        for method in ("PUT", "PATCH", "OPTIONS", "HEAD"):
            same(worlds, "ask", method, "/jmap/api", caller)


# ── sequences ───────────────────────────────────────────────────────────────────────────────────────────────
def test_sequences(worlds: tuple[Twin, Twin, Dice]) -> None:
    """SEQUENCES of four requests each: methods with ids of answers before, tools, routes and forms, by whoever. Where
    BYLEAVE_FIRST is set, the sequences from there on: a slice of a long run."""
    draw = random.Random(int(os.environ.get("BYLEAVE_FIRST", "0")))
    calls = Calls(draw, account_of(worlds))
    gets = [place for path in sorted(READ) for place in places(worlds, path)]
    posts = [
        (place, form) for path in sorted(FORMS) for place in places(worlds, path) for form in FORMS[path]
    ]
    talks = json.loads(same(worlds, "tool", "list_conversations", {}))["conversations"]
    tools = [(name, arguments) for name, each in TOOLS.items() for arguments in each]
    tools += [("read_messages", {"conversation": talk["id"], "limit": 50}) for talk in talks]
    for n in range(SEQUENCES):
        for _ in range(4):
            which = draw.random()
            if which < 0.65 or n % 50 == 0:
                names = [draw.choice(sorted(CALLS)) for _ in range(4)]
                calls.heard(same(worlds, "jmap", [calls.call(name) for name in names]))
            elif which < 0.75:
                same(worlds, "tool", *draw.choice(tools))
            elif which < 0.93:
                same(worlds, "ask", "GET", draw.choice(gets), draw.choice(OUTSIDE))
            else:
                caller, (place, form) = draw.choice(OUTSIDE), draw.choice(posts)
                if caller == "bob" and form.get("answer") == "yes":
                    continue  # then his words are hidden no longer
                same(worlds, "ask", "POST", place, caller, data=form)


# ── sends ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_every_send(worlds: tuple[Twin, Twin, Dice]) -> None:
    """To who agreed, who said no, who was never asked and who never was: alike in both worlds, and the sender's page
    and the recipients' with them."""
    twin = worlds[0]
    ids = Ids(twin.installation.ids, twin.granted.grant_id)
    people = [identity.person_of(twin.installation.people, h) for h in (ANN, CAT, BOB, "telegram:user77")]
    card = {
        "type": "recommendation",
        "title_ref": {"scheme": "s", "id": "t1"},
        "title": "The Lighthouse",
        "text": "For you.",
    }
    cell = {"interface": "tv", "surface": "detail", "variant": "card-on_platform"}
    waited = 0
    for n, person in enumerate(people):
        for recipient in (f"p{ids.eight(person)}@masked.invalid", ids.person_id(person), "bob@example.test"):
            body = {"recipient": recipient, "card": card, "cell": cell}
            headers = {"Idempotency-Key": f"{n} {len(recipient)}".replace(" ", "-")}
            for _ in range(2):  # the second time it is the first one's answer
                told = same(worlds, "ask", "POST", "/sends", "partner", json=body, headers=headers)
            if told.startswith(b"202"):
                waited += 1
                id = json.loads(told.partition(b"\n\n")[2])["id"]
                same(worlds, "ask", "POST", f"/me/sends/{id}/confirm", "owner", data=FORM)
                same(worlds, "ask", "GET", f"/sends/{id}", "partner")
    assert waited == 8
    same(worlds, "ask", "GET", "/sends", "partner")
    for caller in OUTSIDE:
        same(worlds, "ask", "GET", "/me/cards", caller)


# ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_public_log(worlds: tuple[Twin, Twin, Dice]) -> None:
    """Its size is all that a stranger learns of acts: as many entries of each kind in both worlds, whatever was asked
    of them above."""
    counted = []
    for twin in worlds[:2]:
        with twin.world.store.read() as snapshot:
            counted.append(dict(snapshot.all(_ENTRIES)))
    assert counted[0] == counted[1] and counted[0]["reading"] > 100
