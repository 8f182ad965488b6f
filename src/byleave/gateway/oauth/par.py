"""Pushed authorisation requests (RFC 9126) with rich details (RFC 9396), PKCE (RFC 7636) and a bound key.

Rules of this file:

1. Everything is checked here, against the agreement of now, before a person is asked anything: what a partner
   may not have it cannot even ask for.
2. A detail is of type `inbox_access`, names one purpose of the agreement at a level that it allows, and our
   resource. One request asks for one inbox: one token, one grant. Unknown members refuse (RFC 9396 §5).
3. A request_uri lives 60 s and is used once; while its person signs in it is kept for ten minutes, once.
4. `redirect_uri` is compared byte for byte with the client's metadata, which stands in the agreement.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import bindparam, insert, select, update

from byleave.consent.grant import Scope
from byleave.consent.purpose import PURPOSES, Output, Who
from byleave.errors import Code, Invalid
from byleave.gateway.oauth.client import Authenticated, Form
from byleave.gateway.oauth.metadata import OF_A_GRANT, READ, SEND, SIGNALS
from byleave.keys import canonical, strict_json
from byleave.model import Level, Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.asking import dialogue

URN = "urn:ietf:params:oauth:request_uri:"
LIVES_MS = 60_000
SIGNING_IN_MS = 600_000
PAR, MET, CONSENT, CODE = "par", "met", "consent", "code"
MOST_CONVERSATIONS = 1000

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_CONVERSATION = re.compile(r"[a-z0-9-]{1,32}/.{1,998}", re.DOTALL)
_ADD = prepare(insert(dialogue))
_FIND = prepare(
    select(
        dialogue.c.kind, dialogue.c.client_id, dialogue.c.body, dialogue.c.expires_at, dialogue.c.used_at
    ).where(dialogue.c.hash == bindparam("hash"))
)
_USE = prepare(
    update(dialogue)
    .values(used_at=bindparam("now"))
    .where(dialogue.c.hash == bindparam("of_hash"), dialogue.c.used_at.is_(None))
)
_MEET = prepare(
    update(dialogue)
    .values(kind=MET, expires_at=bindparam("until"))
    .where(dialogue.c.hash == bindparam("of_hash"), dialogue.c.used_at.is_(None), dialogue.c.kind == PAR)
)


class Period(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """RFC 3339 times; either end may be open."""

    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mode: Literal["all", "listed", "all-but"]
    of: list[str] = []


class Details(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One `inbox_access` as a partner asks for it (names.md)."""

    type: Literal["inbox_access"]
    purpose: str
    level: str
    agreement: str
    locations: list[str]
    conversations: list[str] | Listed | None = None
    period: Period | None = None

    @property
    def scope(self) -> Scope:
        """The conversations asked for; left out means all, an empty list means none."""
        if self.conversations is None:
            return Scope("all")
        if isinstance(self.conversations, Listed):
            return Scope(self.conversations.mode, tuple(self.conversations.of))
        return Scope("listed", tuple(self.conversations))

    def times(self) -> tuple[Ms | None, Ms | None]:
        """The period asked for in ms, either end open. Raises Invalid(INVALID_DETAILS)."""
        if self.period is None:
            return None, None
        start, end = _moment(self.period.from_), _moment(self.period.to)
        if start is not None and end is not None and end <= start:
            raise _no("period.to must come after period.from")
        return start, end


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request, as it waits for its person."""

    client_id: str
    redirect_uri: str
    state: str | None
    code_challenge: str
    jkt: str | None
    operative: str | None
    scope: str
    details: Details


class Waiting(msgspec.Struct, frozen=True):
    """A dialogue as it stands in the store; `body` is JSON."""

    kind: str
    client_id: str
    body: str
    expires_at: Ms
    used_at: Ms | None


def check(form: Form, asking: Authenticated, resource: str, jkt: str | None) -> Pushed:
    """The request in `form`, pushed by `asking`; `jkt` is the key of the proof that came with it, if one did.

    Raises Invalid (INVALID_REQUEST, INVALID_SCOPE, INVALID_DETAILS).
    """
    for name in ("request", "request_uri"):
        if form.get(name) is not None:
            raise Invalid(Code.INVALID_REQUEST, f"{name} has no place in a pushed request here")
    form.need("client_id")
    if form.need("response_type") != "code":
        raise Invalid(Code.INVALID_REQUEST, "response_type must be code", oauth="unsupported_response_type")
    if form.get("response_mode") not in (None, "query"):
        raise Invalid(Code.INVALID_REQUEST, "response_mode must be query")
    redirect_uri = form.need("redirect_uri")
    if not stands(redirect_uri, asking):
        raise Invalid(Code.INVALID_REQUEST, "redirect_uri is not one of the agreement's")
    challenge = form.need("code_challenge")
    if form.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise Invalid(
            Code.INVALID_REQUEST, "PKCE with S256 is needed: code_challenge and code_challenge_method"
        )
    state = form.get("state")
    if state is not None and len(state) > 1024:
        raise Invalid(Code.INVALID_REQUEST, "state must have at most 1024 characters")
    if form.get("resource") not in (None, resource):
        raise Invalid(Code.INVALID_REQUEST, "resource is not this gateway's")
    bound = form.get("dpop_jkt")
    if bound is not None and (not _THUMBPRINT.fullmatch(bound) or (jkt is not None and jkt != bound)):
        raise Invalid(Code.INVALID_PROOF, "dpop_jkt is not the thumbprint of the proof's key")
    scope = form.get("scope") or READ
    if not set(scope.split(" ")) <= set(OF_A_GRANT):
        raise Invalid(Code.INVALID_SCOPE, "known scopes: " + " ".join(OF_A_GRANT))
    asked = details(form.get("authorization_details"), asking, resource)
    given = PURPOSES[asked.purpose].outputs(Level.named(asked.level))
    if SIGNALS in scope.split(" ") and not given & {Output.SIGNALS, Output.FEATURES}:
        raise Invalid(Code.INVALID_SCOPE, "signals: this purpose gives out none")
    sends = Output.SENDS in given and bool(asking.agreement.terms.link_destinations)
    if SEND in scope.split(" ") and not sends:
        raise Invalid(Code.INVALID_SCOPE, "send: this purpose, or the agreement, sends no cards")
    return Pushed(
        client_id=asking.client_id,
        redirect_uri=redirect_uri,
        state=state,
        code_challenge=challenge,
        jkt=bound or jkt,
        operative=asking.operative,
        scope=scope,
        details=asked,
    )


def stands(redirect_uri: str, asking: Authenticated) -> bool:
    """Whether a redirect_uri is one of the client's and of the agreement of now, byte for byte."""
    return (
        redirect_uri in asking.client.redirect_uris
        and redirect_uri in asking.agreement.terms.partner.redirect_uris
    )


def details(text: str | None, asking: Authenticated, resource: str) -> Details:
    """The one `inbox_access` in an authorization_details parameter. Raises Invalid(INVALID_DETAILS)."""
    if text is None:
        raise _no("authorization_details is missing: an array of one inbox_access")
    try:
        stated = strict_json(text.encode())
        canonical(stated)  # no lone surrogates, no numbers beyond what JSON carries
        asked = msgspec.convert(stated, list[Details])
    except (Invalid, msgspec.ValidationError, UnicodeError):
        raise _no("not an array of inbox_access objects with known members alone") from None
    if len(asked) != 1:
        raise _no("one inbox_access in each request")
    one = asked[0]
    if not one.locations or set(one.locations) != {resource}:
        raise _no("locations must name this gateway's resource, and no other")
    if one.agreement != asking.agreement.id:
        raise _no("agreement is not the client's")
    if not asking.in_force:
        raise _no("the agreement is not in force")
    known = PURPOSES.get(one.purpose)
    agreed = asking.agreement.level(one.purpose)
    if known is None or known.who is not Who.PARTNER or agreed is Level.NONE:
        raise _no("purpose does not stand in the agreement")
    if one.level not in {level.word for level in Level if level is not Level.NONE}:
        raise _no("level must be signals, masked, text or full")
    if Level.named(one.level) > min(agreed, known.highest):
        raise _no("level is higher than the agreement and the purpose allow")
    scope = one.scope
    if scope.mode != "all" and len(scope.of) > MOST_CONVERSATIONS:
        raise _no(f"at most {MOST_CONVERSATIONS} conversations")
    if not all(_CONVERSATION.fullmatch(key) for key in scope.of) or (scope.mode == "all" and scope.of):
        raise _no("conversations are named SOURCE/KEY")
    if scope.mode == "listed" and not scope.of:
        raise _no("conversations is empty: nothing is asked for")
    if known.one_conversation and scope.mode == "listed" and len(scope.of) != 1:
        raise _no("this purpose is for one conversation")
    one.times()
    return one


def _moment(text: str | None) -> Ms | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError
        return round(found.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise _no("period: write RFC 3339 times with a zone") from None


def _no(detail: str) -> Invalid:
    return Invalid(Code.INVALID_DETAILS, detail)


# ── in the store ──
def hash_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def add(tx: Transaction, hash: bytes, kind: str, client_id: str, body: str, expires_at: Ms) -> None:
    """Procedure: a dialogue that waits until `expires_at`."""
    tx.run(_ADD, hash=hash, kind=kind, client_id=client_id, body=body, expires_at=expires_at, used_at=None)


def find(snapshot: Snapshot, hash: bytes) -> Waiting | None:
    """The dialogue of that hash, used, expired or not."""
    row = snapshot.one(_FIND, hash=hash)
    return None if row is None else Waiting(*row)


def use(tx: Transaction, hash: bytes, now: Ms) -> bool:
    """Procedure: uses up a dialogue; False where another was first."""
    return tx.run(_USE, of_hash=hash, now=now) == 1


def meet(tx: Transaction, hash: bytes, until: Ms) -> None:
    """Procedure: keeps a pushed request while its person signs in; once."""
    tx.run(_MEET, of_hash=hash, until=until)


def pushed(found: Waiting | None, now: Ms) -> Pushed | None:
    """The request of a dialogue that is live, else None."""
    if found is None or found.used_at is not None or now >= found.expires_at or found.kind not in (PAR, MET):
        return None
    return msgspec.json.decode(found.body, type=Pushed)
