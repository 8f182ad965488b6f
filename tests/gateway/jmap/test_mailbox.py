"""Mailboxes: four at most for others, the real folders for the owner; counts that agree with queries."""

from __future__ import annotations

from typing import Any

import pytest

from byleave.gateway.jmap.mailbox import COUNTS, PROPERTIES
from tests.gateway.jmap.conftest import Account, Place
from tests.worlds import chat, mail


def _names(account: Account) -> dict[str, dict[str, Any]]:
    return {m["name"]: m for m in account.call("Mailbox/get", ids=None)["list"]}


def test_which_there_are(place: Place) -> None:
    assert set(_names(place.masked)) == {"Inbox", "Chats"}
    assert set(_names(place.owner)) == {"Inbox", "Chats", "Projects"}
    assert {n: m["role"] for n, m in _names(place.owner).items()} == {
        "Inbox": "inbox",
        "Chats": None,
        "Projects": None,
    }
    for mailbox in _names(place.masked).values():
        assert set(mailbox) == set(PROPERTIES)
        assert mailbox["myRights"].pop("mayReadItems") is True and not any(mailbox["myRights"].values())


@pytest.mark.parametrize("who", ["owner", "masked"])
def test_counts_agree_with_queries(place: Place, who: str) -> None:
    account: Account = getattr(place, who)
    for mailbox in _names(account).values():
        for count, more in (("totalEmails", {}), ("unreadEmails", {"notKeyword": "$seen"})):
            found = account.call(
                "Email/query", filter={"inMailbox": mailbox["id"], **more}, calculateTotal=True
            )
            assert found["total"] == len(found["ids"]) == mailbox[count]
        found = account.call(
            "Email/query", filter={"inMailbox": mailbox["id"]}, collapseThreads=True, calculateTotal=True
        )
        assert found["total"] == mailbox["totalThreads"]
        assert 0 <= mailbox["unreadThreads"] <= mailbox["totalThreads"]
    everything = account.call("Email/query", calculateTotal=True)["total"]
    assert sum(m["totalEmails"] for m in _names(account).values()) == everything


def test_ids_and_properties(place: Place) -> None:
    inbox = _names(place.masked)["Inbox"]["id"]
    answer = place.masked.call("Mailbox/get", ids=[inbox, "nothing", inbox], properties=["name"])
    assert answer["list"] == [{"id": inbox, "name": "Inbox"}] and answer["notFound"] == ["nothing"]
    assert place.masked.error("Mailbox/get", properties=["colour"]) == "invalidArguments"
    foreign = _names(place.owner)["Inbox"]["id"]
    assert place.masked.call("Mailbox/get", ids=[foreign])["notFound"] == [foreign]


@pytest.mark.parametrize(
    ("filter", "names"),
    [
        ({}, {"Inbox", "Chats", "Projects"}),
        ({"name": "ro"}, {"Projects"}),
        ({"role": "inbox"}, {"Inbox"}),
        ({"role": None}, {"Chats", "Projects"}),
        ({"hasAnyRole": True}, {"Inbox"}),
        ({"parentId": None}, {"Inbox", "Chats", "Projects"}),
        ({"parentId": "x"}, set()),
        ({"isSubscribed": False}, set()),
        ({"operator": "NOT", "conditions": [{"role": "inbox"}, {"name": "chats"}]}, {"Projects"}),
        ({"operator": "OR", "conditions": [{"role": "inbox"}, {"name": "chats"}]}, {"Inbox", "Chats"}),
        ({"operator": "AND", "conditions": []}, {"Inbox", "Chats", "Projects"}),
    ],
)
def test_queries(place: Place, filter: dict[str, Any], names: set[str]) -> None:
    by_id = {m["id"]: n for n, m in _names(place.owner).items()}
    found = place.owner.call("Mailbox/query", filter=filter, calculateTotal=True, sortAsTree=True)
    assert {by_id[i] for i in found["ids"]} == names and found["total"] == len(names)
    assert found["canCalculateChanges"] is False


def test_sorts_and_windows(place: Place) -> None:
    by_id = {m["id"]: n for n, m in _names(place.owner).items()}

    def names(**arguments: Any) -> list[str]:
        return [by_id[i] for i in place.owner.call("Mailbox/query", **arguments)["ids"]]

    by_name = [{"property": "name"}]
    assert names(sort=by_name) == ["Chats", "Inbox", "Projects"]
    assert names(sort=[{"property": "name", "isAscending": False}]) == ["Projects", "Inbox", "Chats"]
    assert names(sort=[{"property": "parentId"}, {"property": "sortOrder"}]) == ["Inbox", "Chats", "Projects"]
    assert names(sort=by_name, position=1, limit=1) == ["Inbox"]
    assert names(sort=by_name, position=-1) == ["Projects"]
    inbox = _names(place.owner)["Inbox"]["id"]
    assert names(sort=by_name, anchor=inbox, anchorOffset=-1) == ["Chats", "Inbox", "Projects"]
    assert place.owner.error("Mailbox/query", anchor="x") == "anchorNotFound"
    assert place.owner.error("Mailbox/query", sort=[{"property": "totalEmails"}]) == "unsupportedSort"
    assert (
        place.owner.error("Mailbox/query", sort=[{"property": "name", "collation": "i;klingon"}])
        == "unsupportedSort"
    )
    for filter in ("x", {"operator": "XOR", "conditions": []}, {"operator": "AND"}, {"name": 1}):
        assert place.owner.error("Mailbox/query", filter=filter) == "invalidArguments"


def test_changes(fresh: Place) -> None:
    before = fresh.masked.call("Mailbox/get", ids=[])["state"]
    assert fresh.masked.call("Mailbox/changes", sinceState=before)["updated"] == []
    fresh.world.put(fresh.owner_id, [chat("hidden", "telegram:user2")])
    assert fresh.masked.call("Mailbox/changes", sinceState=before)["newState"] == before
    fresh.world.put(
        fresh.owner_id, [chat("shown to all who may see it"), mail("put away, and shown", folder="Old")]
    )
    answer = fresh.masked.call("Mailbox/changes", sinceState=before)
    names = _names(fresh.masked)
    assert answer["created"] == [names["Archive"]["id"]] and answer["updated"] == [names["Chats"]["id"]]
    assert answer["updatedProperties"] == list(COUNTS) and answer["newState"] != before
    assert fresh.masked.error("Mailbox/changes", sinceState=before, maxChanges=1) == "cannotCalculateChanges"
    assert fresh.masked.error("Mailbox/changes", sinceState=before, maxChanges=0) == "invalidArguments"
