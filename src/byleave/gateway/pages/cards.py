"""Cards: what a partner wants to send in my name, and what was recommended to me.

Rules of this file:

1. The sender sees the card as its recipient would, and nothing is sent before they say so here. Leave for more to
   the same person is a tick of its own, ends within thirty days and by one click.
2. A sender never learns whether a card was shown: that would tell what the recipient chose (invariant 11).
3. A recipient sees who recommends what and why it is here; "no more from this partner" is one click.
4. Who asks not to be counted (`Sec-GPC`, or no yes to it) gets a plain link: their click passes nothing of ours.
"""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlsplit

import orjson
from sqlalchemy import bindparam, select
from starlette.responses import Response
from starlette.routing import BaseRoute

from byleave.consent import identity, register
from byleave.errors import Code, Invalid
from byleave.exchange import card as cards
from byleave.exchange import click, letter, picture, send
from byleave.exchange.letter import Letter
from byleave.gateway.pages.shell import Context, Visit, fresh_id, go, hex_id, not_here, route, salt
from byleave.store import Snapshot, prepare
from byleave.store.tables import owner

SHOWN = 100
SENT = {
    "sent": "Sent in your name.",
    "not-sent": "Not sent.",
    "leave-ended": "From now on you are asked about each card.",
}
CHOSEN = {"yes": "Kept.", "no": "No more cards of theirs come to you, from now on."}
_NAME = prepare(select(owner.c.name).where(owner.c.owner_id == bindparam("owner_id")))


def routes(context: Context) -> list[BaseRoute]:
    return [
        route(context, "/me/sends", sends),
        route(context, "/me/sends/leave/end", end_leave, "POST"),
        route(context, "/me/sends/{id}", one),
        route(context, "/me/sends/{id}/image", sent_image),
        route(context, "/me/sends/{id}/confirm", confirm, "POST"),
        route(context, "/me/sends/{id}/decline", decline, "POST"),
        route(context, "/me/cards", received),
        route(context, "/me/cards/choose", choose, "POST"),
        route(context, "/me/cards/{id}", card_alone),
        route(context, "/me/cards/{id}/image", card_image),
        route(context, "/me/cards/{id}/mail", card_mail),
        route(context, "/me/cards/{id}/oembed", card_oembed),
    ]


# ── the sender ──
async def sends(visit: Visit) -> Response:
    """What waits for my yes, what was sent in my name, and whom I need not be asked about."""
    with visit.store.read() as snapshot:
        found = [_sent(snapshot, visit, one) for one in send.of_owner(snapshot, visit.owner_id, SHOWN)]
        leaves = [
            {
                "grant": grant_id.hex(),
                "person": person.hex(),
                "who": _who(snapshot, visit.owner_id, person),
                "until": until,
            }
            for grant_id, person, until in send.leaves(snapshot, visit.owner_id, visit.now)
        ]
    waiting = [s for s in found if s["state"] == send.WAITING]
    return visit.page(
        "sends.html",
        word=SENT.get(visit.query("done"), ""),
        waiting=waiting,
        past=[s for s in found if s["state"] != send.WAITING],
        leaves=leaves,
    )


async def one(visit: Visit) -> Response:
    """One card, to be confirmed."""
    with visit.store.read() as snapshot:
        found = send.find(snapshot, visit.owner_id, _id(visit))
        shown = _sent(snapshot, visit, found)
    return visit.page("send.html", send=shown, days=send.LEAVE_MS // send.DAY_MS)


async def sent_image(visit: Visit) -> Response:
    """The picture of a card that I am asked about, or sent."""
    with visit.store.read() as snapshot:
        found = send.find(snapshot, visit.owner_id, _id(visit))
        return _image(_picture(snapshot, found.agreement_id, send.title_of(found.card)))


async def confirm(visit: Visit) -> Response:
    until = visit.now + send.LEAVE_MS if visit.field("leave") == "yes" else None
    ids, salts = [fresh_id() for _ in range(3)], [salt() for _ in range(3)]
    await visit.store.write_soon(send.confirm, visit.owner_id, _id(visit), until, ids, salts, visit.now)
    return go("/me/sends", done="sent")


async def decline(visit: Visit) -> Response:
    await visit.store.write_soon(send.decline, visit.owner_id, _id(visit), visit.now)
    return go("/me/sends", done="not-sent")


async def end_leave(visit: Visit) -> Response:
    grant_id, person = hex_id(visit.field("grant")), hex_id(visit.field("person"))
    await visit.store.write_soon(
        send.end_leave, visit.owner_id, grant_id, person, fresh_id(), salt(), visit.now
    )
    return go("/me/sends", done="leave-ended")


def _sent(snapshot: Snapshot, visit: Visit, found: send.Send) -> dict[str, Any]:
    agreement = register.current(snapshot, found.agreement_id)
    return {
        "id": found.send_id.hex(), "state": found.shown(visit.now)["state"], "card": send.title_of(found.card),
        "partner": found.partner if agreement is None else agreement[0].terms.partner.name,
        "who": _who(snapshot, found.owner_id, found.person), "at": found.accepted_at or found.made_at,
    }  # fmt: skip


def _who(snapshot: Snapshot, owner_id: bytes, person: bytes) -> str:
    return send.name_of(snapshot, owner_id, person) or "somebody who is not in your inbox"


def _id(visit: Visit) -> bytes:
    return hex_id(visit.request.path_params["id"])


# ── the recipient ──
async def received(visit: Visit) -> Response:
    """Cards that were sent to me, and which partners may send more."""
    person = identity.person_of(visit.installation.people, visit.handle)
    await _key(visit)
    silent = visit.request.headers.get("sec-gpc", "").strip() == "1"
    with visit.store.read() as snapshot:
        chosen = {partner: (may, counted) for partner, may, counted, _ in send.chosen(snapshot, person)}
        found = [
            {
                **_got(snapshot, visit, row, counted=not silent and all(chosen.get(row[3], (False, False)))),
                "more": chosen.get(row[3], (False, False))[0],
            }
            for row in send.received(snapshot, person, SHOWN)
        ]
        names = {
            a.terms.partner.id: a.terms.partner.name
            for a, status, _ in register.every(snapshot)
            if status == register.PUBLISHED
        }
    partners = [
        {
            "id": id,
            "name": name,
            "cards": chosen.get(id, (False, False))[0],
            "clicks": chosen.get(id, (False, False))[1],
        }
        for id, name in sorted(names.items())
    ]
    return visit.page("cards.html", cards=found, partners=partners, word=CHOSEN.get(visit.query("done"), ""))


async def card_alone(visit: Visit) -> Response:
    """One card as a chat carries it: a small page with Open Graph and schema.org data."""
    return _form(letter.chat(await _letter(visit)), "text/html; charset=utf-8")


async def card_image(visit: Visit) -> Response:
    """The picture of a card of mine."""
    person = identity.person_of(visit.installation.people, visit.handle)
    with visit.store.read() as snapshot:
        row = send.received_one(snapshot, person, _id(visit))
        return _image(None if row is None else _picture(snapshot, row[2], send.title_of(row[4])))


def _picture(snapshot: Snapshot, agreement_id: str, made: cards.Card) -> picture.Picture | None:
    return None if made.image is None else picture.find(snapshot, agreement_id, made.image)


def _image(found: picture.Picture | None) -> Response:
    """Raises Absent where there is none."""
    if found is None:
        raise not_here()
    return _form(found.data, found.media)


async def card_mail(visit: Visit) -> Response:
    """One card as a mail to oneself."""
    made = await _letter(visit)
    kind, _, value = visit.handle.partition(":")
    host = urlsplit(visit.context.guard.base_url).hostname or "localhost"
    to = value if kind == "mail" else "you@masked.invalid"
    return _form(letter.mail(made, f"Byleave <cards@{host}>", to), "message/rfc822", "card.eml")


async def card_oembed(visit: Visit) -> Response:
    """One card as oEmbed."""
    return _form(orjson.dumps(letter.oembed(await _letter(visit))), "application/json")


async def _letter(visit: Visit) -> Letter:
    """The card of this address, if it is mine. Raises Absent."""
    person, id = identity.person_of(visit.installation.people, visit.handle), _id(visit)
    await _key(visit)
    silent = visit.request.headers.get("sec-gpc", "").strip() == "1"
    with visit.store.read() as snapshot:
        row = send.received_one(snapshot, person, id)
        if row is None:
            raise not_here()
        counted = not silent and all(send.receives(snapshot, person, row[3]))
        got = _got(snapshot, visit, row, counted=counted)
        found = _picture(snapshot, row[2], got["card"])
    base = visit.context.guard.base_url
    link, trap = (
        base + link if link and link.startswith("/") else link for link in (got["link"], got["trap"])
    )
    return Letter(
        id=got["id"], who=got["who"], title=got["card"].title, text=got["card"].text, partner=got["partner"].name,
        link=link or base, trap=trap, stop=f"{base}/me/cards", at=got["at"],
        picture=None if found is None else (*found, f"{base}/me/cards/{got['id']}/image"),
    )  # fmt: skip


def _form(body: bytes, media: str, name: str = "") -> Response:
    """The page's data block must not run; nothing else of it can."""
    headers = {
        "Content-Security-Policy": "default-src 'none'; img-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    }
    if name:
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return Response(
        body, 200, {**headers, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}, media
    )


async def choose(visit: Visit) -> Response:
    """May this partner's cards reach me, and may my clicks be counted."""
    person = identity.person_of(visit.installation.people, visit.handle)
    partner = visit.field("partner")
    with visit.store.read() as snapshot:
        known = {a.terms.partner.id for a, _, _ in register.every(snapshot)}
    if partner not in known:
        raise Invalid(Code.INVALID_ARGUMENTS, "Choose a partner out of the list.")
    may, counted = visit.field("cards") == "yes", visit.field("clicks") == "yes"
    await visit.store.write_soon(
        send.receive, person, partner, may, may and counted, fresh_id(), salt(), visit.now
    )
    return go("/me/cards", done="yes" if may else "no")


async def _key(visit: Visit) -> None:
    with visit.store.read() as snapshot:
        there = click.tokens(snapshot, visit.installation.ids, bytes(16)) is not None
    if not there:
        await visit.store.write_soon(click.begin, secrets.token_bytes(32), visit.now, fresh_id(), salt())


def _got(
    snapshot: Snapshot, visit: Visit, row: tuple[bytes, bytes, str, str, str, int], *, counted: bool
) -> dict[str, Any]:
    send_id, sender_id, agreement_id, _, text, at = row
    agreement = register.current(snapshot, agreement_id)
    if agreement is None:
        raise not_here()
    made, name = send.title_of(text), snapshot.value(_NAME, owner_id=sender_id)
    made_tokens = click.tokens(snapshot, visit.installation.ids, send_id) if counted else None
    links = (
        (cards.destination(agreement[0], made), None)
        if made_tokens is None
        else (f"/c/{made_tokens[0]}", f"/c/{made_tokens[1]}")
    )
    return {
        "id": send_id.hex(), "card": made, "at": at, "partner": agreement[0].terms.partner, "link": links[0], "trap": links[1],
        "who": name if name not in (None, "", "me") else "Somebody you write with",
    }  # fmt: skip
