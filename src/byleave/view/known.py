"""Title signals as a view shows them: pairwise persons, the caller's own title ids, a day.

What is shown is the rows that `view.signals` made for this grant, less the titles that are sensitive since, and what
its person has corrected or removed since: both bind the next request, before the sittings are made anew. Every function notes what it showed in the view's reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import msgspec

from byleave import titles
from byleave.model import Level
from byleave.view import View
from byleave.view.changes import Changes
from byleave.view.signals import ALL, BEHIND, BORN, CORRECTIONS, Signal, changed, gives


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
