"""TitleSignal/get, query and changes: a vendor type of JMAP (capability `https://byleave.example/ns/signals`).

    {"id": "g…", "personId": "p…", "titleId": "…", "stance": "liked | disliked | wants | seen | neutral",
     "confidence": "low | medium | high", "day": "2026-09-11"}

All properties are immutable: another stance is another object. `/query` filters by personId, titleId, stance,
confidence, after (a day, inclusive) and before (exclusive), with AND, OR and NOT around them, and sorts by day,
titleId or personId.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import orjson

from byleave.gateway.jmap.method import (
    MOST_OBJECTS,
    Arguments,
    MethodError,
    comparators,
    cut,
    got,
    judged,
    queried,
    since,
    wrong,
)
from byleave.view import View, known
from byleave.view.known import Known
from byleave.view.signals import STANCES

MOST_CHANGES = 5000
PROPERTIES = ("id", "personId", "titleId", "stance", "confidence", "day")
CONFIDENCES = ("low", "medium", "high")
_DAY = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?:T00:00:00Z)?")
_ANY = Known("", "", "", "neutral", "low", "1970-01-01")


def get(view: View, arguments: Arguments) -> bytes:
    """TitleSignal/get (RFC 8620 §5.1)."""
    wanted = arguments.ids("ids")
    properties = arguments.properties(PROPERTIES)
    if wanted is None:
        found = [one for _, one in known.every(view, "")]
        if len(found) > MOST_OBJECTS:
            raise MethodError("requestTooLarge")
        wanted = [one.id for one in found]
    there = known.of_ids(view, "TitleSignal/get", wanted)
    shown = [_shown(there[id], properties) for id in wanted if id in there]
    return got(view, shown, [id for id in wanted if id not in there])


def _shown(one: Known, properties: list[str] | None) -> bytes:
    whole = {
        "id": one.id, "personId": one.person_id, "titleId": one.title_id, "stance": one.stance,
        "confidence": one.confidence, "day": one.day,
    }  # fmt: skip
    return orjson.dumps(whole if properties is None else {name: whole[name] for name in properties})


def query(view: View, arguments: Arguments) -> bytes:
    """TitleSignal/query (RFC 8620 §5.5). The newest day first unless `sort` says otherwise."""
    sort = comparators(arguments.value("sort"), ("day", "titleId", "personId"))
    filter = arguments.value("filter")
    if filter is not None:
        judged(filter, partial(_holds, _ANY))  # an error does not depend on what is there
    found = known.every(view, "")
    if filter is not None:
        found = [pair for pair in found if judged(filter, partial(_holds, pair[1]))]
    keys = {"day": "day", "titleId": "title_id", "personId": "person_id"}
    for name, ascending in reversed(sort):
        found.sort(key=lambda pair, name=name: getattr(pair[1], keys[name]), reverse=not ascending)  # type: ignore[misc]
    ids, position = cut([one.id for _, one in found], arguments)
    limited = len(ids) > MOST_OBJECTS
    ids = ids[:MOST_OBJECTS]
    there = {one.id: row.born for row, one in found}
    known.saw(view, "TitleSignal/query", (there[id] for id in ids))
    total = len(found) if arguments.flag("calculateTotal") else None
    return queried(view, ids, position, total, MOST_OBJECTS if limited else None)


def _holds(one: Known, condition: dict[str, Any]) -> bool:
    answers = []
    for name, value in condition.items():
        match name:
            case "personId" if isinstance(value, str):
                answers.append(one.person_id == value)
            case "titleId" if isinstance(value, str):
                answers.append(one.title_id == value)
            case "stance" if value in STANCES:
                answers.append(one.stance == value)
            case "confidence" if value in CONFIDENCES:
                answers.append(one.confidence == value)
            case "after" if isinstance(value, str) and _DAY.fullmatch(value):
                answers.append(one.day >= value[:10])
            case "before" if isinstance(value, str) and _DAY.fullmatch(value):
                answers.append(one.day < value[:10])
            case "personId" | "titleId" | "stance" | "confidence" | "after" | "before":
                raise wrong("filter")
            case _:
                raise MethodError("unsupportedFilter")
    return all(answers)


def changes(view: View, arguments: Arguments) -> bytes:
    """TitleSignal/changes (RFC 8620 §5.2)."""
    most = arguments.number("maxChanges", 1)
    state, number = since(view, arguments)
    found = known.changes(view, number, MOST_CHANGES if most is None else min(most, MOST_CHANGES))
    return orjson.dumps(
        {
            "accountId": view.account_id, "oldState": state, "newState": view.state_at(found.seq),
            "hasMoreChanges": found.more, "created": known.ids_of(view, found.created), "updated": [],
            "destroyed": known.ids_of(view, found.destroyed),
        }
    )  # fmt: skip
