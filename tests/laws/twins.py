"""Two worlds that differ only in hidden messages, and the running application in each of them.

`Twin(folder, hidden=…)` makes an installation, imports the same visible messages and, where `hidden`, as many
again that nobody outside may see: by people who said nothing, who said no, who said yes to somebody else or in
another conversation; replies, quotes, joins between visible mails, edits, odd kinds, whole conversations. The
address book is the same (DESIGN.md, "Flow": it belongs to the inbox). Randomness and the clock are the same, so
that answers must be the same bytes. `ask` answers (bytes, steps of SQLite's machine).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert
from starlette.testclient import TestClient

from byleave import keys, view
from byleave.consent import agreement, grant, register, token
from byleave.gateway import app, door, mcp
from byleave.gateway.jmap.session import CAPABILITIES
from byleave.installation import open_installation
from byleave.keys import generate, read_jwk
from byleave.model import Conversation, Kind, Level, Person, Record
from byleave.store import prepare
from byleave.store.asking import desk, session
from byleave.words.gazetteer import Title
from tests.servers.partner import CALLBACK, Partner, new_key
from tests.worlds import DAY, NOW, World, chat, mail

BASE = "http://127.0.0.1:8420"
ME, ANN, BOB, CAT, DAN, EVE = (f"telegram:user{n}" for n in range(1000, 1006))
MY_MAIL, ANN_MAIL, BOB_MAIL, CAT_MAIL = (f"mail:{name}@example.test" for name in ("me", "ann", "bob", "cat"))
NAMES = {
    ME: "Robin Vale", ANN: "Ann Lindqvist", BOB: "Bob Okonkwo", CAT: "Cat Moreau", DAN: "Dan Petrov",
    EVE: "Eve Tanaka", MY_MAIL: "Robin Vale", ANN_MAIL: "Ann Lindqvist", BOB_MAIL: "Bob Okonkwo", CAT_MAIL: "Cat Moreau",
}  # fmt: skip
FILMS = [Title("t1", "Paper Moons", 2015), Title("t2", "Salt Ferry", 1999)]
FILMS += [Title(f"f{n}", f"Invented Film Number {n}", 1980 + n, (), n) for n in range(22)]
KEYS = [new_key(), new_key()]
PARTNER_KEY = generate()
_ADD_SESSION = prepare(insert(session))
_ADD_DESK = prepare(insert(desk))


def spoken(text: str, sender: str | None, minute: int, **more: Any) -> Record:
    place = more.pop("place", "c1")
    return chat(
        text, sender, at=NOW - 10 * DAY + minute * 3_600_000, id=f"{place}-{minute}", place=place, **more
    )


def address_book() -> list[Record | Conversation]:
    members = tuple(Person(handle, name) for handle, name in NAMES.items())
    return [
        Conversation(source="telegram", key="c1", name="Friends", members=members),
        Conversation(source="telegram", key="c2", name="Work", members=members),
    ]


def visible(after: int) -> list[Record | Conversation]:
    """What partner and agent may see. `after` 0 is the first export, 1 what a later one adds."""
    if after:
        return [
            spoken("Did you see the lighthouse film again, Robin?", ANN, 120),
            mail(
                "One more thing about the harbour and the film.", ANN_MAIL, at=NOW - 2 * DAY, id="m9@example.test",
                subject="Re: Harbour", references=("m1@example.test", "m2@example.test"),
            ),
        ]  # fmt: skip
    return [
        spoken("I will be at the harbour at nine with Bob, and then we see the film.", ME, 1),
        spoken("The lighthouse was wonderful, I would like to see that film again.", ANN, 2),
        spoken("We could go together on Sunday, what do you think of that?", ANN, 30),
        spoken("Bring the tickets for the train and something to read.", ME, 50, place="c2"),
        spoken("I want to watch the film Paper Moons (2015), have you seen that movie?", ME, 31),
        spoken("Paper Moons (2015) is a great movie, I loved it.", ANN, 32),
        mail("Shall we meet at the harbour on Friday?", ANN_MAIL, at=NOW - 6 * DAY, id="m1@example.test", subject="Harbour"),
        mail(
            "I would rather see the film on Sunday.", ANN_MAIL, at=NOW - 5 * DAY, id="m3@example.test",
            subject="Re: Harbour", references=("m1@example.test", "m2@example.test"),
        ),
        mail(
            "I would, gladly.\n\nOn Tue, 15 Sep 2026 at 10:00, Bob Okonkwo <bob@example.test> wrote:\n> A secret of mine.\n",
            ANN_MAIL, at=NOW - 9 * DAY // 2, id="m5@example.test", subject="Re: Harbour", references=("m3@example.test",),
        ),
        mail(
            "Yes, gladly, at nine then.", MY_MAIL, at=NOW - 4 * DAY, id="m4@example.test", subject="Re: Harbour",
            to=(ANN_MAIL,), references=("m1@example.test",), folder="Sent",
        ),
    ]  # fmt: skip


def hidden(after: int) -> list[Record | Conversation]:
    """What nobody outside may see: the difference between the worlds."""
    if after:
        return [
            spoken("Another secret about the lighthouse film.", BOB, 121),
            mail("A late secret about the harbour.", BOB_MAIL, at=NOW - DAY, id="h9@example.test", references=("m9@example.test",)),
        ]  # fmt: skip
    return [
        spoken("A secret about the harbour and the film.", BOB, 0),
        spoken("I loved the movie Salt Ferry (1999), our secret.", BOB, 33),
        spoken("I hated Paper Moons (2015), a terrible movie and no secret.", CAT, 34),
        spoken("The secret number is 44 7700 900321, tell nobody.", BOB, 3, reply_to="c1-2"),
        spoken("I said no to all of this film talk.", CAT, 4, reply_to="c1-30"),
        spoken("I said yes, but not here.", DAN, 5),
        spoken("I said yes to somebody else.", EVE, 6),
        spoken("Nobody knows who wrote this about the lighthouse.", None, 7),
        spoken("", ANN, 9, kind=Kind.DELETED),
        spoken("joined", ANN, 10, kind=Kind.MEMBER),
        spoken("A conversation of secrets.", BOB, 11, place="c3"),
        spoken("Another one.", BOB, 12, place="c4"),
        mail(
            "The harbour secret.", BOB_MAIL, at=NOW - 11 * DAY // 2, id="m2@example.test", subject="Re: Harbour secret",
            references=("m1@example.test",),
        ),
        mail("> Shall we meet at the harbour on Friday?\n\nNo.", CAT_MAIL, at=NOW - 3 * DAY, id="h4@example.test"),
        *(mail(f"Secret {n}", BOB_MAIL, at=NOW - 7 * DAY - n, id=f"h{n}x@example.test") for n in range(12)),
    ]  # fmt: skip


class Twin:
    """One world with its application, its partner, its assistant and a sender who is signed in."""

    def __init__(self, folder: Path, hidden_too: bool) -> None:
        folder.mkdir()
        self.hidden = hidden_too
        self.world = world = World(folder)
        world.partner_key = PARTNER_KEY
        self.owner_id = world.owner()
        world.shelve(FILMS)
        self.put(0)
        self.other_id = world.owner("other")  # an inbox of which nothing differs
        elsewhere = [spoken("Bob writes to somebody else too.", BOB, 1), spoken("And I answer him.", DAN, 2)]
        world.put(self.other_id, elsewhere, own=[DAN])
        deal = world.agree((("tailoring", "masked"), ("portability", "text")))
        for handle in (ANN, ANN_MAIL):
            world.choose(handle, Level.TEXT, "tailoring")
            world.choose(handle, Level.TEXT, "own-agent")
        world.choose(CAT, Level.NONE, None)
        world.choose(DAN, Level.TEXT, "tailoring", conversation="telegram/c2")
        world.choose(EVE, Level.TEXT, "tailoring", partner="otherflix")
        self.granted = world.allow(self.owner_id, agreement_id=deal, partner="streamflix")
        self.agent = world.allow(self.owner_id, "own-agent", Level.TEXT)
        metadata = {
            "client_id": "streamflix-web", "agreement": deal, "redirect_uris": [CALLBACK],
            "jwks": {"keys": [world.partner_key.public()]},
        }  # fmt: skip
        world.store.write(
            register.add_client, json.dumps(metadata).encode(), world.now, world.id(), b"s" * 32
        )
        self.partner = Partner(BASE, "streamflix-web", KEYS[0])
        self.partner.proof_key = KEYS[1]
        self.partner.token = "t" * 43
        self.sessions = {
            name: hashlib.sha256(name.encode()).hexdigest() for name in ("owner", "ann", "bob", "other")
        }
        world.store.write(_prepare, self._tokens(), self._page_sessions(), world.now)
        world.store.write(_desks, world.now)
        self.put(1)
        self.installation = open_installation(world.path)
        self.app = app.Gateway(self.installation, BASE, lambda: world.now)
        self.http = TestClient(self.app, base_url=BASE, follow_redirects=False)
        self.partner.http = self.http
        self.partner.nonce = self.app.guard.nonce(world.now)
        self._steps = self._proofs = 0
        self._kept: dict[tuple[bytes, bytes], Any] = {}
        self.work: list[tuple[int, str]] = []
        """Of the last answer: each statement, and how many steps had been taken when it began."""
        self.installation.store.count_steps(self._step, lambda text: self.work.append((self._steps, text)))
        with world.store.read() as snapshot:
            found = grant.find(snapshot, self.owner_id, self.granted.grant_id)
        self.granted = found

    def put(self, after: int) -> None:
        """Imports; the hidden ones stand between the visible ones."""
        shown, secret = visible(after), hidden(after) if self.hidden else []
        mixed = [r for pair in zip(shown, secret, strict=False) for r in pair]
        mixed += shown[len(secret) :] + secret[len(shown) :]
        self.world.put(self.owner_id, [*address_book(), *mixed], own=[ME, MY_MAIL])

    def _tokens(self) -> list[Any]:
        jkt = read_jwk(self.partner.proof_key).thumbprint()
        return [token.hash_of(self.partner.token), self.owner_id, self.granted.grant_id, jkt]

    def _page_sessions(self) -> list[Any]:
        """[hash, kind, owner, handle, grant]: the owner, two senders, another inbox's owner, and the assistant's open session."""
        mine = [(self.owner_id, None), (None, ANN), (None, BOB), (self.other_id, None)]
        made: list[Any] = [
            [hashlib.sha256(secret.encode()).digest(), "page", owner, handle, None]
            for secret, (owner, handle) in zip(self.sessions.values(), mine, strict=True)
        ]
        return [*made, [b"a" * 32, "agent", self.owner_id, None, self.agent.grant_id]]

    def statements(self) -> list[tuple[str, int]]:
        """The statements of the last answer with their steps."""
        return [(text[:200], then - at) for (at, text), (then, _) in pairwise(self.work)]

    # ── asking ──
    def _step(self) -> None:
        self._steps += 1

    def counted(self, made: Any) -> tuple[Any, int]:
        """What `made()` answers, and how many steps of SQLite's machine it took. What a process keeps between requests
        is each world's own: here both are in one."""
        view._IDS = self._kept
        self.work.clear()
        before = self._steps
        answer = made()
        self.work.append((self._steps, ""))
        return answer, self._steps - before

    def jmap(self, calls: list[Any]) -> tuple[bytes, int]:
        return self.ask(
            "POST", "/jmap/api", "partner", json={"using": list(CAPABILITIES), "methodCalls": calls}
        )

    def tool(self, name: str, arguments: dict[str, Any]) -> tuple[bytes, int]:
        def made() -> bytes:
            try:
                return mcp.answer(
                    self.installation, self.owner_id, self.agent.grant_id, name, arguments, self.world.now
                ).body
            except Exception as error:
                return f"{type(error).__name__} {error}".encode()

        body, steps = self.counted(made)
        return body, steps

    def ask(self, method: str, path: str, caller: str, **options: Any) -> tuple[bytes, int]:
        """Status, headers and body of one request as bytes."""
        headers = dict(options.pop("headers", {}))
        self.http.cookies.clear()
        if caller == "partner":
            self._proofs += 1
            claims = {"iat": self.world.now // 1000, "jti": f"proof {self._proofs}"}
            proof = self.partner.proof(
                method, path.partition("?")[0], token=self.partner.token, claims=claims
            )
            headers |= {"Authorization": f"DPoP {self.partner.token}", "DPoP": proof}
        elif caller in self.sessions:
            headers["Cookie"] = f"byleave={self.sessions[caller]}"
        elif caller == "desk":  # somebody who is signed in at both
            headers["Cookie"] = "byleave-partner=desk-partner; byleave-operator=desk-operator"
        answer, steps = self.counted(lambda: self.http.request(method, path, headers=headers, **options))
        return wire(answer), steps

    def close(self) -> None:
        self.installation.store.close()
        self.world.store.close()


def wire(answer: httpx.Response) -> bytes:
    lines = [f"{answer.status_code}", *sorted(f"{n}: {v}" for n, v in answer.headers.items())]
    return "\n".join(lines).encode() + b"\n\n" + answer.content


def _prepare(tx: Any, bound: list[Any], pages: list[Any], now: int) -> None:
    hash, owner_id, grant_id, jkt = bound
    token.issue(tx, hash, owner_id, grant_id, "streamflix-web", jkt, None, "inbox.read send signals", now)
    for hash, kind, owner, handle, of_grant in pages:
        tx.run(
            _ADD_SESSION, hash=hash, kind=kind, owner_id=owner, handle=handle, grant_id=of_grant, csrf="csrf",
            expires_at=now + 12 * 3_600_000,
        )  # fmt: skip


def _desks(tx: Any, now: int) -> None:
    for role, name in (("partner", "streamflix"), ("operator", "operator:a")):
        hash = hashlib.sha256(f"desk-{role}".encode()).digest()
        tx.run(
            _ADD_DESK, hash=hash, role=role, stage="open", name=name, client_id=None, operative=None, csrf="csrf",
            expires_at=now + 12 * 3_600_000,
        )  # fmt: skip


class Dice:
    """Randomness that is the same in both worlds: reset before each request."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.n = 0
        patch.setattr(door, "CONFIRM_S", 3600.0)  # else the machine's load says whose answer it falls into
        patch.setattr(os, "urandom", self.draw)
        patch.setattr(secrets, "token_bytes", lambda n=32: self.draw(n or 32))
        patch.setattr(secrets, "token_urlsafe", lambda n=32: self.draw(n or 32).hex()[: (n or 32)])
        made: dict[tuple[int, str], keys.Key] = {}
        patch.setattr(keys, "generate", lambda alg="ES256": self._key(made, alg))
        signed: dict[tuple[bytes, str], Any] = {}
        sign = agreement.sign  # an ES256 signature is drawn anew each time
        patch.setattr(
            agreement, "sign", lambda a, key: signed.setdefault((a.encode(), key.kid), sign(a, key))
        )
        for name, module in list(sys.modules.items()):
            if name.startswith("byleave.") and hasattr(module, "uuid7"):
                patch.setattr(module, "uuid7", self.uuid)

    def _key(self, made: dict[tuple[int, str], keys.Key], alg: str) -> keys.Key:
        self.n += 1
        return made.setdefault((self.n, alg), generate(alg))

    def draw(self, n: int) -> bytes:
        self.n += 1
        return hashlib.shake_128(self.n.to_bytes(8, "big")).digest(n)

    def uuid(self) -> Any:
        drawn = self.draw(8)

        class Drawn:
            bytes = b"\x7f" * 8 + drawn
            hex = bytes.hex()

        return Drawn
