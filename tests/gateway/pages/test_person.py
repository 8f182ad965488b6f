"""Signing in, whose pages are whose, and who read what."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from lxml import etree
from tests.gateway.pages.site import Site, loads, text_of
from tests.worlds import DAY, chat, mail

from byleave.consent import grant
from byleave.consent.grant import Grant
from byleave.model import Level
from byleave.view import Picker, Query, open_view
from byleave.view.reading import Who

ANN = "telegram:user1"
BOB = "telegram:user2"


def town(site: Site) -> bytes:
    """Owner with words of Ann, Bob and their own."""
    owner = site.world.owner("marjorie")
    site.world.put(
        owner,
        [
            chat("harbour at nine", ANN),
            chat("lanterns please", BOB),
            chat("mine alone", "telegram:user9"),
            mail("letter words", "mail:ann@example.test", subject="Boats"),
        ],
        own=["telegram:user9"],
    )
    return owner


def read(site: Site, owner: bytes, found: Grant, operative: str = "reader-7") -> None:
    """One answer to the holder of a grant."""
    world = site.world
    with world.store.read() as snapshot:
        view = open_view(snapshot, found, world.installation.ids, world.now)
        assert view is not None
        view.emails(view.query(Query()).borns, Picker(["id"], body_values=False, max_body_bytes=0))
    who = Who(account=view.account_id, purpose=found.purpose, operative=operative, partner=found.partner)
    view.reading.release_now(world.store, b"x", world.now, who)
    site.tell()


def test_a_link_is_used_by_its_button_and_once(site: Site) -> None:
    owner = town(site)
    link = site.link(owner)
    for _ in range(3):  # previews of the link burn nothing
        assert site.get(link).status_code == 200
    first = site.client.post(link, data={"next": "/me/inbox"})
    assert (first.status_code, first.headers["location"]) == (303, "/me/inbox")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=lax" in cookie.lower() and "Path=/" in cookie
    assert "Secure" not in cookie and cookie.startswith("byleave=")
    assert site.browser().post(link, data={}).status_code == 400
    assert site.get("/me/").status_code == 200


def test_an_old_link_is_no_link(site: Site) -> None:
    link = site.link(town(site))
    site.world.now += 120_000
    assert site.client.post(link, data={}).status_code == 400
    assert site.get("/me/").status_code == 401


def test_over_https_the_cookie_is_the_hosts(tmp_path: Path) -> None:
    site = Site(tmp_path, base="https://inbox.example")
    owner = site.world.owner()
    cookie = site.client.post(site.link(owner), data={}).headers["set-cookie"]
    assert cookie.startswith("__Host-byleave=") and "Secure" in cookie and "Domain" not in cookie


@pytest.mark.parametrize(
    "next",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/me/\r\nX: y",
        "/jmap/api",
        "javascript:alert(1)",
        "/menu",
    ],
)
def test_signing_in_leads_to_own_pages_only(site: Site, next: str) -> None:
    answer = site.client.post(site.link(town(site)), data={"next": next})
    assert answer.headers["location"] == "/me/"


def test_who_is_not_signed_in_hears_one_thing(site: Site) -> None:
    town(site)
    pages = {
        p: site.get(p)
        for p in ("/me/inbox", "/me/grants", "/me/nowhere", "/me/inbox/t/tabc", "/me/readings.json")
    }
    assert {a.status_code for a in pages.values()} == {401}
    assert len({a.text.replace(p, "") for p, a in pages.items()}) == 1


def test_a_session_ends_by_signing_out_and_by_time(site: Site) -> None:
    owner = town(site)
    site.sign_in(owner)
    cookie = site.client.cookies["byleave"]
    assert site.post("/me/signout").status_code == 200
    site.client.cookies.set("byleave", cookie)
    assert site.get("/me/").status_code == 401
    site.sign_in(owner)
    site.world.now += 13 * 3_600_000
    assert site.get("/me/").status_code == 401


@pytest.mark.parametrize(
    "path", ["/me/inbox", "/me/grants", "/me/inbox/t/t" + "a" * 26, "/me/inbox/c/k" + "a" * 26]
)
def test_a_sender_finds_no_owners_pages(site: Site, path: str) -> None:
    town(site)
    site.sign_in(handle=ANN)
    found, nowhere = site.get(path), site.get("/me/nowhere")
    assert found.status_code == nowhere.status_code == 404
    assert found.text == nowhere.text


def test_one_owners_things_do_not_exist_for_another(site: Site) -> None:
    owner, other = town(site), site.world.owner("other")
    found = site.world.allow(owner, "own-agent", Level.TEXT)
    site.sign_in(owner)
    thread = re.search(r"/me/inbox/t/\w+", site.get("/me/inbox").text)
    assert thread and site.get(thread[0]).status_code == 200
    site.sign_in(other)
    assert site.get(thread[0]).text == site.get("/me/inbox/t/t" + "a" * 26).text
    theirs, nobodys = (site.post(f"/me/grants/{g}/revoke") for g in (found.grant_id.hex(), "00" * 16))
    assert (theirs.status_code, theirs.text) == (
        nobodys.status_code,
        nobodys.text,
    ) and theirs.status_code == 404


def test_nothing_is_done_without_the_pages_own_token(site: Site) -> None:
    owner = town(site)
    found = site.world.allow(owner, "own-agent", Level.TEXT)
    site.sign_in(owner)
    path, token = f"/me/grants/{found.grant_id.hex()}/revoke", site.csrf()
    tries = [
        site.client.post(path, data={}),
        site.client.post(path, data={"csrf": "x" * len(token)}),
        site.client.post(path, data={"csrf": token}, headers={"Sec-Fetch-Site": "cross-site"}),
        site.client.post(path, data={"csrf": token}, headers={"Sec-Fetch-Site": "same-site"}),
        site.client.post(path, data={"csrf": token}, headers={"Origin": "https://evil.example"}),
        site.client.get(path),
    ]
    assert all(400 <= t.status_code < 500 for t in tries)
    with site.world.store.read() as snapshot:
        assert grant.find(snapshot, owner, found.grant_id).revoked_at is None
    assert site.client.post(path, data={"csrf": token}, headers={"Origin": site.base}).status_code == 303


def test_an_owner_sees_all_reads_of_the_inbox(site: Site) -> None:
    owner = town(site)
    agreement = site.world.agree()
    site.world.choose(ANN, Level.MASKED)
    read(site, owner, site.world.allow(owner, agreement_id=agreement, partner="streamflix"))
    site.sign_in(owner)
    said = text_of(site.get("/me/readings").text)
    assert "reader-7" in said and "tailoring" in said and "masked" in said
    own = loads(site.get("/me/readings.json?who=me"))["readings"]
    assert {r["purpose"] for r in own} <= {"owner"}
    others = loads(site.get("/me/readings.json"))["readings"]
    assert [(r["partner"], r["operative"], r["messages"]) for r in others] == [("streamflix", "reader-7", 2)]


def test_looking_at_the_inbox_is_a_reading(site: Site) -> None:
    owner = town(site)
    site.sign_in(owner)
    before = len(site.readings(owner))
    for path in ("/me/", "/me/inbox", "/me/inbox?q=harbour", "/me/grants"):
        site.get(path)
        after = site.readings(owner)
        assert len(after) == before + 1 and after[0].purpose == "owner" and after[0].operative == "pages"
        before += 1


def test_a_sender_sees_partners_reads_and_nothing_of_whose_inbox(site: Site) -> None:
    owner = town(site)
    agreement = site.world.agree()
    site.world.choose(ANN, Level.MASKED)
    site.world.choose(BOB, Level.NONE)
    found = site.world.allow(owner, agreement_id=agreement, partner="streamflix")
    read(site, owner, found)
    site.sign_in(handle=ANN)
    for path in ("/me/", "/me/readings", "/me/readings.json", "/me/readings.csv", "/me/choices"):
        page = site.get(path).text
        assert (
            "marjorie" not in page
            and BOB not in page
            and found.grant_id.hex() not in page
            and owner.hex() not in page
        )
    (reading,) = loads(site.get("/me/readings.json"))["readings"]
    assert (reading["partner"], reading["messages"], reading["level"]) == ("streamflix", 1, "masked")
    site.sign_in(handle=BOB)
    assert loads(site.get("/me/readings.json"))["readings"] == []


def test_of_an_assistant_a_sender_hears_a_month(site: Site) -> None:
    owner = town(site)
    site.world.choose(ANN, Level.TEXT, "own-agent")
    read(site, owner, site.world.allow(owner, "own-agent", Level.TEXT), "own-agent")
    site.sign_in(handle=ANN)
    value = loads(site.get("/me/readings.json"))
    assert (
        value["readings"] == []
        and len(value["assistants"]) == 1
        and re.fullmatch(r"\d{4}-\d{2}", value["assistants"][0])
    )


def test_the_spreadsheet_holds_no_formulas(site: Site) -> None:
    owner = town(site)
    agreement = site.world.agree()
    read(site, owner, site.world.allow(owner, agreement_id=agreement, partner="streamflix"), "=HYPERLINK(1)")
    site.sign_in(owner)
    rows = list(csv.DictReader(io.StringIO(site.get("/me/readings.csv").text)))
    assert rows[0]["operative"] == "'=HYPERLINK(1)"


def test_the_chart_is_a_drawing_and_nothing_else(site: Site) -> None:
    owner = town(site)
    agreement = site.world.agree()
    read(site, owner, site.world.allow(owner, agreement_id=agreement, partner="streamflix"))
    site.world.now += DAY
    site.sign_in(owner)
    for path in ("/me/readings/chart.svg", "/me/readings/chart.svg?who=all&narrow=1"):
        answer = site.get(path)
        tree = etree.fromstring(answer.content)
        assert answer.headers["content-type"] == "image/svg+xml"
        assert not tree.xpath("//*[local-name()='script']|//@*[starts-with(name(),'on')]")
        assert "http://" not in answer.text.replace("http://www.w3.org/", "")
        assert tree.xpath("//*[local-name()='rect']")
