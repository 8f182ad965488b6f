"""The consent page: the sentence, the dry run, and an answer of equal weight either way."""

from __future__ import annotations

import html
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import msgspec
from tests.gateway.pages.site import BASE, Site, text_of
from tests.worlds import NOW, chat

from byleave.consent import grant, register
from byleave.gateway.oauth import par
from byleave.model import Level

ANN, BOB, ME = "telegram:user1", "telegram:user2", "telegram:user9"


def world(site: Site, purposes: Any = (("tailoring", "masked"),)) -> bytes:
    owner = site.world.owner("marjorie")
    site.world.put(
        owner,
        [
            chat("harbour at nine", ANN),
            chat("lanterns please", BOB),
            chat("mine alone", ME),
            chat("elsewhere", ME, place="c2"),
        ],
        own=[ME],
    )
    site.world.agree(purposes)
    key = site.world.partner_key.public()
    client = {
        "client_id": "streamflix",
        "agreement": "streamflix-deal",
        "redirect_uris": ["https://streamflix.example/cb"],
        "jwks": {"keys": [key]},
    }
    site.world.store.write(register.add_client, json.dumps(client).encode(), NOW, b"\x03" * 16, b"s" * 32)
    site.world.choose(ANN, Level.MASKED)
    return owner


def asks(site: Site, purpose: str = "tailoring", level: str = "masked", **more: Any) -> str:
    """The address that the partner sends the owner to."""
    details = par.Details(
        type="inbox_access",
        purpose=purpose,
        level=level,
        agreement="streamflix-deal",
        locations=[BASE + "/jmap"],
        **more,
    )
    pushed = par.Pushed(
        client_id="streamflix",
        redirect_uri="https://streamflix.example/cb",
        state="st",
        code_challenge="x" * 43,
        jkt=None,
        operative="reader-7",
        scope="inbox.read",
        details=details,
    )
    secret = f"pushed{next(_SERIAL)}"
    site.world.store.write(
        par.add,
        par.hash_of(secret),
        par.PAR,
        "streamflix",
        msgspec.json.encode(pushed).decode(),
        NOW + 60_000,
    )
    return "/oauth/authorize?" + urlencode({"client_id": "streamflix", "request_uri": par.URN + secret})


_SERIAL = iter(range(10**6))


def fields_of(page: str) -> dict[str, str]:
    found = re.findall(
        r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.partition('action="/oauth/authorize"')[2]
    )
    return {name: html.unescape(value) for name, value in found}


def answer(site: Site, page: httpx.Response, **fields: Any) -> httpx.Response:
    return site.client.post("/oauth/authorize", data={**fields_of(page.text), **fields})


def test_one_sentence_and_exactly_what_they_would_get(site: Site) -> None:
    owner = world(site)
    site.sign_in(owner)
    page = site.get(asks(site))
    said = text_of(page.text)
    sentence = "(reader-7) will read your conversations, for tailoring , at masked , until 20 Dec 2026"
    assert sentence in said
    assert "3 messages: 2 of your own, 1 of 1 person who said yes" in said
    assert "harbour at nine" in said and "mine alone" in said and "lanterns" not in said
    assert "form-action 'self' https://streamflix.example" in page.headers["content-security-policy"]
    (reading,) = [r for r in site.readings(owner) if "preview" in r.endpoint]
    assert (reading.purpose, reading.partner, reading.messages) == ("owner", None, 3)


def test_at_signals_no_message_stands_in_the_dry_run(site: Site) -> None:
    site.sign_in(world(site))
    said = text_of(site.get(asks(site, level="signals")).text)
    assert "no message leaves" in said and "harbour" not in said


def test_a_yes_makes_the_grant_that_the_page_said(site: Site) -> None:
    owner = world(site)
    site.sign_in(owner)
    page = site.get(asks(site))
    gone = answer(
        site,
        page,
        decision="allow",
        level="signals",
        scope="listed",
        conversation="telegram/c2",
        until="2026-10-01",
    )
    assert gone.status_code == 303
    to = urlsplit(gone.headers["location"])
    assert to.netloc == "streamflix.example" and parse_qs(to.query)["code"]
    with site.world.store.read() as snapshot:
        made = [g for g in grant.of_owner(snapshot, owner) if not g.for_owner]
    assert [(g.level, g.scope.of, g.partner) for g in made] == [
        (Level.SIGNALS, ("telegram/c2",), "streamflix")
    ]
    assert "Streamflix".lower() in site.get("/me/grants").text.lower()


def test_a_no_shares_nothing(site: Site) -> None:
    owner = world(site)
    site.sign_in(owner)
    gone = answer(site, site.get(asks(site)), decision="deny")
    assert "error=access_denied" in gone.headers["location"]
    with site.world.store.read() as snapshot:
        assert [g for g in grant.of_owner(snapshot, owner) if not g.for_owner] == []


def test_what_cannot_be_is_asked_again_with_one_sentence(site: Site) -> None:
    owner = world(site)
    site.sign_in(owner)
    page = site.get(asks(site))
    for wrong in ({"scope": "listed"}, {"level": "full"}, {"until": "2020-01-01"}, {"level": "<b>"}):
        page = answer(site, page, decision="allow", **wrong)
        assert (
            page.status_code == 400 and "Nothing was shared." in text_of(page.text) and "<b>" not in page.text
        )
    with site.world.store.read() as snapshot:
        assert [g for g in grant.of_owner(snapshot, owner) if not g.for_owner] == []


def test_both_answers_weigh_the_same(site: Site) -> None:
    site.sign_in(world(site))
    buttons = re.findall(r"<button([^>]*)>", site.get(asks(site)).text.partition('class="decide"')[2])
    assert [re.sub(r'value="\w+"', "", b).strip() for b in buttons] == ['name="decision"'] * 2


def test_a_narrow_request_is_shown_narrow(site: Site) -> None:
    site.sign_in(world(site))
    said = text_of(site.get(asks(site, conversations=["telegram/c2"])).text)
    assert "1 conversation of yours" in said and "elsewhere" in said and "harbour" not in said


def test_a_sender_or_nobody_is_asked_to_sign_in(site: Site) -> None:
    world(site)
    page = site.get(asks(site))
    assert page.status_code == 401 and "Sandbox" in page.text
    assert "Sandbox" in site.get("/oauth/authorize?client_id=x").text
    site.sign_in(handle=ANN)
    assert site.get(asks(site)).status_code == 401
