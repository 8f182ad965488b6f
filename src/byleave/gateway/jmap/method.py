"""What every JMAP method shares: its errors, and arguments read by type.

Rules of this file:

1. An error names a type of RFC 8620 §3.6.2 and, at the most, an argument or a property that the client
   named; it never says what exists.
2. An argument of the wrong type, or one that the method does not know, is `invalidArguments`; null is the
   same as absent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from byleave.view import View

MOST_OBJECTS = 500
"""Objects of one answer (maxObjectsInGet), and ids of one query: the ledger's line and the budget are per
page."""
LARGEST_INT = (1 << 53) - 1
_DEPTH = 16
"""Filters nest no deeper (as in `view.query`)."""
_NAME = re.compile(r"[\x20-\x7e]{1,80}")


class MethodError(Exception):
    """A method's `error` response (RFC 8620 §3.6.2)."""

    def __init__(self, type: str, description: str = "") -> None:
        super().__init__(type)
        self.type = type
        self.description = description

    def encode(self) -> bytes:
        return orjson.dumps(
            {"type": self.type} | ({"description": self.description} if self.description else {})
        )


class Arguments:
    """The arguments of one call. Raises MethodError(invalidArguments) where they are not what the RFC
    says."""

    def __init__(self, given: dict[str, Any], known: Iterable[str]) -> None:
        unknown = sorted(set(given) - set(known) - {"accountId"})
        if unknown:
            raise wrong(unknown[0])
        self._given = given

    def value(self, name: str) -> Any:
        return self._given.get(name)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self._given.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise wrong(name)
        return value

    def number(self, name: str, lowest: int = 0) -> int | None:
        value = self._given.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= LARGEST_INT:
            raise wrong(name)
        return value

    def text(self, name: str) -> str:
        """A string that must be there."""
        value = self._given.get(name)
        if not isinstance(value, str):
            raise wrong(name)
        return value

    def names(self, name: str) -> list[str] | None:
        """A list of strings, each once, in order."""
        value = self._given.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not set(map(type, value)) <= {str}:
            raise wrong(name)
        return list(dict.fromkeys(value))

    def ids(self, name: str) -> list[str] | None:
        """A list of Ids, each once (RFC 8620 §5.1). A string that no server would give out is an id that is
        not found, like any other. Raises requestTooLarge."""
        value = self.names(name)
        lengths = set(map(len, value or ()))
        if lengths and not 1 <= min(lengths) <= max(lengths) <= 255:
            raise wrong(name)
        if value is not None and len(value) > MOST_OBJECTS:
            raise MethodError("requestTooLarge")
        return value

    def properties(self, known: Iterable[str]) -> list[str] | None:
        """The `properties` of a /get, `id` among them. An unknown one is refused (RFC 8620 §5.1)."""
        value = self.names("properties")
        if value is None:
            return None
        allowed = set(known)
        for name in value:
            if name not in allowed:
                raise wrong(name, "no such property")
        return value if "id" in value else ["id", *value]


def wrong(name: str, what: str = "not what this argument takes") -> MethodError:
    """invalidArguments that names an argument or property, if its name can be shown on one line."""
    return MethodError("invalidArguments", f"{name}: {what}" if _NAME.fullmatch(name) else what)


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────
def got(view: View, found: Sequence[bytes], missing: Sequence[str]) -> bytes:
    """The answer of a /get out of objects that are JSON already."""
    return b'{"accountId":"%b","state":"%b","list":[%b],"notFound":%b}' % (
        view.account_id.encode(), view.state.encode(), b",".join(found), orjson.dumps(list(missing)),
    )  # fmt: skip


def since(view: View, arguments: Arguments) -> tuple[str, int]:
    """(sinceState, its number). Raises cannotCalculateChanges for a state that this grant never gave."""
    state = arguments.text("sinceState")
    number = view.seq_of(state)
    if number is None:
        raise MethodError("cannotCalculateChanges")
    return state, number


def no_changes(view: View, arguments: Arguments) -> bytes:
    """/queryChanges: queries of a view are asked anew (`canCalculateChanges` is false)."""
    arguments.text("sinceQueryState")
    raise MethodError("cannotCalculateChanges")


def cut(ids: list[str], arguments: Arguments) -> tuple[list[str], int]:
    """The window of a query whose whole answer is `ids` (RFC 8620 §5.5), and its position."""
    anchor = arguments.value("anchor")
    if anchor is not None:
        if arguments.text("anchor") not in ids:
            raise MethodError("anchorNotFound")
        start = max(0, ids.index(anchor) + (arguments.number("anchorOffset", -LARGEST_INT) or 0))
    else:
        start = arguments.number("position", -LARGEST_INT) or 0
        start = max(0, len(ids) + start) if start < 0 else start
    limit = arguments.number("limit")
    return ids[start:] if limit is None else ids[start : start + limit], start


def queried(
    view: View, ids: list[str] | orjson.Fragment, position: int, total: int | None, limit: int | None
) -> bytes:
    """The answer of a /query; `ids` may be JSON already. `limit` stands in it only where the server set it."""
    answer: dict[str, Any] = {
        "accountId": view.account_id, "queryState": view.state, "canCalculateChanges": False,
        "position": position, "ids": ids,
    }  # fmt: skip
    if total is not None:
        answer["total"] = total
    if limit is not None:
        answer["limit"] = limit
    return orjson.dumps(answer)


def judged(filter: Any, condition: Callable[[dict[str, Any]], bool], depth: int = 0) -> bool:
    """Does a filter (RFC 8620 §5.5) hold, given how one FilterCondition is judged?"""
    if not isinstance(filter, dict) or depth > _DEPTH:
        raise wrong("filter")
    if "operator" not in filter:
        return condition(filter)
    conditions = filter.get("conditions")
    if set(filter) != {"operator", "conditions"} or not isinstance(conditions, list):
        raise wrong("filter")
    answers = [judged(c, condition, depth + 1) for c in conditions]
    match filter["operator"]:
        case "AND":
            return all(answers)
        case "OR":
            return any(answers)
        case "NOT":
            return not any(answers)
    raise wrong("filter")


def comparators(sort: Any, known: Sequence[str]) -> list[tuple[str, bool]]:
    """[(property, ascending)] of a `sort`. Raises unsupportedSort for a property that is not in `known`.
    Members that mean nothing to us are passed over: jmapc sends the query's own arguments in every one."""
    if sort is None:
        return []
    if not isinstance(sort, list):
        raise wrong("sort")
    found = []
    for comparator in sort:
        if not isinstance(comparator, dict) or not isinstance(comparator.get("property"), str):
            raise wrong("sort")
        ascending, collation = comparator.get("isAscending", True), comparator.get("collation")
        if not isinstance(ascending, bool) or not isinstance(collation, str | None):
            raise wrong("sort")
        if comparator["property"] not in known or collation not in (None, *COLLATIONS):
            raise MethodError("unsupportedSort")
        found.append((comparator["property"], ascending))
    return found


COLLATIONS = ("i;ascii-casemap", "i;unicode-casemap")
