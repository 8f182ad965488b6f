"""Who lives behind the browser's gateway, and how a page is opened."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import msgspec
from tests.gateway.pages.site import Site
from tests.worlds import DAY, NOW, chat, mail

from byleave.consent import register
from byleave.gateway.oauth import par
from byleave.model import Level
from byleave.view import Picker, Query, open_view
from byleave.view.reading import Who

ANN, BOB, ME = "telegram:user1", "telegram:user2", "telegram:user9"
LONG = "an_address_of_some_length_that_does_not_break_by_itself" * 3
_SERIAL = iter(range(10**6))


def settle(site: Site, callback: str) -> None:
    """One owner with chats and mail, a partner, an assistant, and readings over some days."""
    world = site.world
    owner = world.owner("marjorie")
    said = [
        chat(f"{words} {n}", who, at=NOW - n * DAY // 3, place=place)
        for n in range(70)
        for who, words, place in (
            (ANN, "harbour at nine", "c1"),
            (ME, "see you there", "c1"),
            (BOB, LONG, "c2"),
        )
    ]
    letters = [
        mail(f"Dear you,\n\nletter {n}\n\n> quoted {LONG}", subject=f"Boats {n} {LONG}", at=NOW - n * DAY)
        for n in range(5)
    ]
    world.put(owner, [*said, *letters], own=[ME])
    agreement = world.agree([("tailoring", "masked"), ("ranking", "signals")], redirect_uris=(callback,))
    client = {
        "client_id": "streamflix",
        "agreement": agreement,
        "redirect_uris": [callback],
        "jwks": {"keys": [world.partner_key.public()]},
    }
    world.store.write(register.add_client, json.dumps(client).encode(), NOW, b"\x05" * 16, b"s" * 32)
    world.choose(ANN, Level.MASKED)
    world.choose(BOB, Level.NONE, None)
    for purpose, level, partner in (
        ("tailoring", Level.MASKED, "streamflix"),
        ("own-agent", Level.TEXT, None),
    ):
        found = world.allow(
            owner, purpose, level, agreement_id=agreement if partner else None, partner=partner
        )
        for n in range(6):
            with world.store.read() as snapshot:
                view = open_view(snapshot, found, world.installation.ids, NOW)
                assert view is not None
                view.emails(
                    view.query(Query(limit=5 + n)).borns, Picker(["id"], body_values=False, max_body_bytes=0)
                )
            who = Who(
                account=view.account_id,
                purpose=purpose,
                operative="reader-7",
                partner=partner,
                agreement=agreement if partner else None,
            )
            view.reading.release_now(world.store, b"x", NOW - n * 2 * DAY, who)
    site.tell()


def owner_of(site: Site) -> bytes:
    from byleave.ingest import publish

    with site.world.store.read() as snapshot:
        return publish.owners(snapshot)["marjorie"]


def asks(site: Site, level: str = "masked") -> str:
    """The address that the partner sends the owner to."""
    with site.world.store.read() as snapshot:
        client = register.client(snapshot, "streamflix")
    assert client is not None
    details = par.Details(
        type="inbox_access",
        purpose="tailoring",
        level=level,
        agreement="streamflix-deal",
        locations=[site.base + "/jmap"],
    )
    pushed = par.Pushed(
        client_id="streamflix",
        redirect_uri=client.redirect_uris[0],
        state="st",
        code_challenge="x" * 43,
        jkt=None,
        operative="reader-7",
        scope="inbox.read",
        details=details,
    )
    secret = f"pushed{next(_SERIAL)}"
    body = msgspec.json.encode(pushed).decode()
    site.world.store.write(par.add, par.hash_of(secret), par.PAR, "streamflix", body, NOW + 60_000)
    return (
        site.base
        + "/oauth/authorize?"
        + urlencode({"client_id": "streamflix", "request_uri": par.URN + secret})
    )


class Open:
    """A tab, signed in, that keeps every complaint of the browser."""

    def __init__(
        self,
        chromium: Any,
        site: Site,
        *,
        handle: str | None = None,
        width: int = 1280,
        dark: bool = False,
        script: bool = False,
    ) -> None:
        self.site = site
        self.context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
        )
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on(
            "console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.on("request", lambda r: self.asked.append(r.url))
        self.page.goto(site.base + site.link(None if handle else owner_of(site), handle))
        self.page.click("main button")

    def go(self, path: str) -> Any:
        return self.page.goto(path if path.startswith("http") else self.site.base + path)

    def __enter__(self) -> Open:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()
