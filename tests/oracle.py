"""The view in plain Python, straight from the spec: slow, obvious, and written without looking at
`policy.py`.

It knows records as tuples, choices as dicts and grants as dicts, and answers which records a grant may see at
which level. Random worlds hold the store's rows, the policy's predicate and its WHERE clause to it.
"""

from __future__ import annotations

from typing import Any

ORDER = ["none", "signals", "masked", "text", "full"]
HIGHEST = {
    "owner": "full",
    "own-agent": "text",
    "portability": "full",
    "tailoring": "masked",
    "ranking": "signals",
    "support-case": "text",
}


def lowest(*levels: str) -> str:
    return min(levels, key=ORDER.index)


def covers(choice: dict[str, Any], purpose: str, partner: str | None, place: str) -> bool:
    for field, value in (("purpose", purpose), ("partner", partner), ("conversation", place)):
        if choice[field] is not None and choice[field] != value:
            return False
    return True


def within(inner: dict[str, Any], outer: dict[str, Any]) -> bool:
    return all(outer[f] is None or outer[f] == inner[f] for f in ("purpose", "partner", "conversation"))


def answer(choices: list[dict[str, Any]], purpose: str, partner: str | None, place: str) -> str | None:
    """What a sender's history comes to: a level, or None for unanswered. `choices` are in the order made."""
    yeses = []
    for i, c in enumerate(choices):
        if c["level"] == "none" or c["withdrawn"]:
            continue
        ended = any(no["level"] == "none" and within(c, no) for no in choices[i + 1 :])
        if not ended and covers(c, purpose, partner, place):
            yeses.append((i, c))
    for i, no in enumerate(choices):
        if no["level"] != "none" or no["withdrawn"] or not covers(no, purpose, partner, place):
            continue
        if not any(j > i and within(y, no) for j, y in yeses):
            return "none"
    if not yeses:
        return None

    def narrowness(c: dict[str, Any]) -> list[bool]:
        return [c["conversation"] is not None, c["partner"] is not None, c["purpose"] is not None]

    narrowest = max(narrowness(c) for _, c in yeses)
    return lowest(*(c["level"] for _, c in yeses if narrowness(c) == narrowest))


def level(record: dict[str, Any], grant: dict[str, Any], choices: list[dict[str, Any]], own: set[str]) -> str:
    """The level at which `grant` sees `record` {sender, place, at, kind}; `choices` are its sender's."""
    if grant["ended"]:
        return "none"
    ceiling = lowest(HIGHEST[grant["purpose"]], grant["level"], grant["agreed"])
    if grant["purpose"] == "owner":
        return ceiling
    if record["sender"] is None or record["kind"] in (
        "member",
        "deleted",
        "unsupported",
        "opaque",
        "reaction",
    ):
        return "none"
    mode, places = grant["scope"]
    if not {"all": True, "listed": record["place"] in places, "all-but": record["place"] not in places}.get(
        mode, False
    ):
        return "none"
    if grant["from"] is not None and record["at"] < grant["from"]:
        return "none"
    if grant["to"] is not None and record["at"] >= grant["to"]:
        return "none"
    if record["sender"] in own:
        return ceiling
    said = answer(choices, grant["purpose"], grant["partner"], record["place"])
    return lowest(ceiling, grant["unanswered"] if said is None else said)
