"""Grants: made, ended and raised by an owner; the assistant's session; the mail client's token."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.gateway.pages.site import Site, loads
from tests.worlds import DAY, chat

from byleave.consent import grant
from byleave.consent.grant import Grant
from byleave.gateway import mcp
from byleave.ledger import log
from byleave.model import Level
from byleave.view import Query, open_view

ANN, BOB, ME = "telegram:user1", "telegram:user2", "telegram:user9"


def world(site: Site) -> bytes:
    owner = site.world.owner()
    site.world.put(owner, [chat("harbour", ANN), chat("lanterns", BOB), chat("mine", ME)], own=[ME])
    site.sign_in(owner)
    return owner


def grants(site: Site, owner: bytes) -> list[Grant]:
    with site.world.store.read() as snapshot:
        return [g for g in grant.of_owner(snapshot, owner) if not g.for_owner]


def visible(site: Site, found: Grant) -> int | None:
    with site.world.store.read() as snapshot:
        view = open_view(snapshot, found, site.world.installation.ids, site.world.now)
        return None if view is None else len(view.query(Query()).borns)


def connect(site: Site, owner: bytes, **fields: Any) -> Grant:
    answer = site.post("/me/grants", {"level": "text", "scope": "all", "until": "", **fields})
    assert answer.status_code == 303, answer.text
    return grants(site, owner)[-1]


def test_connecting_an_assistant_and_ending_it(site: Site) -> None:
    owner = world(site)
    found = connect(site, owner)
    assert (found.purpose, found.level, found.unanswered, found.partner) == (
        "own-agent",
        Level.TEXT,
        Level.NONE,
        None,
    )
    assert visible(site, found) == 1
    assert site.post(f"/me/grants/{found.grant_id.hex()}/revoke").status_code == 303
    assert visible(site, grants(site, owner)[0]) is None
    assert "Ended" in site.get("/me/grants").text


def test_conversations_and_last_day_are_the_owners(site: Site) -> None:
    owner = world(site)
    found = connect(site, owner, scope="all-but", conversation=["telegram/c1"], until="2026-09-25")
    assert found.scope.mode == "all-but" and visible(site, found) == 0
    assert site.world.now < found.expires_at < site.world.now + 6 * DAY


@pytest.mark.parametrize(
    "fields",
    [
        {"level": "full"},
        {"level": "everything"},
        {"level": ""},
        {"scope": "listed"},
        {"scope": "some"},
        {"until": "2020-01-01"},
        {"until": "soon"},
        {"until": "99999-01-01"},
        {"level": ["text", "masked"]},
    ],
)
def test_a_grant_that_cannot_be_is_refused_on_the_page(site: Site, fields: dict[str, Any]) -> None:
    owner = world(site)
    answer = site.post("/me/grants", {"level": "text", "scope": "all", "until": "", **fields})
    assert answer.status_code == 400 and grants(site, owner) == []


def test_raising_the_unanswered_is_an_act_of_its_own(site: Site) -> None:
    owner = world(site)
    old = connect(site, owner)
    site.world.choose(BOB, Level.NONE, "own-agent")
    assert site.post(f"/me/grants/{old.grant_id.hex()}/raise").status_code == 400
    assert len(grants(site, owner)) == 1
    site.post(f"/me/grants/{old.grant_id.hex()}/raise", understood="yes")
    site.world.work()
    first, second = grants(site, owner)
    assert (
        first.revoked_at is not None
        and second.unanswered is Level.MASKED
        and second.expires_at == old.expires_at
    )
    assert visible(site, second) == 2  # mine and Ann's; Bob's no stays a no
    with site.world.store.read() as snapshot:
        assert len(log.of_kind(snapshot, owner, "unanswered")) == 1
    assert "refused" in site.get("/me/grants").text or second.unanswered


def test_the_honest_sentence_stands_where_one_raises(site: Site) -> None:
    connect(site, world(site))
    assert "you will be able to tell that what stays hidden was refused" in site.get("/me/grants").text


def test_an_assistant_answers_while_a_session_is_open(site: Site) -> None:
    owner = world(site)
    found = connect(site, owner)
    path = f"/me/grants/{found.grant_id.hex()}"
    for hours in ("0", "13", "-1", "x", "", "999999999999"):
        assert site.post(path + "/open", hours=hours).status_code == 400
    assert site.post(path + "/open", hours="4").status_code == 303
    with site.world.store.read() as snapshot:
        assert mcp.session_until(snapshot, found) == site.world.now + 4 * 3_600_000
    assert site.post(path + "/close").status_code == 303
    with site.world.store.read() as snapshot:
        assert mcp.session_until(snapshot, found) is None
    site.post(path + "/open", hours="4")
    site.post(path + "/revoke")
    with site.world.store.read() as snapshot:
        assert mcp.session_until(snapshot, found) is None


def test_the_owners_token_is_shown_once_and_can_be_ended(site: Site) -> None:
    world(site)
    assert site.post("/me/tokens").status_code == 400
    page = site.post("/me/tokens", understood="yes").text
    assert "reads everything" in page
    secret = re.search(r'class="code">([\w-]{43})<', page)
    assert secret and secret[1] not in site.get("/me/grants").text
    bearer = {"Authorization": f"Bearer {secret[1]}"}
    assert loads(site.browser().get("/.well-known/jmap", headers=bearer))["accounts"]
    path = re.search(r"/me/tokens/\w+/revoke", site.get("/me/grants").text)
    assert path and site.post("/me/tokens/" + "00" * 32 + "/revoke").status_code == 404
    assert site.post(path[0]).status_code == 303
    assert site.browser().get("/.well-known/jmap", headers=bearer).status_code == 401


def test_the_inboxs_own_grant_is_not_ended_by_a_click(site: Site) -> None:
    owner = world(site)
    with site.world.store.read() as snapshot:
        own = next(g for g in grant.of_owner(snapshot, owner) if g.for_owner)
    assert site.post(f"/me/grants/{own.grant_id.hex()}/revoke").status_code == 404
    for odd in ("zz", "00", "é", "../x"):
        assert site.post(f"/me/grants/{odd}/revoke").status_code == 404
