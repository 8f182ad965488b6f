"""Emails: one answer by fragment and by bytes, queries over what is shown, changes."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from byleave.gateway.jmap import email as module
from byleave.gateway.jmap import mime
from byleave.gateway.jmap.blob import download
from byleave.gateway.jmap.email import USUAL
from byleave.model import Level
from byleave.sources.parts import Message
from byleave.view import PREPARED, Picker, Query
from byleave.words.fragment import CHAT
from tests.gateway.jmap.conftest import LETTER, Account, Place, letter
from tests.worlds import DAY, NOW, World, chat

BODY = ("blobId", "subject", "textBody", "bodyValues", "size")
BOTH = pytest.mark.parametrize("who", ["owner", "masked"])


def _account(place: Place, who: str) -> Account:
    account: Account = getattr(place, who)
    return account


# ── get ─────────────────────────────────────────────────────────────────────────────────────────────────────
@BOTH
def test_usual_properties(place: Place, who: str) -> None:
    for email in _account(place, who).emails(fetchTextBodyValues=True):
        assert set(email) == set(USUAL)
        assert all(p["partId"] in email["bodyValues"] for p in email["textBody"])


def test_ids(place: Place) -> None:
    shown = place.masked.call("Email/query")["ids"]
    foreign = place.owner.call("Email/query")["ids"][0]
    tampered = shown[0][:-1] + ("a" if shown[0][-1] != "a" else "b")
    state = place.masked.call("Email/get", ids=[])["state"]
    answer = place.masked.call(
        "Email/get",
        ids=[shown[1], "x", shown[0], shown[1], foreign, tampered, "#new", state],
        properties=["subject"],
    )
    assert [e["id"] for e in answer["list"]] == [shown[1], shown[0]]
    assert answer["notFound"] == ["x", foreign, tampered, "#new", state]
    assert all(set(e) == {"id", "subject"} for e in answer["list"])
    for ids in ([""], ["x" * 256], [None], {}):
        assert place.masked.error("Email/get", ids=ids) == "invalidArguments"
    assert place.masked.error("Email/get", ids=[f"m{n}" for n in range(501)]) == "requestTooLarge"
    assert len(place.masked.call("Email/get", ids=[f"m{n % 500}" for n in range(900)])["notFound"]) == 500


def test_what_is_masked(place: Place) -> None:
    """Own words and those of people who said yes; addresses as tokens."""
    values = [
        v["value"]
        for e in place.masked.emails("bodyValues", fetchAllBodyValues=True)
        for v in e["bodyValues"].values()
    ]
    assert "my own words" in values and "we saw a film on Sunday" in values
    assert not [v for v in values if "anybody else" in v or "Bob" in v]
    text = json.dumps(place.masked.emails())
    assert "@masked.invalid" in text
    for secret in ("example.test", "Ann", "user1", "Projects", "before@"):
        assert secret not in text
    headers = json.dumps(place.masked.emails("headers", "header:X-Note", "header:List-Unsubscribe:asURLs"))
    assert 'X-Note": "' not in headers and "list.example" not in headers


def test_what_the_owner_sees_of_a_letter(place: Place) -> None:
    properties = [
        "subject",
        "from",
        "to",
        "sentAt",
        "bodyStructure",
        "textBody",
        "htmlBody",
        "attachments",
        "hasAttachment",
        "bodyValues",
        "header:X-Note",
        "header:X-Note:asText:all",
        "header:x-note:asText",
        "header:Nothing",
        "header:Nothing:all",
        "header:List-Unsubscribe:asURLs",
        "header:References:asMessageIds",
        "header:Date:asDate",
        "header:To:asGroupedAddresses",
        "header:Subject",
        "inReplyTo",
        "references",
        "messageId",
    ]
    [found] = [
        e
        for e in place.owner.emails(*properties, fetchAllBodyValues=True)
        if e["subject"] == "Café on Friday"
    ]
    assert found["from"] == [{"name": "Ann Lee", "email": "ann@example.test"}]
    assert found["sentAt"] == found["header:Date:asDate"] == "2026-09-11T14:13:20Z"
    assert found["messageId"] == ["letter@example.test"]
    assert (
        found["inReplyTo"]
        == found["references"]
        == found["header:References:asMessageIds"]
        == ["before@example.test"]
    )
    structure = found["bodyStructure"]
    assert structure["type"] == "multipart/mixed" and structure["partId"] is structure["blobId"] is None
    [alternative, file] = structure["subParts"]
    assert [p["type"] for p in alternative["subParts"]] == ["text/plain", "text/html"]
    assert [p["partId"] for p in (*alternative["subParts"], file)] == ["1", "2", "3"]
    assert [p["partId"] for p in found["textBody"]] == ["1"] and [p["partId"] for p in found["htmlBody"]] == [
        "2"
    ]
    [attachment] = found["attachments"]
    assert attachment == {
        "partId": "3",
        "blobId": attachment["blobId"],
        "size": 9,
        "name": "menü.pdf",
        "type": "application/pdf",
        "charset": None,
        "disposition": "attachment",
        "cid": "menu@example.test",
        "language": ["en", "de"],
        "location": None,
    }
    assert found["hasAttachment"] is True
    assert found["bodyValues"]["1"]["value"] == "Shall we meet at the café?"
    assert found["bodyValues"]["2"]["value"] == '<p class="a">Shall we meet at the <b>café</b>?</p>'
    assert found["header:X-Note"] == " second"
    assert (
        found["header:X-Note:asText:all"] == ["äha", "second"] and found["header:x-note:asText"] == "second"
    )
    assert found["header:Nothing"] is None and found["header:Nothing:all"] == []
    assert found["header:List-Unsubscribe:asURLs"] == ["https://list.example/u", "mailto:u@list.example"]
    assert found["header:Subject"] == " =?utf-8?q?Caf=C3=A9_on_Friday?="
    assert [p["email"] for g in found["header:To:asGroupedAddresses"] for p in g["addresses"]] == [
        "me@example.test",
        "bob@example.test",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "header:Subject:asDate",
        "header:From:asText",
        "header:Received:asText",
        "header:Date:asAddresses",
        "header:",
        "header:X:asNothing",
        "header:X:all:asText",
        "header:X:asText:all:all",
        "header:Subject:astext",
        "header:X Y",
        "header:List-Id:asURLs",
        "bodystructure",
        "HEADER:X",
        "",
    ],
)
def test_forbidden_properties(place: Place, name: str) -> None:
    assert place.owner.error("Email/get", ids=[], properties=[name]) == "invalidArguments"
    assert place.owner.error("Email/get", ids=[], bodyProperties=[name]) == "invalidArguments"


@BOTH
def test_body_properties(place: Place, who: str) -> None:
    wanted = ["partId", "type", "headers", "subParts", "header:Content-Type:asText"]
    for email in _account(place, who).emails("bodyStructure", "textBody", bodyProperties=wanted):
        assert all(set(part) == set(wanted) for part in email["textBody"])
        assert all(part["subParts"] is None for part in email["textBody"])


def test_body_values_cut(place: Place) -> None:
    [found] = [
        e
        for e in place.owner.emails("subject", "bodyValues", fetchAllBodyValues=True, maxBodyValueBytes=25)
        if e["subject"] == "Café on Friday"
    ]
    assert found["bodyValues"]["1"] == {
        "value": "Shall we meet at the caf",
        "isEncodingProblem": False,
        "isTruncated": True,
    }
    assert found["bodyValues"]["2"]["value"] == '<p class="a">Shall we mee'
    [found] = [
        e
        for e in place.owner.emails("subject", "bodyValues", fetchHTMLBodyValues=True, maxBodyValueBytes=8)
        if e["subject"] == "Café on Friday"
    ]
    assert found["bodyValues"] == {"2": {"value": "", "isEncodingProblem": False, "isTruncated": True}}
    for email in place.masked.emails("bodyValues", fetchTextBodyValues=True, maxBodyValueBytes=4):
        [value] = email["bodyValues"].values()
        assert len(value["value"].encode()) <= 4 and value["isTruncated"]
    assert place.masked.error("Email/get", ids=[], maxBodyValueBytes=-1) == "invalidArguments"
    assert all(e["bodyValues"] == {} for e in place.masked.emails("bodyValues"))


@BOTH
def test_previews_are_one_line(place: Place, who: str) -> None:
    previews = [e["preview"] for e in _account(place, who).emails("preview")]
    assert "hello there friend" in previews
    assert all(p == " ".join(p.split()) and len(p) <= 256 for p in previews)


# ── both paths ──────────────────────────────────────────────────────────────────────────────────────────────
TEXTS = [
    "plain words",
    "two\nlines\n",
    "  spaces  and\ttabs ",
    "ünïcode 😀 \u2028 line",
    "a\r\nb",
    "\n\nleading",
    "x" * 700,
    "> quoted\n> twice\nanswer",
    '"quotes" and \\ and \x1b control',
    "call Ann Lee at +1 555 0100 or ann@example.test",
    ".",
]


@pytest.mark.parametrize("level", [Level.MASKED, Level.TEXT, None])
def test_fragment_and_bytes_agree(tmp_path: Any, level: Level | None) -> None:
    """For messages of one text part: every property out of the fragment and out of the bytes is the same."""
    world = World(tmp_path)
    owner_id = world.owner()
    made = [chat(text, at=NOW - n * DAY) for n, text in enumerate(TEXTS)]
    for n, text in enumerate(TEXTS):
        head = [
            "From: Ann Lee <ann@example.test>",
            "To: me@example.test",
            f"Subject: No. {n}",
            f"Date: Fri, 11 Sep 2026 14:13:{n:02} +0000",
            f"Message-ID: <p{n}@example.test>",
            "Content-Type: text/plain; charset=utf-8",
            "",
            text,
        ]
        raw = "\r\n".join(head).encode()
        made.append(letter(raw, f"p{n}"))
    world.put(owner_id, made, own=["mail:me@example.test"])
    for handle in ("telegram:user1", "mail:ann@example.test"):
        world.choose(handle, Level.TEXT, None)
    if level is None:
        from byleave.consent import grant

        with world.store.read() as snapshot:
            [found] = grant.of_owner(snapshot, owner_id)
    else:
        purpose = "tailoring" if level is Level.MASKED else "own-agent"
        deal = world.agree() if level is Level.MASKED else None
        found = world.allow(
            owner_id, purpose, level, agreement_id=deal, partner="streamflix" if deal else None
        )
    account = Account(world, found)
    names = sorted(PREPARED - {"id", "blobId", "threadId", "mailboxIds", "receivedAt", "keywords", CHAT})
    seen = 0
    with world.store.read() as snapshot:
        view = account.view(snapshot)
        borns = view.query(Query()).borns
        quick = view.emails(borns, Picker(names, body_values=True, max_body_bytes=0))
        for born, original in view.originals(borns).items():
            assert quick[born] is not None
            left = json.loads(quick[born] or b"")
            message = Message(original.message)
            wanted = mime.Wanted(text=True)
            right = mime.email(message, names, wanted, view.part_blob_ids(original.id, message.count))
            if level is not None or "[" in left["preview"]:
                left.pop("preview"), right.pop("preview")  # cut by width of tokens there, by characters here
            assert left == json.loads(json.dumps(right))
            assert left["size"] == original.size == len(original.message)
            seen += 1
    assert seen >= len(TEXTS)


@BOTH
def test_one_request_by_either_path(place: Place, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    account = _account(place, who)
    quick = account.emails(*USUAL, "bodyStructure", fetchTextBodyValues=True)
    monkeypatch.setattr(module, "PREPARED", PREPARED - {"bodyStructure"})
    slow = account.emails(*USUAL, "bodyStructure", fetchTextBodyValues=True)
    assert slow == quick


# ── the checks of a plain client ────────────────────────────────────────────────────────────────────────────
@BOTH
def test_sizes_and_blobs(place: Place, who: str) -> None:
    account = _account(place, who)
    emails = account.emails("size", "blobId", "bodyStructure", "messageId")
    with place.world.store.read() as snapshot:
        view = account.view(snapshot)
        for email in emails:
            content, kind, _ = download(view, account.id, email["blobId"], "x.eml", None)
            assert len(content) == email["size"] and kind == "message/rfc822"
            stack = [email["bodyStructure"]]
            while stack:
                part = stack.pop()
                stack += part.get("subParts") or []
                if part["blobId"] is not None:
                    content, kind, _ = download(view, account.id, part["blobId"], "x", None)
                    assert len(content) == part["size"] and kind == part["type"]
    if who == "owner":
        assert LETTER in {download(view, account.id, e["blobId"], "x", None)[0] for e in emails}


@BOTH
@pytest.mark.parametrize("sort", ["receivedAt", "sentAt", "size"])
@pytest.mark.parametrize("collapse", [False, True])
def test_pages_make_the_whole(place: Place, who: str, sort: str, collapse: bool) -> None:
    account = _account(place, who)
    for ascending in (True, False):
        asked = {"sort": [{"property": sort, "isAscending": ascending}], "collapseThreads": collapse}
        whole = account.call("Email/query", **asked, calculateTotal=True)
        assert whole["total"] == len(whole["ids"]) and whole["position"] == 0
        pages: list[str] = []
        for at in itertools.count(0, 2):
            page = account.call("Email/query", **asked, position=at, limit=2)
            assert page["position"] == at and "total" not in page and "limit" not in page
            if not page["ids"]:
                break
            pages += page["ids"]
        assert pages == whole["ids"] and len(set(pages)) == len(pages)
        by_id = {e["id"]: e for e in account.emails("receivedAt", "sentAt", "size")}
        values = [by_id[i][sort] for i in whole["ids"]]
        assert values == sorted(values, reverse=not ascending)
        last = account.call("Email/query", **asked, position=-2, limit=5)
        assert last["ids"] == whole["ids"][-2:]
        around = account.call("Email/query", **asked, anchor=whole["ids"][1], anchorOffset=-1, limit=2)
        assert around["ids"] == whole["ids"][:2] and around["position"] == 0


# ── query ───────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("filter", "count"),
    [
        (None, 5),
        ({}, 5),
        ({"text": "film"}, 1),
        ({"body": "FILM sunday"}, 1),
        ({"text": "anybody"}, 0),
        ({"text": "Bob"}, 0),
        ({"hasKeyword": "$seen"}, 5),
        ({"notKeyword": "$seen"}, 0),
        ({"hasKeyword": "$flagged"}, 0),
        ({"hasAttachment": True}, 0),
        ({"hasAttachment": False}, 5),
        ({"minSize": 10}, 5),
        ({"maxSize": 10}, 0),
        ({"from": "ann"}, 0),
        ({"from": "user1"}, 0),
        ({"inMailbox": "x"}, 0),
        ({"inMailboxOtherThan": []}, 5),
        ({"before": "2000-01-01T00:00:00Z"}, 0),
        ({"after": "2000-01-01T00:00:00Z"}, 5),
        ({"operator": "NOT", "conditions": [{"text": "film"}]}, 4),
        ({"operator": "OR", "conditions": [{"text": "film"}, {"text": "own"}]}, 2),
        ({"operator": "AND", "conditions": [{"text": "film"}, {"hasKeyword": "$seen"}]}, 1),
    ],
)
def test_filters_over_what_is_shown(place: Place, filter: Any, count: int) -> None:
    found = place.masked.call("Email/query", filter=filter, calculateTotal=True)
    assert found["total"] == len(found["ids"]) == count


def test_before_is_exclusive_and_after_inclusive(place: Place) -> None:
    at = place.masked.emails("receivedAt")[2]["receivedAt"]
    after = place.masked.call("Email/query", filter={"after": at})["ids"]
    before = place.masked.call("Email/query", filter={"before": at})["ids"]
    assert len(after) + len(before) == 5 and not set(after) & set(before)
    times = {e["id"]: e["receivedAt"] for e in place.masked.emails("receivedAt")}
    assert at in {times[i] for i in after}


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"filter": {"header": ["X-Note"]}}, "unsupportedFilter"),
        ({"filter": {"someInThreadHaveKeyword": "$seen"}}, "unsupportedFilter"),
        ({"filter": {"colour": 1}}, "unsupportedFilter"),
        ({"filter": []}, "invalidArguments"),
        ({"filter": {"minSize": "1"}}, "invalidArguments"),
        ({"filter": {"inMailbox": 1}}, "invalidArguments"),
        ({"filter": {"inMailbox": None}}, "invalidArguments"),
        ({"filter": {"before": "yesterday"}}, "invalidArguments"),
        ({"filter": {"operator": "AND", "conditions": [None]}}, "invalidArguments"),
        ({"sort": [{"property": "from"}]}, "unsupportedSort"),
        ({"sort": [{"property": "hasKeyword", "keyword": "$seen"}]}, "unsupportedSort"),
        ({"sort": {}}, "invalidArguments"),
        ({"sort": [{"isAscending": True}]}, "invalidArguments"),
        ({"anchor": "mx"}, "anchorNotFound"),
        ({"anchor": 1}, "invalidArguments"),
        ({"limit": -1}, "invalidArguments"),
        ({"position": "0"}, "invalidArguments"),
        ({"calculateTotal": 1}, "invalidArguments"),
        ({"position": 2**60}, "invalidArguments"),
    ],
)
def test_queries_refused(place: Place, arguments: dict[str, Any], wanted: str) -> None:
    assert place.masked.error("Email/query", **arguments) == wanted


def test_a_filter_too_deep(place: Place) -> None:
    filter: Any = {"text": "x"}
    for _ in range(40):
        filter = {"operator": "AND", "conditions": [filter]}
    assert place.masked.error("Email/query", filter=filter) == "invalidArguments"


def test_a_comparator_with_more_than_it_needs(place: Place) -> None:
    """jmapc 0.4 sends the query's own arguments in each of them."""
    sort = [
        {
            "property": "receivedAt",
            "anchorOffset": 0,
            "calculateTotal": False,
            "position": 0,
            "collation": None,
        }
    ]
    assert len(place.masked.call("Email/query", sort=sort)["ids"]) == 5


def test_windows(place: Place) -> None:
    whole = place.masked.call("Email/query")
    assert whole["limit"] == 500 and place.masked.call("Email/query", limit=9999)["limit"] == 500
    assert place.masked.call("Email/query", limit=0)["ids"] == []
    assert place.masked.call("Email/query", position=99)["ids"] == []
    hidden = set(place.owner.call("Email/query")["ids"])
    for id in [*hidden, "m" + "a" * 26]:
        assert place.masked.error("Email/query", anchor=id) == "anchorNotFound"


# ── changes and parse ───────────────────────────────────────────────────────────────────────────────────────
def test_changes(fresh: Place) -> None:
    state = fresh.masked.call("Email/get", ids=[])["state"]
    nothing = fresh.masked.call("Email/changes", sinceState=state)
    assert nothing == {
        "accountId": fresh.masked.id,
        "oldState": state,
        "newState": state,
        "hasMoreChanges": False,
        "created": [],
        "updated": [],
        "destroyed": [],
    }
    fresh.world.put(fresh.owner_id, [chat("hidden", "telegram:user2")])
    assert fresh.masked.call("Email/changes", sinceState=state) == nothing
    fresh.world.put(fresh.owner_id, [chat("one more", at=NOW - DAY), chat("and another", at=NOW - DAY + 1)])
    step = fresh.masked.call("Email/changes", sinceState=state, maxChanges=1)
    assert step["hasMoreChanges"] and len(step["created"]) == 1
    rest = fresh.masked.call("Email/changes", sinceState=step["newState"])
    assert not rest["hasMoreChanges"] and len(rest["created"]) == 1
    new = step["created"] + rest["created"]
    assert fresh.masked.call("Email/get", ids=new)["notFound"] == []
    fresh.world.withdraw("telegram:user1", fresh.yes["telegram:user1"])
    fresh.world.work()
    gone = fresh.masked.call("Email/changes", sinceState=rest["newState"])
    assert set(new) <= set(gone["destroyed"]) and gone["created"] == []
    assert fresh.masked.call("Email/get", ids=new)["notFound"] == new
    known: set[str] = set()
    at = fresh.masked.request([])["sessionState"] and step["oldState"]
    while True:
        part = fresh.masked.call("Email/changes", sinceState=at, maxChanges=2)
        assert not known & set(part["created"])
        known = (known | set(part["created"])) - set(part["destroyed"])
        at = part["newState"]
        if not part["hasMoreChanges"]:
            break
    for wrong in ("", "x", fresh.owner.call("Email/get", ids=[])["state"], new[0]):
        assert fresh.masked.error("Email/changes", sinceState=wrong) == "cannotCalculateChanges"
    assert fresh.masked.error("Email/changes", sinceState=at, maxChanges=0) == "invalidArguments"


@BOTH
def test_parse(place: Place, who: str) -> None:
    account = _account(place, who)
    emails = {e["blobId"]: e for e in account.emails(*BODY, fetchTextBodyValues=True)}
    part = next(iter(emails.values()))["textBody"][0]["blobId"]
    wanted = ["subject", "textBody", "bodyValues", "size", "id", "threadId"]
    answer = account.call(
        "Email/parse", blobIds=[*emails, "bx", part], properties=wanted, fetchTextBodyValues=True
    )
    assert answer["notFound"] == ["bx"] and answer["notParsable"] == [part]
    for blob_id, email in answer["parsed"].items():
        assert email.pop("id") is None and email.pop("threadId") is None
        assert email == {name: emails[blob_id][name] for name in email}


def test_more_than_a_page(tmp_path: Any) -> None:
    world = World(tmp_path)
    owner_id = world.owner()
    world.put(owner_id, [chat(f"number {n}", at=NOW - n * DAY) for n in range(501)])
    from byleave.consent import grant

    with world.store.read() as snapshot:
        [found] = grant.of_owner(snapshot, owner_id)
    account = Account(world, found)
    assert account.error("Email/get", ids=None) == "requestTooLarge"
    assert account.error("Thread/get", ids=None) == "requestTooLarge"
    assert len(account.call("Email/query")["ids"]) == 500
