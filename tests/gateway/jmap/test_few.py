"""Identity, EmailSubmission and Quota: what a client that asks for them by habit is told."""

from __future__ import annotations

from typing import Any

import pytest

from byleave.gateway.jmap import request
from byleave.gateway.jmap.session import CORE, MAIL, QUOTA, SUBMISSION
from tests.gateway.jmap.conftest import Account, Place

TYPES = {"Identity": SUBMISSION, "EmailSubmission": SUBMISSION, "Quota": QUOTA}


def ask(account: Account, name: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    using = [CORE, TYPES[name.partition("/")[0]]]
    answer = account.request([[name, {"accountId": account.id, **arguments}, "c"]], using=using)
    [[said, told, _]] = answer["methodResponses"]
    return said, told


def test_an_owner_has_the_addresses_that_are_theirs(place: Place) -> None:
    _, told = ask(place.owner, "Identity/get", ids=None)
    [one] = told["list"]
    assert one["email"] == "me@example.test" and one["mayDelete"] is False and one["replyTo"] is None
    _, again = ask(place.owner, "Identity/get", ids=[one["id"], one["id"], "nope"], properties=["email"])
    assert again["list"] == [{"id": one["id"], "email": "me@example.test"}] and again["notFound"] == ["nope"]
    assert ask(place.masked, "Identity/get", ids=None)[1]["list"] == []
    assert ask(place.masked, "Identity/get", ids=[one["id"]])[1]["notFound"] == [one["id"]]


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("who", ["owner", "masked"])
def test_no_news(place: Place, type: str, who: str) -> None:
    account = getattr(place, who)
    state = ask(account, f"{type}/get", ids=[])[1]["state"]
    _, told = ask(account, f"{type}/changes", sinceState=state)
    assert told["oldState"] == told["newState"] == state and told["hasMoreChanges"] is False
    assert told["created"] == told["updated"] == told["destroyed"] == []
    assert ("updatedProperties" in told) == (type == "Quota")  # RFC 9425 §5.2
    assert ask(account, f"{type}/changes", sinceState="other")[1]["type"] == "cannotCalculateChanges"
    assert ask(account, f"{type}/changes", sinceState=state, maxChanges=0)[1]["type"] == "invalidArguments"


@pytest.mark.parametrize("type", ["EmailSubmission", "Quota"])
def test_queries_are_judged_though_there_is_nothing(place: Place, type: str) -> None:
    sort = {"EmailSubmission": "sentAt", "Quota": "used"}[type]
    good = {"EmailSubmission": {"undoStatus": "final"}, "Quota": {"name": "x"}}[type]
    _, told = ask(place.masked, f"{type}/query", filter=good, sort=[{"property": sort}], calculateTotal=True)
    assert (told["ids"], told["position"], told["total"]) == ([], 0, 0)
    assert told["canCalculateChanges"] is False
    for arguments, error in (
        ({"filter": {"colour": 1}}, "unsupportedFilter"),
        ({"filter": {next(iter(good)): 1}}, "invalidArguments"),
        ({"filter": {"operator": "AND", "conditions": [good, {"colour": 1}]}}, "unsupportedFilter"),
        ({"sort": [{"property": "colour"}]}, "unsupportedSort"),
        ({"sort": [{}]}, "invalidArguments"),
        ({"anchor": "nope"}, "anchorNotFound"),
        ({"limit": -1}, "invalidArguments"),
    ):
        assert ask(place.masked, f"{type}/query", **arguments)[1]["type"] == error, arguments


@pytest.mark.parametrize("name", [n for n, m in request.METHODS.items() if n.partition("/")[0] in TYPES])
def test_capability_and_account(place: Place, name: str) -> None:
    call = [[name, {"accountId": place.masked.id}, "c"]]
    [[_, told, _]] = place.masked.request(call, using=[CORE, MAIL])["methodResponses"]
    assert told["type"] == "unknownMethod"
    assert ask(place.signals, name, accountId=place.signals.id)[1]["type"] == "accountNotSupportedByMethod"
    if name.endswith("/set"):
        assert ask(place.owner, name, accountId=place.owner.id)[1]["type"] == "accountReadOnly"
    assert ask(place.masked, name, accountId="nobody")[1]["type"] == "accountNotFound"
