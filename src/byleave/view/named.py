"""Where a query depends on names: what a view fills in as it shows a row, and no column holds.

Names stand in the owner's chats, and in rows of others at `text` and above; everywhere else a person is a token of
the grant, whose width and letters are known without reading a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import ColumnElement, bindparam, false, select

from byleave.model import Level
from byleave.store import prepare
from byleave.store.tables import view_row
from byleave.view import tally
from byleave.view.rows import CHATS
from byleave.words.fragment import INDEX, slot
from byleave.words.terms import terms

if TYPE_CHECKING:
    from byleave.view import View

_MINE = (view_row.c.owner_id == bindparam("owner_id"), view_row.c.grant_id == bindparam("grant_id"))
_CHATS, _IN_WORDS = view_row.c.mailbox == CHATS, view_row.c.level >= int(Level.TEXT)
_BORNS = {
    clause: prepare(select(view_row.c.born).where(*_MINE, clause).order_by(view_row.c.born))
    for clause in (_CHATS, _IN_WORDS)
}
STEP = 1000
"""Rows whose words are in memory together."""
Rows = Callable[[Sequence[int]], dict[int, list[bytes]]]


class Named:
    """`query.Names` of one view. `rows` gives the filled segments of rows by born."""

    def __init__(self, view: View, rows: Rows) -> None:
        self._view = view
        self._rows = rows
        self.way = "owner" if view.for_owner else "text" if view.level >= Level.TEXT else "masked"

    @property
    def fills_names(self) -> ColumnElement[bool]:
        if self._view.for_owner:
            return _CHATS
        return _IN_WORDS if self._view.level >= Level.TEXT else false()

    def sizes(self) -> dict[int, int]:
        return self._sizes

    @cached_property
    def _sizes(self) -> dict[int, int]:
        statement = _BORNS.get(self.fills_names)
        if statement is None or (self._view.for_owner and not self._any_chats()):
            return {}
        borns = [born for (born,) in self._view.snapshot.all(statement, **self._view.mine)]
        found: dict[int, int] = {}
        for at in range(0, len(borns), STEP):
            for born, segments in self._rows(borns[at : at + STEP]).items():
                found[born] = int(segments[INDEX["size"]] or 0)
        return found

    def _any_chats(self) -> bool:
        return any(
            c.mailbox == CHATS and c.emails for c in tally.counts(self._view.snapshot, self._view.mine)
        )

    def people(self, handles: Iterable[int]) -> dict[int, tuple[set[str], set[str]]]:
        view, wanted = self._view, list(handles)
        view.people.know(wanted)
        found = {}
        for handle in wanted:
            shown = [_terms(view.people.fill(slot("A", handle)))]
            if not view.for_owner and view.level >= Level.TEXT:
                shown.append(_terms(view.people.fill(slot("a", handle))))
            found[handle] = set.intersection(*shown), set.union(*shown)
        return found

    def listed(self, borns: Sequence[int], header: str) -> dict[int, set[str]]:
        found: dict[int, set[str]] = {}
        for at in range(0, len(borns), STEP):
            for born, segments in self._rows(borns[at : at + STEP]).items():
                listed = orjson.loads(segments[INDEX[header]] or b"null") or []
                found[born] = {term for person in listed for term in _said(person)}
        return found


def _terms(person: bytes) -> set[str]:
    return set(_said(orjson.loads(person)))


def _said(person: dict[str, Any]) -> list[str]:
    return terms(f"{person['name'] or ''} {person['email']}")
