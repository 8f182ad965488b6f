"""Law 7. Nothing answers whether a person, number, address or conversation is known.

The same question is put about somebody in the address book and about somebody invented, by everybody who is not
the owner, wherever a question can name somebody: the answers differ in the name asked for alone. People appear as
ids that mean something within one grant only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from byleave.model import Level
from tests.laws.twins import ANN, BOB, BOB_MAIL, NAMES, Dice, Twin
from tests.servers.partner import CALLBACK
from tests.worlds import NOW

PAIRS = [  # known to the inbox, and of the same length, unknown to everybody
    (BOB, "telegram:user9004"), (BOB_MAIL, "mail:rob@example.test"), (NAMES[BOB], "Rob Okonjwo"),
    ("user1002@telegram.invalid", "user9002@telegram.invalid"), ("telegram/c1", "telegram/c9"), ("bob", "qob"),
]  # fmt: skip


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    with pytest.MonkeyPatch.context() as patch:
        dice = Dice(patch)
        made = Twin(tmp_path_factory.mktemp("directory") / "one", True)
        made.dice = dice  # type: ignore[attr-defined]
        yield made
        made.close()


def alike(twin: Twin, ask: Any) -> None:
    """`ask(name)` of each pair gives the same answer and the same work but for the name."""
    for known, unknown in PAIRS:
        told = []
        for name in (known, unknown):
            body, steps = ask(name)
            for form in {name, name.lower(), _id(name)}:
                body = body.replace(form.encode(), b"NAME")
            told.append((body, steps))
        (a, work), (b, other) = told
        assert hide(a) == hide(b), (known, a[-300:], b[-300:])
        assert work == other, (known, work, other)


def hide(body: bytes) -> bytes:
    return re.sub(rb"content-length: \d+", b"", body)


def test_filters_by_people(twin: Twin) -> None:
    account = json.loads(twin.ask("GET", "/jmap/session", "partner")[0].partition(b"\n\n")[2])["accounts"]
    [account_id] = account
    for field in ("from", "to", "cc", "bcc"):
        alike(
            twin,
            lambda name, field=field: twin.jmap(
                [
                    [
                        "Email/query",
                        {"accountId": account_id, "filter": {field: name}, "calculateTotal": True},
                        "q",
                    ]
                ]
            ),
        )


def test_ids_made_of_names(twin: Twin) -> None:
    session = json.loads(twin.ask("GET", "/jmap/session", "partner")[0].partition(b"\n\n")[2])
    [account_id] = session["accounts"]
    for method in ("Email/get", "Thread/get", "Mailbox/get"):
        alike(twin, lambda n, m=method: twin.jmap([[m, {"accountId": account_id, "ids": [_id(n)]}, "g"]]))
    alike(twin, lambda n: twin.jmap([["Mailbox/get", {"accountId": _id(n)}, "g"]]))
    alike(twin, lambda n: twin.ask("GET", f"/jmap/download/{account_id}/{_id(n)}/x", "partner"))
    alike(twin, lambda n: twin.tool("read_messages", {"conversation": n}))


def _id(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "-", name)


def test_pages(twin: Twin) -> None:
    for caller in ("ann", "stranger", "partner"):
        for path in (
            "/me/choices?done={}",
            "/me/people/{}",
            "/agreements/{}",
            "/me/inbox/c/{}",
            "/me/readings?who={}",
        ):
            alike(twin, lambda n, c=caller, p=path: twin.ask("GET", p.format(_id(n)), c))


def test_asking_for_a_conversation_or_an_inbox(twin: Twin) -> None:
    """A partner that pushes a request may name conversations: no answer tells which there are."""

    def push(name: str) -> tuple[bytes, int]:
        twin._proofs += 1
        claims = {"iat": NOW // 1000, "exp": NOW // 1000 + 60, "jti": f"push {twin._proofs}"}
        twin.partner.key = {**twin.world.partner_key.to_private()}
        details = twin.partner.details(conversations=[name])
        form = {
            **twin.partner.client(claims=claims), "response_type": "code", "redirect_uri": CALLBACK, "state": "s",
            "code_challenge_method": "S256", "code_challenge": "c" * 43, "scope": "inbox.read",
            "authorization_details": json.dumps(details), "login_hint": name,
        }  # fmt: skip
        body, _ = twin.ask("POST", "/oauth/par", "stranger", data=form)
        return re.sub(rb"urn:ietf[^\"]*", b"", body), 0  # its steps grow with the client's own open requests

    alike(twin, push)


def test_ids_of_people_belong_to_one_grant(twin: Twin) -> None:
    """Ann is somebody else in every grant."""
    world = twin.world
    world.choose(ANN, Level.MASKED, "portability")
    other = world.allow(
        twin.owner_id, "portability", Level.MASKED, agreement_id="streamflix-deal", partner="streamflix"
    )
    names = []
    from tests.gateway.jmap.conftest import Account

    for found in (twin.granted, other):
        shown = Account(world, found).emails("from", "to")
        names.append({p["email"] for e in shown for p in (*(e["from"] or ()), *(e["to"] or ()))})
    assert all(names) and not names[0] & names[1]
    assert not [n for n in names[0] | names[1] if "user10" in n or "example.test" in n]
