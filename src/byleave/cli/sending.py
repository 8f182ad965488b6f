"""`byleave send card|list`: a partner's sends from a command line, over the same HTTP as any partner's."""

from __future__ import annotations

from typing import Annotated

import typer

from byleave.cli.answering import USUAL, Client, Gateway, KeyFile, Operative, partner_at
from byleave.cli.options import JsonOption, answer, table
from byleave.partner.client import Token

app = typer.Typer(name="send", help="Recommendation cards, as a partner.", no_args_is_help=True)
AccessToken = Annotated[
    str, typer.Option("--token", help="The grant's access token, bound to the key; scope send.")
]


def register(parent: typer.Typer) -> None:
    """Put `send` under `parent`."""
    parent.add_typer(app, name="send")


@app.command("card")
def card(
    recipient: Annotated[str, typer.Argument(help="The address token of the recipient, as JMAP shows it.")],
    client: Client,
    key: KeyFile,
    token: AccessToken,
    title: Annotated[str, typer.Option(help="The title's name.")],
    title_id: Annotated[str, typer.Option(help="The title's id in the partner's catalogue.")],
    interface: Annotated[str, typer.Option()],
    surface: Annotated[str, typer.Option()],
    variant: Annotated[str, typer.Option()],
    text: Annotated[str, typer.Option(help="At most 300 characters, no links.")] = "",
    scheme: Annotated[str, typer.Option(help="The catalogue.")] = "catalogue",
    idempotency_key: Annotated[str | None, typer.Option(help="The same key is one send.")] = None,
    gateway: Gateway = USUAL,
    operative: Operative = None,
    as_json: JsonOption = False,
) -> None:
    """Propose a card. It goes out when the inbox's owner says yes on their page, or gave leave before."""
    made = {
        "type": "recommendation",
        "title_ref": {"scheme": scheme, "id": title_id},
        "title": title,
        "text": text,
    }
    cell = {"interface": interface, "surface": surface, "variant": variant}
    access = Token(access_token=token, account_id="", expires_in=0)
    told = partner_at(gateway, client, key, operative).send(
        access, recipient, made, cell, key=idempotency_key
    )
    lines = [f"{told['state']}: {told['id']}"] + (
        [f"confirm: {told['confirm_url']}"] if "confirm_url" in told else []
    )
    answer(told, as_json, lines)


@app.command("list")
def listing(
    client: Client,
    key: KeyFile,
    token: AccessToken,
    gateway: Gateway = USUAL,
    operative: Operative = None,
    as_json: JsonOption = False,
) -> None:
    """Every send of the grant, with the day on which an accepted one counts."""
    access = Token(access_token=token, account_id="", expires_in=0)
    found = partner_at(gateway, client, key, operative).sends(access)
    if as_json:
        answer(found, True)
        return
    rows = [
        (s["id"], s["state"], s.get("day", ""), "/".join(s["cell"].values()), s["card"]["title"])
        for s in found
    ]
    table("sends", ("id", "state", "day", "cell", "title"), rows)
