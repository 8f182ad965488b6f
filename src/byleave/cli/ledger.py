"""`byleave ledger verify|show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import httpx
import typer

from byleave.cli.importing import the_owner
from byleave.cli.options import JsonOption, OwnerOption, StoreOption, answer, now, opened, table
from byleave.consent import identity
from byleave.errors import Absent, Code, Refused, Unavailable
from byleave.installation import Installation
from byleave.ledger import sequence
from byleave.ledger.checkpoint import Verifier
from byleave.ledger.verify import Verdict
from byleave.ledger.verify import verify as check
from byleave.view import told


def register(app: typer.Typer) -> None:
    verbs = typer.Typer(no_args_is_help=True, help="What happened, for ever.")
    verbs.command("verify")(verify)
    verbs.command("show")(show)
    app.add_typer(verbs, name="ledger")


def catch_up(installation: Installation, moment: int) -> None:
    """Integrates what is pending and tells who was read, so that what is shown is all there is."""
    key, origin = installation.keyring.active("ledger"), sequence.origin_of(installation.keyring)
    while installation.store.write(told.tell, moment):
        pass
    while installation.store.write(lambda tx: sequence.integrate(tx, moment, key, origin, at_once=True)):
        pass


def verify(
    url: Annotated[
        str | None, typer.Argument(help="A gateway, to read its log over HTTP. Left out: this store's log.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="With URL: the log's public key, name+hash+key. Left out: this store's own."),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the log: its signature, every tile, every leaf and, in one's own store, the event behind it.

    Examples: byleave ledger verify        byleave ledger verify http://127.0.0.1:8420
    """
    if url is None:
        installation = opened(store)
        catch_up(installation, now())
        found = sequence.verify_store(installation.store, installation.keyring)
        mine = Verifier.of(sequence.origin_of(installation.keyring), installation.keyring.active("ledger"))
        told = [f"key {mine.vkey}"]
    else:
        found, told = _verify_at(url, [Verifier.parse(key)] if key is not None else _own(store)), []
    value = {"ok": found.ok, "size": found.size, "root": found.root, "problems": list(found.problems)}
    line = f"{'ok' if found.ok else 'NOT ok'}: {found.size} leaves, root {found.root}"
    answer(value, as_json, [line, *found.problems, *told])
    if not found.ok:
        raise typer.Exit(1)


def _own(store: Path | None) -> list[Verifier]:
    keyring = opened(store).keyring
    return [Verifier.of(sequence.origin_of(keyring), key) for key in keyring.all("ledger")]


def _verify_at(url: str, verifiers: list[Verifier]) -> Verdict:
    """The verdict on the log that a gateway serves. Raises Refused (no such address), Unavailable."""
    base = url.rstrip("/").removesuffix("/ledger/checkpoint").removesuffix("/ledger")
    if not base.startswith(("http://", "https://")):
        raise Refused(Code.MALFORMED, "URL", "", "no address of a gateway", "write https://host")
    with httpx.Client(timeout=30) as client:

        def fetch(name: str) -> bytes:
            found = client.get(f"{base}/ledger/{name}")
            if found.status_code == 404:
                raise Absent(Code.ABSENT, "no such tile")
            return found.raise_for_status().content

        try:
            for _ in range(3):  # the log may grow while it is read
                verdict = check(fetch, verifiers)
                if verdict.ok:
                    break
        except httpx.HTTPStatusError as error:
            raise Unavailable(
                Code.UNAVAILABLE, f"the gateway answers {error.response.status_code}; try again"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise Unavailable(Code.UNAVAILABLE, "nobody answers at this URL; check it") from None
    return verdict


def show(
    person: Annotated[
        str | None, typer.Option(help="Readings of this person's words, in every inbox.")
    ] = None,
    owner: OwnerOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who read what: of one person's words, or of an owner's inbox.

    Example: byleave ledger show --person mail:ann@example.test
    """
    installation = opened(store)
    catch_up(installation, now())
    if person is not None:
        handle = identity.parse(person)
        with installation.store.read() as snapshot:
            found = told.of_person(snapshot, handle)
    else:
        _, owner_id = the_owner(installation, owner)
        with installation.store.read() as snapshot:
            found = told.of_owner(snapshot, owner_id)
    rows = [told.as_json(t) for t in found]
    if as_json:
        answer(rows, True)
    else:
        columns = ("at", "partner", "operative", "purpose", "level", "messages")
        table("readings", columns, [[r[c] for c in columns] for r in rows])
