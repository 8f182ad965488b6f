"""Law 11. The log is private too: a person's page shows partners' reads of *their* words. It is no read receipt,
and never tells whose inbox, nor what another person chose. An owner never learns whether a silence is a no."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from byleave.view import told
from tests.laws.twins import ANN, BOB, CAT, NAMES, Twin

PAGES = (
    "/me",
    "/me/",
    "/me/readings",
    "/me/readings.json",
    "/me/readings.csv",
    "/me/readings/chart.svg",
    "/me/choices",
)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    made = Twin(tmp_path_factory.mktemp("private") / "one", True)
    session = json.loads(made.ask("GET", "/jmap/session", "partner")[0].partition(b"\n\n")[2])
    [made.account] = session["accounts"]  # type: ignore[attr-defined]
    made.jmap([["Email/get", {"accountId": made.account, "ids": None}, "g"]])  # type: ignore[attr-defined]
    made.tool("search_messages", {"query": "film"})
    made.ask("GET", "/me/inbox", "owner")
    while made.world.store.write(told.tell, made.world.now):
        pass
    yield made
    made.close()


def page(twin: Twin, path: str, caller: str) -> str:
    return twin.ask("GET", path, caller)[0].partition(b"\n\n")[2].decode()


def test_a_sender_sees_the_partners_reads_of_her_words(twin: Twin) -> None:
    shown = json.loads(page(twin, "/me/readings.json", "ann"))
    assert [r["partner"] for r in shown["readings"]] == ["streamflix"]
    with twin.world.store.read() as snapshot:
        assert {t.purpose for t in told.of_person(snapshot, ANN)} == {"tailoring"}


def test_and_never_whose_inbox(twin: Twin) -> None:
    for path in PAGES:
        text = page(twin, path, "ann")
        for secret in (
            "Robin",
            "telegram:user1000",
            "me@example.test",
            twin.owner_id.hex(),
            twin.account,
            "Friends",
        ):  # type: ignore[attr-defined]
            assert secret not in text, (path, secret)
        for other in (NAMES[BOB], NAMES[CAT], BOB, CAT):
            assert other not in text, (path, other)


def test_no_read_receipt(twin: Twin) -> None:
    """What the owner reads is told to nobody; of an assistant a month, no time, no count."""
    shown = json.loads(page(twin, "/me/readings.json", "ann"))
    assert all(re.fullmatch(r"\d{4}-\d\d", month) for month in shown["assistants"])
    assert "own-agent" not in json.dumps(shown) and '"owner"' not in json.dumps(shown)
    before = [page(twin, path, "ann") for path in PAGES]
    for _ in range(3):
        twin.ask("GET", "/me/inbox", "owner")
        twin.tool("search_messages", {"query": "lighthouse"})
    while twin.world.store.write(told.tell, twin.world.now):
        pass
    assert [page(twin, path, "ann") for path in PAGES] == before


def test_who_was_not_read_is_told_nothing(twin: Twin) -> None:
    shown = json.loads(page(twin, "/me/readings.json", "bob"))
    assert shown["readings"] == [] and shown["assistants"] == []


def test_an_owner_cannot_tell_a_no_from_a_silence(twin: Twin) -> None:
    """Cat said no, Bob nothing: on the owner's pages they stand alike."""
    for path in ("/me/inbox", "/me/grants", "/me/choices", "/me/readings?who=all"):
        text = page(twin, path, "owner")
        lines = [[line for line in text.splitlines() if name in line] for name in (NAMES[BOB], NAMES[CAT])]
        for line in lines[1]:
            assert not re.search(r"refus|withdr|said no|denied", line, re.IGNORECASE), (path, line)


def test_an_owner_sees_all_reads_of_their_inbox(twin: Twin) -> None:
    shown = json.loads(page(twin, "/me/readings.json?who=all", "owner"))
    assert {r["purpose"] for r in shown["readings"]} == {"tailoring", "own-agent", "owner"}
