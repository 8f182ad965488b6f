"""Which rows answer a query: filters and sorts over what the view shows, and nothing else.

Rules of this file:

1. A filter (RFC 8621 §4.4.1) is one WHERE clause over `view_row`. What stands in no column is found first, as the
   numbers of rows: words and people in the grant's own postings, sizes that depend on names through `Names`.
2. Only the page asked for is read, however deep: an anchor's place and an end's are counted by the database.
3. Every way sees the level's text only, so that a query is no oracle for what is masked; and a row of a thread
   stands for it (`collapseThreads`) among the rows that answer, so that what is hidden collapses nothing.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

import msgspec
from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    exists,
    false,
    func,
    not_,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.sql.util import ClauseAdapter

from byleave.errors import ByleaveError, Code
from byleave.store import Prepared, Snapshot, among, prepare
from byleave.store.tables import view_row, view_term
from byleave.view import tally
from byleave.view.postings import CHUNK, PEOPLE
from byleave.words.terms import terms

SORTS = ("receivedAt", "sentAt", "size")
"""emailQuerySortOptions: sorting by names or subjects would tell what is masked (spec api.md)."""
DEEPEST = 16
"""Filters nest no deeper."""
MOST_CONDITIONS = 256
"""Of one filter: SQLite's expressions are bounded."""
LONGEST_SEARCH = 1000
"""Characters of one condition's words."""
_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_MINE = (view_row.c.owner_id == bindparam("owner_id"), view_row.c.grant_id == bindparam("grant_id"))
_MY_TERMS = (view_term.c.owner_id == bindparam("owner_id"), view_term.c.grant_id == bindparam("grant_id"))
_POSTINGS = prepare(
    select(view_term.c.chunk, view_term.c.borns).where(*_MY_TERMS, view_term.c.term == bindparam("term"))
)
_TERMS = prepare(
    select(view_term.c.term)
    .where(*_MY_TERMS, view_term.c.term >= bindparam("first"), view_term.c.term < bindparam("last"))
    .group_by(view_term.c.term)
)


class QueryProblem(ByleaveError):
    """A query that this view does not answer: `kind` is the JMAP method error (RFC 8620 §5.5)."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(Code.INVALID_ARGUMENTS, detail)
        self.kind = kind


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Email/query's arguments, mailbox ids already turned into the view's numbers by `mailbox`."""

    filter: dict[str, Any] | None = None
    sort: tuple[tuple[str, bool], ...] = (("receivedAt", False),)
    """(property, ascending) in order."""
    position: int = 0
    anchor: int | None = None
    """born of the anchor."""
    anchor_offset: int = 0
    limit: int = 500
    collapse_threads: bool = False
    calculate_total: bool = False


class Page(msgspec.Struct, frozen=True):
    """Rows that lie together, nothing between them: what an Email/get behind the query will ask for."""

    borns: frozenset[int]
    newest: tuple[int, bytes]
    """(received_at, id)."""
    oldest: tuple[int, bytes]


class Found(msgspec.Struct, frozen=True):
    """`borns` in order, where the first stands, how many there are in all (None unless asked), and whose they
    are, in the same order."""

    borns: list[int]
    position: int
    total: int | None
    senders: list[int]
    page: Page | None = None


class Names(Protocol):
    """What a query must know of names: a view fills them in, no column holds them."""

    way: str
    """Names the clause `fills_names`."""

    @property
    def fills_names(self) -> ColumnElement[bool]:
        """Over `view_row`: which rows show names. Their column `size` is not what is shown."""

    def sizes(self) -> dict[int, int]:
        """born → size shown, of every row that shows names."""

    def people(self, handles: Iterable[int]) -> dict[int, tuple[set[str], set[str]]]:
        """handle → (terms of it in every way in which a row may show it, terms of it in any)."""

    def listed(self, borns: Sequence[int], header: str) -> dict[int, set[str]]:
        """born → terms of the people in one header, as the row shows them."""


def check(filter: Any, depth: int = 0) -> None:
    """Raises QueryProblem for a filter that is malformed or that no view answers."""
    if filter is None:
        return
    if not depth and _conditions(filter) > MOST_CONDITIONS:
        raise QueryProblem("unsupportedFilter", f"a filter has at most {MOST_CONDITIONS} conditions")
    if not isinstance(filter, dict) or depth > DEEPEST:
        raise QueryProblem("invalidArguments", "a filter is a FilterOperator or a FilterCondition")
    if "operator" in filter:
        if set(filter) != {"operator", "conditions"} or filter["operator"] not in ("AND", "OR", "NOT"):
            raise QueryProblem(
                "invalidArguments", "a FilterOperator has operator AND, OR or NOT and conditions"
            )
        if not isinstance(filter["conditions"], list):
            raise QueryProblem("invalidArguments", "conditions is a list")
        for condition in filter["conditions"]:
            if condition is None:
                raise QueryProblem("invalidArguments", "a condition is an object")
            check(condition, depth + 1)
        return
    for name, value in filter.items():
        wanted = _TYPES.get(name)
        if wanted is None:
            raise QueryProblem("unsupportedFilter", "no view answers one of these conditions")
        if not wanted(value):
            raise QueryProblem("invalidArguments", f"{name} has the wrong type")
        if isinstance(value, str) and len(value) > LONGEST_SEARCH:
            raise QueryProblem("unsupportedFilter", f"{name} has at most {LONGEST_SEARCH} characters")


def _conditions(filter: Any) -> int:
    """How many there are, operators among them; of what is no filter, one."""
    inside = filter.get("conditions") if isinstance(filter, dict) else None
    return 1 + (sum(map(_conditions, inside)) if isinstance(inside, list) else 0)


def folded(filter: dict[str, Any]) -> dict[str, Any]:
    """`filter` without the conditions whose answer is one for every row that somebody else than the owner is
    shown: all of it is `$seen`, nothing has another keyword or an attachment (spec api.md)."""
    if "operator" in filter:
        return {**filter, "conditions": [folded(c) for c in filter["conditions"]]}
    constant: dict[str, Callable[[Any], bool]] = {
        "hasKeyword": lambda v: v.lower() == "$seen", "notKeyword": lambda v: v.lower() != "$seen",
        "hasAttachment": lambda v: not v,
    }  # fmt: skip
    left = {name: value for name, value in filter.items() if name not in constant}
    if all(constant[name](value) for name, value in filter.items() if name in constant):
        return left
    return {**left, "inMailbox": 0}


def _is_date(value: Any) -> bool:
    """Is it a UTCDate (RFC 8620 §1.4) of a day that there was?"""
    return isinstance(value, str) and _UTC.fullmatch(value) is not None and _ms(value) is not None


def _ms(value: str) -> int | None:
    try:
        return round(datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


_TYPES: dict[str, Callable[[Any], bool]] = {
    "inMailbox": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "inMailboxOtherThan": lambda v: isinstance(v, list) and all(isinstance(x, int) for x in v),
    "before": _is_date,
    "after": _is_date,
    "minSize": lambda v: isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 1 << 53,
    "maxSize": lambda v: isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 1 << 53,
    "hasAttachment": lambda v: isinstance(v, bool),
    **dict.fromkeys(
        ("hasKeyword", "notKeyword", "text", "body", "subject", "from", "to", "cc", "bcc"),
        lambda v: isinstance(v, str),
    ),
}


# ── the page ────────────────────────────────────────────────────────────────────────────────────────────────
class _Order:
    """Keys of a sort, the last of them never equal in two rows."""

    def __init__(self, sort: Sequence[tuple[str, bool]]) -> None:
        self.by_size = any(name == "size" for name, _ in sort)
        self.plain = [name for name, _ in sort] in ([], ["receivedAt"])
        last = sort[0][1] if self.plain and sort else False
        columns = {
            "receivedAt": view_row.c.received_at, "size": view_row.c.size,
            "sentAt": func.coalesce(view_row.c.sent_at, -(1 << 62)),
        }  # fmt: skip
        named = {
            name: (columns[name], ascending) for name, ascending in reversed(sort)
        }  # the first one counts
        keys = [named[name] for name in dict.fromkeys(name for name, _ in sort)]
        if "receivedAt" not in named:
            keys.append((view_row.c.received_at, last))
        self.keys: list[tuple[ColumnElement[Any], bool]] = [*keys, (view_row.c.id, last)]

    def by(self, *, backwards: bool = False) -> list[ColumnElement[Any]]:
        return [key.asc() if ascending is not backwards else key.desc() for key, ascending in self.keys]

    def before(
        self, given: Sequence[ColumnElement[Any]], keys: Sequence[ColumnElement[Any]]
    ) -> ColumnElement[bool]:
        """Does a row with `keys` stand before one with `given`?"""
        if self.plain:
            one, other = tuple_(*keys), tuple_(*given)
            return one < other if self.keys[0][1] else one > other
        clauses = []
        for n, (_, ascending) in enumerate(self.keys):
            equal = [a == b for a, b in zip(keys[:n], given, strict=False)]
            clauses.append(and_(*equal, keys[n] < given[n] if ascending else keys[n] > given[n]))
        return or_(*clauses)


@lru_cache(maxsize=64)
def _order(sort: tuple[tuple[str, bool], ...]) -> _Order:
    """Expressions are dear to make, and clients ask for few orders."""
    return _Order(sort)


Plan = tuple[Any, ...]
"""A filter as a statement's shape: operators, conditions and the names of what is bound in them."""


class _Asking:
    """One query: the shape of its clause, and the values bound in it."""

    def __init__(self, snapshot: Snapshot, mine: dict[str, Any], names: Names, query: Query) -> None:
        self.snapshot = snapshot
        self.mine = mine
        self.names = names
        self.query = query
        self.order = _order(query.sort)
        self.values: dict[str, Any] = dict(mine)
        self.plan = self._plan(query.filter)

    def run(self, what: str, **more: Any) -> list[tuple[Any, ...]]:
        """The rows of one of `_STATEMENTS`, built and compiled once for each shape of a query."""
        query = self.query
        key = (what, self.plan, query.sort, query.collapse_threads, self.names.way)
        statement = _KEPT.get(key)
        if statement is None:
            clause = and_(*_MINE, _clause(self.plan, self.names.fills_names))
            page = and_(clause, _first_of_thread(clause, self.order)) if query.collapse_threads else clause
            statement = prepare(_STATEMENTS[what](clause, page, self.order, query.collapse_threads))
            if len(_KEPT) > 512:
                _KEPT.clear()
            _KEPT[key] = statement
        return self.snapshot.all(statement, **self.values, **more)

    def total(self) -> int:
        """How many there are: out of the counts where they tell, else counted."""
        filter, collapse = self.query.filter, self.query.collapse_threads
        if not filter and not collapse:
            return sum(count.emails for count in tally.counts(self.snapshot, self.mine))
        if filter and set(filter) == {"inMailbox"}:
            standing = {c.mailbox: c for c in tally.counts(self.snapshot, self.mine)}
            count = standing.get(filter["inMailbox"])
            return 0 if count is None else count.threads if collapse else count.emails
        return int(self.run("total")[0][0])

    def place(self, anchor: int) -> int:
        """How many rows stand before the anchor."""
        keys = self.run("keys", anchor=anchor)
        if not keys:
            raise _no_anchor()
        return int(self.run("before", **{f"anchor{n}": value for n, value in enumerate(keys[0])})[0][0])

    # the filter
    def _plan(self, filter: dict[str, Any] | None) -> Plan:
        if not filter:
            return ("AND",)
        if "operator" in filter:
            return (filter["operator"], *map(self._plan, filter["conditions"]))
        return ("AND", *(self._condition(name, value) for name, value in filter.items()))

    def _condition(self, name: str, value: Any) -> Plan:
        match name:
            case "before" | "after":
                return (name, self._bound(_ms(value)))
            case "inMailbox" | "inMailboxOtherThan" | "inConversation":
                # a conversation: the owner's pages alone; no query from outside passes `check` with it
                return (name, self._bound(value))
            case "minSize" | "maxSize":
                large = name == "minSize"
                named = {born for born, size in self.names.sizes().items() if (size >= value) is large}
                return (name, self._bound(value), self._one_of(named) if named else None)
            case "hasAttachment":
                return ("flag", tally.ATTACHMENT, value)
            case "hasKeyword" | "notKeyword":
                return ("flag", tally.KEYWORDS.get(value.lower(), 0), name == "hasKeyword")
            case "text" | "body" | "subject":
                return self._one_of(holding(self.snapshot, self.mine, name, value))
            case _:
                found = self._with_people(name, value)
                return ("AND",) if found is None else self._one_of(found)

    def _bound(self, value: Any) -> str:
        key = f"v{len(self.values)}"
        self.values[key] = value
        return key

    def _one_of(self, borns: set[int]) -> Plan:
        """Row by row where there are many and the page is near; else from each of them to its row."""
        many = len(borns) > 8 * (self.query.limit + max(0, self.query.position))
        return ("rows" if many else "seek", self._bound(sorted(borns)))

    def _with_people(self, header: str, text: str) -> set[int] | None:
        """borns of the rows whose people in one header answer to every word of `text`; None: every row does."""
        letter, wanted = PEOPLE[header], dict.fromkeys(terms(text))
        if not wanted:
            return None
        numbers = self.snapshot.all(_TERMS, **self.mine, first=letter + "#", last=letter + "$")
        handles = {int(term[2:], 16): term for (term,) in numbers}
        people = self.names.people(handles)
        found: set[int] | None = None
        doubtful = False
        for term in wanted:
            here = _posted(self.snapshot, self.mine, f"{letter}={term}")
            for handle, (always, perhaps) in people.items():
                if term in perhaps:
                    here |= _posted(self.snapshot, self.mine, handles[handle])
                    doubtful = doubtful or term not in always
            found = here if found is None else found & here
        assert found is not None
        if doubtful:
            listed = self.names.listed(sorted(found), header)
            found = {born for born in found if wanted.keys() <= listed.get(born, set())}
        return found


def find(snapshot: Snapshot, mine: dict[str, Any], query: Query, names: Names) -> Found:
    """Answers a query. Raises QueryProblem."""
    asking = _Asking(snapshot, mine, names, query)
    if asking.order.by_size and (shown := names.sizes()):
        return _by_shown_size(asking, shown)
    total = None
    if query.calculate_total or (query.anchor is None and query.position < 0):
        total = asking.total()
    start = query.position
    if query.anchor is not None:
        start = max(0, asking.place(query.anchor) + query.anchor_offset)
    elif query.position < 0:
        start = max(0, (total or 0) + query.position)
    if total is not None and total - start < start:  # nearer from the end
        n = max(0, min(query.limit, total - start))
        found = asking.run("backwards", n=n, at=max(0, total - start - query.limit))
        found.reverse()
    else:
        found = asking.run("page", n=query.limit, at=start)
    together = None
    if found and asking.order.plain and not query.filter and not query.collapse_threads:
        ends = [(row[2], row[3]) for row in (found[0], found[-1])]
        together = Page(frozenset(row[0] for row in found), max(ends), min(ends))
    shown_total = total if query.calculate_total else None
    return Found([row[0] for row in found], start, shown_total, [row[1] for row in found], together)


def _by_shown_size(asking: _Asking, shown: dict[int, int]) -> Found:
    """The same where sizes depend on names: every row that answers is sorted here."""
    query, rows = asking.query, asking.run("every")
    for n, (key, ascending) in reversed(list(enumerate(asking.order.keys, 3))):
        if key is view_row.c.size:
            rows.sort(key=lambda row, n=n: shown.get(row[0], row[n]), reverse=not ascending)  # type: ignore[misc]
        else:
            rows.sort(key=lambda row, n=n: row[n], reverse=not ascending)  # type: ignore[misc]
    if query.collapse_threads:
        seen: set[int] = set()
        rows = [r for r in rows if r[2] not in seen and not seen.add(r[2])]  # type: ignore[func-returns-value]
    start = query.position if query.position >= 0 else max(0, len(rows) + query.position)
    if query.anchor is not None:
        place = next((n for n, row in enumerate(rows) if row[0] == query.anchor), None)
        if place is None:
            raise _no_anchor()
        start = max(0, place + query.anchor_offset)
    page = rows[start : start + query.limit]
    total = len(rows) if query.calculate_total else None
    return Found([row[0] for row in page], start, total, [row[1] for row in page])


def _no_anchor() -> QueryProblem:
    return QueryProblem("anchorNotFound", "the anchor is not among the results")


# ── words and people ────────────────────────────────────────────────────────────────────────────────────────
def _posted(snapshot: Snapshot, mine: dict[str, Any], term: str) -> set[int]:
    """borns of the rows with one term."""
    here: set[int] = set()
    for chunk, borns in snapshot.all(_POSTINGS, **mine, term=term):
        here.update(chunk * CHUNK + offset for offset in array("H", borns))
    return here


def holding(snapshot: Snapshot, mine: dict[str, Any], where: str, text: str) -> set[int]:
    """borns of the rows that hold every word of `text` in `where` (text, body or subject)."""
    found: set[int] | None = None
    for term in dict.fromkeys(terms(text)):
        here: set[int] = set()
        for name in {"body": [term], "subject": ["s:" + term]}.get(where, [term, "s:" + term]):
            here |= _posted(snapshot, mine, name)
        found = here if found is None else found & here
    return found or set()


# ── statements ──────────────────────────────────────────────────────────────────────────────────────────────
_KEPT: dict[Any, Prepared] = {}
"""Statements by the shape of what was asked."""


def _clause(plan: Plan, fills_names: ColumnElement[bool]) -> ColumnElement[bool]:
    match plan:
        case ("AND", *parts):
            return and_(true(), *(_clause(p, fills_names) for p in parts))
        case ("OR", *parts):
            return or_(false(), *(_clause(p, fills_names) for p in parts))
        case ("NOT", *parts):
            return not_(or_(false(), *(_clause(p, fills_names) for p in parts)))
        case ("inMailbox", key):
            return view_row.c.mailbox == bindparam(key)
        case ("inMailboxOtherThan", key):
            return not_(among(view_row.c.mailbox, key))
        case ("inConversation", key):
            return view_row.c.conversation == bindparam(key)
        case ("before", key):
            return view_row.c.received_at < bindparam(key)
        case ("after", key):
            return view_row.c.received_at >= bindparam(key)
        case ("minSize" | "maxSize" as name, key, named):
            stored = (
                view_row.c.size >= bindparam(key) if name == "minSize" else view_row.c.size < bindparam(key)
            )
            exact = and_(not_(fills_names), stored)
            return exact if named is None else or_(exact, _clause(named, fills_names))
        case ("flag", bit, wanted):
            has = view_row.c.flags.bitwise_and(bit) != 0
            return has if wanted else not_(has)
        case ("seek", key):
            return among(view_row.c.born, key)
        case ("rows", key):
            return among(view_row.c.born + 0, key)  # no index serves a sum
    raise AssertionError(plan[0])


def _first_of_thread(clause: ColumnElement[bool], order: _Order) -> ColumnElement[bool]:
    """No row of the same thread that answers too stands before this one."""
    other = view_row.alias("other")
    adapt = ClauseAdapter(other).traverse
    keys = [key for key, _ in order.keys]
    before = order.before(keys, [adapt(k) for k in keys])
    earlier = and_(adapt(clause), other.c.thread == view_row.c.thread, before)
    return not_(exists(select(other.c.born).where(earlier).correlate(view_row)))


def _page(page: ColumnElement[bool], order: _Order, backwards: bool) -> Any:
    columns = (view_row.c.born, view_row.c.sender, view_row.c.received_at, view_row.c.id)
    chosen = select(*columns).where(page).order_by(*order.by(backwards=backwards))
    return chosen.limit(bindparam("n")).offset(bindparam("at"))


def _total(clause: ColumnElement[bool], collapse: bool) -> Any:
    counted = func.count(view_row.c.thread.distinct()) if collapse else func.count()
    return select(counted).select_from(view_row).where(clause)


def _before(page: ColumnElement[bool], order: _Order) -> Any:
    named: list[ColumnElement[Any]] = [bindparam(f"anchor{n}") for n in range(len(order.keys))]
    before = order.before(named, [key for key, _ in order.keys])
    return select(func.count()).select_from(view_row).where(page, before)


_STATEMENTS: dict[str, Callable[[ColumnElement[bool], ColumnElement[bool], _Order, bool], Any]] = {
    "page": lambda clause, page, order, collapse: _page(page, order, False),
    "backwards": lambda clause, page, order, collapse: _page(page, order, True),
    "total": lambda clause, page, order, collapse: _total(clause, collapse),
    "keys": lambda clause, page, order, collapse: select(*(key for key, _ in order.keys)).where(
        page, view_row.c.born == bindparam("anchor")
    ),
    "before": lambda clause, page, order, collapse: _before(page, order),
    "every": lambda clause, page, order, collapse: select(
        view_row.c.born, view_row.c.sender, view_row.c.thread, *(key for key, _ in order.keys)
    ).where(clause),
}
"""What is asked of the rows, given the filter's clause, the page's (of one row a thread, where threads are
collapsed), and the order."""
