"""A person's own pages: signing in and out, the home page, and who read what of theirs.

Rules of this file:

1. A sign-in link is looked at by GET and used up by POST: a preview of the link burns nothing.
2. A session is an owner's or a sender's, never both: an inbox's claim of a handle proves nothing about it.
3. Owners see all reads of their inbox. A sender sees partners' reads of their words, of assistants a month
   only, never whose inbox, nor what anybody else chose (DESIGN.md, invariant 11).
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import secrets
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import bindparam, delete, insert, select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from byleave.consent import choice, grant, identity
from byleave.gateway.pages import charts
from byleave.gateway.pages.inbox import holder
from byleave.gateway.pages.shell import (
    HERE,
    Context,
    Visit,
    fresh_id,
    go,
    html,
    not_here,
    own_path,
    route,
    salt,
)
from byleave.ledger import log
from byleave.model import Level, Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.asking import session
from byleave.store.tables import owner
from byleave.view import recall, told
from byleave.view.export import owner_view
from byleave.view.told import Told

SESSION_MS = 12 * 3_600_000
DAY_MS = 86_400_000
DAYS = 30
"""How many days the chart shows."""
STEP = 100
"""Readings on one page."""
_LINK = prepare(
    select(session.c.owner_id, session.c.handle, session.c.expires_at).where(
        session.c.hash == bindparam("hash"), session.c.kind == "signin"
    )
)
_DROP = prepare(delete(session).where(session.c.hash == bindparam("of_hash")))
_ADD = prepare(insert(session))
_NAME = prepare(select(owner.c.name).where(owner.c.owner_id == bindparam("owner_id")))
STATIC = {
    "byleave.css": "text/css; charset=utf-8",
    "mark.svg": "image/svg+xml",
}


def routes(context: Context) -> list[BaseRoute]:
    return [
        Route("/me/static/{name}", static, methods=["GET"]),
        route(context, "/me/signin", sign_in_page, public=True),
        route(context, "/me/signin/{secret}", sign_in_page, public=True),
        route(context, "/me/signin/{secret}", sign_in, "POST", public=True),
        route(context, "/me/signout", sign_out, "POST"),
        route(context, "/me", home),
        route(context, "/me/", home),
        route(context, "/me/readings", readings),
        route(context, "/me/readings.json", readings_json),
        route(context, "/me/readings.csv", readings_csv),
        route(context, "/me/readings/chart.svg", chart),
        route(context, "/me/{rest:path}", nothing),
        route(context, "/me/{rest:path}", nothing, "POST"),
    ]


async def static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        return Response(b"", 404)
    headers = {"Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff"}
    return Response((HERE / "static" / name).read_bytes(), 200, headers, STATIC[name])


async def nothing(visit: Visit) -> Response:
    raise not_here()


# ── signing in and out ──
async def sign_in_page(visit: Visit) -> Response:
    secret = visit.request.path_params.get("secret")
    return visit.page("signin.html", secret=secret, next=own_path(visit.query("next", "/me/")), problem="")


async def sign_in(visit: Visit) -> Response:
    """Uses up a link and begins a session."""
    link, secret, csrf = (
        visit.request.path_params["secret"],
        secrets.token_urlsafe(32),
        secrets.token_urlsafe(32),
    )
    next = own_path(visit.field("next"))
    began = await visit.store.write_soon(
        begin,
        _hash(link),
        _hash(secret),
        csrf,
        visit.installation.people,
        visit.now,
        fresh_id(),
        salt(),
        visit.session.hash if visit.session else None,
    )
    if not began:
        problem = "This link has been used or has expired. Make a new one."
        return visit.page("signin.html", 400, secret=None, next=next, problem=problem)
    answer = go(next)
    answer.set_cookie(
        visit.context.guard.cookie,
        secret,
        max_age=SESSION_MS // 1000,
        path="/",
        httponly=True,
        samesite="lax",
        secure=visit.context.guard.base_url.startswith("https:"),
    )
    return answer


def begin(
    tx: Transaction,
    link: bytes,
    hash: bytes,
    csrf: str,
    people: bytes,
    now: Ms,
    entry_id: bytes,
    salt: bytes,
    old: bytes | None,
) -> bool:
    """Procedure: uses up a sign-in link and opens a page session in place of `old`; False for a link that is
    none."""
    row = tx.one(_LINK, hash=link)
    if row is None or now >= row[2]:
        return False
    tx.run(_DROP, of_hash=link)
    if old is not None:
        tx.run(_DROP, of_hash=old)
    tx.run(
        _ADD,
        hash=hash,
        kind="page",
        owner_id=row[0],
        handle=row[1],
        grant_id=None,
        csrf=csrf,
        expires_at=now + SESSION_MS,
    )
    whose = row[0] if row[0] is not None else identity.person_of(people, row[1])
    log.append(tx, whose, entry_id, "signin", now, {"by": "link"}, salt)
    return True


async def sign_out(visit: Visit) -> Response:
    assert visit.session is not None
    await visit.store.write_soon(end, visit.session.hash)
    answer = html(visit.context.render("signedout.html", None, path="", now=visit.now))
    answer.delete_cookie(
        visit.context.guard.cookie,
        path="/",
        httponly=True,
        samesite="lax",
        secure=visit.context.guard.base_url.startswith("https:"),
    )
    return answer


def end(tx: Transaction, hash: bytes) -> None:
    """Procedure: ends a session."""
    tx.run(_DROP, of_hash=hash)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


# ── home ──
async def home(visit: Visit) -> Response:
    if not visit.is_owner:
        return _sender_home(visit)
    with visit.store.read() as snapshot:
        view = owner_view(snapshot, visit.owner_id, visit.installation.ids, visit.now)
        grants = [
            {"who": holder(snapshot, g), "grant": g, "level": ceiling.word}
            for g in grant.of_owner(snapshot, visit.owner_id)
            if not g.for_owner and (ceiling := grant.ceiling(snapshot, g, visit.now)) > Level.NONE
        ]
        recent = [line(snapshot, t) for t in told.of_owner(snapshot, visit.owner_id) if t.purpose != "owner"]
        body = visit.render(
            "home.html",
            name=snapshot.value(_NAME, owner_id=visit.owner_id) or "",
            mailboxes=view.mailboxes(),
            grants=grants,
            recent=recent[:6],
            handle=None,
            months=[],
            choices=[],
        )
    return await visit.release(view.reading, view.account_id, body)


def _sender_home(visit: Visit) -> Response:
    with visit.store.read() as snapshot:
        person = identity.person_of(visit.installation.people, visit.handle)
        made = [c for c in choice.history(snapshot, person, visit.handle) if c.withdrawn_at is None]
        recent = [line(snapshot, t) for t in told.of_person(snapshot, visit.handle)[:6]]
        months = sorted(told.read_by_an_assistant(snapshot, visit.handle), reverse=True)
    return visit.page(
        "home.html",
        name=visit.handle.partition(":")[2],
        mailboxes=[],
        grants=[],
        recent=recent,
        handle=visit.handle,
        months=months,
        choices=made[-6:],
    )


# ── who read what of mine ──
def line(snapshot: Snapshot, t: Told) -> dict[str, Any]:
    """One reading as the pages and downloads show it."""
    named = {"owner": "You", "own-agent": "Your assistant"}.get(t.purpose)
    if named is None:
        named = holder_of(snapshot, t.agreement) or t.partner or ""
    return {"told": t, "who": named, "day": _day(t.at)}


def holder_of(snapshot: Snapshot, agreement_id: str | None) -> str | None:
    from byleave.consent import register

    found = register.current(snapshot, agreement_id) if agreement_id else None
    return None if found is None else found[0].terms.partner.name


SHOWN = ("others", "partners", "assistant", "me", "all")
_KIND = {"owner": "me", "own-agent": "assistant"}


def _mine(visit: Visit) -> tuple[str, list[dict[str, Any]], list[str]]:
    """(which are shown, readings newest first, months in which an assistant read)."""
    with visit.store.read() as snapshot:
        if not visit.is_owner:
            months = sorted(told.read_by_an_assistant(snapshot, visit.handle), reverse=True)
            return "partners", [line(snapshot, t) for t in told.of_person(snapshot, visit.handle)], months
        shown = visit.query("who") if visit.query("who") in SHOWN else "others"
        lines = [line(snapshot, t) for t in told.of_owner(snapshot, visit.owner_id, most=100_000)]
    return shown, [x for x in lines if _fits(x["told"], shown)], []


def _fits(t: Told, shown: str) -> bool:
    kind = _KIND.get(t.purpose, "partners")
    return shown == "all" or kind == shown or (shown == "others" and kind != "me")


async def readings(visit: Visit) -> Response:
    shown, found, months = _mine(visit)
    at = visit.position()
    days = Counter(x["day"] for x in found)
    messages: Counter[str] = Counter()
    for x in found:
        messages[x["day"]] += x["told"].messages
    return visit.page(
        "readings.html",
        shown=shown,
        readings=found[at : at + STEP],
        total=len(found),
        at=at,
        step=STEP,
        months=months,
        recalls=_recalls(visit),
        handle=None if visit.is_owner else visit.handle,
        per_day=sorted(days.items(), reverse=True)[:DAYS],
        messages=messages,
        days=DAYS,
        link=lambda to: f"/me/readings?who={shown}&at={to}",
    )


def _recalls(visit: Visit) -> list[dict[str, Any]]:
    """What partners were told to delete of mine, and whether they have said that they did."""
    with visit.store.read() as snapshot:
        mine = (
            recall.of_owner(snapshot, visit.owner_id)
            if visit.is_owner
            else recall.of_person(snapshot, visit.handle)
        )
        return [
            {
                "who": holder_of(snapshot, r.agreement_id) or r.partner, "messages": r.messages, "made": _day(r.made_at),
                "due": _day(r.due_at), "state": r.state(visit.now), "answered": _day(r.answered_at) if r.answered_at else "",
            }
            for r in mine[:STEP]
        ]  # fmt: skip


async def readings_json(visit: Visit) -> Response:
    _, found, months = _mine(visit)
    value: dict[str, Any] = {"readings": [told.as_json(x["told"]) for x in found]}
    if not visit.is_owner:
        value = {"readings": [_for_sender(visit, x["told"]) for x in found], "assistants": months}
    return _download(orjson.dumps(value, option=orjson.OPT_INDENT_2), "application/json", "readings.json")


async def readings_csv(visit: Visit) -> Response:
    _, found, _ = _mine(visit)
    out = io.StringIO()
    rows = [told.as_json(x["told"]) if visit.is_owner else _for_sender(visit, x["told"]) for x in found]
    names = list(rows[0]) if rows else ["at", "partner", "operative", "purpose", "level", "messages"]
    writer = csv.writer(out)
    writer.writerow(names)
    writer.writerows([[_cell(row[name]) for name in names] for row in rows])
    return _download(out.getvalue().encode(), "text/csv; charset=utf-8", "readings.csv")


def _for_sender(visit: Visit, t: Told) -> dict[str, Any]:
    """What a sender may keep of a reading. The grant has a name of this person's own: two senders who lay
    their pages side by side cannot tell that they stand in one inbox."""
    own = hmac.new(visit.installation.people, f"grant\0{visit.handle}\0{t.grant}".encode(), hashlib.sha256)
    return told.as_json(t) | {"grant": own.hexdigest()[:16]}


def _cell(value: Any) -> Any:
    """A spreadsheet must not take a name for a formula."""
    return "'" + value if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _download(body: bytes, media: str, name: str) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    }
    return Response(body, 200, headers, media)


# ── the chart ──
async def chart(visit: Visit) -> Response:
    """Messages read a day, for the last 30 days, as a drawing of its own."""
    _, found, _ = _mine(visit)
    return charts.response(drawn(found, visit.now, narrow=visit.query("narrow") == "1"))


def drawn(found: list[dict[str, Any]], now: Ms, *, narrow: bool = False) -> bytes:
    """The stacked bars of `found`: partners, assistant, the owner; `narrow` for a phone."""
    last = datetime.fromtimestamp(now / 1000, UTC).date()
    days = [last - timedelta(days=n) for n in reversed(range(DAYS))]
    counts: dict[str, Counter[str]] = {"partners": Counter(), "assistant": Counter(), "me": Counter()}
    for x in found:
        counts[_KIND.get(x["told"].purpose, "partners")][x["day"]] += x["told"].messages
    series = [[by_day.get(d.isoformat(), 0) for d in days] for by_day in counts.values()]
    return charts.bars(series, days, narrow=narrow, stacked=True)


def _day(ms: Ms) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")
