"""The consent dialogue: a pushed request, a person who is signed in, a decision, a grant, a code.

Rules of this file:

1. Nothing is asked and nobody redirected without a pushed request: no open redirector, because the only
   address that an answer goes to was checked when the request was pushed, and again here against the
   agreement of now.
2. The decision belongs to the page session that saw the question: its owner, its CSRF token, once.
3. An owner can only narrow: level at most what was asked, conversations within those asked, no later than the
   purpose's longest.
4. Redirects are 303 (FAPI 2.0 §5.3.2.2) and carry `iss` (RFC 9207). The code is made after the view is
   filled, so that its 60 s are the partner's.
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from html import escape
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from uuid_utils import uuid7

from byleave.consent import grant, register
from byleave.consent.agreement import Agreement
from byleave.consent.grant import Scope
from byleave.consent.purpose import PURPOSES
from byleave.errors import ByleaveError, Code, Conflict, Invalid
from byleave.gateway.guard import Guard, Headers, PageSession
from byleave.gateway.oauth import par
from byleave.gateway.oauth.par import Pushed
from byleave.gateway.oauth.token import CODE_MS, Coded
from byleave.installation import Installation
from byleave.model import Level, Mode, Ms
from byleave.store import Snapshot, Transaction
from byleave.view import Released, rows

DECIDING_MS = 600_000
FILL_S = 5.0
"""How long an answer waits for the new view; what is left the writer fills behind it."""
DAY_MS = 86_400_000
BANNER = '<div class="banner" role="note">Sandbox: made-up people, nothing here is real.</div>'


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the consent page puts to the owner."""

    dialogue: str
    """Goes back in the form field of that name."""
    owner_id: bytes
    csrf: str
    request: Pushed
    agreement: Agreement
    levels: tuple[str, ...]
    """Levels to choose from, lowest first; the last is what was asked."""
    scope: Scope
    latest: date
    """The last day that `until` may name."""
    problem: str = ""
    """What was wrong with a decision that came before."""


Render = Callable[[Asked, Ms], Awaitable[Released]]
"""(question, now) → HTML of the consent page; its dry run is the owner's own reading."""


class Shown(msgspec.Struct, frozen=True):
    """A page, or where to go: `location` for a 303."""

    status: int
    body: bytes = b""
    location: str = ""
    form_to: str = ""
    """An origin that the page's form may end up at, for its Content-Security-Policy."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A question that was put to an owner."""

    owner: str
    request: Pushed


class Dialogue:
    """The two halves of `/oauth/authorize`."""

    def __init__(self, installation: Installation, guard: Guard, render: Render) -> None:
        self._store = installation.store
        self._guard = guard
        self._render = render
        self._banner = BANNER if installation.mode is Mode.SANDBOX else ""

    # ── GET ──
    async def show(self, query: list[tuple[str, str]], path: str, headers: Headers, now: Ms) -> Shown:
        """The question, or a page that says why there is none."""
        values = dict(query)
        if len(values) != len(query):
            return self._refusal(
                "A parameter stands twice in this address. Start again at the partner's site."
            )
        client_id, uri = values.get("client_id", ""), values.get("request_uri", "")
        if not uri.startswith(par.URN) or not client_id:
            return self._refusal(
                "This address is not complete. Partners push their request first (RFC 9126)."
            )
        hash = par.hash_of(uri[len(par.URN) :])
        with self._store.read() as snapshot:
            request = par.pushed(par.find(snapshot, hash), now)
            signed_in = self._guard.page_session(snapshot, headers, now)
            if request is None or request.client_id != client_id:
                return self._refusal(
                    "This request has expired or was used before. Start again at the partner's site."
                )
            agreement = _standing(snapshot, request, now)
        if agreement is None:
            return self._refusal("The agreement with this partner is not in force. Nothing was shared.", 403)
        if signed_in is None or signed_in.owner_id is None:
            await self._store.write_soon(par.meet, hash, now + par.SIGNING_IN_MS)
            return self._sign_in(
                f"/oauth/authorize?{urlencode({'client_id': client_id, 'request_uri': uri})}"
            )
        secret = secrets.token_urlsafe(32)
        body = msgspec.json.encode(Stored(owner=signed_in.owner_id.hex(), request=request)).decode()
        if not await self._store.write_soon(
            _put, hash, par.hash_of(secret), client_id, body, now + DECIDING_MS, now
        ):
            return self._refusal("This request was used before. Start again at the partner's site.")
        return await self._question(secret, signed_in, request, agreement, now)

    async def _question(
        self,
        secret: str,
        signed_in: PageSession,
        request: Pushed,
        agreement: Agreement,
        now: Ms,
        problem: str = "",
    ) -> Shown:
        assert signed_in.owner_id is not None
        asked = Asked(
            dialogue=secret,
            owner_id=signed_in.owner_id,
            csrf=signed_in.csrf,
            request=request,
            agreement=agreement,
            levels=_levels(request),
            scope=request.details.scope,
            latest=_latest(request, now),
            problem=problem,
        )
        body = (await self._render(asked, now)).body
        parts = urlsplit(request.redirect_uri)
        return Shown(400 if problem else 200, body, form_to=f"{parts.scheme}://{parts.netloc}")

    # ── POST ──
    async def decide(self, form: list[tuple[str, str]], headers: Headers, now: Ms) -> Shown:
        """The owner's answer: a 303 to the partner, or a page that says what is missing."""
        one = {name: value for name, value in form if name != "conversation"}
        secret = one.get("dialogue", "")
        hash = par.hash_of(secret)
        with self._store.read() as snapshot:
            signed_in = self._guard.page_session(snapshot, headers, now)
            if signed_in is None or signed_in.owner_id is None:
                return self._refusal(
                    "You are not signed in any more. Sign in and start again at the partner's site.", 403
                )
            if (
                not hmac.compare_digest(one.get("csrf", "").encode(), signed_in.csrf.encode())
                or not signed_in.csrf
            ):
                return self._refusal("This form did not come from your own page. Nothing was shared.", 403)
            found = par.find(snapshot, hash)
            if (
                found is None
                or found.kind != par.CONSENT
                or found.used_at is not None
                or now >= found.expires_at
            ):
                return self._refusal(
                    "This question has expired or was answered before. Nothing more was shared."
                )
            stored = msgspec.json.decode(found.body, type=Stored)
            if stored.owner != signed_in.owner_id.hex():
                return self._refusal("This question was put to somebody else.", 403)
            agreement = _standing(snapshot, stored.request, now)
        request = stored.request
        if agreement is None:
            return self._refusal("The agreement with this partner is not in force. Nothing was shared.", 403)
        decision = one.get("decision")
        if decision == "deny":
            if not await self._store.write_soon(par.use, hash, now):
                return self._refusal("This question was answered before.")
            return self._back(request, error="access_denied")
        try:
            if decision != "allow":
                raise Invalid(Code.INVALID_ARGUMENTS, "choose yes or no")
            keys = [value for name, value in form if name == "conversation"]
            values = _values(signed_in.owner_id, request, agreement, one, keys, now)
            await self._store.write_soon(_allow, hash, values, uuid7().bytes, secrets.token_bytes(32), now)
        except Conflict:
            return self._refusal("This question was answered before.")
        except ByleaveError as error:
            if error.code is Code.UNAVAILABLE:
                raise
            return await self._question(secret, signed_in, request, agreement, now, error.detail)
        began = time.monotonic()
        while await self._store.write_soon(rows.work, values["owner_id"], values["grant_id"], now):
            if time.monotonic() - began > FILL_S:
                break
        code = secrets.token_urlsafe(32)
        coded = Coded(
            client_id=request.client_id,
            redirect_uri=request.redirect_uri,
            code_challenge=request.code_challenge,
            jkt=request.jkt,
            scope=request.scope,
            owner=values["owner_id"].hex(),
            grant=values["grant_id"].hex(),
        )
        later = now + int((time.monotonic() - began) * 1000)
        body = msgspec.json.encode(coded).decode()
        await self._store.write_soon(
            par.add, par.hash_of(code), par.CODE, request.client_id, body, later + CODE_MS
        )
        return self._back(request, code=code)

    def _refusal(self, text: str, status: int = 400) -> Shown:
        """A page that says why there is nothing to decide. Never a redirect."""
        lead = f'<p class="lead">{escape(text)}</p>'
        return Shown(status, page("Nothing to decide here", self._banner, lead))

    def _sign_in(self, next: str) -> Shown:
        """A page that asks the owner to sign in first, and then to come back."""
        lead = (
            '<p class="lead">A partner asks to read from your inbox. Sign in first: open your one-time link, '
            "then come back here.</p>"
        )
        link = f'<p><a href="/me/signin?next={quote(next, safe="")}">Sign in</a></p>'
        back = f'<p><a href="{escape(next)}">I have signed in: show me the question</a></p>'
        return Shown(401, page("Sign in first", self._banner, lead, link, back))

    def _back(self, request: Pushed, **answer: str) -> Shown:
        """303 to the partner's registered address (RFC 6749 §4.1.2, RFC 9207 §2)."""
        if request.state is not None:
            answer["state"] = request.state
        answer["iss"] = self._guard.base_url
        joint = "&" if "?" in request.redirect_uri else "?"
        return Shown(303, location=request.redirect_uri + joint + urlencode(answer))


def _put(
    tx: Transaction, request: bytes, question: bytes, client_id: str, body: str, expires_at: Ms, now: Ms
) -> bool:
    """Procedure: uses up a pushed request and keeps the question; False where another was first."""
    if not par.use(tx, request, now):
        return False
    par.add(tx, question, par.CONSENT, client_id, body, expires_at)
    return True


def _allow(
    tx: Transaction, question: bytes, values: dict[str, Any], entry_id: bytes, salt: bytes, now: Ms
) -> None:
    """Procedure: uses up a question and records the grant, in one transaction. Raises Conflict, Invalid,
    Denied."""
    if not par.use(tx, question, now):
        raise Conflict(Code.CONFLICT, "answered before")
    grant.create(tx, values, entry_id, salt)


def _standing(snapshot: Snapshot, request: Pushed, now: Ms) -> Agreement | None:
    """The agreement of a request, if it still allows what is asked and where the answer goes."""
    client = register.client(snapshot, request.client_id)
    found = None if client is None else register.current(snapshot, client.agreement)
    if client is None or found is None or found[0].id != request.details.agreement:
        return None
    level = register.level_of(snapshot, found[0].id, request.details.purpose, now)
    stands = request.redirect_uri in client.redirect_uris
    stands = stands and request.redirect_uri in found[0].terms.partner.redirect_uris
    return found[0] if stands and level >= Level.named(request.details.level) else None


def _levels(request: Pushed) -> tuple[str, ...]:
    asked = Level.named(request.details.level)
    return tuple(level.word for level in Level if Level.NONE < level <= asked)


def _latest(request: Pushed, now: Ms) -> date:
    return datetime.fromtimestamp((now + grant.lifetime(request.details.purpose)) / 1000, UTC).date()


def _values(
    owner_id: bytes,
    request: Pushed,
    agreement: Agreement,
    form: dict[str, str],
    conversations: list[str],
    now: Ms,
) -> dict[str, Any]:
    """The grant that the form makes of the request. Raises Invalid for more than was asked."""
    asked = request.details
    level = form.get("level") or asked.level
    if level not in _levels(request):
        raise Invalid(Code.INVALID_DETAILS, "the level must be one of those on the page")
    mode = form.get("scope") or "all"
    if mode not in ("all", "listed", "all-but") or len(conversations) > par.MOST_CONVERSATIONS:
        raise Invalid(Code.INVALID_DETAILS, "choose all, the listed conversations, or all but them")
    scope = narrowed(asked.scope, Scope(mode, () if mode == "all" else tuple(dict.fromkeys(conversations))))
    if scope.mode == "listed" and not scope.of:
        raise Invalid(Code.INVALID_DETAILS, "choose at least one conversation")
    if PURPOSES[asked.purpose].one_conversation and (scope.mode != "listed" or len(scope.of) != 1):
        raise Invalid(Code.INVALID_DETAILS, "choose the one conversation that this is about")
    start, end = asked.times()
    return {
        "owner_id": owner_id,
        "grant_id": uuid7().bytes,
        "purpose": asked.purpose,
        "level": int(Level.named(level)),
        "agreement_id": asked.agreement,
        "partner": agreement.terms.partner.id,
        "client_id": request.client_id,
        "conversations": json.dumps({"mode": scope.mode, "of": list(scope.of)}),
        "period_from": start,
        "period_to": end,
        "unanswered": 0,
        "created_at": now,
        "expires_at": _until(form.get("until"), now, grant.lifetime(asked.purpose)),
        "revoked_at": None,
        "seq": 0,
        "applied": 0,
        "filled_policy": 0,
    }


def _until(text: str | None, now: Ms, longest: int) -> Ms:
    """The end of the day named, within the purpose's longest. Raises Invalid."""
    last = now + longest
    if not text:
        return last
    try:
        day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        end = round((day + timedelta(days=1)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Invalid(Code.INVALID_DETAILS, "until: write a day as 2026-11-30") from None
    if end <= now or end - DAY_MS >= last:
        raise Invalid(Code.INVALID_DETAILS, "until: not a day within the longest time for this purpose")
    return min(end, last)


def narrowed(asked: Scope, chosen: Scope) -> Scope:
    """What both scopes hold."""
    if asked.mode == "all":
        return chosen
    if chosen.mode == "all":
        return asked
    if asked.mode == "all-but" and chosen.mode == "all-but":
        return Scope("all-but", tuple(dict.fromkeys(asked.of + chosen.of)))
    listed, other = (asked, chosen) if asked.mode == "listed" else (chosen, asked)
    return Scope("listed", tuple(key for key in listed.of if other.holds(key)))


# ── pages that ask nothing ──
def page(title: str, banner: str, *blocks: str) -> bytes:
    """A plain HTML page in the clothes of the others; `banner` and `blocks` are HTML already."""
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    style = '<link rel="stylesheet" href="/me/static/byleave.css">'
    main = f'<main class="narrow"><h1>{escape(title)}</h1>{"".join(blocks)}</main>'
    return f"{head}{view}{style}</head><body>{banner}{main}</body></html>".encode()
