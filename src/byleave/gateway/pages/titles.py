"""What a partner can know of me: titles and what I think of them, the words behind each, and why a card is here.

Rules of this file:

1. The list is the partner's own view, opened for its owner: what stands here is what the partner's next request would
   get about them, no more and no less. Friends' signals are about friends and not listed.
2. Sensitive titles are never listed: they are in no view.
3. A correction or a removal binds the next request.
4. "Why this card" shows the exact words; the partner only ever hears "from your chats".
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response
from starlette.routing import BaseRoute

from byleave import titles
from byleave.consent import grant
from byleave.errors import Absent, Code, Denied, Invalid
from byleave.exchange import send
from byleave.gateway.pages.inbox import holder
from byleave.gateway.pages.shell import Context, Visit, fresh_id, go, hex_id, not_here, route, salt
from byleave.store import Snapshot
from byleave.tailoring import ranking
from byleave.view import Lagging, View, known, open_view, rows
from byleave.view.export import owner_view
from byleave.view.signals import STANCES, Signal

SHOWN = 200
CATCH_UP = 64
WORDS = {
    "liked": "you liked it", "disliked": "you did not like it", "wants": "you want to see it", "seen": "you have seen it",
    "neutral": "you talked about it",
}  # fmt: skip


def routes(context: Context) -> list[BaseRoute]:
    shelves = ranking.Shelves()

    async def why(visit: Visit) -> Response:
        return await _why(visit, shelves)

    return [
        route(context, "/me/grants/{id}/titles", listing),
        route(context, "/me/grants/{id}/titles", correct, "POST"),
        route(context, "/me/sends/{id}/why", why),
    ]


async def listing(visit: Visit) -> Response:
    """Titles that one partner can know of me, the newest first, each with the words behind it."""
    grant_id = hex_id(visit.request.path_params["id"])
    await _caught_up(visit, grant_id)
    with visit.store.read() as snapshot:
        own = owner_view(snapshot, visit.owner_id, visit.installation.ids, visit.now)
        found = _granted(snapshot, visit, grant_id)
        view = open_view(snapshot, found, visit.installation.ids, visit.now)
        mine = _mine(view) if view is not None else []
        shown = _shown(view, own, mine[:SHOWN]) if view is not None else []
        body = visit.render(
            "titles.html", id=found.grant_id.hex(), who=holder(snapshot, found), titles=shown, more=len(mine) - len(shown),
            ended=view is None, stances=STANCES, words=WORDS, done=visit.query("done"),
        )  # fmt: skip
    return await visit.release(own.reading, own.account_id, body)


async def correct(visit: Visit) -> Response:
    """Says what I think of one title, or takes it out."""
    grant_id, title_id, stance = (
        hex_id(visit.request.path_params["id"]),
        visit.field("title"),
        visit.field("stance"),
    )
    with visit.store.read() as snapshot:
        _granted(snapshot, visit, grant_id)
        if not title_id or not titles.named(snapshot, [title_id]):
            raise Invalid(Code.INVALID_ARGUMENTS, "There is no such title.")
    said = "" if visit.field("remove") else stance or "none"
    await visit.store.write_soon(known.correct, visit.owner_id, title_id, said, visit.now, fresh_id(), salt())
    return go(f"/me/grants/{grant_id.hex()}/titles", done="corrected" if said else "removed")


async def _why(visit: Visit, shelves: ranking.Shelves) -> Response:
    """Why one card was proposed: the signals that speak for its title now, with my words behind them."""
    with visit.store.read() as snapshot:
        card = send.find(snapshot, visit.owner_id, hex_id(visit.request.path_params["id"]))
    await _caught_up(visit, card.grant_id)
    with visit.store.read() as snapshot:
        own = owner_view(snapshot, visit.owner_id, visit.installation.ids, visit.now)
        found = grant.find(snapshot, visit.owner_id, card.grant_id)
        view = open_view(snapshot, found, visit.installation.ids, visit.now)
        moved: list[Signal] = []
        if view is not None:
            wanted = set(_moved_by(view, shelves, orjson.loads(card.card)["title_ref"]["id"]))
            moved = [signal for signal, _ in known.every(view, "") if signal.born in wanted]
        mine = [s for s in moved if view is not None and view.people.person(s.handle) == visit.owner_id]
        body = visit.render(
            "why.html", title=send.title_of(card.card).title, who=holder(snapshot, found), words=WORDS,
            titles=_shown(view, own, mine) if view is not None else [], friends=len(moved) - len(mine),
            grant=card.grant_id.hex(),
        )  # fmt: skip
    return await visit.release(own.reading, own.account_id, body)


def _moved_by(view: View, shelves: ranking.Shelves, title_id: str) -> tuple[int, ...]:
    try:
        return ranking.moved_by(view, shelves, title_id)
    except Denied:
        return ()  # nothing is ranked here: no titles, or another purpose


async def _caught_up(visit: Visit, grant_id: bytes) -> None:
    """Works what waits into the grant, as its partner's next request would."""
    for _ in range(CATCH_UP):
        with visit.store.read() as snapshot:
            found = _granted(snapshot, visit, grant_id)
            try:
                open_view(
                    snapshot, found, visit.installation.ids, visit.now
                )  # dry run: nothing of it is shown
                return
            except Lagging:
                pass
        await visit.store.write_soon(rows.apply, visit.owner_id, grant_id, visit.now)


def _granted(snapshot: Snapshot, visit: Visit, grant_id: bytes) -> grant.Grant:
    try:
        found = grant.find(snapshot, visit.owner_id, grant_id)
    except Absent:
        raise not_here() from None
    if found.for_owner:
        raise not_here()
    return found


def _mine(view: View) -> list[Signal]:
    if not known.may(view):
        return []
    return [s for s, _ in known.every(view, "") if view.people.person(s.handle) == view.grant.owner_id]


def _shown(view: View, own: View, signals: list[Signal]) -> list[dict[str, Any]]:
    named = titles.named(view.snapshot, (s.title_id for s in signals))
    behind = known.behind(view, own, signals)
    return [
        {
            "id": s.title_id, "title": named.get(s.title_id, ("", 0))[0], "year": named.get(s.title_id, ("", 0))[1],
            "stance": s.stance, "confidence": s.confidence, "day": s.day * 86_400_000, "behind": behind[s.born],
        }
        for s in signals
    ]  # fmt: skip
