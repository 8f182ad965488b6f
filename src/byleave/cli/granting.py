"""`byleave grant`, `byleave token`, `byleave policy explain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from sqlalchemy import bindparam, select

from byleave.cli.choosing import conversation_named, level_named
from byleave.cli.importing import fill_all, the_owner
from byleave.cli.options import (
    AtOption,
    JsonOption,
    OwnerOption,
    StoreOption,
    answer,
    fresh_id,
    moment,
    not_in_provider,
    now,
    opened,
    salt,
    table,
)
from byleave.consent import choice, grant, identity, policy, token
from byleave.consent import register as agreements
from byleave.consent.purpose import PURPOSES, Output, Who
from byleave.errors import Absent, Code, Invalid, Refused
from byleave.keys import read_public_key
from byleave.model import Level, Mode
from byleave.store import prepare
from byleave.store.tables import conversation as conversation_table
from byleave.store.tables import handle as handle_table
from byleave.store.tables import message
from byleave.view.shape import Ids
from byleave.words.fragment import rfc3339

_MESSAGE = prepare(
    select(
        message.c.sender,
        message.c.conversation,
        message.c.received_at,
        message.c.kind,
        message.c.masked,
        handle_table.c.value,
    )
    .join(
        conversation_table,
        (conversation_table.c.owner_id == message.c.owner_id)
        & (conversation_table.c.conversation == message.c.conversation),
    )
    .join(
        handle_table,
        (handle_table.c.owner_id == message.c.owner_id) & (handle_table.c.handle == message.c.sender),
    )
    .where(
        message.c.owner_id == bindparam("owner_id"),
        conversation_table.c.source == bindparam("source"),
        conversation_table.c.key == bindparam("key"),
        message.c.native == bindparam("native"),
        message.c.replaced_at.is_(None),
    )
)


def register(app: typer.Typer) -> None:
    verbs = typer.Typer(no_args_is_help=True, help="What an owner lets be read.")
    verbs.command("create")(create)
    verbs.command("revoke")(revoke)
    verbs.command("list")(list_)
    app.add_typer(verbs, name="grant")
    app.command("token")(token_)
    policies = typer.Typer(no_args_is_help=True, help="Why something is visible or not.")
    policies.command("explain")(explain)
    policies.callback()(lambda: None)
    app.add_typer(policies, name="policy")


def create(
    purpose: Annotated[str, typer.Option(help="own-agent, portability, tailoring, ranking or support-case.")],
    level: Annotated[str, typer.Option(help="signals, masked, text or full.")],
    owner: OwnerOption = None,
    agreement: Annotated[str | None, typer.Option(help="The partner's agreement.")] = None,
    conversation: Annotated[
        list[str] | None, typer.Option(help="SOURCE/KEY. May be repeated; left out: all.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="When it ends (RFC 3339). Default: the purpose's longest.")
    ] = None,
    unanswered: Annotated[
        str, typer.Option(help="masked shows unanswered senders to your own assistant.")
    ] = "none",
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a partner, or your own assistant, read an inbox.

    Example: byleave grant create --purpose own-agent --level text --unanswered masked
    """
    installation = opened(store)
    not_in_provider(installation, "grant create")
    _, owner_id = the_owner(installation, owner)
    started = now(at)
    known = PURPOSES.get(purpose)
    if known is None:
        raise Invalid(Code.INVALID_DETAILS, "no such purpose; known: " + ", ".join(PURPOSES))
    partner = None
    if known.who is Who.PARTNER:
        with installation.store.read() as snapshot:
            found = agreements.current(snapshot, agreement or "")
        if found is None:
            raise Absent(
                Code.NOT_FOUND, "a partner's grant names an agreement of the register: --agreement A"
            )
        partner = found[0].terms.partner.id
    elif agreement is not None:
        raise Invalid(Code.INVALID_DETAILS, f"purpose {purpose} is for no partner: leave --agreement out")
    if known.name == "owner":
        raise Invalid(
            Code.INVALID_DETAILS, "an inbox is born with its owner's grant; take it with `byleave token`"
        )
    scope = (
        {"mode": "listed", "of": [conversation_named(c) for c in conversation]}
        if conversation
        else {"mode": "all", "of": []}
    )
    grant_id = fresh_id()
    values: dict[str, Any] = {
        "owner_id": owner_id,
        "grant_id": grant_id,
        "purpose": purpose,
        "level": int(level_named(level)),
        "agreement_id": agreement if known.who is Who.PARTNER else None,
        "partner": partner,
        "client_id": None,
        "conversations": json.dumps(scope),
        "period_from": None,
        "period_to": None,
        "unanswered": int(level_named(unanswered)),
        "created_at": started,
        "expires_at": moment(until, "--until") if until else started + grant.lifetime(purpose),
        "revoked_at": None,
        "seq": 0,
        "applied": 0,
        "filled_policy": 0,
    }
    installation.store.write(grant.create, values, fresh_id(), salt())
    fill_all(installation, owner_id)
    value = {
        "grant": grant_id.hex(),
        "account_id": Ids(installation.ids, grant_id).account_id,
        "expires_at": rfc3339(values["expires_at"]),
    }
    answer(value, as_json, [f"grant {value['grant']}: {purpose} at {level} until {value['expires_at']}"])


def grant_named(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Absent(Code.NOT_FOUND, "no such grant; `byleave grant list` shows them") from None


def revoke(
    id: Annotated[str, typer.Argument(help="The grant's id.")],
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a grant now: the next request with any of its tokens is refused."""
    installation = opened(store)
    not_in_provider(installation, "grant revoke")
    with installation.store.read() as snapshot:
        found = grant.by_id(snapshot, grant_named(id))
    ended = installation.store.write(
        grant.revoke, found.owner_id, found.grant_id, now(at), fresh_id(), salt()
    )
    answer({"grant": id, "revoked_at": rfc3339(ended)}, as_json, [f"grant {id} ended at {rfc3339(ended)}"])


def list_(owner: OwnerOption = None, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Every grant of an owner, oldest first."""
    installation = opened(store)
    not_in_provider(installation, "grant list")
    _, owner_id = the_owner(installation, owner)
    with installation.store.read() as snapshot:
        found = [_shown(g, installation.ids) for g in grant.of_owner(snapshot, owner_id)]
    if as_json:
        answer(found, True)
    else:
        table(
            "grants",
            ("grant", "purpose", "level", "agreement", "expires", "revoked"),
            [
                (g["grant"], g["purpose"], g["level"], g["agreement"], g["expires_at"], g["revoked_at"])
                for g in found
            ],
        )


def _shown(g: grant.Grant, ids: bytes) -> dict[str, Any]:
    return {
        "grant": g.grant_id.hex(),
        "purpose": g.purpose,
        "level": g.level.word,
        "agreement": g.agreement_id,
        "expires_at": rfc3339(g.expires_at),
        "revoked_at": None if g.revoked_at is None else rfc3339(g.revoked_at),
        "account_id": Ids(ids, g.grant_id).account_id,
        "conversations": msgspec.to_builtins(g.scope),
    }


def token_(
    grant_: Annotated[str, typer.Option("--grant", help="The grant's id.")],
    dpop_jwk: Annotated[
        Path | None, typer.Option(help="The partner's public key (JWK file): the token is bound to it.")
    ] = None,
    base_url: Annotated[str, typer.Option(help="Where the gateway listens.")] = "http://127.0.0.1:8420",
    operative: Annotated[str | None, typer.Option(help="Who of the partner reads.")] = None,
    scope: Annotated[
        str | None,
        typer.Option(help="Of inbox.read, signals, send. Default: all that the purpose gives out."),
    ] = None,
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """An access token for a grant: shown once. The owner's own is a bearer token: whoever has it reads
    everything."""
    installation = opened(store)
    not_in_provider(installation, "token")
    started = now(at)
    with installation.store.read() as snapshot:
        found = grant.by_id(snapshot, grant_named(grant_))
    jkt = read_public_key(dpop_jwk).thumbprint() if dpop_jwk is not None else None
    given = PURPOSES[found.purpose].outputs(found.level)
    possible = ["inbox.read"]
    possible += ["signals"] if given & {Output.SIGNALS, Output.FEATURES} else []
    possible += ["send"] if Output.SENDS in given else []
    if scope is not None and not set(scope.split()) <= set(possible):
        raise Refused(
            Code.INVALID_SCOPE, "--scope", "", "more than this grant gives out", f"write {' '.join(possible)}"
        )
    secret = token.fresh()
    expires = installation.store.write(
        token.issue,
        token.hash_of(secret),
        found.owner_id,
        found.grant_id,
        found.partner,
        jkt,
        operative,
        scope or " ".join(possible),
        started,
    )
    value = {
        "access_token": secret,
        "token_type": "Bearer" if jkt is None else "DPoP",
        "expires_in": (expires - started) // 1000,
        "account_id": Ids(installation.ids, found.grant_id).account_id,
        "session_url": base_url.rstrip("/") + "/.well-known/jmap",
    }
    answer(value, as_json, [f"{k}: {v}" for k, v in value.items()])


def explain(
    grant_: Annotated[str, typer.Option("--grant", help="The grant's id.")],
    message_: Annotated[
        str, typer.Option("--message", help="SOURCE/CONVERSATION/ID, as `byleave export` shows them.")
    ],
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """At which level a grant sees a message, and by which rules."""
    installation = opened(store)
    not_in_provider(installation, "policy explain")
    moment_ = now(at)
    with installation.store.read() as snapshot:
        found = grant.by_id(snapshot, grant_named(grant_))
        row = None
        source, _, rest = message_.partition("/")
        cuts = [i for i, c in enumerate(rest) if c == "/"]
        for cut in cuts:  # keys and ids may hold a slash themselves
            row = snapshot.one(
                _MESSAGE, owner_id=found.owner_id, source=source, key=rest[:cut], native=rest[cut + 1 :]
            )
            if row is not None:
                break
        if row is None:
            raise Absent(Code.NOT_FOUND, "no such message; write SOURCE/CONVERSATION/ID")
        sender, number, received_at, kind, may_mask, handle = row
        compiled = policy.compile(snapshot, found, moment_)
        level = compiled.level(sender, number, received_at, kind)
        agreed = agreements.level_of(snapshot, found.agreement_id or "", found.purpose, moment_)
        because = policy.explain(compiled, agreed, sender, number, received_at, kind)
        if level == Level.MASKED and not may_mask and not found.for_owner:
            level = Level.SIGNALS if PURPOSES[found.purpose].highest is Level.MASKED else Level.NONE
            because.append("redaction cannot vouch for it: not shown at masked")
        if installation.mode is Mode.SANDBOX and handle and not found.for_owner:
            person = identity.person_of(installation.people, handle)
            because += [
                f"choice of {handle}: {c.level.word} for {c.purpose or 'everything'}"
                + (" (withdrawn)" if c.withdrawn_at else "")
                for c in choice.history(snapshot, person, handle)
            ]
    answer(
        {"level": level.word, "because": because}, as_json, [level.word, *(f"  {line}" for line in because)]
    )
