"""Title signals as a view shows them: pairwise persons, the caller's own title ids, a day.

What is shown is the rows that `view.signals` made for this grant, less the titles that are sensitive since, and what
its person has corrected or removed since: both bind the next request, before the sittings are made anew. Every function notes what it showed in the view's reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select

from byleave import titles
from byleave.consent import grant
from byleave.errors import Code, Invalid
from byleave.ledger import log
from byleave.model import Level, Ms
from byleave.store import Transaction, prepare
from byleave.store.bodies import fragment, mention
from byleave.store.shelf import signal_correction, view_signal
from byleave.store.tables import view_row
from byleave.view import View
from byleave.view.changes import Changes
from byleave.view.signals import (
    ALL,
    BEHIND,
    BORN,
    CORRECTIONS,
    REMOVED,
    STANCES,
    Signal,
    changed,
    gives,
    owe,
    own_words,
)


class Known(msgspec.Struct, frozen=True):
    """One signal (spec names.md, `…/ns/signals`). `day` is YYYY-MM-DD (UTC); nothing finer is known."""

    id: str
    person_id: str
    title_id: str
    stance: str
    confidence: str
    day: str


def may(view: View) -> bool:
    """Does this grant give out signals at all?"""
    return view.level >= Level.SIGNALS and gives(view.grant) and not view.for_owner


def every(view: View, endpoint: str) -> list[tuple[Signal, Known]]:
    """All signals of the view, the newest day first."""
    return _shown(view, endpoint, [Signal(*row) for row in view.snapshot.all(ALL, **view.mine)])


def of_ids(view: View, endpoint: str, ids: Iterable[str]) -> dict[str, Known]:
    """id → signal, for those that stand in this view."""
    asked = {number for number, part in view.ids.take_all("g", ids).values() if not part}
    rows = view.snapshot.all(BORN, **view.mine, borns=sorted(asked))
    return {known.id: known for _, known in _shown(view, endpoint, [Signal(*row) for row in rows])}


def saw(view: View, endpoint: str, borns: Iterable[int], *, news: bool = True) -> None:
    """Notes in the reading that these signals were shown, and whose words they came from."""
    shown = sorted(set(borns))
    behind = view.snapshot.all(BEHIND, **view.mine, borns=shown)
    view.reading.saw(endpoint, shown, (who for _, _, who in behind), news=news)


def changes(view: View, since: int, most: int) -> Changes:
    """Signals that came and went after `since`, at most `most` of them."""
    acts = changed(view.snapshot, view.mine, since)
    more = len(acts) > most
    to = acts[most - 1][0] if more else view.grant.seq
    came = [b for n, act, b in acts if n <= to and act == "came"]
    rows = [Signal(*row) for row in view.snapshot.all(BORN, **view.mine, borns=came)]
    created = sorted(row.born for row, _ in _shown(view, "", rows))
    destroyed = [b for n, act, b in acts if n <= to and act == "went" and b <= since]
    saw(view, "TitleSignal/changes", created, news=bool(created or destroyed))
    return Changes(created, [], destroyed, to, more)


def ids_of(view: View, borns: Iterable[int]) -> list[str]:
    return view.ids.give("g", borns)


def _shown(view: View, endpoint: str, rows: list[Signal]) -> list[tuple[Signal, Known]]:
    hidden = titles.flagged_by_hand(view.snapshot)
    rows = [row for row in rows if row.title_id not in hidden]
    named = titles.called(view.snapshot, view.grant.partner, (row.title_id for row in rows))
    rows = [row for row in rows if row.title_id in named]
    view.people.know(row.handle for row in rows)
    persons = {view.people.person(row.handle) for row in rows}
    said = {
        (who, title): stance
        for who in sorted(persons)
        for title, stance in view.snapshot.all(CORRECTIONS, person=who)
    }
    rows = [
        row
        for row in rows
        if said.get((view.people.person(row.handle), row.title_id), row.stance) == row.stance
    ]
    ids = view.ids.give("g", (row.born for row in rows))
    shown = [
        (row, Known(id, view.people.person_id(row.handle), named[row.title_id], row.stance, row.confidence, _day(row.day)))
        for row, id in zip(rows, ids, strict=True)
    ]  # fmt: skip
    if endpoint:
        saw(view, endpoint, (row.born for row, _ in shown))
    return shown


def _day(day: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


# ── what stands behind it, for the owner's own page ─────────────────────────────────────────────────────────
AROUND = 90
"""Characters shown on each side of a mention."""
_OWN_ROW = prepare(
    select(view_row.c.born, view_row.c.sender, func.coalesce(fragment.c.text, fragment.c.written))
    .join(
        fragment,
        (fragment.c.owner_id == view_row.c.owner_id) & (fragment.c.sender == view_row.c.sender)
        & (fragment.c.received_at == view_row.c.received_at) & (fragment.c.id == view_row.c.id),
    )
    .where(
        view_row.c.owner_id == bindparam("owner_id"), view_row.c.grant_id == bindparam("grant_id"),
        view_row.c.received_at == bindparam("received_at"), view_row.c.id == bindparam("id"),
    )
)  # fmt: skip
_NAMED_AT = prepare(
    select(mention.c.start, mention.c.end).where(
        mention.c.owner_id == bindparam("owner_id"), mention.c.id == bindparam("id"),
        mention.c.title_id == bindparam("title_id"),
    )
)  # fmt: skip


class Behind(msgspec.Struct, frozen=True):
    """A message behind a signal: its words around the title, in three pieces; the middle one is the title, or empty
    where the message answers one that named it. `mine`: the owner wrote it."""

    at: Ms
    mine: bool
    before: str
    named: str
    after: str


def behind(view: View, own: View, rows: Iterable[Signal]) -> dict[int, list[Behind]]:
    """born of a signal of `view` → the messages that it came from, as `own`, the inbox's own view, shows them. They are
    noted in `own`'s reading."""
    wanted = {row.born: row for row in rows}
    found: dict[int, list[Behind]] = {born: [] for born in wanted}
    shown: list[int] = []
    for born, id, _ in sorted(
        view.snapshot.all(BEHIND, **view.mine, borns=sorted(wanted)), key=lambda r: r[1]
    ):
        at = int.from_bytes(id[:6], "big")
        row = own.snapshot.one(_OWN_ROW, **own.mine, received_at=at, id=id)
        if row is None:
            continue
        owner_id, text = view.grant.owner_id, own_words(row[2])
        title_id = wanted[born].title_id
        start, end = own.snapshot.one(_NAMED_AT, owner_id=owner_id, id=id, title_id=title_id) or (0, 0)
        pieces = (text[max(0, start - AROUND) : start], text[start:end], text[end : end + AROUND])
        mine = own.people.person(row[1]) == owner_id
        found[born].append(Behind(at, mine, *pieces))
        shown.append(row[0])
    own.reading.saw("titles", shown)
    return found


# ── what a person says of it ────────────────────────────────────────────────────────────────────────────────
_DROP_CORRECTION = prepare(
    delete(signal_correction).where(
        signal_correction.c.owner_id == bindparam("of_person"),
        signal_correction.c.title_id == bindparam("of_title"),
    )
)
_CORRECT = prepare(insert(signal_correction))
_WHERE = prepare(
    select(view_signal.c.conversation, view_signal.c.sitting).where(
        view_signal.c.owner_id == bindparam("owner_id"), view_signal.c.grant_id == bindparam("grant_id"),
        view_signal.c.title_id == bindparam("title_id"),
    )
)  # fmt: skip


def correct(
    tx: Transaction, person: bytes, title_id: str, stance: str, now: Ms, entry_id: bytes, salt: bytes
) -> None:
    """Procedure: a person says what they think of a title; "" removes it. Binds the next request of every partner: it
    is read with every answer; the owner's own inbox is made anew behind it. Raises Invalid."""
    if stance not in (*STANCES, REMOVED):
        raise Invalid(Code.INVALID_ARGUMENTS, "choose one of " + ", ".join(STANCES) + ", or remove it")
    tx.run(_DROP_CORRECTION, of_person=person, of_title=title_id)
    tx.run(_CORRECT, owner_id=person, title_id=title_id, stance=stance, at=now)
    for found in grant.of_owner(tx, person):
        if found.revoked_at is None and gives(found):
            at = {"owner_id": person, "grant_id": found.grant_id, "title_id": title_id}
            owe(tx, found, [(c, s) for c, s in tx.all(_WHERE, **at)])
    log.append(
        tx,
        person,
        entry_id,
        "choice" if stance else "withdrawal",
        now,
        {"title": title_id, "stance": stance},
        salt,
    )
