"""Threads hold visible messages only, oldest first, and lead back to themselves."""

from __future__ import annotations

import pytest

from tests.gateway.jmap.conftest import Account, Place
from tests.worlds import chat


@pytest.mark.parametrize("who", ["owner", "masked"])
def test_threads_and_emails_agree(place: Place, who: str) -> None:
    account: Account = getattr(place, who)
    emails = {e["id"]: e for e in account.emails("threadId", "receivedAt")}
    answer = account.call("Thread/get", ids=sorted({e["threadId"] for e in emails.values()}))
    assert answer["notFound"] == []
    assert sorted(i for t in answer["list"] for i in t["emailIds"]) == sorted(emails)
    for thread in answer["list"]:
        assert {emails[i]["threadId"] for i in thread["emailIds"]} == {thread["id"]}
        times = [emails[i]["receivedAt"] for i in thread["emailIds"]]
        assert times == sorted(times)
    every = account.call("Thread/get", ids=None)["list"]
    assert sorted(t["id"] for t in every) == sorted(t["id"] for t in answer["list"])


def test_not_found_and_properties(place: Place) -> None:
    [first, *_] = place.masked.call("Thread/get", ids=None)["list"]
    foreign = place.owner.call("Thread/get", ids=None)["list"][0]["id"]
    answer = place.masked.call("Thread/get", ids=["x", first["id"], foreign, first["id"]], properties=["id"])
    assert answer["list"] == [{"id": first["id"]}] and answer["notFound"] == ["x", foreign]
    assert place.masked.error("Thread/get", ids=["x"] + [f"t{n}" for n in range(500)]) == "requestTooLarge"


def test_changes(fresh: Place) -> None:
    state = fresh.masked.call("Thread/get", ids=[])["state"]
    fresh.world.put(fresh.owner_id, [chat("a new day", at=fresh.world.now - 1000)])
    answer = fresh.masked.call("Thread/changes", sinceState=state)
    assert len(answer["created"]) == 1 and answer["updated"] == answer["destroyed"] == []
    assert fresh.masked.call("Thread/get", ids=answer["created"])["notFound"] == []
    fresh.world.put(fresh.owner_id, [chat("and more of it", at=fresh.world.now - 500)])
    again = fresh.masked.call("Thread/changes", sinceState=answer["newState"])
    assert again["updated"] == answer["created"] and again["created"] == []
    fresh.world.withdraw("telegram:user1", fresh.yes["telegram:user1"])
    fresh.world.work()
    last = fresh.masked.call("Thread/changes", sinceState=again["newState"])
    assert set(answer["created"]) <= set(last["destroyed"])
    assert fresh.masked.error("Thread/changes", sinceState=state, maxChanges=1) == "cannotCalculateChanges"
