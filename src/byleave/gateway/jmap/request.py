"""One API request: method calls in order, back-references, and one answer as bytes (RFC 8620 §3).

Rules of this file:

1. Every method stands in `METHODS`. What the capability implies but a view never does (`/set`, `/copy`,
   `/import`) is there too and answers accountReadOnly, not unknownMethod.
2. One token is one account: any other accountId, whatever it is, answers accountNotFound.
3. An error does not stop the next call. An error that nobody foresaw is `serverFail` without detail; the log
   gets its kind and the places in the code, never its text, which might hold a message's words.
4. Answers are joined as bytes; they are parsed again only where a later call refers to them.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import orjson

from byleave.errors import Invalid
from byleave.gateway.jmap import email, few, mailbox, signal, snippet, thread
from byleave.gateway.jmap.method import Arguments, MethodError, no_changes, wrong
from byleave.gateway.jmap.session import (
    CAPABILITIES,
    CORE,
    KNOW,
    LIMITS,
    MAIL,
    QUOTA,
    READ,
    SIGNALS,
    SUBMISSION,
    serves,
    session_state,
)
from byleave.keys import strict_json
from byleave.model import Ms
from byleave.view import QueryProblem, View

__all__ = ["LIMITS", "METHODS", "RequestProblem", "gone", "respond"]

_log = logging.getLogger("byleave.jmap")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_GET = ("ids", "properties")
_CHANGES = ("sinceState", "maxChanges")
_QUERY = ("filter", "sort", "position", "anchor", "anchorOffset", "limit", "calculateTotal")
_QUERY_CHANGES = (
    "filter",
    "sort",
    "sinceQueryState",
    "maxChanges",
    "upToId",
    "calculateTotal",
    "collapseThreads",
)
_BODIES = (
    "properties",
    "bodyProperties",
    "fetchTextBodyValues",
    "fetchHTMLBodyValues",
    "fetchAllBodyValues",
    "maxBodyValueBytes",
)


class RequestProblem(Exception):
    """A request refused as a whole (RFC 8620 §3.6.1): `extra` are further members of the problem document."""

    def __init__(self, type: str, detail: str, **extra: str) -> None:
        super().__init__(detail)
        self.status = 400
        self.type = f"urn:ietf:params:jmap:error:{type}"
        self.detail = detail
        self.extra = extra


class Method(msgspec.Struct, frozen=True):
    """One method: the capability it comes with, and what answers it."""

    capability: str
    run: Callable[[View, Arguments], bytes] | None
    """None where a view never does it: accountReadOnly."""
    arguments: tuple[str, ...] = ()


METHODS: dict[str, Method] = {
    "Mailbox/get": Method(MAIL, mailbox.get, _GET),
    "Mailbox/changes": Method(MAIL, mailbox.changes, _CHANGES),
    "Mailbox/query": Method(MAIL, mailbox.query, (*_QUERY, "sortAsTree", "filterAsTree")),
    "Mailbox/queryChanges": Method(MAIL, no_changes, (*_QUERY_CHANGES, "sortAsTree", "filterAsTree")),
    "Mailbox/set": Method(MAIL, None),
    "Thread/get": Method(MAIL, thread.get, _GET),
    "Thread/changes": Method(MAIL, thread.changes, _CHANGES),
    "Email/get": Method(MAIL, email.get, ("ids", *_BODIES)),
    "Email/changes": Method(MAIL, email.changes, _CHANGES),
    "Email/query": Method(MAIL, email.query, (*_QUERY, "collapseThreads")),
    "Email/queryChanges": Method(MAIL, no_changes, _QUERY_CHANGES),
    "Email/parse": Method(MAIL, email.parse, ("blobIds", *_BODIES)),
    "Email/set": Method(MAIL, None),
    "Email/copy": Method(MAIL, None),
    "Email/import": Method(MAIL, None),
    "SearchSnippet/get": Method(MAIL, snippet.get, ("filter", "emailIds")),
    "Identity/get": Method(SUBMISSION, few.get("Identity"), _GET),
    "Identity/changes": Method(SUBMISSION, few.changes("Identity"), _CHANGES),
    "Identity/set": Method(SUBMISSION, None),
    "EmailSubmission/get": Method(SUBMISSION, few.get("EmailSubmission"), _GET),
    "EmailSubmission/changes": Method(SUBMISSION, few.changes("EmailSubmission"), _CHANGES),
    "EmailSubmission/query": Method(SUBMISSION, few.query("EmailSubmission"), _QUERY),
    "EmailSubmission/queryChanges": Method(SUBMISSION, no_changes, _QUERY_CHANGES),
    "EmailSubmission/set": Method(SUBMISSION, None),
    "Quota/get": Method(QUOTA, few.get("Quota"), _GET),
    "Quota/changes": Method(QUOTA, few.changes("Quota"), _CHANGES),
    "Quota/query": Method(QUOTA, few.query("Quota"), _QUERY),
    "Quota/queryChanges": Method(QUOTA, no_changes, _QUERY_CHANGES),
    "Blob/copy": Method(CORE, None),
    "TitleSignal/get": Method(SIGNALS, signal.get, _GET),
    "TitleSignal/changes": Method(SIGNALS, signal.changes, _CHANGES),
    "TitleSignal/query": Method(SIGNALS, signal.query, _QUERY),
}
"""Every method with an account. Core/echo and PushSubscription (`_WITHOUT_ACCOUNT`) have none."""


def _echo(arguments: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(arguments)
    except TypeError:  # integers beyond 64 bits, nesting beyond 254
        return json.dumps(arguments, ensure_ascii=False).encode()


def _no_subscriptions(arguments: dict[str, Any]) -> bytes:
    """PushSubscription/get (RFC 8620 §7.2.1): there are none."""
    asked = Arguments(arguments, _GET)
    return orjson.dumps({"list": [], "notFound": asked.ids("ids") or []})


def _subscribe(arguments: dict[str, Any]) -> bytes:
    """PushSubscription/set (RFC 8620 §7.2.2): none can be made."""
    asked = Arguments(arguments, ("create", "update", "destroy"))
    create, update = asked.value("create") or {}, asked.value("update") or {}
    for name, value in (("create", create), ("update", update)):
        if not isinstance(value, dict):
            raise wrong(name)
    destroy = asked.ids("destroy") or []
    if len(create) + len(update) + len(destroy) > LIMITS["maxObjectsInSet"]:
        raise MethodError("requestTooLarge")
    return orjson.dumps(
        {
            "created": None, "updated": None, "destroyed": None,
            "notCreated": {key: {"type": "forbidden"} for key in create} or None,
            "notUpdated": {key: {"type": "notFound"} for key in update} or None,
            "notDestroyed": {key: {"type": "notFound"} for key in destroy} or None,
        }
    )  # fmt: skip


_WITHOUT_ACCOUNT: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "Core/echo": _echo, "PushSubscription/get": _no_subscriptions, "PushSubscription/set": _subscribe,
}  # fmt: skip


# ── the request ─────────────────────────────────────────────────────────────────────────────────────────────
class _Request(msgspec.Struct, frozen=True):
    using: frozenset[str]
    calls: list[list[Any]]
    created: dict[str, str] | None


class _Answer(msgspec.Struct, frozen=True):
    name: str
    body: bytes
    call: str

    def pieces(self) -> tuple[bytes, ...]:
        """What it is in an answer, not yet joined: a page is large, and every copy of it is felt."""
        return b'["', self.name.encode(), b'",', self.body, b",", orjson.dumps(self.call), b"]"


def respond(body: bytes, view: View, now: Ms, scope: frozenset[str] = frozenset((READ, KNOW))) -> bytes:
    """The Response object (RFC 8620 §3.4) to a Request in JSON, for a token of `scope`. `view.reading` has gathered
    what it shows. Raises RequestProblem."""
    return _respond(body, view, session_state(view), scope)


def gone(body: bytes, session_state: str) -> bytes:
    """The Response once the grant has ended: every call with an account answers accountNotFound."""
    return _respond(body, None, session_state, frozenset())


def _respond(body: bytes, view: View | None, state: str, scope: frozenset[str]) -> bytes:
    request = _read(body)
    answers: list[_Answer] = []
    for name, arguments, call in request.calls:
        try:
            given = _resolved(arguments, answers) if _served(name, request.using) else None
            made = _Answer(name, _call(name, given, view, scope), call)
        except MethodError as error:
            made = _Answer("error", error.encode(), call)
        except QueryProblem as problem:
            made = _Answer("error", MethodError(problem.kind, problem.detail).encode(), call)
        except Exception as error:  # rule 3: the next call shall have its answer
            frames = traceback.extract_tb(error.__traceback__)
            places = " ".join(f"{f.filename.rpartition('/')[2]}:{f.lineno}" for f in frames)
            _log.error("%s failed: %s at %s", name, type(error).__name__, places)
            made = _Answer("error", MethodError("serverFail").encode(), call)
        answers.append(made)
    created = b"" if request.created is None else b',"createdIds":' + orjson.dumps(request.created)
    out = [b'{"methodResponses":[']
    for n, answer in enumerate(answers):
        out += (b"," if n else b"", *answer.pieces())
    out += (b"]", created, b',"sessionState":', orjson.dumps(state), b"}")
    return b"".join(out)


def _read(body: bytes) -> _Request:
    if len(body) > LIMITS["maxSizeRequest"]:
        raise RequestProblem("limit", "the request is too large", limit="maxSizeRequest")
    try:
        request = strict_json(body)
        orjson.loads(body) if b"\\u" in body else None  # refuses half a surrogate pair, as I-JSON does
    except (Invalid, orjson.JSONDecodeError):
        raise RequestProblem("notJSON", "the request is not I-JSON (RFC 7493)") from None
    if not isinstance(request, dict):
        raise _no_request("the request is no object")
    using, calls, created = request.get("using"), request.get("methodCalls"), request.get("createdIds")
    if not isinstance(using, list) or not all(isinstance(u, str) for u in using):
        raise _no_request("using is a list of capabilities")
    if not isinstance(calls, list) or not all(_is_call(c) for c in calls):
        raise _no_request("methodCalls is a list of [name, arguments, call id]")
    if created is not None and not (
        isinstance(created, dict) and all(isinstance(v, str) and _ID.fullmatch(v) for v in created.values())
    ):
        raise _no_request("createdIds maps creation ids to ids")
    if any(u not in CAPABILITIES for u in using):
        raise RequestProblem("unknownCapability", "using names a capability that this server does not have")
    if len(calls) > LIMITS["maxCallsInRequest"]:
        raise RequestProblem("limit", "too many method calls", limit="maxCallsInRequest")
    return _Request(frozenset(using), calls, created)


def _no_request(detail: str) -> RequestProblem:
    return RequestProblem("notRequest", detail)


def _is_call(call: Any) -> bool:
    return (
        isinstance(call, list) and len(call) == 3
        and isinstance(call[0], str) and isinstance(call[1], dict) and isinstance(call[2], str)
    )  # fmt: skip


def _served(name: str, using: frozenset[str]) -> bool:
    """Raises unknownMethod for a method that is not there, or whose capability is not in `using`."""
    method = METHODS.get(name)
    capability = CORE if name in _WITHOUT_ACCOUNT else method.capability if method else None
    if capability is None or capability not in using:
        raise MethodError("unknownMethod")
    return True


def _call(name: str, given: Any, view: View | None, scope: frozenset[str]) -> bytes:
    """The answer of one call whose method is served and whose references are resolved."""
    if name in _WITHOUT_ACCOUNT:
        return _WITHOUT_ACCOUNT[name](given)
    method = METHODS[name]
    account = given.get("accountId")
    if not isinstance(account, str):
        raise wrong("accountId")
    if view is None or account != view.account_id:
        raise MethodError("accountNotFound")
    if not serves(method.capability, view, scope):
        raise MethodError("accountNotSupportedByMethod")
    if method.run is None:
        raise MethodError("accountReadOnly")
    return method.run(view, Arguments(given, method.arguments))


# ── back-references ─────────────────────────────────────────────────────────────────────────────────────────
def _resolved(arguments: dict[str, Any], answers: list[_Answer]) -> dict[str, Any]:
    """`arguments` with every `#name` replaced by what it refers to (RFC 8620 §3.7)."""
    if not any(name.startswith("#") for name in arguments):
        return arguments
    given: dict[str, Any] = {}
    for name, value in arguments.items():
        if not name.startswith("#"):
            given[name] = value
            continue
        if name[1:] in arguments:
            raise wrong(name[1:], "given twice, as it is and by reference")
        given[name[1:]] = _referred(name, value, answers)
    return given


def _referred(name: str, value: Any, answers: list[_Answer]) -> Any:
    if not isinstance(value, dict) or set(value) != {"resultOf", "name", "path"}:
        raise wrong(name, "not a ResultReference")
    if not all(isinstance(v, str) for v in value.values()):
        raise wrong(name, "not a ResultReference")
    answer = next((a for a in answers if a.call == value["resultOf"]), None)
    if answer is None or answer.name != value["name"]:
        raise MethodError("invalidResultReference")
    path: str = value["path"]
    if path and not path.startswith("/"):
        raise MethodError("invalidResultReference")
    keys = [key.replace("~1", "/").replace("~0", "~") for key in path.split("/")[1:]]
    return _pointed(orjson.loads(answer.body), keys)


def _pointed(value: Any, keys: list[str]) -> Any:
    """What a JSON Pointer with `*` finds in `value`: `*` maps over an array and flattens arrays of arrays."""
    for at, key in enumerate(keys):
        if isinstance(value, list) and key == "*":
            return list(_flattened(value, keys[at + 1 :]))
        if isinstance(value, list) and _INDEX.fullmatch(key) and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            raise MethodError("invalidResultReference")
    return value


def _flattened(items: list[Any], keys: list[str]) -> Iterator[Any]:
    for item in items:
        found = _pointed(item, keys)
        if isinstance(found, list):
            yield from found
        else:
            yield found
