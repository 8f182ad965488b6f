"""Choices: a sender's own, and what an owner types for somebody else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.pages.site import Site, text_of
from tests.worlds import chat

from byleave.consent import choice, identity
from byleave.consent.choice import Choice
from byleave.model import Level, Mode

ANN, BOB, ME = "telegram:user1", "whatsapp:Pier/Bob", "telegram:user9"


def history(site: Site, handle: str) -> list[Choice]:
    people = site.world.installation.people
    with site.world.store.read() as snapshot:
        return choice.history(snapshot, identity.person_of(people, handle), handle)


def decided(site: Site, handle: str, purpose: str = "tailoring", **where: Any) -> Level | None:
    at = {"partner": None, "conversation": "telegram/c1", **where}
    return choice.decide(history(site, handle), purpose=purpose, **at)


def world(site: Site) -> bytes:
    owner = site.world.owner("marjorie")
    site.world.put(
        owner,
        [chat("harbour", ANN), chat("oars", BOB, source="whatsapp", place="Pier"), chat("mine", ME)],
        own=[ME],
    )
    return owner


def test_a_yes_can_be_raised_in_one_step(site: Site) -> None:
    world(site)
    site.sign_in(handle=ANN)
    assert (
        site.post("/me/choices", level="signals", purpose="tailoring")
        .headers["location"]
        .endswith("done=yes")
    )
    assert decided(site, ANN) is Level.SIGNALS
    assert (
        site.post("/me/choices", level="masked", purpose="tailoring")
        .headers["location"]
        .endswith("done=instead")
    )
    assert decided(site, ANN) is Level.MASKED
    assert [c.withdrawn_at is None for c in history(site, ANN)] == [False, True]
    site.post("/me/choices", level="signals", purpose="tailoring")
    assert decided(site, ANN) is Level.SIGNALS
    assert "in place of your earlier one" in site.get("/me/choices?done=instead").text


def test_one_click_says_no_to_everything(site: Site) -> None:
    world(site)
    site.sign_in(handle=ANN)
    site.post("/me/choices", level="masked", purpose="tailoring")
    site.post("/me/choices", level="text", purpose="own-agent")
    assert site.post("/me/choices", level="none").status_code == 303
    assert decided(site, ANN) is Level.NONE and decided(site, ANN, "own-agent") is Level.NONE
    page = text_of(site.get("/me/choices").text)
    assert "by a later no" in page


def test_withdrawing_is_one_click(site: Site) -> None:
    world(site)
    site.sign_in(handle=ANN)
    site.post("/me/choices", level="masked", purpose="tailoring")
    path = re.search(r"/me/choices/\w+/withdraw", site.get("/me/choices").text)
    assert path and site.post(path[0]).headers["location"].endswith("done=withdrawn")
    assert decided(site, ANN) is None
    site.sign_in(handle=BOB)
    assert site.post(path[0]).status_code == 404


def test_for_one_partner_or_one_conversation(site: Site) -> None:
    world(site)
    site.world.agree()
    site.sign_in(handle=BOB)
    assert 'value="whatsapp/Pier"' in site.get("/me/choices").text
    site.post(
        "/me/choices", level="masked", purpose="tailoring", partner="streamflix", conversation="whatsapp/Pier"
    )
    assert decided(site, BOB, partner="streamflix", conversation="whatsapp/Pier") is Level.MASKED
    assert decided(site, BOB, partner="other", conversation="whatsapp/Pier") is None
    assert decided(site, BOB, partner="streamflix", conversation="whatsapp/Else") is None


@pytest.mark.parametrize(
    "fields",
    [
        {"level": "masked"},
        {"level": "text", "purpose": "tailoring"},
        {"level": "masked", "purpose": "owner"},
        {"level": "masked", "purpose": "nothing"},
        {"level": "", "purpose": "tailoring"},
        {"level": "masked", "purpose": "tailoring", "partner": "nobody"},
        {"level": "masked", "purpose": "tailoring", "conversation": "telegram/c1"},
        {"level": "masked", "purpose": "own-agent", "partner": "streamflix"},
    ],
)
def test_a_choice_that_cannot_be_is_refused_on_the_page(site: Site, fields: dict[str, str]) -> None:
    world(site)
    site.world.agree()
    site.sign_in(handle=ANN)
    assert site.post("/me/choices", fields).status_code == 400
    assert history(site, ANN) == []


@pytest.mark.parametrize("mode", [Mode.PERSONAL, Mode.SANDBOX])
def test_an_owner_types_for_their_own_assistant_only(tmp_path: Path, mode: Mode) -> None:
    site = Site(tmp_path, mode)
    owner = world(site)
    site.sign_in(owner)
    assert site.post("/me/choices", handle=ANN, level="masked", purpose="tailoring").status_code == 303
    (made,) = history(site, ANN)
    assert (made.purpose, made.by, made.by_owner, made.level) == ("own-agent", "owner", owner, Level.MASKED)
    for fields in (
        {"handle": ANN, "level": "text"},
        {"handle": "mail:nobody@example.test", "level": "masked"},
        {"handle": ME, "level": "masked"},
        {"handle": "", "level": "masked"},
        {"handle": "x", "level": "none"},
    ):
        assert site.post("/me/choices", fields).status_code == 400
    assert len(history(site, ANN)) == 1
    assert ("Sandbox" in site.get("/me/choices").text) is (mode is Mode.SANDBOX)


def test_in_a_providers_store_nobody_types_for_others(tmp_path: Path) -> None:
    site = Site(tmp_path, Mode.PROVIDER)
    owner = world(site)
    site.sign_in(owner)
    assert site.get("/me/choices").status_code == 404
    assert site.post("/me/choices", handle=ANN, level="masked").status_code == 404
    assert history(site, ANN) == []


def test_an_owner_never_sees_what_a_person_chose(site: Site) -> None:
    owner = world(site)
    site.sign_in(owner)
    before = site.get("/me/choices").text
    chosen = site.world.choose(ANN, Level.NONE)
    assert site.get("/me/choices").text == before
    assert site.post(f"/me/choices/{chosen.hex()}/withdraw").status_code == 404
    site.post("/me/choices", handle=ANN, level="masked")
    assert decided(site, ANN, "own-agent") is None  # no owner named: what was typed counts for nobody else
    site.sign_in(handle=ANN)
    page = text_of(site.get("/me/choices").text)
    assert "typed for you by the owner of an inbox" in page and "marjorie" not in page
