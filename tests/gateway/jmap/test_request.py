"""Requests: problems of the whole, order, back-references, every method's refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.gateway.jmap import request
from byleave.gateway.jmap.session import session_state
from tests.gateway.jmap.conftest import USING, Place

CORE, MAIL, *_ = USING

# what each method is asked to answer well, and one thing it refuses
GOOD: dict[str, dict[str, Any]] = {
    "Mailbox/get": {"ids": None},
    "Mailbox/changes": {"sinceState": "STATE"},
    "Mailbox/query": {},
    "Thread/get": {"ids": []},
    "Thread/changes": {"sinceState": "STATE"},
    "Email/get": {"ids": ["mx"]},
    "Email/changes": {"sinceState": "STATE"},
    "Email/query": {},
    "Email/parse": {"blobIds": ["b-unknown"]},
    "SearchSnippet/get": {"filter": {"text": "film"}, "emailIds": ["mx"]},
    "Identity/get": {"ids": None},
    "Identity/changes": {"sinceState": "OWN"},
    "EmailSubmission/get": {"ids": ["x"]},
    "EmailSubmission/changes": {"sinceState": "OWN"},
    "EmailSubmission/query": {"filter": {"undoStatus": "final"}},
    "Quota/get": {"ids": None},
    "Quota/changes": {"sinceState": "OWN"},
    "Quota/query": {"sort": [{"property": "name"}]},
    "TitleSignal/get": {"ids": None},
    "TitleSignal/changes": {"sinceState": "STATE"},
    "TitleSignal/query": {"filter": {"stance": "liked"}},
}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "Mailbox/get": ({"ids": "all"}, "invalidArguments"),
    "Mailbox/changes": ({"sinceState": "s1"}, "cannotCalculateChanges"),
    "Mailbox/query": ({"filter": {"colour": "red"}}, "unsupportedFilter"),
    "Mailbox/queryChanges": ({"sinceQueryState": "s1"}, "cannotCalculateChanges"),
    "Mailbox/set": ({"create": {"a": {"name": "x"}}}, "accountReadOnly"),
    "Thread/get": ({"ids": [1]}, "invalidArguments"),
    "Thread/changes": ({"sinceState": 4}, "invalidArguments"),
    "Email/get": ({"ids": ["m"], "properties": ["colour"]}, "invalidArguments"),
    "Email/changes": ({"sinceState": "s1"}, "cannotCalculateChanges"),
    "Email/query": ({"sort": [{"property": "subject"}]}, "unsupportedSort"),
    "Email/queryChanges": ({"sinceQueryState": "STATE"}, "cannotCalculateChanges"),
    "Email/parse": ({}, "invalidArguments"),
    "Email/set": ({"destroy": ["m"]}, "accountReadOnly"),
    "Email/copy": ({"fromAccountId": "a", "create": {}}, "accountReadOnly"),
    "Email/import": ({"emails": {}}, "accountReadOnly"),
    "SearchSnippet/get": ({"filter": {"text": "x"}}, "invalidArguments"),
    "Blob/copy": ({"fromAccountId": "a", "blobIds": ["b"]}, "accountReadOnly"),
    "Identity/get": ({"ids": None, "properties": ["colour"]}, "invalidArguments"),
    "Identity/changes": ({"sinceState": "s1"}, "cannotCalculateChanges"),
    "Identity/set": ({"create": {}}, "accountReadOnly"),
    "EmailSubmission/get": ({"ids": [1]}, "invalidArguments"),
    "EmailSubmission/changes": ({"sinceState": "s1"}, "cannotCalculateChanges"),
    "EmailSubmission/query": ({"sort": [{"property": "colour"}]}, "unsupportedSort"),
    "EmailSubmission/queryChanges": ({"sinceQueryState": "s1"}, "cannotCalculateChanges"),
    "EmailSubmission/set": ({"create": {}}, "accountReadOnly"),
    "Quota/get": ({"ids": {}}, "invalidArguments"),
    "Quota/changes": ({"sinceState": ""}, "cannotCalculateChanges"),
    "Quota/query": ({"filter": {"colour": 1}}, "unsupportedFilter"),
    "Quota/queryChanges": ({"sinceQueryState": "s1"}, "cannotCalculateChanges"),
    "TitleSignal/get": ({"ids": ["g"], "properties": ["text"]}, "invalidArguments"),
    "TitleSignal/changes": ({"sinceState": "s1"}, "cannotCalculateChanges"),
    "TitleSignal/query": ({"filter": {"text": "film"}}, "unsupportedFilter"),
}  # fmt: skip


def test_every_method_has_its_cases() -> None:
    assert set(BAD) == set(request.METHODS)
    assert set(GOOD) == {
        n for n, m in request.METHODS.items() if m.run is not None and "queryChanges" not in n
    }


def _with_state(arguments: dict[str, Any], state: str) -> dict[str, Any]:
    return {k: state if v in ("STATE", "OWN") else v for k, v in arguments.items()}


@pytest.mark.parametrize("name", sorted(GOOD))
@pytest.mark.parametrize("who", ["owner", "masked"])
def test_answers(place: Place, who: str, name: str) -> None:
    account = getattr(place, who)
    of = name.partition("/")[0] if "OWN" in GOOD[name].values() else "Email"
    state = account.call(f"{of}/get", ids=[])["state"]
    if who == "owner" and name.startswith("TitleSignal"):  # the owner's own reading has words, no signals
        assert account.error(name, **_with_state(GOOD[name], state)) == "accountNotSupportedByMethod"
        return
    answer = account.call(name, **_with_state(GOOD[name], state))
    assert answer["accountId"] == account.id


@pytest.mark.parametrize("name", sorted(request.METHODS))
@pytest.mark.parametrize("who", ["owner", "masked"])
def test_refuses(place: Place, who: str, name: str) -> None:
    account = getattr(place, who)
    arguments, wanted = BAD[name]
    if who == "owner" and name.startswith("TitleSignal"):
        return
    state = account.call("Email/get", ids=[])["state"]
    assert account.error(name, **_with_state(arguments, state)) == wanted
    if wanted != "accountReadOnly":
        assert account.error(name, **{**GOOD.get(name, {}), "colour": 1}) == "invalidArguments"


@pytest.mark.parametrize("name", sorted(request.METHODS))
def test_accounts(place: Place, name: str) -> None:
    """A foreign account, an invented one and none at all; and a grant that shows signals only."""
    arguments = GOOD.get(name, {})
    answers = {
        json.dumps(place.masked.request([[name, {**arguments, "accountId": id}, "c"]]))
        for id in (place.owner.id, place.signals.id, "a", "nobody", "")
    }
    assert answers == {
        json.dumps(
            {
                "methodResponses": [["error", {"type": "accountNotFound"}, "c"]],
                "sessionState": json.loads(next(iter(answers)))["sessionState"],
            }
        )
    }
    for missing in ({}, {"accountId": None}, {"accountId": 1}):
        [[_, error, _]] = place.masked.request([[name, {**arguments, **missing}, "c"]])["methodResponses"]
        assert error["type"] == "invalidArguments"
    if name.startswith("TitleSignal"):
        assert place.signals.call("TitleSignal/get", ids=None)["list"] == []
        assert place.signals.error("Email/query") == "accountNotSupportedByMethod"
        return
    wanted = "accountReadOnly" if name == "Blob/copy" else "accountNotSupportedByMethod"
    assert place.signals.error(name, **arguments) == wanted


def test_methods_without_account(place: Place) -> None:
    echo = {"hello": [True, None, 1.5, "ä😀"], "big": 2**70}
    answer = place.masked.request(
        [
            ["Core/echo", echo, "a"], ["PushSubscription/get", {"ids": ["p"]}, "b"],
            ["PushSubscription/set", {"create": {"x": {"url": "https://a.example"}}, "destroy": ["y"]}, "c"],
        ]
    )  # fmt: skip
    [first, second, third] = answer["methodResponses"]
    assert first == ["Core/echo", echo, "a"]
    assert second[1] == {"list": [], "notFound": ["p"]}
    assert third[1]["notCreated"] == {"x": {"type": "forbidden"}} and third[1]["notDestroyed"]["y"]


def test_unknown_methods_and_capabilities(place: Place) -> None:
    calls = [
        ["Email/colour", {}, "a"],
        ["Mailbox/get", {"accountId": place.masked.id}, "b"],
        ["Core/echo", {}, "c"],
    ]
    answers = place.masked.request(calls, using=[CORE])["methodResponses"]
    assert [a[1].get("type") for a in answers] == ["unknownMethod", "unknownMethod", None]
    answers = place.masked.request(calls, using=[MAIL])["methodResponses"]
    assert [a[1].get("type") for a in answers] == ["unknownMethod", None, "unknownMethod"]


def test_the_next_call_runs_after_an_error(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> bytes:
        raise ValueError("secret words of a message")

    monkeypatch.setitem(request.METHODS, "Thread/get", request.Method(MAIL, broken))
    answers = place.masked.request(
        [["Thread/get", {"accountId": place.masked.id}, "a"], ["Core/echo", {}, "b"]]
    )
    assert answers["methodResponses"] == [["error", {"type": "serverFail"}, "a"], ["Core/echo", {}, "b"]]
    assert "ValueError" in caplog.text and "secret" not in caplog.text


# ── the request as a whole ──────────────────────────────────────────────────────────────────────────────────
def _body(**more: Any) -> bytes:
    return json.dumps({"using": USING, "methodCalls": [["Core/echo", {}, "a"]], **more}).encode()


PROBLEMS = [
    (b"", "notJSON"),
    (b"{", "notJSON"),
    (b"\xff", "notJSON"),
    (b'{"a":1,"a":2}', "notJSON"),
    (b"[" * 5000, "notJSON"),
    (b'{"a":NaN}', "notJSON"),
    (b'{"using":["\\ud800"],"methodCalls":[]}', "notJSON"),
    (b"\xef\xbb\xbf{}", "notJSON"),
    (b"[]", "notRequest"),
    (b"{}", "notRequest"),
    (b'"x"', "notRequest"),
    (_body(using="x"), "notRequest"),
    (_body(using=[1]), "notRequest"),
    (_body(methodCalls={}), "notRequest"),
    (_body(methodCalls=[["Core/echo", {}]]), "notRequest"),
    (_body(methodCalls=[["Core/echo", [], "a"]]), "notRequest"),
    (_body(methodCalls=[["Core/echo", {}, 1]]), "notRequest"),
    (_body(createdIds={"a": "no spaces"}), "notRequest"),
    (_body(createdIds=[]), "notRequest"),
    (_body(using=[CORE, "urn:example:other"]), "unknownCapability"),
    (_body(methodCalls=[["Core/echo", {}, "a"]] * 17), "limit"),
]


@pytest.mark.parametrize(("body", "wanted"), PROBLEMS)
def test_problems(place: Place, body: bytes, wanted: str) -> None:
    with pytest.raises(request.RequestProblem) as caught:
        place.masked.send(body)
    assert caught.value.type == f"urn:ietf:params:jmap:error:{wanted}" and caught.value.status == 400
    assert (wanted == "limit") == (caught.value.extra.get("limit") == "maxCallsInRequest")
    with pytest.raises(request.RequestProblem):
        request.gone(body, "v")


def test_a_request_too_large(place: Place) -> None:
    with pytest.raises(request.RequestProblem) as caught:
        place.masked.send(b" " * (request.LIMITS["maxSizeRequest"] + 1))
    assert caught.value.extra == {"limit": "maxSizeRequest"}


def test_sixteen_calls_and_created_ids(place: Place) -> None:
    answer = place.masked.request([["Core/echo", {}, str(n)] for n in range(16)], createdIds={"a": "m1"})
    assert [a[2] for a in answer["methodResponses"]] == [str(n) for n in range(16)]
    assert answer["createdIds"] == {"a": "m1"}


def test_an_account_that_has_gone(place: Place) -> None:
    calls = [
        ["Core/echo", {"a": 1}, "a"],
        ["Email/get", {"accountId": place.masked.id, "ids": []}, "b"],
        ["Email/set", {"accountId": "x"}, "c"],
    ]
    answer = json.loads(
        request.gone(json.dumps({"using": USING, "methodCalls": calls}).encode(), session_state(None))
    )
    assert [a[1].get("type") for a in answer["methodResponses"]] == [
        None,
        "accountNotFound",
        "accountNotFound",
    ]
    assert answer["sessionState"] == session_state(None)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda s: st.lists(s, max_size=4) | st.dictionaries(st.text(max_size=4), s, max_size=3),
        max_leaves=8,
    )
)
def test_any_json_is_answered_or_refused(place: Place, value: Any) -> None:
    for body in (
        value,
        {"using": USING, "methodCalls": value},
        {
            "using": USING,
            "methodCalls": [
                ["Email/query", {"accountId": place.masked.id, "filter": value, "sort": value}, "a"]
            ],
        },
    ):
        try:
            answer = place.masked.send(json.dumps(body).encode())
        except request.RequestProblem:
            continue
        assert all(a[1].get("type") != "serverFail" for a in answer["methodResponses"])


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(n for n, m in request.METHODS.items() if m.run)),
    st.dictionaries(
        st.sampled_from(sorted({a for m in request.METHODS.values() for a in m.arguments})),
        st.none()
        | st.booleans()
        | st.integers(-3, 2**60)
        | st.text(max_size=3)
        | st.lists(st.text(max_size=3), max_size=3)
        | st.lists(
            st.dictionaries(
                st.sampled_from(("property", "isAscending", "collation")), st.text(max_size=3) | st.booleans()
            )
        ),
        max_size=4,
    ),
)
def test_any_arguments_are_answered_or_refused(place: Place, name: str, arguments: dict[str, Any]) -> None:
    [[_, answer, _]] = place.owner.request([[name, {"accountId": place.owner.id, **arguments}, "c"]])[
        "methodResponses"
    ]
    assert answer.get("type") != "serverFail", (name, arguments)


# ── back-references ─────────────────────────────────────────────────────────────────────────────────────────
def test_query_get_threads_in_one_request(place: Place) -> None:
    id = place.masked.id
    answers = place.masked.request(
        [
            ["Email/query", {"accountId": id}, "q"],
            [
                "Email/get",
                {
                    "accountId": id,
                    "#ids": {"resultOf": "q", "name": "Email/query", "path": "/ids"},
                    "properties": ["threadId"],
                },
                "g",
            ],
            [
                "Thread/get",
                {"accountId": id, "#ids": {"resultOf": "g", "name": "Email/get", "path": "/list/*/threadId"}},
                "t",
            ],
            [
                "Email/get",
                {
                    "accountId": id,
                    "#ids": {"resultOf": "t", "name": "Thread/get", "path": "/list/*/emailIds"},
                    "properties": ["id"],
                },
                "e",
            ],
        ]
    )["methodResponses"]
    assert sorted(e["id"] for e in answers[3][1]["list"]) == sorted(answers[0][1]["ids"])
    assert answers[2][1]["notFound"] == []


REFERENCES = [
    ({"resultOf": "x", "name": "Core/echo", "path": "/ids"}, "invalidResultReference"),
    ({"resultOf": "e", "name": "Email/query", "path": "/ids"}, "invalidResultReference"),
    ({"resultOf": "e", "name": "Core/echo", "path": "/nowhere"}, "invalidResultReference"),
    ({"resultOf": "e", "name": "Core/echo", "path": "ids"}, "invalidResultReference"),
    ({"resultOf": "e", "name": "Core/echo", "path": "/ids/7"}, "invalidResultReference"),
    ({"resultOf": "e", "name": "Core/echo", "path": "/ids/00"}, "invalidResultReference"),
    ({"resultOf": "e", "name": "Core/echo", "path": "/*"}, "invalidResultReference"),
    ({"resultOf": "e", "name": "Core/echo", "path": "/nested/*/x"}, "invalidResultReference"),
    ({"resultOf": "e", "name": "Core/echo"}, "invalidArguments"),
    ({"resultOf": 1, "name": "Core/echo", "path": ""}, "invalidArguments"),
    ("x", "invalidArguments"),
]


@pytest.mark.parametrize(("reference", "wanted"), REFERENCES)
def test_references_that_lead_nowhere(place: Place, reference: Any, wanted: str) -> None:
    echo = ["Core/echo", {"ids": ["m"], "nested": [{"x": 1}, {"y": 2}]}, "e"]
    [_, [_, error, _]] = place.masked.request([echo, ["Core/echo", {"#a": reference}, "c"]])[
        "methodResponses"
    ]
    assert error["type"] == wanted


def test_pointers(place: Place) -> None:
    echo = ["Core/echo", {"a": [{"b": [1, 2]}, {"b": [3]}, {"b": [[4]]}], "c/d": {"~": 5}, "*": 6}, "e"]

    def at(path: str) -> Any:
        call = ["Core/echo", {"#x": {"resultOf": "e", "name": "Core/echo", "path": path}}, "c"]
        return place.masked.request([echo, call])["methodResponses"][1][1]["x"]

    assert at("/a/*/b") == [1, 2, 3, [4]]
    assert at("/a/1/b/0") == 3
    assert at("/c~1d/~0") == 5
    assert at("/*") == 6
    assert at("") == echo[1]


def test_an_argument_twice(place: Place) -> None:
    call = [
        "Email/get",
        {"accountId": place.masked.id, "ids": [], "#ids": {"resultOf": "a", "name": "Core/echo", "path": ""}},
        "c",
    ]
    assert place.masked.request([call])["methodResponses"][0][1]["type"] == "invalidArguments"
