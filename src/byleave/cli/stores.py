"""`byleave init`, `byleave signin`."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import insert

from byleave.cli.options import (
    AtOption,
    JsonOption,
    OwnerOption,
    StoreOption,
    answer,
    not_in_provider,
    now,
    opened,
    operator_named,
    store_path,
)
from byleave.consent import identity
from byleave.errors import Absent, Code, Invalid
from byleave.ingest import publish
from byleave.installation import Installation, create
from byleave.model import Mode
from byleave.store import Transaction, prepare
from byleave.store.asking import session
from byleave.words.fragment import rfc3339

SIGNIN_MS = 15 * 60_000
"""A one-time link lasts a quarter of an hour."""
_ADD = prepare(insert(session))


def register(app: typer.Typer) -> None:
    app.command("init")(init)
    app.command("signin")(signin)


def init(
    mode: Annotated[
        Mode, typer.Option(help="personal: your own mail and chats; sandbox: made-up people; provider.")
    ],
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a store. Its mode is set for good.

    Example: byleave init --mode personal
    """
    path = store_path(store)
    made = create(path, mode, now(at))
    answer({"mode": made.mode.value, "store": str(path)}, as_json, [f"{made.mode.value} store in {path}"])


def signin(
    owner: OwnerOption = None,
    person: Annotated[str | None, typer.Option(help="A sender's handle (in a sandbox).")] = None,
    partner: Annotated[str | None, typer.Option(help="A partner's id (not in a provider store).")] = None,
    operator: Annotated[str | None, typer.Option(help="An operator, as `operator:a`.")] = None,
    operative: Annotated[str | None, typer.Option(help="Who of the partner signs in.")] = None,
    client: Annotated[
        str | None,
        typer.Option(help="As a partner's client: asks the gateway for a link, signed with --key."),
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="The client's private key, a JWK.")] = None,
    base_url: Annotated[str, typer.Option(help="Where the gateway listens.")] = "http://127.0.0.1:8420",
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """A one-time link to sign in with: the owner in a personal store, anyone in a sandbox, an operator anywhere.

    A partner's developer asks the gateway at --base-url for theirs, with --client and --key; that needs no store.

    Example: byleave signin --owner me
    """
    if (client is None) != (key is None):
        raise Invalid(Code.INVALID_ARGUMENTS, "--client and --key belong together")
    if sum(one is not None for one in (owner, person, partner, operator, client)) != 1:
        raise Invalid(
            Code.INVALID_ARGUMENTS,
            "name one: --owner O, --person HANDLE, --partner ID, --operator NAME, or --client ID --key FILE",
        )
    if client is not None and key is not None:
        _signed(base_url, client, key, operative, as_json)
        return
    installation = opened(store)
    if operator is None:
        not_in_provider(installation, "signin")
    if not base_url.startswith(("http://", "https://")):
        raise Invalid(
            Code.INVALID_ARGUMENTS, "--base-url is where the gateway listens: http://… or https://…"
        )
    if partner is not None or operator is not None:
        name = partner if partner is not None else operator_named(operator or "")
        url = _desk_link(
            installation, "operator" if partner is None else "partner", name, operative, base_url, now(at)
        )
        answer({"url": url, "expires_at": rfc3339(now(at) + SIGNIN_MS)}, as_json, [url])
        return
    if person is not None and installation.mode is not Mode.SANDBOX:
        raise Invalid(Code.WRONG_MODE, "in a personal store only the owner signs in on the console")
    owner_id = None
    if owner is not None:
        with installation.store.read() as snapshot:
            owner_id = publish.owners(snapshot).get(owner)
        if owner_id is None:
            raise Absent(Code.NOT_FOUND, "no such owner; `byleave import` makes one")
    started = now(at)
    url = offer_link(
        installation, owner_id, identity.parse(person) if person is not None else None, base_url, started
    )
    answer({"url": url, "expires_at": rfc3339(started + SIGNIN_MS)}, as_json, [url])


def _desk_link(
    installation: Installation, role: str, name: str, operative: str | None, base_url: str, started: int
) -> str:
    """A link to a partner's or an operator's page."""
    from byleave.gateway import guard  # here alone: the others need no web

    secret = secrets.token_urlsafe(32)
    hash = hashlib.sha256(secret.encode()).digest()
    installation.store.write(guard.offer_desk, hash, role, name, None, operative, started)
    return f"{base_url.rstrip('/')}/{role}/signin/{secret}"


def _signed(gateway: str, client: str, key: Path, operative: str | None, as_json: bool) -> None:
    """Asks a gateway for a link to the partner's page; the request is signed with the client's key."""
    from byleave.cli.answering import partner_at

    told = partner_at(gateway, client, key, operative).page_link()
    answer(told, as_json, [told["url"]])


def offer_link(
    installation: Installation, owner_id: bytes | None, handle: str | None, base_url: str, started: int
) -> str:
    """A link that signs one person in once: an owner, or a sender by handle."""
    secret = secrets.token_urlsafe(32)
    hash = hashlib.sha256(secret.encode()).digest()
    installation.store.write(_offer, hash, owner_id, handle, started + SIGNIN_MS)
    return f"{base_url.rstrip('/')}/me/signin/{secret}"


def _offer(tx: Transaction, hash: bytes, owner_id: bytes | None, handle: str | None, expires: int) -> None:
    tx.run(
        _ADD,
        hash=hash,
        kind="signin",
        owner_id=owner_id,
        handle=handle,
        grant_id=None,
        csrf="",
        expires_at=expires,
    )
