"""Which rows answer a query: filters and sorts over what the view shows, and nothing else.

A filter (RFC 8621 §4.4.1) becomes a WHERE clause over `view_row` where its conditions stand in the row or in the
grant's own postings; a filter or sort that needs the words themselves is judged in Python over the filled
fragments of the view's rows. Both ways see the level's text only, so a query is no oracle for what is masked.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, and_, bindparam, false, func, not_, or_, select, true

from byleave.errors import ByleaveError, Code
from byleave.store import Snapshot, among, prepare
from byleave.store.tables import view_row, view_term
from byleave.words.terms import terms

SORTS = ("receivedAt", "sentAt", "size")
"""emailQuerySortOptions: sorting by names or subjects would tell what is masked (spec api.md)."""
ROW_CONDITIONS = {"inMailbox", "inMailboxOtherThan", "before", "after", "text", "body", "subject"}
WORD_CONDITIONS = {
    "from",
    "to",
    "cc",
    "bcc",
    "minSize",
    "maxSize",
    "hasAttachment",
    "hasKeyword",
    "notKeyword",
}
_MINE = (view_row.c.owner_id == bindparam("owner_id"), view_row.c.grant_id == bindparam("grant_id"))
_POSTINGS = prepare(
    select(view_term.c.chunk, view_term.c.borns).where(
        view_term.c.owner_id == bindparam("owner_id"), view_term.c.grant_id == bindparam("grant_id"),
        view_term.c.term == bindparam("term"),
    )
)  # fmt: skip


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


class Words(msgspec.Struct, frozen=True):
    """What a condition over words sees of one row, as the level shows it."""

    born: int
    thread: int
    sender: int
    received_at: int
    mailbox: int
    sent_at: str
    size: int
    has_attachment: bool
    keywords: frozenset[str]
    address: Callable[[str], str]
    """Header name (from, to, cc, bcc) → names and addresses as one text."""


def needs_words(query: Query) -> bool:
    """Must this query be judged over filled fragments?"""
    return any(p != "receivedAt" for p, _ in query.sort) or bool(_named(query.filter) & WORD_CONDITIONS)


def check(filter: Any, depth: int = 0) -> None:
    """Raises QueryProblem for a filter that is malformed or that no view answers."""
    if filter is None:
        return
    if not isinstance(filter, dict) or depth > 16:
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
    return isinstance(value, str) and value.endswith("Z") and _ms(value) is not None


def _ms(value: str) -> int | None:
    try:
        return round(datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp() * 1000)
    except ValueError:
        return None


_TYPES: dict[str, Callable[[Any], bool]] = {
    "inMailbox": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "inMailboxOtherThan": lambda v: isinstance(v, list) and all(isinstance(x, int) for x in v),
    "before": _is_date,
    "after": _is_date,
    "minSize": lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0,
    "maxSize": lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0,
    "hasAttachment": lambda v: isinstance(v, bool),
    **dict.fromkeys(
        ("hasKeyword", "notKeyword", "text", "body", "subject", "from", "to", "cc", "bcc"),
        lambda v: isinstance(v, str),
    ),
}


def _named(filter: dict[str, Any] | None) -> set[str]:
    if not filter:
        return set()
    if "operator" in filter:
        return set().union(*(_named(c) for c in filter["conditions"]))
    return set(filter)


# ── by rows ─────────────────────────────────────────────────────────────────────────────────────────────────
def by_rows(snapshot: Snapshot, mine: dict[str, Any], query: Query) -> Found:
    """Answers a query whose conditions all stand in the rows or the postings."""
    values: dict[str, Any] = dict(mine)
    ascending = query.sort[0][1] if query.sort else False
    keys: Sequence[ColumnElement[Any]] = (view_row.c.received_at, view_row.c.id)
    order = [key.asc() if ascending else key.desc() for key in keys]
    if query.filter:
        clause = and_(*_MINE, _clause(snapshot, mine, query.filter, values))
    else:
        clause = and_(*_MINE)
    whole = query.collapse_threads or query.anchor is not None or query.position < 0
    if whole:
        rows = snapshot.all(
            prepare(
                select(view_row.c.born, view_row.c.thread, view_row.c.sender).where(clause).order_by(*order)
            ),
            **values,
        )
        return cut([(born, thread, sender) for born, thread, sender in rows], query)
    if query.filter:
        page, total_of = _kept(_page(clause, order)), None
    else:
        page, total_of = _PLAIN[ascending], _TOTAL
    found = snapshot.all(page, **values, n=query.limit, at=query.position)
    total = None
    if query.calculate_total:
        total = snapshot.value(
            total_of or _kept(select(func.count()).select_from(view_row).where(clause)), **values
        )
    borns = [row[0] for row in found]
    together = None
    if found and not query.filter:
        ends = [(row[2], row[3]) for row in (found[0], found[-1])]
        together = Page(frozenset(borns), max(ends), min(ends))
    return Found(borns, query.position, total, [row[1] for row in found], together)


def _page(clause: ColumnElement[bool], order: Sequence[ColumnElement[Any]]) -> Any:
    columns = (view_row.c.born, view_row.c.sender, view_row.c.received_at, view_row.c.id)
    return select(*columns).where(clause).order_by(*order).limit(bindparam("n")).offset(bindparam("at"))


_PLAIN = {
    False: prepare(_page(and_(*_MINE), [view_row.c.received_at.desc(), view_row.c.id.desc()])),
    True: prepare(_page(and_(*_MINE), [view_row.c.received_at.asc(), view_row.c.id.asc()])),
}
_TOTAL = prepare(select(func.count()).select_from(view_row).where(*_MINE))
_KEPT: dict[str, Any] = {}


def _kept(statement: Any) -> Any:
    """One prepared statement a shape of filter; the text is the shape."""
    made = prepare(statement)
    key = made.text("sqlite")[0]
    return _KEPT.setdefault(key, made) if len(_KEPT) < 512 else made


def _clause(
    snapshot: Snapshot, mine: dict[str, Any], filter: dict[str, Any] | None, values: dict[str, Any]
) -> ColumnElement[bool]:
    if not filter:
        return true()
    if "operator" in filter:
        parts = [_clause(snapshot, mine, c, values) for c in filter["conditions"]]
        if filter["operator"] == "AND":
            return and_(true(), *parts)
        either = or_(false(), *parts)
        return either if filter["operator"] == "OR" else not_(either)
    found: list[ColumnElement[bool]] = []
    for name, value in filter.items():
        key = f"v{len(values)}"
        if name == "inMailbox":
            values[key] = value
            found.append(view_row.c.mailbox == bindparam(key))
        elif (
            name == "inConversation"
        ):  # the owner's pages alone: no query from outside passes `check` with it
            values[key] = value
            found.append(view_row.c.conversation == bindparam(key))
        elif name == "inMailboxOtherThan":
            values[key] = value
            found.append(not_(among(view_row.c.mailbox, key)))
        elif name in ("before", "after"):
            values[key] = _ms(value)
            column = view_row.c.received_at
            found.append(column < bindparam(key) if name == "before" else column >= bindparam(key))
        else:
            values[key] = sorted(holding(snapshot, mine, name, value))
            found.append(among(view_row.c.born, key))
    return and_(true(), *found)


def holding(snapshot: Snapshot, mine: dict[str, Any], where: str, text: str) -> set[int]:
    """borns of the rows that hold every word of `text` in `where` (text, body or subject)."""
    found: set[int] | None = None
    for term in dict.fromkeys(terms(text)):
        names = {"body": [term], "subject": ["s:" + term]}.get(where, [term, "s:" + term])
        here: set[int] = set()
        for name in names:
            for chunk, borns in snapshot.all(_POSTINGS, **mine, term=name):
                here.update(chunk * 4096 + offset for offset in array("H", borns))
        found = here if found is None else found & here
    return found or set()


# ── by words ────────────────────────────────────────────────────────────────────────────────────────────────
def by_words(snapshot: Snapshot, mine: dict[str, Any], query: Query, rows: list[Words]) -> Found:
    """Answers any query over the view's rows as they are shown."""
    kept: dict[str, set[int]] = {}
    judged = [row for row in rows if _holds(snapshot, mine, query.filter, row, kept)]
    judged.sort(key=lambda row: (row.received_at, row.born), reverse=True)
    for name, ascending in reversed(query.sort):
        key: Callable[[Words], Any] = {
            "receivedAt": lambda row: row.received_at, "sentAt": lambda row: row.sent_at, "size": lambda row: row.size,
        }[name]  # fmt: skip
        judged.sort(key=key, reverse=not ascending)
    return cut([(row.born, row.thread, row.sender) for row in judged], query)


def _holds(
    snapshot: Snapshot,
    mine: dict[str, Any],
    filter: dict[str, Any] | None,
    row: Words,
    kept: dict[str, set[int]],
) -> bool:
    if not filter:
        return True
    if "operator" in filter:
        answers = (_holds(snapshot, mine, c, row, kept) for c in filter["conditions"])
        if filter["operator"] == "AND":
            return all(answers)
        return any(answers) is (filter["operator"] == "OR")
    return all(_condition(snapshot, mine, name, value, row, kept) for name, value in filter.items())


def _condition(
    snapshot: Snapshot, mine: dict[str, Any], name: str, value: Any, row: Words, kept: dict[str, set[int]]
) -> bool:
    if name in ("text", "body", "subject"):
        key = f"{name}:{value}"
        if key not in kept:
            kept[key] = holding(snapshot, mine, name, value)
        return row.born in kept[key]
    if name in ("from", "to", "cc", "bcc"):
        return set(terms(value)) <= set(terms(row.address(name)))
    simple: dict[str, Callable[[], bool]] = {
        "inMailbox": lambda: row.mailbox == value,
        "inMailboxOtherThan": lambda: row.mailbox not in value,
        "before": lambda: row.received_at < (_ms(value) or 0),
        "after": lambda: row.received_at >= (_ms(value) or 0),
        "minSize": lambda: row.size >= value,
        "maxSize": lambda: row.size < value,
        "hasAttachment": lambda: row.has_attachment is value,
        "hasKeyword": lambda: value.lower() in row.keywords,
        "notKeyword": lambda: value.lower() not in row.keywords,
    }
    return simple[name]()


def cut(rows: list[tuple[int, int, int]], query: Query) -> Found:
    """The page that `query` asks for out of all (born, thread, sender) in order. Raises QueryProblem(anchorNotFound)."""
    if query.collapse_threads:
        seen: set[int] = set()
        rows = [r for r in rows if r[1] not in seen and not seen.add(r[1])]  # type: ignore[func-returns-value]
    borns = [born for born, *_ in rows]
    if query.anchor is not None:
        if query.anchor not in borns:
            raise QueryProblem("anchorNotFound", "the anchor is not among the results")
        start = max(0, borns.index(query.anchor) + query.anchor_offset)
    elif query.position < 0:
        start = max(0, len(borns) + query.position)
    else:
        start = query.position
    page = rows[start : start + query.limit]
    total = len(rows) if query.calculate_total else None
    return Found([born for born, *_ in page], start, total, [sender for *_, sender in page])
