"""Queries against the slow and obvious way: every Email as it is shown, judged, sorted and cut in Python.

One world, read by its owner (folders, keywords, chats), by a partner at `masked`, and at `full` (names in some
rows, tokens in others). Positions, anchors, totals and collapsed threads are compared for every filter and sort.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import bindparam, select
from tests.worlds import DAY, NOW, World, chat, mail

from byleave.consent import grant
from byleave.model import Level, Record
from byleave.sources import header
from byleave.sources import mail as mail_source
from byleave.store import prepare
from byleave.store.tables import view_row
from byleave.view import Picker, Query, QueryProblem, View, open_view, tally
from byleave.view import query as selecting
from byleave.words.terms import terms

PROPERTIES = ["id", "threadId", "mailboxIds", "keywords", "size", "receivedAt", "from", "to", "cc", "sentAt", "hasAttachment"]  # fmt: skip
ME = "mail:me@example.test"
WORDS = ["harbour", "bright", "morning", "walked", "quiet", "there"]


def records() -> Iterator[Record]:
    text = "the {} was {} in the {} and we walked there to see it once again"
    for n in range(36):
        words = [WORDS[(n * k) % len(WORDS)] for k in (1, 3, 5)]
        sender = ("mail:ann@example.test", "mail:bob@example.test", "mail:cem@example.test", ME)[n % 4]
        made = mail(
            text.format(*words) + " so" * (n % 7), sender, id=f"m{n}@example.test", at=NOW - (9 - n % 5) * DAY + n // 3,
            references=[f"m{n - 3}@example.test"] if n % 3 else [], folder=("INBOX", "Sent", "Plans")[n % 3],
            to=[ME, "mail:cem@example.test"] if n % 2 else [ME], subject=f"About {words[0]}" if n % 5 else None,
        )  # fmt: skip
        keywords = frozenset(k for bit, k in enumerate(("$seen", "$flagged", "$draft")) if n >> bit & 1)
        assert made.mail is not None
        yield msgspec.structs.replace(made, mail=msgspec.structs.replace(made.mail, keywords=keywords))
    for n in range(20):
        yield chat(
            text.format(*WORDS[:3]) + " ah" * (n % 5),
            f"telegram:user{n % 3}",
            id=f"c{n}",
            at=NOW - n * DAY // 4,
        )


class Place:
    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.owner_id = self.world.owner()
        self.world.agree([("tailoring", "masked"), ("portability", "full")])
        self.world.put(self.owner_id, records(), own=[ME, "telegram:user0"])
        self.world.choose("mail:ann@example.test", Level.FULL, "portability")
        self.world.choose("mail:bob@example.test", Level.MASKED, "portability")
        for handle in ("mail:ann@example.test", "telegram:user1"):
            self.world.choose(handle, Level.MASKED)
        terms_ = {"agreement_id": "streamflix-deal", "partner": "streamflix"}
        self.grants = [
            self.world.allow(self.owner_id, **terms_),  # type: ignore[arg-type]
            self.world.allow(self.owner_id, "portability", Level.FULL, **terms_),  # type: ignore[arg-type]
        ]
        with self.world.store.read() as snapshot:
            self.grants += [g for g in grant.of_owner(snapshot, self.owner_id) if g.for_owner]

    def view(self, snapshot: Any, number: int) -> View:
        found = grant.find(snapshot, self.owner_id, self.grants[number].grant_id)
        view = open_view(snapshot, found, self.world.installation.ids, NOW)
        assert view is not None
        return view


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("query"))


# ── the slow way ────────────────────────────────────────────────────────────────────────────────────────────
def shown(view: View) -> dict[int, dict[str, Any]]:
    """Every Email of a view by born, the newest first."""
    borns = [
        row[0] for row in sorted(view.snapshot.all(_ALL, **view.mine), key=lambda r: r[1:], reverse=True)
    ]
    picker = Picker(PROPERTIES, body_values=False, max_body_bytes=0)
    emails = view.emails(borns, picker)
    return {born: orjson.loads(emails[born] or view_whole(view, born)) for born in borns}


def view_whole(view: View, born: int) -> bytes:
    raise AssertionError("a prepared property is not prepared")


_ALL = prepare(
    select(view_row.c.born, view_row.c.received_at, view_row.c.id).where(
        view_row.c.owner_id == bindparam("owner_id"), view_row.c.grant_id == bindparam("grant_id")
    )
)


def holds(
    view: View, email: dict[str, Any], filter: dict[str, Any] | None, hits: dict[str, set[int]], born: int
) -> bool:
    if not filter:
        return True
    if "operator" in filter:
        answers = [holds(view, email, c, hits, born) for c in filter["conditions"]]
        return all(answers) if filter["operator"] == "AND" else any(answers) is (filter["operator"] == "OR")
    return all(_holds(view, email, name, value, hits, born) for name, value in filter.items())


def _holds(
    view: View, email: dict[str, Any], name: str, value: Any, hits: dict[str, set[int]], born: int
) -> bool:
    match name:
        case "minSize":
            return bool(email["size"] >= value)
        case "maxSize":
            return bool(email["size"] < value)
        case "before":
            return bool(key(email["receivedAt"]) < key(value))
        case "after":
            return bool(key(email["receivedAt"]) >= key(value))
        case "hasKeyword":
            return value.lower() in email["keywords"]
        case "notKeyword":
            return value.lower() not in email["keywords"]
        case "hasAttachment":
            return email["hasAttachment"] is value
        case "inMailbox":
            return view.ids.give("x", [value])[0] in email["mailboxIds"]
        case "inMailboxOtherThan":
            return not {i for v in value for i in view.ids.give("x", [v])} & set(email["mailboxIds"])
        case "text":
            return born in hits[value]
        case _:
            said = " ".join(f"{p['name'] or ''} {p['email']}" for p in email[name] or ())
            return set(terms(value)) <= set(terms(said))


def key(value: Any) -> Any:
    return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else value


def slow(view: View, query: Query, hits: dict[str, set[int]]) -> tuple[list[int], int, int]:
    emails = shown(view)
    found = [b for b, email in emails.items() if holds(view, email, query.filter, hits, b)]
    for name, ascending in reversed(query.sort):
        found.sort(key=lambda b, name=name: key(emails[b][name]), reverse=not ascending)  # type: ignore[misc]
    if query.sort == (("receivedAt", True),):
        found = [b for b in reversed(list(emails)) if b in set(found)]
    if query.collapse_threads:
        seen: set[str] = set()
        found = [b for b in found if not (emails[b]["threadId"] in seen or seen.add(emails[b]["threadId"]))]  # type: ignore[func-returns-value]
    start = query.position if query.position >= 0 else max(0, len(found) + query.position)
    if query.anchor is not None:
        if query.anchor not in found:
            raise QueryProblem("anchorNotFound", "")
        start = max(0, found.index(query.anchor) + query.anchor_offset)
    return found[start : start + query.limit], start, len(found)


CONDITIONS = st.one_of(
    st.builds(lambda n: {"minSize": n}, st.integers(150, 700)),
    st.builds(lambda n: {"maxSize": n}, st.integers(150, 700)),
    st.builds(lambda w: {"text": w}, st.sampled_from([*WORDS, "harbour walked", "nothing"])),
    st.builds(
        lambda h, w: {h: w}, st.sampled_from(["from", "to", "cc"]),
        st.sampled_from(["ann", "example.test", "bob@example.test", "masked", "ann bob", "me cem", "invalid", "user1", "!", "Cem"]),
    ),
    st.builds(lambda k: {"hasKeyword": k}, st.sampled_from(["$seen", "$FLAGGED", "$draft", "other"])),
    st.builds(lambda k: {"notKeyword": k}, st.sampled_from(["$seen", "$flagged", "other"])),
    st.builds(lambda b: {"hasAttachment": b}, st.booleans()),
    st.builds(lambda n: {"inMailbox": n}, st.sampled_from([0, 1, 2, 3, 4, 16, 17])),
    st.builds(lambda n: {"inMailboxOtherThan": [n, 1]}, st.sampled_from([1, 4, 17])),
    st.builds(lambda n: {"before": f"2026-09-{n:02}T00:00:00Z"}, st.integers(10, 21)),
    st.builds(lambda a, b: {"minSize": a, "text": b}, st.integers(150, 400), st.sampled_from(WORDS)),
)  # fmt: skip
FILTERS = st.none() | st.recursive(
    CONDITIONS,
    lambda inner: st.builds(
        lambda o, c: {"operator": o, "conditions": c},
        st.sampled_from(["AND", "OR", "NOT"]),
        st.lists(inner, max_size=3),
    ),
    max_leaves=5,
)
SORTS = st.sampled_from(
    [
        (("receivedAt", False),), (("receivedAt", True),), (("size", True),), (("size", False), ("receivedAt", True)),
        (("sentAt", False),), (("sentAt", True), ("size", True)), (("receivedAt", True), ("size", False)),
    ]
)  # fmt: skip


@settings(derandomize=True, max_examples=120, deadline=None)
@given(
    who=st.integers(0, 2), filter=FILTERS, sort=SORTS, position=st.integers(-70, 70), limit=st.integers(0, 12),
    anchor=st.none() | st.integers(0, 60), offset=st.integers(-5, 5), collapse=st.booleans(), total=st.booleans(),
)  # fmt: skip
def test_a_query_is_what_the_slow_way_finds(
    place: Place, who: int, filter: Any, sort: Any, position: int, limit: int, anchor: int | None, offset: int,
    collapse: bool, total: bool,
) -> None:  # fmt: skip
    with place.world.store.read() as snapshot:
        view = place.view(snapshot, who)
        selecting.check(filter)
        query = Query(
            filter=filter, sort=sort, position=position, limit=limit, anchor=anchor, anchor_offset=offset,
            collapse_threads=collapse, calculate_total=total,
        )  # fmt: skip
        words = [*WORDS, "harbour walked", "nothing"]
        hits = {w: selecting.holding(snapshot, view.mine, "text", w) for w in words}
        try:
            expected = slow(view, query, hits)
        except QueryProblem:
            with pytest.raises(QueryProblem) as error:
                view.query(query)
            assert error.value.kind == "anchorNotFound"
            return
        found = view.query(query)
        emails = shown(view)
        keys = [[emails[b][name] for name, _ in sort] for b in found.borns]
        assert keys == [[emails[b][name] for name, _ in sort] for b in expected[0]]
        if len(sort) == 1 and sort[0][0] == "receivedAt":
            assert found.borns == expected[0]
        assert (found.position, found.total) == (expected[1], expected[2] if total else None)
        assert len(set(found.borns)) == len(found.borns)


@pytest.mark.parametrize("who", [0, 1, 2])
def test_counts_are_those_of_the_rows(place: Place, who: int) -> None:
    with place.world.store.read() as snapshot:
        view = place.view(snapshot, who)
        emails = list(shown(view).values())
        unread = {e["threadId"] for e in emails if not {"$seen", "$draft"} & set(e["keywords"])}
        for box in view.mailboxes():
            inside = [e for e in emails if box.id in e["mailboxIds"]]
            threads = {e["threadId"] for e in inside}
            assert box.total_emails == len(inside) and box.total_threads == len(threads)
            assert box.unread_emails == sum(not {"$seen", "$draft"} & set(e["keywords"]) for e in inside)
            assert box.unread_threads == len(threads & unread)
        assert {i for e in emails for i in e["mailboxIds"]} == {box.id for box in view.mailboxes()}
        assert who < 2 or any(box.unread_threads for box in view.mailboxes())


def test_every_keyword_of_an_importer_has_its_bit() -> None:
    given = {
        *mail_source._KEYWORD.values(),
        *header._STATUS.values(),
        *(w for w in header._LABELS if w.startswith("$")),
    }
    assert given <= set(tally.KEYWORDS) and len(set(tally.KEYWORDS.values())) == len(tally.KEYWORDS)


DATES = {
    "2026-09-11T00:00:00Z": True, "2026-09-11T00:00:00.125Z": True, "2026-09-11T00:00:00z": False, "2026-09-11": False,
    "2026-09-11T00:00Z": False, "20260911T000000Z": False, "2026-W37-5T00:00:00Z": False, "2026-02-30T00:00:00Z": False,
    "2026-09-11T24:00:01Z": False, "2026-09-11T00:00:00+00:00": False, "2026-09-11T00:00:00": False, "": False,
    "\u0662026-09-11T00:00:00Z": False, "0000-01-01T00:00:00Z": False, "0001-01-01T00:00:00Z": True,
}  # fmt: skip


@pytest.mark.parametrize("date", DATES)
def test_a_date_is_a_utc_date(date: str) -> None:
    if DATES[date]:
        selecting.check({"before": date})
        return
    with pytest.raises(QueryProblem) as error:
        selecting.check({"before": date})
    assert error.value.kind == "invalidArguments"


def nested(depth: int) -> dict[str, Any]:
    return {"operator": "NOT", "conditions": [nested(depth - 1)]} if depth else {"text": "x"}


@pytest.mark.parametrize(
    ("filter", "kind"),
    [
        (nested(17), "invalidArguments"),
        ({"operator": "AND", "conditions": [{}] * 300}, "unsupportedFilter"),
        ({"text": "x" * 1001}, "unsupportedFilter"),
        ({"operator": "XOR", "conditions": []}, "invalidArguments"),
        ({"operator": "AND", "conditions": [None]}, "invalidArguments"),
        ({"operator": "AND", "conditions": [], "text": "x"}, "invalidArguments"),
        ({"inThreadHaveKeyword": "$seen"}, "unsupportedFilter"),
        ({"header": ["Subject"]}, "unsupportedFilter"),
        ({"minSize": True}, "invalidArguments"),
        ({"minSize": -1}, "invalidArguments"),
        ({"minSize": 1 << 70}, "invalidArguments"),
        ([], "invalidArguments"),
    ],
)
def test_a_filter_that_is_refused(filter: Any, kind: str) -> None:
    with pytest.raises(QueryProblem) as error:
        selecting.check(filter)
    assert error.value.kind == kind


def test_the_widest_filter_is_answered(place: Place) -> None:
    wide = {"operator": "OR", "conditions": [{"text": "harbour"}] * 254}
    deep: dict[str, Any] = {"text": "harbour"}
    for _ in range(15):
        deep = {"operator": "NOT", "conditions": [deep]}
    for filter in (wide, deep):
        selecting.check(filter)
        with place.world.store.read() as snapshot:
            for collapse in (False, True):
                place.view(snapshot, 0).query(
                    Query(filter=filter, collapse_threads=collapse, calculate_total=True)
                )
