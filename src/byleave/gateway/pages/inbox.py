"""My inbox: the owner's own view as pages. Reading one's own messages is a reading like any other."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
import orjson
from starlette.responses import Response
from starlette.routing import BaseRoute

from byleave.consent import grant, register
from byleave.consent.grant import Grant
from byleave.errors import Code, Unavailable
from byleave.gateway.pages.shell import Context, Visit, not_here, route
from byleave.model import Level, Ms
from byleave.store import Snapshot
from byleave.view import Picker, Query, View, owners, rows
from byleave.view.export import owner_view
from byleave.view.shape import address_of

THREADS = 30
"""Threads on one page of the list."""
MESSAGES = 50
"""Messages on one page of a conversation."""
LONGEST_SEARCH = 200
NOBODY = address_of("")
"""What a view shows for a sender that cannot be resolved."""
_LIST = Picker(
    ["id", "threadId", "from", "to", "subject", "preview", "receivedAt", "hasAttachment"],
    body_values=False,
    max_body_bytes=0,
)
_READ = Picker(
    ["id", "threadId", "from", "to", "cc", "subject", "preview", "receivedAt", "hasAttachment"],
    body_values=False,
    max_body_bytes=0,
)


def routes(context: Context) -> list[BaseRoute]:
    return [
        route(context, "/me/inbox", listing),
        route(context, "/me/inbox/c/{id}", chat),
        route(context, "/me/inbox/t/{id}", thread),
    ]


async def listing(visit: Visit) -> Response:
    """The newest threads, of one mailbox or of what a search found."""
    words, box, at = visit.query("q").strip()[:LONGEST_SEARCH], visit.query("box"), visit.position()
    with visit.store.read() as snapshot:
        view = owner_view(snapshot, visit.owner_id, visit.installation.ids, visit.now)
        conditions: list[dict[str, Any]] = []
        if box:
            conditions.append({"inMailbox": view.mailbox_of(box)})
        if words:
            conditions.append({"text": words})
        asked = Query(
            filter={"operator": "AND", "conditions": conditions} if conditions else None,
            position=at,
            limit=THREADS,
            collapse_threads=not words,
            calculate_total=True,
        )
        found = view.query(asked)
        messages = [_of(view, born, body) for born, body in view.emails(found.borns, _LIST).items()]
        at_places = owners.places(view, found.borns)
        named = owners.named(view, [p.conversation for p in at_places.values()])
        for message in messages:
            place = at_places[message["born"]]
            message |= {"own": place.own, "conversation": named[place.conversation], "kind": place.kind}
        body = visit.render(
            "inbox.html",
            messages=messages,
            total=found.total or 0,
            at=found.position,
            step=THREADS,
            words=words,
            box=box,
            mailboxes=[m for m in view.mailboxes() if m.name != "Chats"],
            chats=owners.chats(view),
            link=lambda to: (
                "/me/inbox?" + urlencode({k: v for k, v in (("q", words), ("box", box), ("at", to)) if v})
            ),
        )
    return await visit.release(view.reading, view.account_id, body)


async def chat(visit: Visit) -> Response:
    """One chat, a page at a time, the newest page first, each page in the order in which it was said."""
    others = await _others(visit)
    with visit.store.read() as snapshot:
        view = owner_view(snapshot, visit.owner_id, visit.installation.ids, visit.now)
        found = owners.conversation_of(view, visit.request.path_params["id"])
        if found is None:
            raise not_here()
        asked = Query(
            filter={"inConversation": found.number},
            position=visit.position(),
            limit=MESSAGES,
            calculate_total=True,
        )
        page = view.query(asked)
        if not page.total:
            raise not_here()
        messages = _read(view, list(reversed(page.borns)), others, visit.now)
        body = visit.render(
            "thread.html",
            title=found.title or found.name,
            source=found.source,
            name=found.name,
            messages=messages,
            others=others,
            total=page.total,
            at=page.position,
            step=MESSAGES,
            subject=None,
            whole=None,
            link=lambda to: f"/me/inbox/c/{found.id}" + (f"?at={to}" if to else ""),
        )
    return await visit.release(view.reading, view.account_id, body)


async def thread(visit: Visit) -> Response:
    """One mail thread, or one day of a chat."""
    others = await _others(visit)
    id = visit.request.path_params["id"]
    with visit.store.read() as snapshot:
        view = owner_view(snapshot, visit.owner_id, visit.installation.ids, visit.now)
        ids = view.threads([id]).get(id)
        if not ids:
            raise not_here()
        at = min(visit.position(), max(0, len(ids) - 1))
        borns = list(view.borns(ids[at : at + MESSAGES]).values())
        messages = _read(view, borns, others, visit.now)
        place = owners.named(view, [owners.places(view, borns[:1])[borns[0]].conversation])
        conversation = next(iter(place.values()))
        is_mail = conversation.source == "mail"
        body = visit.render(
            "thread.html",
            title=(messages[0]["subject"] or "No subject") if is_mail else conversation.title,
            source=conversation.source,
            name=conversation.name,
            messages=messages,
            others=others,
            total=len(ids),
            at=at,
            step=MESSAGES,
            subject=messages[0]["subject"] if is_mail else None,
            link=lambda to: f"/me/inbox/t/{id}" + (f"?at={to}" if to else ""),
            whole=None if is_mail else f"/me/inbox/c/{conversation.id}",
        )
    return await visit.release(view.reading, view.account_id, body)


class Other(msgspec.Struct, frozen=True, kw_only=True):
    """A grant of somebody else's that is in force, and what the pages call its holder."""

    grant: Grant
    label: str


def holder(snapshot: Snapshot, found: Grant) -> str:
    """What the pages call whoever holds a grant."""
    if found.purpose == "owner":
        return "You"
    if found.agreement_id is None:
        return "Your assistant"
    agreement = register.current(snapshot, found.agreement_id)
    return found.partner or "" if agreement is None else agreement[0].terms.partner.name


async def _others(visit: Visit) -> list[Other]:
    """Grants in force beside the owner's own, their rows brought up to now: a no must not read "visible"."""
    with visit.store.read() as snapshot:
        behind = [g for g, ceiling in _in_force(snapshot, visit) if rows.lags(snapshot, g, ceiling)]
    for found in behind:
        await visit.store.write_soon(rows.apply, found.owner_id, found.grant_id, visit.now)
    with visit.store.read() as snapshot:
        return [
            Other(grant=g, label=f"{holder(snapshot, g)} ({g.purpose})")
            for g, _ in _in_force(snapshot, visit)
        ]


def _in_force(snapshot: Snapshot, visit: Visit) -> list[tuple[Grant, Level]]:
    found = [(g, grant.ceiling(snapshot, g, visit.now)) for g in grant.of_owner(snapshot, visit.owner_id)]
    return [(g, ceiling) for g, ceiling in found if not g.for_owner and ceiling > Level.NONE]


def _read(view: View, borns: list[int], others: list[Other], now: Ms) -> list[dict[str, Any]]:
    """Messages whole, each with who else can see it."""
    shown = view.emails(borns, _READ)
    words, places = owners.texts(view, borns), owners.places(view, borns)
    seen = [(other, owners.seen_by(view, borns, other.grant, now)) for other in others]
    messages = []
    for born in borns:
        if born not in shown:
            continue
        message = _of(view, born, shown[born])
        place = places[born]
        message |= {"own": place.own, "kind": place.kind, "body": words[born]}
        message["seen"] = [
            {"who": other.label, "level": level.word if level else "", "why": why}
            for other, by in seen
            for level, why in (by.get(born, (Level.NONE, "")),)
        ]
        messages.append(message)
    return messages


def _of(view: View, born: int, body: bytes | None) -> dict[str, Any]:
    """What a template shows of one message; `emails` answers None only for properties not asked for here."""
    if body is None:
        raise Unavailable(Code.UNAVAILABLE, "This message is being prepared anew; try again.")
    found = orjson.loads(body)
    people = found.get("from") or []
    return {
        "born": born,
        "id": found["id"],
        "thread": found["threadId"],
        "at": round(datetime.fromisoformat(found["receivedAt"]).timestamp() * 1000),
        "from": _names(people) or "Unknown sender",
        "to": _names(found.get("to") or []),
        "cc": _names(found.get("cc") or []),
        "subject": found.get("subject"),
        "preview": found.get("preview") or "",
        "attachment": found.get("hasAttachment", False),
    }


def _names(people: list[dict[str, Any]]) -> str:
    return ", ".join(p["name"] or (p["email"] if p["email"] != NOBODY else "Unknown sender") for p in people)
