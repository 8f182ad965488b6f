"""My choices: a sender's yes or no, in one click each way; and what an owner types for somebody else.

Rules of this file:

1. A sender decides everything about their own words: `by` is `self`.
2. An owner may type for somebody else only for their own assistant and only up to `masked`; it counts only
   where that person said nothing, and is recorded `by: owner` (consent.md, "Stores"). An owner sees what they
   typed themselves and never what the person chose.
3. Of yeses with equal scope the lower one wins, so a new yes takes the place of an earlier one of equal
   scope: withdrawn and set in one transaction, and the page says so.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import bindparam, select
from starlette.responses import Response
from starlette.routing import BaseRoute

from byleave.consent import choice, identity, register
from byleave.consent.choice import Choice
from byleave.consent.purpose import PURPOSES, Who
from byleave.errors import ByleaveError, Code, Invalid
from byleave.gateway.pages.shell import Context, Visit, fresh_id, go, hex_id, level_of, not_here, route, salt
from byleave.model import Level, Mode, Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.tables import choice as choice_table
from byleave.store.tables import handle as handle_table

MOST_HANDLES = 2000
_TYPED = prepare(
    select(*(choice_table.c[n] for n in Choice.__struct_fields__))
    .where(choice_table.c.by == "owner", choice_table.c.by_owner == bindparam("owner_id"))
    .order_by(choice_table.c.version.desc())
)
_PEOPLE = prepare(
    select(handle_table.c.value, handle_table.c.name)
    .where(
        handle_table.c.owner_id == bindparam("owner_id"), handle_table.c.own == 0, handle_table.c.handle > 0
    )
    .order_by(handle_table.c.name, handle_table.c.value)
    .limit(MOST_HANDLES)
)
NAMED_PLACES = ("whatsapp", "messenger", "instagram")
"""Sources whose handles name their conversation: `whatsapp:<conversation>/<name>`."""


def routes(context: Context) -> list[BaseRoute]:
    return [
        route(context, "/me/choices", listing),
        route(context, "/me/choices", choose, "POST"),
        route(context, "/me/choices/{id}/withdraw", withdraw, "POST"),
    ]


async def listing(visit: Visit) -> Response:
    return _page(visit)


def _page(visit: Visit, problem: str = "", status: int = 200) -> Response:
    if visit.is_owner:
        return _owners_page(visit, problem, status)
    with visit.store.read() as snapshot:
        made = _of_sender(snapshot, visit)
        partners = {a.terms.partner.id: a.terms.partner.name for a, _, _ in register.every(snapshot)}
        stands = [_standing(made, p, partners) for p in PURPOSES.values() if p.choices_apply]
    shown = [_shown(c, partners, made) for c in reversed(made)]
    return visit.page(
        "choices.html",
        status,
        handle=visit.handle,
        purposes=[p for p in PURPOSES.values() if p.choices_apply],
        partners=partners,
        places=_places(visit.handle, made),
        standing=[c for c in shown if c["stands"]],
        past=[c for c in shown if not c["stands"]],
        now_at=stands,
        problem=problem,
        done=visit.query("done"),
        word=_word(visit),
    )


def _word(visit: Visit) -> str:
    return {
        "no": "Your no binds from the next request on.",
        "yes": "Your yes is set.",
        "instead": "Your yes is set, in place of your earlier one for the same.",
        "withdrawn": "Withdrawn, from the next request on.",
    }.get(visit.query("done"), "")


def _of_sender(snapshot: Snapshot, visit: Visit) -> list[Choice]:
    return choice.history(snapshot, identity.person_of(visit.installation.people, visit.handle), visit.handle)


def _places(handle: str, made: list[Choice]) -> list[str]:
    """Conversations that this page knows without telling anything: those the handle or a choice names."""
    kind, _, value = handle.partition(":")
    found = [f"{kind}/{value.rpartition('/')[0]}"] if kind in NAMED_PLACES and "/" in value else []
    return list(dict.fromkeys(found + [c.conversation for c in made if c.conversation]))


def _standing(made: list[Choice], purpose: Any, partners: dict[str, str]) -> dict[str, Any]:
    """What the choices come to for one purpose, for a partner of no special mention, everywhere."""
    answer = choice.decide(made, purpose=purpose.name, partner=None, conversation="")
    return {"purpose": purpose.name, "level": "unanswered" if answer is None else answer.word}


def _shown(c: Choice, partners: dict[str, str], made: list[Choice]) -> dict[str, Any]:
    ended = c.level > Level.NONE and any(
        n.level is Level.NONE and n.version > c.version and c.inside(n) for n in made if n.by == "self"
    )
    return {
        "id": c.choice_id.hex(),
        "level": c.level.word,
        "purpose": c.purpose,
        "partner": partners.get(c.partner or "", c.partner),
        "conversation": c.conversation,
        "at": c.at,
        "withdrawn_at": c.withdrawn_at,
        "by": c.by,
        "ended": ended,
        "stands": c.withdrawn_at is None and not ended,
        "handle": c.handle,
    }


def _owners_page(visit: Visit, problem: str, status: int) -> Response:
    if visit.installation.mode is Mode.PROVIDER:
        raise not_here()
    with visit.store.read() as snapshot:
        made = _typed(snapshot, visit.owner_id)
        people = [
            {"handle": value, "name": name} for value, name in snapshot.all(_PEOPLE, owner_id=visit.owner_id)
        ]
    shown = [_shown(c, {}, made) for c in made]
    return visit.page(
        "typed.html",
        status,
        people=people,
        standing=[c for c in shown if c["stands"]],
        past=[c for c in shown if not c["stands"]],
        problem=problem,
        word=_word(visit),
    )


def _typed(snapshot: Snapshot, owner_id: bytes) -> list[Choice]:
    rows = snapshot.all(_TYPED, owner_id=owner_id)
    return [msgspec.convert(dict(zip(Choice.__struct_fields__, r, strict=True)), Choice) for r in rows]


async def choose(visit: Visit) -> Response:
    """One yes or no."""
    try:
        handle, level, purpose, partner, place = _asked(visit)
    except ByleaveError as error:
        if error.code is Code.ABSENT:
            raise
        return _page(visit, error.detail, 400)
    by = "owner" if visit.is_owner else "self"
    replaced = await visit.store.write_soon(
        choose_instead,
        visit.installation.people,
        fresh_id(),
        handle,
        int(level),
        purpose,
        partner,
        place,
        visit.now,
        by,
        visit.owner_id if visit.is_owner else None,
        salt(),
        [fresh_id() for _ in range(8)],
    )
    return go("/me/choices", done="no" if level is Level.NONE else "instead" if replaced else "yes")


def _asked(visit: Visit) -> tuple[str, Level, str | None, str | None, str | None]:
    """(handle, level, purpose, partner, conversation) of the form. Raises Invalid, Refused."""
    level = level_of(visit.field("level"))
    purpose = visit.field("purpose") or None
    if visit.is_owner:
        if visit.installation.mode is Mode.PROVIDER:
            raise not_here()
        handle, purpose = identity.parse(visit.field("handle")), "own-agent"
        with visit.store.read() as snapshot:
            known = identity.number_in(snapshot, visit.owner_id, handle)
        if known is None or known[1]:
            raise Invalid(Code.INVALID_ARGUMENTS, "Choose somebody out of your inbox.")
        choice.check(level, purpose, Mode.PERSONAL, "owner")
        return handle, level, purpose, None, None
    partner, place = visit.field("partner") or None, visit.field("conversation") or None
    with visit.store.read() as snapshot:
        made = _of_sender(snapshot, visit)
        partners = {a.terms.partner.id for a, _, _ in register.every(snapshot)}
    if partner is not None and partner not in partners:
        raise Invalid(Code.INVALID_ARGUMENTS, "Choose a partner out of the list, or all.")
    if place is not None and place not in _places(visit.handle, made):
        raise Invalid(Code.INVALID_ARGUMENTS, "Choose a conversation out of the list, or everywhere.")
    known_purpose = PURPOSES.get(purpose or "")
    if known_purpose is not None and known_purpose.who is not Who.PARTNER and partner is not None:
        raise Invalid(Code.INVALID_ARGUMENTS, "An assistant is no partner: leave the partner at all.")
    choice.check(level, purpose, visit.installation.mode, "self")
    return visit.handle, level, purpose, partner, place


def choose_instead(
    tx: Transaction,
    secret: bytes,
    choice_id: bytes,
    handle: str,
    level: int,
    purpose: str | None,
    partner: str | None,
    conversation: str | None,
    now: Ms,
    by: str,
    by_owner: bytes | None,
    salt: bytes,
    entry_ids: list[bytes],
) -> int:
    """Procedure: a choice, in place of yeses of equal scope by the same hand; answers how many it
    replaced."""
    person = identity.person_of(secret, handle)
    same = [
        c
        for c in choice.history(tx, person, handle)
        if c.withdrawn_at is None
        and c.level > Level.NONE
        and c.by == by
        and c.by_owner == by_owner
        and (c.purpose, c.partner, c.conversation) == (purpose, partner, conversation)
    ]
    replaced = 0
    if level > Level.NONE:
        for old, entry_id in zip(same, entry_ids, strict=False):
            choice.withdraw(tx, secret, handle, old.choice_id, now, entry_id, salt)
            replaced += 1
    choice.choose(
        tx, secret, choice_id, handle, level, purpose, partner, conversation, now, by, by_owner, salt
    )
    return replaced


async def withdraw(visit: Visit) -> Response:
    """Returns one choice to unanswered."""
    id = hex_id(visit.request.path_params["id"])
    with visit.store.read() as snapshot:
        mine = _typed(snapshot, visit.owner_id) if visit.is_owner else _of_sender(snapshot, visit)
    found = next((c for c in mine if c.choice_id == id), None)
    if found is None:
        raise not_here()
    await visit.store.write_soon(
        choice.withdraw, visit.installation.people, found.handle, id, visit.now, fresh_id(), salt()
    )
    return go("/me/choices", done="withdrawn")
