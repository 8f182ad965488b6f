"""My inbox: what is shown, what is escaped, and who else can see a message."""

from __future__ import annotations

import re

import pytest
from tests.gateway.pages.site import Site, text_of
from tests.worlds import NOW, chat, mail

from byleave.model import Level

ANN, BOB, ME = "telegram:user1", "telegram:user2", "telegram:user9"


def world(site: Site) -> bytes:
    owner = site.world.owner()
    site.world.put(
        owner, [chat("harbour at nine", ANN), chat("lanterns please", BOB), chat("mine alone", ME)], own=[ME]
    )
    return owner


def only_chat(site: Site) -> str:
    found = re.search(r"/me/inbox/c/\w+", site.get("/me/inbox").text)
    assert found
    return site.get(found[0]).text


def seen(page: str) -> list[tuple[str, list[str]]]:
    """(words, who else can see them) of each message."""
    messages = re.findall(r'<li class="message.*?</li>\s*(?=<li class="message|</ol>)', page, re.DOTALL)
    return [
        (
            text_of(re.search(r'class="words"[^>]*>(.*?)</div>', m, re.DOTALL)[1]),  # type: ignore[index]
            [text_of(x) for x in re.findall(r'<li class="(?:yes|not)">(.*?)</li>', m)],
        )
        for m in messages
    ]


def test_each_message_says_who_else_can_see_it(site: Site) -> None:
    owner = world(site)
    agreement = site.world.agree()
    site.world.choose(ANN, Level.MASKED)
    site.world.allow(owner, agreement_id=agreement, partner="streamflix")
    site.sign_in(owner)
    by_words = dict(seen(only_chat(site)))
    assert "Visible for" in by_words["harbour at nine"][0] and "masked" in by_words["harbour at nine"][0]
    assert by_words["lanterns please"][0].endswith("no yes from its sender")
    assert "Visible for" in by_words["mine alone"][0]


def test_a_no_binds_what_the_page_says_at_once(site: Site) -> None:
    owner = world(site)
    agreement = site.world.agree()
    chosen = site.world.choose(ANN, Level.MASKED)
    site.world.allow(owner, agreement_id=agreement, partner="streamflix")
    site.world.withdraw(ANN, chosen)  # nobody has worked it into the rows
    site.sign_in(owner)
    assert dict(seen(only_chat(site)))["harbour at nine"][0].endswith("no yes from its sender")


@pytest.mark.parametrize("act", ["no", "withdrawn", "no to all"])
def test_an_owner_cannot_tell_a_no_from_a_silence(site: Site, act: str) -> None:
    owner = world(site)
    agreement = site.world.agree()
    site.world.allow(owner, agreement_id=agreement, partner="streamflix")
    site.sign_in(owner)
    silent = seen(only_chat(site))
    if act == "no":
        site.world.choose(BOB, Level.NONE)
    elif act == "no to all":
        site.world.choose(BOB, Level.NONE, None)
    else:
        site.world.withdraw(BOB, site.world.choose(BOB, Level.MASKED))
    assert seen(only_chat(site)) == silent


def test_out_of_scope_is_not_blamed_on_its_sender(site: Site) -> None:
    owner = world(site)
    agreement = site.world.agree()
    site.world.allow(
        owner,
        agreement_id=agreement,
        partner="streamflix",
        scope={"mode": "listed", "of": ["telegram/other"]},
    )
    site.sign_in(owner)
    assert {s[0].rpartition(": ")[2] for _, s in seen(only_chat(site))} == {"not in this grant"}


NASTY = "<script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}\"'>\u202e\u0000</div></li>"


def test_what_people_write_stays_text(site: Site) -> None:
    owner = site.world.owner()
    site.world.put(
        owner,
        [
            chat(NASTY, ANN, place=NASTY[:40]),
            mail(NASTY, subject=NASTY),
            mail("> quoted <b>x</b>\n\nafter", id="q@x.test"),
        ],
        own=[ME],
    )
    site.sign_in(owner)
    start = site.get("/me/inbox").text
    for path in {"/me/inbox", "/me/grants", *re.findall(r"/me/inbox/[ct]/\w+", start)}:
        page = site.get(path).text
        assert "<script" not in page and "<img src=x" not in page and "<b>x</b>" not in page
        assert "49" not in re.findall(r"alert\(1\)&gt;(\S+)", page)


def test_search_is_for_whole_words(site: Site) -> None:
    site.sign_in(world(site))
    assert "harbour at nine" in site.get("/me/inbox?q=Harbour").text
    for odd in ("harb", "harbour lanterns", "%", '"', "a" * 5000, "\u0000", ")("):
        page = site.client.get("/me/inbox", params={"q": odd})
        assert page.status_code == 200 and "harbour at nine" not in text_of(page.text)


def test_pages_of_a_long_list_hold_everything_once(site: Site) -> None:
    owner = site.world.owner()
    site.world.put(owner, [chat(f"word{n}", ANN, at=NOW - n * 1000 - 86_400_000) for n in range(120)])
    site.sign_in(owner)
    start = re.search(r"/me/inbox/c/\w+", site.get("/me/inbox").text)
    assert start
    found = [w for at in (0, 50, 100) for w, _ in seen(site.get(f"{start[0]}?at={at}").text)]
    assert sorted(found) == sorted(f"word{n}" for n in range(120))
    for odd in ("-1", "x", "9" * 30, "1e3", "²"):
        assert site.get(f"{start[0]}?at={odd}").status_code == 200


@pytest.mark.parametrize(
    "path", ["/me/inbox/t/x", "/me/inbox/c/k", "/me/inbox/t/t" + "2" * 26, "/me/inbox/c/" + "k" * 200]
)
def test_ids_that_were_never_given_out_are_not_there(site: Site, path: str) -> None:
    site.sign_in(world(site))
    assert site.get(path).status_code == 404
    assert site.get("/me/inbox?box=xnone").status_code == 200


def test_every_page_is_strict_about_where_things_come_from(site: Site) -> None:
    owner = world(site)
    site.world.agree()
    site.sign_in(owner)
    paths = [
        "/me/",
        "/me/inbox",
        "/me/readings",
        "/me/grants",
        "/me/choices",
        "/agreements",
        "/agreements/streamflix-deal",
        "/me/no",
    ]
    for path in paths:
        answer = site.get(path)
        policy = answer.headers["content-security-policy"]
        for part in (
            "default-src 'none'",
            "style-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ):
            assert part in policy
        assert "unsafe" not in policy and answer.headers["cache-control"] == "no-store"
        assert "Sandbox" in answer.text
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", answer.text)
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', answer.text)
