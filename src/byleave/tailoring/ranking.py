"""Ranked titles for one owner now: out of their own signals and what their friends say, kept for one answer.

Rules of this file (tailoring.md, "Ranking" and "No sensitive inference: by type"):

1. A taste exists for an owner who granted `tailoring`, out of what that grant's view shows, within one call. A sender's
   yes lets a friend's words move the owner's titles; nothing is made of the sender.
2. What leaves is title ids, a reason out of five, a score in three bands. No signal, no person, no number.
3. Each title comes with the signals that moved it (numbers of the grant): every one of them stands in the view, so
   every one was agreed to. They are for the owner; a partner hears "from your chats".
4. Twenty rankings for a person, partner and day: what is asked more often is a question about the person.
5. `Shelves` holds what is public (titles, flags, released totals), compiled once for each state of it. It never sees a
   signal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from sqlalchemy import bindparam, delete, insert, select

from byleave import titles
from byleave.consent.grant import Grant
from byleave.consent.purpose import PURPOSES, Output
from byleave.errors import Code, Denied, Exhausted, Invalid
from byleave.model import Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.shelf import ranked_today
from byleave.tailoring import learned, publish
from byleave.tailoring.catalogue import FEWEST
from byleave.tailoring.ranker import Counts, Ranker, friends_say, taste
from byleave.view import View, known
from byleave.view.signals import Signal
from byleave.words.gazetteer import Title

MOST = 50
PER_DAY = 20
FAME = 20.0
DAY_MS = 86_400_000

_TODAY = prepare(
    select(ranked_today.c.rankings).where(
        ranked_today.c.owner_id == bindparam("owner_id"), ranked_today.c.partner == bindparam("partner"),
        ranked_today.c.day == bindparam("day"),
    )
)  # fmt: skip
_FORGET = prepare(
    delete(ranked_today).where(
        ranked_today.c.owner_id == bindparam("owner_id"), ranked_today.c.partner == bindparam("partner")
    )
)
_COUNT = prepare(insert(ranked_today))


class Put(msgspec.Struct, frozen=True):
    """A title put forward. `moved_by` are the signals that moved it; they do not leave with it."""

    title_id: str
    reason: str
    score: str
    moved_by: tuple[int, ...]


class Heard(msgspec.Struct, frozen=True):
    """What one view says of titles, by the store's title_id, for the length of one answer."""

    own: dict[str, str]
    friends: list[tuple[str, str]]
    signals: tuple[Signal, ...]


def draw(tx: Transaction, owner_id: bytes, partner: str, now: Ms) -> int:
    """Procedure: counts a ranking. Raises Exhausted past `PER_DAY` (UTC)."""
    day = now // DAY_MS
    used = int(tx.value(_TODAY, owner_id=owner_id, partner=partner, day=day) or 0)
    if used >= PER_DAY:
        left = -(-((day + 1) * DAY_MS - now) // 1000)
        raise Exhausted(
            Code.BUDGET, f"at most {PER_DAY} rankings for one person and day", retry_after_s=int(left)
        )
    tx.run(_FORGET, owner_id=owner_id, partner=partner)
    tx.run(_COUNT, owner_id=owner_id, partner=partner, day=day, rankings=used + 1)
    return used + 1


class Shelves:
    """The public side of ranking, for one store."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], tuple[Ranker, dict[str, str] | None]] = {}

    def of(self, snapshot: Snapshot, partner: str) -> tuple[Ranker, dict[str, str] | None]:
        """(ranker, title_id → the partner's id; None: the same). Raises Denied where there are too few titles."""
        state = titles.edition(snapshot)
        released = [made for made, _ in publish.every(snapshot)]
        key = (partner, state, titles.list_of(snapshot, partner), len(released))
        found = self._kept.get(key)
        if found is None:
            shelf = titles.shelf(snapshot)
            called = titles.carried(snapshot, partner)
            films = [t for t in shelf.titles if called is None or t.id in called] if shelf else []
            if shelf is None or len(films) < FEWEST:
                raise Denied(Code.DENIED, f"a catalogue of fewer than {FEWEST} titles is not ranked")
            counts = learned.counts(released)
            if not counts.fame:
                counts = Counts(_fame(films), [], np.zeros((0, 0)))
            self._kept = {k: v for k, v in self._kept.items() if k[0] != partner}
            found = self._kept[key] = (Ranker(films, counts, flagged=shelf.sensitive), called)
        return found


def _fame(films: Sequence[Title]) -> dict[str, float]:
    """The catalogue's own figures, where nothing is released yet: votes, viewings, whatever they count, brought to a
    scale on which the best known does not drown what friends say."""
    most = max((t.popularity for t in films), default=0.0) or 1.0
    return {t.id: FAME * t.popularity / most for t in films}


def limit_of(body: bytes) -> int:
    """`{"limit": n}`, or nothing. Raises Invalid."""
    try:
        asked = msgspec.json.decode(body or b"{}", type=_Asked)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Invalid(Code.INVALID_ARGUMENTS, f"send {{limit: 1 to {MOST}}}, or nothing") from None
    if not 1 <= asked.limit <= MOST:
        raise Invalid(Code.INVALID_ARGUMENTS, f"limit is a whole number from 1 to {MOST}")
    return asked.limit


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    limit: int = MOST


def demand(found: Grant) -> str:
    """The partner whose grant may have rankings made. Raises Denied."""
    purpose = PURPOSES.get(found.purpose)
    gives = purpose.outputs(found.level) if purpose is not None else frozenset()
    if found.partner is None or not {Output.SIGNALS, Output.SENDS} <= gives:
        raise Denied(Code.DENIED, "rankings are made for a grant of purpose tailoring")
    return found.partner


def heard(view: View, endpoint: str) -> Heard:
    """The view's signals as a taste takes them: the owner's newest stance on each title, and every friend's."""
    own: dict[str, str] = {}
    friends: list[tuple[str, str]] = []
    used: list[Signal] = []
    for signal, _ in known.every(view, endpoint):  # the newest day first
        used.append(signal)
        if view.people.person(signal.handle) == view.grant.owner_id:
            own.setdefault(signal.title_id, signal.stance)
        else:
            friends.append((signal.title_id, signal.stance))
    return Heard(own, sorted(friends), tuple(used))


def ranked(view: View, shelves: Shelves, limit: int) -> list[Put]:
    """The titles to put forward to this grant's owner now, best first. Raises Denied."""
    ranker, called = shelves.of(view.snapshot, demand(view.grant))
    told = heard(view, "ranking")
    friends = friends_say(told.friends)
    found = ranker.rank(taste(told.own), seen=told.own, friends=friends, limit=limit)
    return [
        Put(
            one.title_id if called is None else called[one.title_id], str(one.reason), str(one.score),
            moved(ranker, told, one.title_id),
        )
        for one in found
    ]  # fmt: skip


def moved_by(view: View, shelves: Shelves, title_id: str) -> tuple[int, ...]:
    """The signals of this view that move one title (the partner's id for it); none where nothing does."""
    partner = demand(view.grant)
    meant = titles.meant(view.snapshot, partner, [title_id]).get(title_id)
    if meant is None:
        return ()
    ranker, _ = shelves.of(view.snapshot, partner)
    return moved(ranker, heard(view, "card"), meant)


def moved(ranker: Ranker, told: Heard, title_id: str) -> tuple[int, ...]:
    """Numbers of the signals on titles that move `title_id`, ascending."""
    weights: Mapping[str, float] = friends_say(told.friends)
    sources = ranker.moved_by(told.own, weights, title_id)
    return tuple(sorted(s.born for s in told.signals if s.title_id in sources))


def told_of(found: list[Put]) -> list[dict[str, str]]:
    """What leaves of a ranking."""
    return [{"titleId": p.title_id, "reason": p.reason, "score": p.score} for p in found]
