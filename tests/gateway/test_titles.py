"""Titles over HTTP: signals, rankings, and the whole exchange from what people say to the reconciled report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uuid_utils

from byleave import titles
from byleave.exchange import report as reports
from byleave.keys import read_jwk
from byleave.ledger import entry as entries
from byleave.mentioning import catch_up
from byleave.model import Level
from byleave.partner.client import Refusal
from byleave.tailoring import ranking
from byleave.words.gazetteer import Title
from tests.exchange.world import ANCHOR, ANN, BOB, CELL, DAY_MS, ME, URL, Exchanging
from tests.worlds import chat

FILMS = [
    Title("t1", "The Glass Fox", 1999, (), 20), Title("t2", "Salt Harbour", 2004, (), 90),
    Title("t3", "Night Ferry to Oslo", 2011, (), 70), Title("t4", "Salt Harbour 2", 2008, (), 10),
    *(Title(f"f{n}", f"Invented Film Number {n}", 1980 + n, (), 5 + n) for n in range(24)),
    Title("s1", "The Cancer Ward Diaries", 2010, (), 500),
]  # fmt: skip
SCOPE = "inbox.read signals send"


class Talking(Exchanging):
    """The world of sends, with titles in it and people who talk of them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.world.shelve(FILMS)
        at = self.now - 500_000
        lines = [
            ("I watched the movie Salt Harbour (2004) yesterday, I loved it.", ME),
            ("I saw the film The Glass Fox (1999), it was great, I loved that movie.", ANN),
            ("Night Ferry to Oslo (2011) is a terrible film, I hated that movie.", BOB),
            ("And the movie The Cancer Ward Diaries (2010), I loved that too.", ME),
        ]  # fmt: skip
        said = [chat(text, who, at=at + n * 1000, id=f"film{n}") for n, (text, who) in enumerate(lines)]
        self.world.put(self.owner, said, own=[ME])
        self.token = self.authorise(SCOPE)
        self.world.work()

    def me(self) -> str:
        own = self.partner.session(self.token)["accounts"][self.token.account_id]["accountCapabilities"]
        return str(own["https://byleave.example/ns/signals"]["personId"])


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Talking]:
    made = Talking(tmp_path)
    yield made
    made.world.store.close()


def test_signals(it: Talking) -> None:
    found = it.partner.signals(it.token)
    me = it.me()
    assert {(s["titleId"], s["stance"], s["personId"] == me) for s in found} == {
        ("t2", "liked", True), ("t1", "liked", False),
    }  # fmt: skip
    assert it.partner.signals(it.token, {"titleId": "t1"}) == [s for s in found if s["titleId"] == "t1"]


def test_scopes(it: Talking) -> None:
    """A token for words is not one for titles, nor the other way round."""
    words, names = it.authorise("inbox.read"), it.authorise("signals")
    with pytest.raises(Refusal) as refused:
        it.partner.signals(words)
    assert refused.value.problem["type"] == "accountNotSupportedByMethod"
    assert it.partner.signals(names)
    with pytest.raises(Refusal) as refused:
        it.partner.emails(names, ["preview"])
    assert refused.value.problem["type"] == "accountNotSupportedByMethod"
    with pytest.raises(Refusal) as denied:
        it.partner.rankings(words)
    assert denied.value.status == 403
    capabilities = it.partner.session(names)["accounts"][names.account_id]["accountCapabilities"]
    assert list(capabilities) == ["https://byleave.example/ns/signals"]


def test_rankings(it: Talking) -> None:
    """Ids, a reason out of five, three bands; what is of a series with what was liked, what a friend liked; nothing
    that was named already, nothing sensitive, however popular."""
    found = it.partner.rankings(it.token, 28)
    assert {frozenset(one) for one in found} == {frozenset(("titleId", "reason", "score"))}
    by_id = {one["titleId"]: one for one in found}
    assert by_id["t4"]["reason"] == "same-series" and by_id["t1"]["reason"] == "friend-sends"
    assert not {"t2", "s1"} & by_id.keys() and {one["score"] for one in found} <= {"high", "medium", "low"}
    assert found[0]["score"] == "high" and len(it.partner.rankings(it.token, 3)) == 3
    it.world.choose(ANN, Level.NONE, None)
    after = {one["titleId"]: one for one in it.partner.rankings(it.token, 28)}
    assert after["t1"]["reason"] != "friend-sends"  # the next request


def test_twenty_a_day(it: Talking) -> None:
    for _ in range(ranking.PER_DAY):
        it.partner.rankings(it.token, 1)
    with pytest.raises(Refusal) as refused:
        it.partner.rankings(it.token, 1)
    assert refused.value.status == 429
    again = it.authorise(SCOPE)  # another grant for the same person is the same person
    with pytest.raises(Refusal):
        it.partner.rankings(again, 1)
    it.now += DAY_MS
    it.token = it.authorise(SCOPE)
    assert it.partner.rankings(it.token, 1)


@pytest.mark.parametrize(
    "body", [b"[]", b'{"limit": 0}', b'{"limit": 51}', b'{"limit": "1"}', b'{"taste": 1}', b"{" * 900]
)
def test_what_is_no_question(it: Talking, body: bytes) -> None:
    answer = it.partner.request("POST", f"{URL}/rankings", it.token, body)
    assert answer.status_code == 400 and answer.json()["type"].endswith("invalid-arguments")


def test_few_titles_are_not_ranked(it: Talking) -> None:
    theirs = [Title(f"x{n}", f.title, f.year) for n, f in enumerate(FILMS[:19])]
    titles.put_partners(it.world.store, "streamflix", theirs, "f", "csv", it.now, it.world.id(), b"s" * 32)
    with pytest.raises(Refusal) as refused:
        it.partner.rankings(it.token, 1)
    assert refused.value.status == 403


def test_what_moved_a_title_stands_in_the_view(it: Talking) -> None:
    """Every card's signals are agreed to: the view's own, and of the people that the partner can see."""
    from byleave.consent import grant
    from byleave.view import known, open_view

    with it.world.store.read() as snapshot:
        found = [g for g in grant.of_owner(snapshot, it.owner) if g.partner][-1]
        view = open_view(snapshot, found, it.world.installation.ids, it.now)
        assert view is not None
        standing = {signal.born: signal for signal, _ in known.every(view, "")}
        put = ranking.ranked(view, ranking.Shelves(), 50)
        for one in put:
            assert set(one.moved_by) <= standing.keys()
        moved = {p.title_id: {standing[b].title_id for b in p.moved_by} for p in put}
        assert moved["t4"] == {"t2"} and moved["t1"] == {"t1"} and moved["f3"] == set()
        assert ranking.moved_by(view, ranking.Shelves(), "t4") == next(
            p.moved_by for p in put if p.title_id == "t4"
        )


def test_from_messages_to_the_reconciled_report(it: Talking) -> None:
    """What people say → signals → a card by a friend who agreed → a click → the fortnight's report → both sides agree,
    and every step is in the ledger."""
    me = it.me()
    liked = {
        s["titleId"] for s in it.partner.signals(it.token) if s["personId"] == me and s["stance"] == "liked"
    }
    hers = {s["titleId"] for s in it.partner.signals(it.token) if s["personId"] != me}
    [title_id] = sorted(liked - hers)
    it.takes_cards(ANN)
    card = {
        "type": "recommendation", "title_ref": {"scheme": "streamflix", "id": title_id}, "title": "Salt Harbour",
        "text": "Loved it. For you?",
    }  # fmt: skip
    proposed = it.partner.send(it.token, it.address(ANN), card, CELL)
    it.confirm(proposed)
    [(link, _)] = it.links(ANN)
    assert it.click(link).status_code == 302
    day = (ANCHOR + timedelta(days=0)).isoformat()
    events = [
        {"kind": kind, "day": day, **{n: CELL[n] for n in ("interface", "surface", "variant")}}
        for kind in ("send", "recipient_click", "click")
    ]
    lines = [json.dumps(event).encode() for event in events]
    it.now = reports.day_ms(ANCHOR) + int(15.5 * DAY_MS)
    report = reports.build(
        reports.count(lines, it.terms, 1), it.terms, sequence=1,
        report_id=str(uuid_utils.uuid7(nanoseconds=it.now * 1_000_000)), generated_at_ms=it.now,
        key=read_jwk(it.key.as_dict(private=True)), bot_filter_version="byleave-2026-11", preparer="Reports desk",
    )  # fmt: skip
    own = it.partner.own_token()
    it.partner.submit(own, report)
    beside = it.partner.reconciliation(own, report.manifest["report_id"])
    assert beside["findings"] == [], beside
    assert sum(cell["platform"]["sends"] for cell in beside["cells"]) == 1
    kinds = _ledger(it)
    assert {"grant", "choice", "reading", "send", "report"} <= kinds.keys()
    signals = [r for r in kinds["reading"] if "TitleSignal/get" in r.endpoint]
    assert signals and all(r.level in ("masked", "signals") and r.messages() for r in signals)


def _ledger(it: Talking) -> dict[str, list[Any]]:
    from sqlalchemy import select

    from byleave.store import prepare
    from byleave.store.tables import entry

    found: dict[str, list[Any]] = {}
    with it.world.store.read() as snapshot:
        for kind, event in snapshot.all(prepare(select(entry.c.kind, entry.c.event))):
            found.setdefault(kind, []).append(entries.decode(event))
    return found


def test_no_taste_is_kept(it: Talking) -> None:
    """After rankings the store holds no ranked title that was not there before (taint test of the store)."""
    import sqlite3

    put = {one["titleId"] for one in it.partner.rankings(it.token, 28)} - {"t1", "t2"}
    connection = sqlite3.connect(it.world.path)
    tables = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in set(tables) - {"title", "partner_title", "catalogue", "mention"}:
        for row in connection.execute(f'SELECT * FROM "{table}"'):
            for value in row:
                text = (
                    value
                    if isinstance(value, str)
                    else value.decode("latin-1")
                    if isinstance(value, bytes)
                    else ""
                )
                assert not any(f'"{id}"' in text or text == id for id in put), table
    assert catch_up(it.world.store, it.now) == 0
