"""`byleave init`, `byleave signin`."""

from __future__ import annotations

import hashlib
import secrets
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
    base_url: Annotated[str, typer.Option(help="Where the gateway listens.")] = "http://127.0.0.1:8420",
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """A one-time link to sign in with: the owner in a personal store, anyone in a sandbox.

    Example: byleave signin --owner me
    """
    installation = opened(store)
    not_in_provider(installation, "signin")
    if not base_url.startswith(("http://", "https://")):
        raise Invalid(
            Code.INVALID_ARGUMENTS, "--base-url is where the gateway listens: http://… or https://…"
        )
    if (owner is None) == (person is None):
        raise Invalid(Code.INVALID_ARGUMENTS, "name one: --owner O or --person HANDLE")
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
