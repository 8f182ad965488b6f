"""A gateway in this process whose clock the test turns, a partner that talks to it, and people who click.

Everything goes through the ASGI application; nothing is called behind its back but the clock and the choices that
people make on pages tested elsewhere.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import secrets
from pathlib import Path
from typing import Any

import httpx
from joserfc.jwk import ECKey
from starlette.testclient import TestClient

from byleave.consent import agreement, register
from byleave.exchange import duty, send
from byleave.exchange import report as reports
from byleave.gateway.app import Gateway
from byleave.keys import read_jwk
from byleave.model import Level, Mode
from byleave.partner.client import Partner, Token, new_key
from tests.servers.gateway import ANN, BOB, ME, _add_session
from tests.servers.partner import CALLBACK, code_of, decide
from tests.worlds import World, chat

URL = "http://127.0.0.1:8420"
DAY_MS = 86_400_000
ANCHOR = datetime.date(2026, 9, 7)
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CARD = {
    "type": "recommendation",
    "title_ref": {"scheme": "streamflix", "id": "t100"},
    "title": "The Lighthouse",
    "text": "Made me think of you.",
}
CELL = {"interface": "tv", "surface": "detail", "variant": "card-on_platform"}


class Exchanging:
    """One owner (`me`), Ann and Bob in the inbox, an agreement anchored on ANCHOR, one partner with a grant."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder, Mode.SANDBOX)
        self.now = reports.day_ms(ANCHOR) + 9 * 3_600_000
        self.world.now = self.now
        self.owner = self.world.owner()
        lines = [
            chat("I go to see the film tonight.", ME, at=self.now - 3_000_000, id="1"),
            chat("The lighthouse was wonderful.", ANN, at=self.now - 2_000_000, id="2"),
            chat("Nobody of them may read this.", BOB, at=self.now - 1_000_000, id="3"),
        ]
        self.world.put(self.owner, lines, own=[ME])
        self.world.choose(ANN, Level.MASKED, "tailoring")
        self.key: ECKey = new_key()
        self.app = Gateway(self.world.installation, URL, lambda: self.now)
        self.http = TestClient(self.app, base_url=URL, raise_server_exceptions=True, follow_redirects=False)
        self.agreement = self._agree()
        metadata = {
            "client_id": "streamflix-web", "agreement": self.agreement.id, "redirect_uris": [CALLBACK],
            "jwks": {"keys": [self.public]},
        }  # fmt: skip
        import json

        self.world.store.write(
            register.add_client, json.dumps(metadata).encode(), self.now, self.world.id(), b"s" * 32
        )
        self.world.work()
        self.partner = Partner(
            URL, "streamflix-web", self.key, CALLBACK, http=self.http, clock=lambda: self.now / 1000
        )
        self.token: Token = self.authorise()

    @property
    def public(self) -> dict[str, Any]:
        return {name: value for name, value in self.key.as_dict(private=True).items() if name != "d"}

    @property
    def terms(self) -> reports.Terms:
        found = duty.terms(self.agreement)
        assert found is not None
        return found

    def _agree(self) -> agreement.Agreement:
        made = agreement.new(
            "streamflix",
            [("tailoring", "masked")],
            [self.public],
            today=ANCHOR,
            id="streamflix-deal",
            redirect_uris=(CALLBACK,),
        )
        key = read_jwk(self.key.as_dict(private=True))
        signed = agreement.sign(
            agreement.sign(made, key), self.world.installation.keyring.active("agreement")
        )
        jwks = self.world.installation.keyring.public("agreement")
        self.world.store.write(
            register.publish, signed.encode(), jwks, "sandbox", self.now, self.world.id(), b"s" * 32
        )
        return signed

    def authorise(self, scope: str = "inbox.read send", owner_id: bytes | None = None) -> Token:
        details = {"purpose": "tailoring", "level": "masked", "agreement": "streamflix-deal"}
        pushed = self.partner.push(details, scope)
        answer = decide(self.http, pushed.authorize_url, self.session(owner_id or self.owner))
        self.http.cookies.clear()
        assert code_of(answer)["code"]
        return self.partner.redeem(pushed, answer.headers["location"])

    def renew(self) -> None:
        """A new access token, where the clock has run an hour or more."""
        self.token = self.partner.renew(self.token)

    # ── people ──
    def session(self, owner_id: bytes | None, handle: str | None = None) -> dict[str, str]:
        secret = secrets.token_urlsafe(32)
        self.world.store.write(
            _add_session,
            hashlib.sha256(secret.encode()).digest(),
            owner_id,
            handle,
            "csrf-" + secret,
            self.now + 12 * 3_600_000,
        )
        return {"byleave": secret}

    def page(self, path: str, who: dict[str, str], **form: str) -> httpx.Response:
        """A person's browser: GET, or POST with the session's CSRF token where there is a form."""
        headers = {"Cookie": f"byleave={who['byleave']}", "User-Agent": AGENT}
        if form:
            return self.http.post(path, data={"csrf": "csrf-" + who["byleave"], **form}, headers=headers)
        return self.http.get(path, headers=headers)

    def address(self, handle: str) -> str:
        """The address token that the partner sees of a handle in its own grant."""
        from byleave.consent import grant, identity
        from byleave.view.shape import Ids

        with self.world.store.read() as snapshot:
            [found] = [
                g for g in grant.of_owner(snapshot, self.owner)
                if Ids(self.world.installation.ids, g.grant_id).account_id == self.token.account_id
            ]  # fmt: skip
        person = self.owner if handle == ME else identity.person_of(self.world.installation.people, handle)
        return f"p{Ids(self.world.installation.ids, found.grant_id).eight(person)}@masked.invalid"

    def takes_cards(self, handle: str, cards: bool = True, clicks: bool = True) -> None:
        form = {
            "partner": "streamflix",
            **({"cards": "yes"} if cards else {}),
            **({"clicks": "yes"} if clicks else {}),
        }
        assert self.page("/me/cards/choose", self.session(None, handle), **form).status_code == 303

    def confirm(self, told: dict[str, Any], **form: str) -> None:
        answer = self.page(f"/me/sends/{told['id']}/confirm", self.session(self.owner), go="1", **form)
        assert answer.status_code == 303, answer.text

    def links(self, handle: str) -> list[tuple[str, str]]:
        """(link, honeypot) of each card on a recipient's page, the newest first."""
        page = self.page("/me/cards", self.session(None, handle)).text
        tokens = re.findall(r'href="(/c/[A-Za-z0-9_-]+)"', page)
        return list(zip(tokens[::2], tokens[1::2], strict=True))

    def click(self, link: str, *, method: str = "GET", agent: str = AGENT, **headers: str) -> httpx.Response:
        self.http.cookies.clear()
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, link, headers={"User-Agent": agent, **more})

    def put(
        self, recipient: str = ANN, card: dict[str, Any] = CARD, cell: dict[str, str] = CELL, **options: Any
    ) -> dict[str, Any]:
        return self.partner.send(self.token, self.address(recipient), card, cell, **options)


__all__ = ["ANCHOR", "ANN", "BOB", "CARD", "CELL", "DAY_MS", "ME", "Exchanging", "send"]
