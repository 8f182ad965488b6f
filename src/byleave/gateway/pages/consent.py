"""The consent page: one sentence, what it means, and today's dry run, before an owner says yes or no.

`oauth.authorize` asks it for the page of GET /oauth/authorize and takes the form; here is only what is
shown. The dry run is exactly what the partner would see (`view.preview`), and it is the owner's own reading.
"""

from __future__ import annotations

import datetime
import json
from typing import Any, Protocol

from byleave.consent.agreement import Agreement
from byleave.consent.grant import Grant, Scope, lifetime
from byleave.consent.purpose import PURPOSES, Output
from byleave.gateway.guard import PageSession
from byleave.gateway.pages.shell import PURPOSE_WORDS, Context, fresh_id
from byleave.model import Level, Ms
from byleave.store import Snapshot
from byleave.view import Released, owners
from byleave.view.export import owner_view
from byleave.view.preview import Preview, preview
from byleave.view.reading import Who

MOST_CHATS = 300
LETTERS = 100
SHOWN = 12


class Asked(Protocol):
    """What `oauth.authorize` puts to the owner."""

    @property
    def dialogue(self) -> str: ...
    @property
    def owner_id(self) -> bytes: ...
    @property
    def csrf(self) -> str: ...
    @property
    def request(self) -> Any: ...
    @property
    def agreement(self) -> Agreement: ...
    @property
    def levels(self) -> tuple[str, ...]: ...
    @property
    def scope(self) -> Scope: ...
    @property
    def latest(self) -> datetime.date: ...
    @property
    def problem(self) -> str: ...


class Question:
    """Renders the consent page: `await question(asked, now)`."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, asked: Asked, now: Ms) -> Released:
        """The page, its dry run in the ledger as the owner's own reading."""
        context = self._context
        secret = context.installation.ids
        with context.store.read() as snapshot:
            view = owner_view(snapshot, asked.owner_id, secret, now)
            chosen = usual(asked)
            dry = preview(snapshot, would_be(asked, chosen, now), secret, now, SHOWN)
            body = self._page(
                snapshot, asked, chosen, dry, [*owners.chats(view), *owners.letters(view, LETTERS)], now
            )
            dry.reading.saw("chats", view.reading.borns)
        who = Who(account=dry.account, purpose="owner", operative="pages")
        return await dry.reading.release(context.store, body, now, who)

    def _page(
        self,
        snapshot: Snapshot,
        asked: Asked,
        chosen: str,
        dry: Preview,
        chats: list[owners.Conversation],
        now: Ms,
    ) -> bytes:
        terms, details = asked.agreement.terms, asked.request.details
        start, end = details.times()
        asked_for = [c for c in chats if asked.scope.holds(c.name)]
        outputs = PURPOSES[details.purpose].outputs(Level.named(chosen))
        session = PageSession(owner_id=asked.owner_id, handle=None, csrf=asked.csrf, hash=b"")
        return self._context.render(
            "consent.html",
            session,
            path="/oauth/authorize",
            now=now,
            asked=asked,
            partner=terms.partner,
            terms=terms,
            purpose=details.purpose,
            purpose_words=PURPOSE_WORDS.get(details.purpose, details.purpose),
            operative=asked.request.operative,
            chosen=chosen,
            levels=asked.levels,
            start=start,
            end=end,
            chats=asked_for[:MOST_CHATS],
            scope=asked.scope,
            dry=dry,
            sends="send" in asked.request.scope.split(),
            messages=Output.EMAILS in outputs,
            one_conversation=PURPOSES[details.purpose].one_conversation,
            latest=asked.latest.isoformat(),
            latest_words=f"{asked.latest.day} {asked.latest.strftime('%b %Y')}",
            retention=terms.retention_days,
        )


def usual(asked: Asked) -> str:
    """The level that stands first on the page: what was asked, which the agreement has checked."""
    return asked.levels[-1]


def would_be(asked: Asked, level: str, now: Ms) -> Grant:
    """The grant that a plain yes would make; it is in no table, and its id is thrown away."""
    details = asked.request.details
    start, end = details.times()
    scope = {"mode": asked.scope.mode, "of": list(asked.scope.of)}
    return Grant(
        owner_id=asked.owner_id,
        grant_id=fresh_id(),
        purpose=details.purpose,
        level=Level.named(level),
        agreement_id=details.agreement,
        partner=asked.agreement.terms.partner.id,
        client_id=asked.request.client_id,
        conversations=json.dumps(scope),
        period_from=start,
        period_to=end,
        unanswered=Level.NONE,
        created_at=now,
        expires_at=now + lifetime(details.purpose),
        revoked_at=None,
        seq=0,
        applied=0,
        filled_policy=0,
    )


def question(context: Context) -> Question:
    """The page for `oauth.authorize`."""
    return Question(context)
