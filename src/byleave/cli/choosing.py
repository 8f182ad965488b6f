"""`byleave choice set|withdraw|list`: what a sender chooses, by the store's mode (consent.md, "Stores")."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import bindparam, select

from byleave.cli.importing import fill_all, the_owner
from byleave.cli.options import (
    AtOption,
    JsonOption,
    OwnerOption,
    StoreOption,
    answer,
    fresh_id,
    not_in_provider,
    now,
    opened,
    salt,
    table,
)
from byleave.consent import choice, identity
from byleave.consent.purpose import NAME
from byleave.errors import Absent, Code, Invalid
from byleave.installation import Installation
from byleave.model import Level, Mode
from byleave.store import prepare
from byleave.store.tables import choice as choice_table
from byleave.words.fragment import rfc3339

PersonOption = Annotated[
    str, typer.Option("--person", help="The sender's handle, as in mail:ann@example.test.")
]
_HANDLE = prepare(select(choice_table.c.handle).where(choice_table.c.choice_id == bindparam("choice_id")))


def register(app: typer.Typer) -> None:
    verbs = typer.Typer(no_args_is_help=True, help="A sender's yes or no.")
    verbs.command("set")(set_)
    verbs.command("withdraw")(withdraw)
    verbs.command("list")(list_)
    app.add_typer(verbs, name="choice")


def level_named(word: str) -> Level:
    try:
        return Level.named(word)
    except KeyError:
        raise Invalid(Code.INVALID_ARGUMENTS, "--level is none, signals, masked, text or full") from None


def conversation_named(name: str) -> str:
    source, slash, key = name.partition("/")
    if not (source and slash and key):
        raise Invalid(Code.INVALID_ARGUMENTS, "a conversation is SOURCE/KEY, as `byleave export` shows them")
    return name


def set_(
    person: PersonOption,
    level: Annotated[str, typer.Option(help="none (a no), signals, masked, text or full.")],
    purpose: Annotated[
        str | None, typer.Option(help="What for; may be left out only with --level none.")
    ] = None,
    partner: Annotated[str | None, typer.Option(help="One partner; left out: all.")] = None,
    conversation: Annotated[str | None, typer.Option(help="SOURCE/KEY; left out: everywhere.")] = None,
    owner: OwnerOption = None,
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """A sender says yes or no. A no ends every earlier yes inside its scope.

    Example: byleave choice set --person mail:ann@example.test --level masked --purpose tailoring
    """
    installation = opened(store)
    not_in_provider(installation, "choice set")
    moment, chosen, handle = now(at), level_named(level), identity.parse(person)
    by, by_owner = "self", None
    if installation.mode is Mode.PERSONAL:
        by, by_owner = "owner", the_owner(installation, owner)[1]
    choice.check(chosen, purpose, installation.mode, by)
    if partner is not None and not NAME.fullmatch(partner):
        raise Invalid(Code.INVALID_ARGUMENTS, "--partner is a partner's id, as in its agreement")
    choice_id = fresh_id()
    version = installation.store.write(
        choice.choose,
        installation.people,
        choice_id,
        handle,
        int(chosen),
        purpose,
        partner,
        conversation_named(conversation) if conversation else None,
        moment,
        by,
        by_owner,
        salt(),
    )
    fill_all(installation)
    value = {"choice": choice_id.hex(), "effective_from": rfc3339(moment), "version": version}
    answer(value, as_json, [f"choice {choice_id.hex()}: {chosen.word} from {rfc3339(moment)}"])


def withdraw(
    choice_id: Annotated[str, typer.Option("--choice", help="The choice's id, as `choice list` shows it.")],
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Return a choice to unanswered, with effect on the next request."""
    installation = opened(store)
    not_in_provider(installation, "choice withdraw")
    moment = now(at)
    try:
        id = bytes.fromhex(choice_id)
    except ValueError:
        id = b""
    with installation.store.read() as snapshot:
        handle = snapshot.value(_HANDLE, choice_id=id)
    if handle is None:
        raise Absent(Code.NOT_FOUND, "no such choice")
    version = installation.store.write(
        choice.withdraw, installation.people, handle, id, moment, fresh_id(), salt()
    )
    fill_all(installation)
    value = {"choice": choice_id, "effective_from": rfc3339(moment), "version": version}
    answer(value, as_json, [f"choice {choice_id} withdrawn from {rfc3339(moment)}"])


def list_(person: PersonOption, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Every choice of a sender, oldest first."""
    installation = opened(store)
    not_in_provider(installation, "choice list")
    found = [_shown(c) for c in history_of(installation, identity.parse(person))]
    if as_json:
        answer(found, True)
    else:
        table(
            "choices",
            ("choice", "level", "purpose", "partner", "conversation", "at", "by", "withdrawn"),
            [tuple(c.values()) for c in found],
        )


def history_of(installation: Installation, handle: str) -> list[choice.Choice]:
    with installation.store.read() as snapshot:
        return choice.history(snapshot, identity.person_of(installation.people, handle), handle)


def _shown(c: choice.Choice) -> dict[str, str | None]:
    return {
        "choice": c.choice_id.hex(),
        "level": c.level.word,
        "purpose": c.purpose,
        "partner": c.partner,
        "conversation": c.conversation,
        "at": rfc3339(c.at),
        "by": c.by,
        "withdrawn_at": None if c.withdrawn_at is None else rfc3339(c.withdrawn_at),
    }
