"""The JMAP session resource (RFC 8620 §2): one token, one account, absolute URLs.

Two of three public clients break on relative URLs (spec api.md), so every URL here is absolute. The state
changes when the account goes, and with nothing else: messages have states of their own.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from typing import Any

from byleave.gateway.jmap.method import COLLATIONS, MOST_OBJECTS
from byleave.model import Level
from byleave.view import View, known
from byleave.view.query import SORTS
from byleave.words.fragment import CHAT

CORE = "urn:ietf:params:jmap:core"
MAIL = "urn:ietf:params:jmap:mail"
SUBMISSION = "urn:ietf:params:jmap:submission"
QUOTA = "urn:ietf:params:jmap:quota"
SIGNALS = "https://byleave.example/ns/signals"
READ, KNOW = "inbox.read", "signals"
"""Scopes: what a token may ask for of words, and of titles."""
CAPABILITIES = (CORE, MAIL, SUBMISSION, QUOTA, SIGNALS, CHAT)
"""What may stand in `using`."""

LIMITS: dict[str, int] = {
    "maxSizeUpload": 50_000_000,
    "maxConcurrentUpload": 4,
    "maxSizeRequest": 10_000_000,
    "maxConcurrentRequests": 4,
    "maxCallsInRequest": 16,
    "maxObjectsInGet": MOST_OBJECTS,
    "maxObjectsInSet": 500,
}
_MAIL_OF_ACCOUNT: dict[str, Any] = {
    "maxMailboxesPerEmail": 1,
    "maxMailboxDepth": 1,
    "maxSizeMailboxName": 255,
    "maxSizeAttachmentsPerEmail": 50_000_000,
    "emailQuerySortOptions": list(SORTS),
    "mayCreateTopLevelMailbox": False,
}


_SUBMISSION: dict[str, Any] = {"maxDelayedSend": 0, "submissionExtensions": {}}


def session(view: View | None, base_url: str, username: str, scope: frozenset[str]) -> dict[str, Any]:
    """The Session object. `view` is None where the grant has ended: the account has vanished. `base_url` is
    scheme and host (and path, behind a proxy) without a slash at the end."""
    base = base_url.rstrip("/")
    accounts: dict[str, Any] = {}
    primary: dict[str, str] = {}
    if view is not None:
        words = {MAIL: dict(_MAIL_OF_ACCOUNT), SUBMISSION: dict(_SUBMISSION), QUOTA: {}, CHAT: {}}
        own: dict[str, Any] = words if serves(MAIL, view, scope) else {}
        if serves(SIGNALS, view, scope):
            own[SIGNALS] = {"personId": view.ids.person_id(view.grant.owner_id)}
        accounts[view.account_id] = {
            "name": username if view.for_owner else "Inbox",
            "isPersonal": view.for_owner,
            "isReadOnly": True,
            "accountCapabilities": own,
        }
        primary = dict.fromkeys(own, view.account_id)
    return {
        "capabilities": {
            CORE: {**LIMITS, "collationAlgorithms": list(COLLATIONS)},
            **{name: {} for name in CAPABILITIES if name != CORE},
        },
        "accounts": accounts,
        "primaryAccounts": primary,
        "username": username,
        "apiUrl": f"{base}/jmap/api",
        "downloadUrl": f"{base}/jmap/download/{{accountId}}/{{blobId}}/{{name}}?accept={{type}}",
        "uploadUrl": f"{base}/jmap/upload/{{accountId}}/",
        "eventSourceUrl": f"{base}/jmap/eventsource?types={{types}}&closeafter={{closeafter}}&ping={{ping}}",
        "state": session_state(view),
    }


def serves(capability: str, view: View, scope: frozenset[str]) -> bool:
    """Does this account have the methods of `capability` for a token of `scope`? Words above `signals`, titles
    where the purpose gives them out."""
    if capability == SIGNALS:
        return KNOW in scope and known.may(view)
    return capability == CORE or (READ in scope and view.level > Level.SIGNALS)


def session_state(view: View | None) -> str:
    """`sessionState` of every answer: another one once the account has gone, or shows less than before."""
    seen = (
        "" if view is None else f"{view.account_id} {view.level.word if view.level <= Level.SIGNALS else ''}"
    )
    return _sealed(seen)


@lru_cache(4096)
def _sealed(seen: str) -> str:
    return "v" + base64.b32encode(hashlib.sha256(seen.encode()).digest()[:10]).decode().lower()
