"""Title signals: from what a grant may see and nothing else; a no, a flag, a correction at once; claimed words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from tests.worlds import DAY, NOW, World, chat

from byleave import titles
from byleave.consent import grant
from byleave.gateway.jmap import request
from byleave.model import Level, Mode
from byleave.store import prepare
from byleave.store.tables import message
from byleave.view import Lagging, open_view, rows
from byleave.words.gazetteer import Title

ME, ANN, BOB = "telegram:user1000", "telegram:user1001", "telegram:user1002"
FILMS = [
    Title("t1", "The Glass Fox", 1999), Title("t2", "Salt Harbour", 2004), Title("t3", "Night Ferry to Oslo", 2011),
    Title("t4", "The Cancer Ward Diaries", 2010), Title("t5", "Paper Moons", 2015),
]  # fmt: skip
_VOUCH = prepare(update(message).values(authentication="source").where(message.c.native != "n8"))
APPROVED = {
    Mode.SANDBOX: ("sandbox",),
    Mode.PERSONAL: ("owner",),
    Mode.PROVIDER: ("operator:a", "operator:b"),
}
NS = "https://byleave.example/ns/signals"
MAIL = "urn:ietf:params:jmap:mail"


def said(text: str, who: str, minute: int, **more: Any) -> Any:
    return chat(text, who, at=NOW - 10 * DAY + minute * 60_000, id=f"n{minute}", **more)


TALK = [
    said("Hi Ann, how was your week? Did you get to the cinema?", ME, 1),
    said("I saw The Glass Fox on Friday, what a movie, I loved it.", ANN, 2),
    said("Nice, I want to watch Salt Harbour, have you seen that film?", ME, 3),
    said("Yes! Salt Harbour is great, I loved it too. You should watch it.", ANN, 4),
    said("Night Ferry to Oslo was a terrible movie though, I hated it.", BOB, 5),
    said("I will watch Salt Harbour tonight then.", ME, 6),
]


class Told:
    """A world with an inbox, a partner's grant, and a way to ask."""

    def __init__(self, folder: Path, mode: Mode = Mode.SANDBOX, level: Level = Level.SIGNALS) -> None:
        folder.mkdir(exist_ok=True)
        self.world = World(folder, mode)
        self.owner_id = self.world.owner()
        deal = self.world.agree((("tailoring", "masked"),), approved_by=APPROVED[mode])
        self.granted = self.world.allow(self.owner_id, level=level, agreement_id=deal, partner="streamflix")
        self.world.shelve(FILMS)

    def put(self, records: list[Any]) -> None:
        self.world.put(self.owner_id, records, own=[ME])

    def view(self, snapshot: Any, granted: Any = None) -> Any:
        granted = granted or self.granted
        found = grant.find(snapshot, granted.owner_id, granted.grant_id)
        return open_view(snapshot, found, self.world.installation.ids, self.world.now)

    def ask(self, *calls: Any, using: tuple[str, ...] = (NS, MAIL), granted: Any = None) -> list[Any]:
        granted = granted or self.granted
        while True:
            try:
                with self.world.store.read() as snapshot:
                    view = self.view(snapshot, granted)
                    asked = [[name, {"accountId": view.account_id, **given}, "c"] for name, given in calls]
                    body = json.dumps({"using": ["urn:ietf:params:jmap:core", *using], "methodCalls": asked})
                    self.reading = view.reading
                    self.raw = request.respond(body.encode(), view, self.world.now)
                    return [(name, answer) for name, answer, _ in json.loads(self.raw)["methodResponses"]]
            except Lagging:
                self.world.store.write(rows.apply, granted.owner_id, granted.grant_id, self.world.now)

    def signals(self, granted: Any = None) -> list[dict[str, Any]]:
        [(name, answer)] = self.ask(("TitleSignal/get", {"ids": None}), granted=granted)
        assert name == "TitleSignal/get", answer
        return sorted(answer["list"], key=lambda s: (s["titleId"], s["personId"]))

    def known(self) -> set[tuple[str, str]]:
        return {(s["titleId"], s["stance"]) for s in self.signals()}


@pytest.fixture
def told(tmp_path: Path) -> Told:
    made = Told(tmp_path)
    made.put(TALK)
    return made


def test_what_a_signal_is(told: Told) -> None:
    """Own words only, until somebody says yes; no text, no message, nothing finer than a day."""
    mine = told.signals()
    assert [(s["titleId"], s["stance"]) for s in mine] == [("t2", "wants")]
    assert set(mine[0]) == {"id", "personId", "titleId", "stance", "confidence", "day"}
    assert mine[0]["day"] == "2026-09-11" and mine[0]["personId"][0] == "p" and len(mine[0]["personId"]) == 27
    told.world.choose(ANN, Level.SIGNALS)
    told.world.work()
    both = told.signals()
    assert {(s["titleId"], s["stance"]) for s in both} >= {("t1", "liked"), ("t2", "liked"), ("t2", "wants")}
    assert len({s["personId"] for s in both}) == 2
    assert b"harbour" not in told.raw.lower() and b"n4" not in told.raw


def test_email_methods_have_no_place_at_signals(told: Told) -> None:
    [(name, answer)] = told.ask(("Email/query", {}))
    assert (name, answer["type"]) == ("error", "accountNotSupportedByMethod")
    told.signals()
    assert (
        told.reading.level is Level.SIGNALS
        and told.reading.borns
        and told.reading.endpoints == ["TitleSignal/get"]
    )


def test_a_withdrawal_binds_the_next_request(told: Told) -> None:
    """What rested on her words is gone before the next answer, and what did not rest on them stays or comes anew."""
    yes = told.world.choose(ANN, Level.SIGNALS)
    told.world.work()
    before = told.signals()
    [(_, state)] = told.ask(("TitleSignal/changes", {"sinceState": told.ask(("TitleSignal/get", {"ids": []}))[0][1]["state"]}))  # fmt: skip
    told.world.withdraw(ANN, yes)
    assert told.signals() == []  # hers and what stood beside them
    told.world.work()
    after = told.signals()
    assert {s["titleId"] for s in after} == {"t2"} and len({s["personId"] for s in after}) == 1
    [(_, moved)] = told.ask(("TitleSignal/changes", {"sinceState": state["newState"]}))
    gone = {s["id"] for s in before} - {s["id"] for s in after}
    assert set(moved["destroyed"]) == gone and set(moved["created"]) == {s["id"] for s in after} - {s["id"] for s in before}  # fmt: skip
    [(_, got)] = told.ask(("TitleSignal/get", {"ids": sorted(gone)}))
    assert got["list"] == [] and set(got["notFound"]) == gone


@pytest.mark.parametrize("yes", [(), (ANN,)])
def test_words_of_who_did_not_agree_change_nothing(tmp_path: Path, yes: tuple[str, ...]) -> None:
    """Deleting all of them leaves the output byte-identical (tailoring.md, "Leave halves the signal")."""
    answers = []
    for name, records in (("all", TALK), ("agreed", [r for r in TALK if r.sender in (ME, *yes)])):
        one = Told(tmp_path / name)
        for handle in yes:
            one.world.choose(handle, Level.SIGNALS)
        one.put([chat("hello", who, id=f"book{who[-1]}", at=NOW - 90 * DAY) for who in (ME, ANN, BOB)])
        one.put(records)
        one.signals()
        answers.append(one.raw)
    assert answers[0] == answers[1] and b'"t2"' in answers[0]


SECRET = "The Cancer Ward Diaries"


@pytest.mark.parametrize(
    ("with_it", "without_it"),
    [
        ("I want to watch Salt Harbour, and I loved The Cancer Ward Diaries.", "I want to watch Salt Harbour."),
        ("I want to watch Salt Harbour and The Cancer Ward Diaries.", "I want to watch Salt Harbour."),
        ("I want to watch Salt Harbour. The Cancer Ward Diaries was a great film!", "I want to watch Salt Harbour."),
        ("I loved the movie The Cancer Ward Diaries so much.", None),
    ],
)  # fmt: skip
def test_a_sensitive_mention_in_or_out_is_the_same_bytes(
    tmp_path: Path, with_it: str, without_it: str | None
) -> None:
    answers = []
    for name, text in (("in", with_it), ("out", without_it)):
        one = Told(tmp_path / name)
        one.world.choose(ANN, Level.SIGNALS)
        talk = [*TALK[:2], *([said(text, ME, 3)] if text else []), *TALK[3:]]
        one.put(talk)
        one.signals()
        answers.append(one.raw)
        assert b"t4" not in one.raw
    assert answers[0] == answers[1]


def test_the_sensitive_mention_would_have_been_found(tmp_path: Path) -> None:
    """The control: with its flag taken off by two operators it is a signal like any other."""
    one = Told(tmp_path)
    one.put([*TALK, said("I loved The Cancer Ward Diaries, a great film.", ME, 9)])
    assert "t4" not in {t for t, _ in one.known()}
    one.world.flag("t4", on=False)
    assert ("t4", "liked") in one.known()
    one.world.flag("t4", on=True)
    assert "t4" not in {t for t, _ in one.known()}


@pytest.mark.parametrize("mode", list(Mode))
def test_claimed_words_speak_for_the_owner_alone(tmp_path: Path, mode: Mode) -> None:
    """A file is a claim about who wrote what: but in a sandbox, where nobody is real, nobody but the owner gets a
    signal out of one, and not even where they said yes."""
    one = Told(tmp_path, mode)
    one.put(TALK)
    one.world.choose(ANN, Level.SIGNALS)
    one.world.work()
    people = {s["personId"] for s in one.signals()}
    assert len(people) == (2 if mode is Mode.SANDBOX else 1)
    assert ("t2", "wants") in one.known()


def test_vouched_words_speak_for_their_sender(tmp_path: Path) -> None:
    """In a provider's store a live source vouches; a claimed message beside it weighs nothing for her."""
    answers = []
    for name, more in (
        ("with", [said("I hated Paper Moons, what a terrible film.", ANN, 8)]),
        ("without", []),
    ):
        one = Told(tmp_path / name, Mode.PROVIDER)
        one.put([*TALK, *more])
        one.world.store.write(_vouch)
        one.world.choose(ANN, Level.SIGNALS)
        one.world.work()
        answers.append({(s["titleId"], s["stance"]) for s in one.signals()})
    assert answers[0] == answers[1] >= {("t1", "liked"), ("t2", "liked"), ("t2", "wants")}


def _vouch(tx: Any) -> None:
    tx.run(_VOUCH)


def test_a_partner_without_a_list_and_one_with(told: Told) -> None:
    theirs = [Title(f"x{n}", film.title, film.year) for n, film in enumerate(FILMS)]
    assert titles.put_partners(
        told.world.store, "streamflix", theirs, "f.csv", "csv", NOW, told.world.id(), b"s" * 32
    )
    assert told.known() == {("x1", "wants")}


def test_query(told: Told) -> None:
    told.world.choose(ANN, Level.SIGNALS)
    told.world.work()
    [(_, all_), (_, liked), (_, bad), (_, odd), (_, cut)] = told.ask(
        ("TitleSignal/query", {"calculateTotal": True, "sort": [{"property": "titleId"}]}),
        (
            "TitleSignal/query",
            {"filter": {"operator": "AND", "conditions": [{"stance": "liked"}, {"titleId": "t2"}]}},
        ),
        ("TitleSignal/query", {"filter": {"stance": "adored"}}),
        ("TitleSignal/query", {"filter": {"text": "harbour"}}),
        ("TitleSignal/query", {"limit": 1, "position": 1}),
    )
    assert all_["total"] == len(all_["ids"]) >= 3 and len(liked["ids"]) == 1
    assert bad["type"] == "invalidArguments" and odd["type"] == "unsupportedFilter" and len(cut["ids"]) == 1


def test_what_the_store_says_at_masked_too(tmp_path: Path) -> None:
    """A masked grant has signals of those who said yes to signals alone, and no mail of theirs."""
    one = Told(tmp_path, level=Level.MASKED)
    one.put(TALK)
    one.world.choose(ANN, Level.SIGNALS)
    one.world.work()
    assert len({s["personId"] for s in one.signals()}) == 2
    [(_, found)] = one.ask(("Email/query", {"calculateTotal": True}))
    assert found["total"] == 3  # the owner's own, redaction vouching


def test_an_edit_moves_it(told: Told) -> None:
    told.put(
        [
            said(
                "Nice, I want to watch something, who knows what film.",
                ME,
                3,
                edited_at=NOW - DAY,
                revision=1,
            )
        ]
    )
    assert ("t2", "wants") in told.known()  # said again later
    told.put([said("I will watch it tonight then.", ME, 6, edited_at=NOW - DAY, revision=1)])
    assert told.known() == set()
