"""`byleave ledger verify|show`."""

from __future__ import annotations

from typing import Annotated

import typer

from byleave.cli.importing import the_owner
from byleave.cli.options import JsonOption, OwnerOption, StoreOption, answer, now, opened, table
from byleave.consent import identity
from byleave.installation import Installation
from byleave.ledger import sequence
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


def verify(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Check the log: its signature, every tile, every leaf and the event behind it.

    Example: byleave ledger verify --json
    """
    installation = opened(store)
    catch_up(installation, now())
    found = sequence.verify_store(installation.store, installation.keyring)
    value = {"ok": found.ok, "size": found.size, "root": found.root, "problems": list(found.problems)}
    answer(
        value,
        as_json,
        [f"{'ok' if found.ok else 'NOT ok'}: {found.size} leaves, root {found.root}", *found.problems],
    )
    if not found.ok:
        raise typer.Exit(1)


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
