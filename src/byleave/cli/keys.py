"""`byleave keys`: key pairs for partners' clients and for trying things. The store's own keys are its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from byleave.keys import generate, write_private

app = typer.Typer(no_args_is_help=True, help="Key pairs.")


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="keys")


@app.callback()
def _verbs() -> None:
    """Key pairs."""


@app.command("new")
def new(
    out: Annotated[
        Path | None, typer.Option(help="Write the private key here, readable by you alone.")
    ] = None,
    alg: Annotated[str, typer.Option(help="ES256, EdDSA or PS256.")] = "ES256",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Make a key pair. With --out the private key goes to the file and the public one is shown; without, the
    private key itself is shown: keep it."""
    key = generate(alg)
    if out is not None:
        write_private(out, key.to_private())
    answer = {"kid": key.kid, "jwk": key.to_private() if out is None else key.public()}
    print(json.dumps(answer, indent=None if as_json else 1))
    if out is not None and not as_json:
        typer.echo(f"private key in {out.name}, readable by you alone", err=True)
