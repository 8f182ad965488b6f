"""`byleave agreement` and `byleave client`: drafts and signatures need no store, the register does."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from byleave.cli.options import AtOption, JsonOption, StoreOption, answer, fresh_id, now, opened, salt, table
from byleave.consent import agreement as agreements
from byleave.consent import register as registry
from byleave.errors import Absent, Code, Refused
from byleave.keys import read_key, read_public_key

app = typer.Typer(no_args_is_help=True, help="Agreements between partners and providers.")
clients = typer.Typer(no_args_is_help=True, help="Partners' clients.")


def register(root: typer.Typer) -> None:
    clients.callback()(lambda: None)
    root.add_typer(app, name="agreement")
    root.add_typer(clients, name="client")


@app.command("new")
def new(
    partner: Annotated[str, typer.Option(help="The partner's id.")],
    purpose: Annotated[
        list[str], typer.Option(help="PURPOSE:LEVEL, as in tailoring:masked. May be repeated.")
    ],
    key: Annotated[list[Path], typer.Option(help="The partner's key file; its public half is taken.")],
    out: Annotated[Path | None, typer.Option(help="Write the agreement here instead of to stdout.")] = None,
    id: Annotated[str | None, typer.Option(help="Default: PARTNER-YEAR.")] = None,
    name: Annotated[str | None, typer.Option(help="The partner's name as people will see it.")] = None,
    contact: Annotated[str | None, typer.Option(help="Mail address or https page for questions.")] = None,
    redirect_uri: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    link_destination: Annotated[
        list[str] | None, typer.Option(help="https prefix of links in cards.")
    ] = None,
    operatives: Annotated[str, typer.Option(help="named or any: must every token name who reads?")] = "any",
    approved_by: Annotated[
        list[str] | None, typer.Option(help="sandbox (default), owner, or two operator:ID.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="RFC 3339 time to take as now.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Draft an agreement of one year, unsigned. Read it, edit it, then have both sides sign it."""
    pairs = []
    for one in purpose:
        word, colon, level = one.rpartition(":")
        if not colon:
            raise Refused(
                Code.MALFORMED, "--purpose", "", "no level", "write PURPOSE:LEVEL, as tailoring:masked"
            )
        pairs.append((word, level))
    made = agreements.new(
        partner,
        pairs,
        [read_public_key(path).public() for path in key],
        today=datetime.datetime.fromtimestamp(now(at) / 1000, datetime.UTC).date(),
        id=id,
        name=name,
        contact=contact,
        redirect_uris=redirect_uri or (),
        link_destinations=link_destination or (),
        operatives=operatives,
        approved_by=approved_by or ("sandbox",),
    )
    if out is None and not as_json:
        print(made.encode().decode(), end="")
        return
    if out is not None:
        _write(out, made.encode())
    _answer(made, "unsigned", as_json)


@app.command("sign")
def sign(
    file: Annotated[Path, typer.Argument(help="The agreement; signed in place.")],
    key: Annotated[
        Path | None,
        typer.Option(help="The private key file of one side. Left out: the store's own, as its provider."),
    ] = None,
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Add one signature to an agreement, in place: the partner with --key, the provider without.

    Example: byleave agreement sign deal.json --key partner.jwk && byleave agreement sign deal.json
    """
    signer = read_key(key) if key is not None else opened(store).keyring.active("agreement")
    signed = agreements.sign(read_agreement(file), signer)
    _write(file, signed.encode())
    count = len(signed.terms.signatures)
    _answer(signed, f"{count} signature{'' if count == 1 else 's'}", as_json)


def read_agreement(path: Path) -> agreements.Agreement:
    """The checked agreement in the file `path`. Raises Refused."""
    try:
        with path.open("rb") as file:
            data = file.read(agreements.MAX_BYTES + 1)
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise Refused(Code.NOT_FOUND, path.name, "", problem, "check the path") from None
    return agreements.decode(data, path.name)


def _write(path: Path, data: bytes) -> None:
    """Write whole or not at all: a crash must not leave half an agreement."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        problem = f"cannot be written ({error.strerror})"
        raise Refused(Code.NOT_FOUND, path.name, "", problem, "check the folder") from None


def _answer(agreement: agreements.Agreement, status: str, as_json: bool) -> None:
    purposes = [f"{term.purpose}:{term.level}" for term in agreement.terms.purposes]
    if as_json:
        answer = {
            "agreement": agreement.id,
            "partner": agreement.terms.partner.id,
            "purposes": purposes,
            "status": status,
        }
        print(json.dumps(answer))
    else:
        print(f"{agreement.id} version {agreement.version}: {', '.join(purposes)}; {status}")


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="The agreement, signed by both sides.")],
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put an agreement into the public register. It needs both signatures.

    Example: byleave agreement add deal.json
    """
    installation = opened(store)
    signed = read_agreement(file)
    moment = now(at)
    jwks = installation.keyring.public("agreement")
    status = installation.store.write(
        registry.publish, signed.encode(), jwks, installation.mode.value, moment, fresh_id(), salt()
    )
    _answer(signed, status, as_json)


@app.command("list")
def list_(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """The public register."""
    with opened(store).store.read() as snapshot:
        found = [_register_row(a, status) for a, status, _ in registry.every(snapshot)]
    if as_json:
        answer(found, True)
    else:
        rows = [
            (r["agreement"], r["version"], r["partner"], ", ".join(r["purposes"]), r["status"]) for r in found
        ]
        table("agreements", ("agreement", "version", "partner", "purposes", "status"), rows)


@app.command("show")
def show(
    id: Annotated[str, typer.Argument(help="The agreement's id.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """An agreement of the register, as it was signed."""
    with opened(store).store.read() as snapshot:
        found = registry.current(snapshot, id)
    if found is None:
        raise Absent(Code.NOT_FOUND, "no such agreement; `byleave agreement list` shows them")
    if as_json:
        answer({**_register_row(*found), "document": found[0].document}, True)
    else:
        print(found[0].encode().decode(), end="")


def _register_row(found: agreements.Agreement, status: str) -> dict[str, Any]:
    purposes = [f"{term.purpose}:{term.level}" for term in found.terms.purposes]
    return {
        "agreement": found.id,
        "version": found.version,
        "partner": found.terms.partner.id,
        "purposes": purposes,
        "status": status,
    }


@clients.command("add")
def add_client(
    file: Annotated[
        Path, typer.Argument(help="JSON {client_id, agreement, redirect_uris, jwks} (RFC 7591).")
    ],
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a partner's client; its keys and redirect URIs must stand in the agreement.

    Example: byleave client add client.json
    """
    try:
        metadata = file.read_bytes()
    except OSError as error:
        raise Refused(
            Code.NOT_FOUND, file.name, "", f"cannot be read ({error.strerror})", "check the path"
        ) from None
    added = opened(store).store.write(registry.add_client, metadata, now(at), fresh_id(), salt())
    answer({"client_id": added}, as_json, [f"client {added}"])
