"""`byleave models account|release|releases|learning`: what was learned from sends and clicks, and what it spent."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from byleave.cli.importing import the_owner
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
from byleave.consent import identity, learning
from byleave.errors import Code, Invalid
from byleave.tailoring import batch, catalogue, publish
from byleave.words.fragment import rfc3339


def register(app: typer.Typer) -> None:
    verbs = typer.Typer(
        no_args_is_help=True, help="What is learned from sends and clicks: totals with noise."
    )
    verbs.command("account")(account)
    verbs.command("release")(release)
    verbs.command("releases")(releases)
    verbs.command("learning")(learning_)
    verbs.command("batch")(batch_)
    app.add_typer(verbs, name="models")


def account(store: StoreOption = None, at: AtOption = None, as_json: JsonOption = False) -> None:
    """The year's privacy account: what is spent, what is left."""
    installation = opened(store)
    with installation.store.read() as snapshot:
        spent, left = publish.account(snapshot, now(at))
        people = len(learning.everyone(snapshot))
    value = {
        "rho_spent": spent / 1e6,
        "rho_left": left / 1e6,
        "epsilon_spent": round(publish.epsilon(spent), 3),
        "delta": 1e-6,
        "learning_yes": people,
    }
    lines = [
        f"spent ρ {spent / 1e6:.4f} of {publish.YEAR_RHO / 1e6} (ε {publish.epsilon(spent):.2f} at δ 1e-6), left {left / 1e6:.4f}"
    ]
    answer(value, as_json, lines)


def release(
    series: Annotated[publish.Series, typer.Argument(help="popularity, clicks, or pairs.")],
    period: Annotated[str, typer.Argument(help="A fortnight, as f12; for pairs a quarter, as 2026-q2.")],
    titles: Annotated[
        Path, typer.Option("--catalogue", help="The public catalogue: CSV, JSON Lines or IMDb TSV.")
    ],
    restate: Annotated[bool, typer.Option(help="Make it anew. Spends of the account again.")] = False,
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make one total of a period that is over, with noise; asked for again it is the same bytes.

    Example: byleave models release popularity f23 --catalogue titles.csv
    """
    installation, moment = opened(store), now(at)
    with installation.store.read() as snapshot:
        made, new = publish.make(
            snapshot,
            series,
            period,
            catalogue.read_catalogue(titles).titles,
            installation.people,
            moment,
            restate=restate,
        )
    if new:
        installation.store.write(publish.keep, publish.encoded(made), moment, fresh_id(), salt())
    lines = [
        f"{made.series} {made.period}, revision {made.revision}: {len(made.cells)} cells, σ {made.sigma:.1f}"
    ]
    answer(msgspec.to_builtins(made), as_json, lines if new else [*lines, "made before; nothing spent"])


def releases(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Every total that was released."""
    installation = opened(store)
    with installation.store.read() as snapshot:
        found = [
            {
                "series": r.series,
                "period": r.period,
                "revision": r.revision,
                "rho": r.rho / 1e6,
                "made_at": rfc3339(at),
            }
            for r, at in publish.every(snapshot)
        ]
    if as_json:
        answer(found, True)
    else:
        table(
            "releases", ("series", "period", "revision", "ρ", "made at"), [tuple(r.values()) for r in found]
        )


def batch_(
    parts: Annotated[
        Path, typer.Argument(help="A folder of Parquet parts: owner_id, conversation, sender, id, text.")
    ],
    out: Annotated[
        Path, typer.Argument(help="Where each part's titles go; what is there is not done again.")
    ],
    titles: Annotated[Path, typer.Option("--catalogue", help="The catalogue: CSV, JSON Lines or IMDb TSV.")],
    runner: Annotated[str, typer.Option(help="local: processes of this machine; ray: Ray tasks.")] = "local",
    workers: Annotated[int, typer.Option(min=1)] = 2,
    as_json: JsonOption = False,
) -> None:
    """Titles named in many inboxes at once, a part at a time. Goes on where it was stopped.

    Example: byleave models batch parts/ titles/ --catalogue titles.csv --workers 4
    """
    if runner not in ("local", "ray"):
        raise Invalid(Code.INVALID_ARGUMENTS, "--runner is local or ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # no call home
    done = batch.run(
        parts, out, titles, runner="ray" if runner == "ray" else "local", workers=workers, cluster=os.environ.get("RAY_ADDRESS"),
        progress=lambda d: print(f"{d.part}: {d.mentions} in {d.messages} messages", file=sys.stderr),
    )  # fmt: skip
    value = {
        "parts": len(done), "messages": sum(d.messages for d in done), "mentions": sum(d.mentions for d in done),
        "checksum": batch.checksum(done),
    }  # fmt: skip
    answer(
        value,
        as_json,
        [f"{value['mentions']} mentions in {value['messages']} messages, {value['parts']} parts done"],
    )


def learning_(
    yes: Annotated[bool, typer.Option("--yes/--no", help="May it be counted, or not.")],
    person: Annotated[str | None, typer.Option("--person", help="A handle, for what they open.")] = None,
    owner: OwnerOption = None,
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """The learning consent of an inbox's owner (what they send) or of a handle (what they open).

    Example: byleave models learning --owner ann --yes
    """
    installation = opened(store)
    not_in_provider(installation, "models learning")
    if (person is None) == (owner is None):
        raise Invalid(Code.INVALID_ARGUMENTS, "say whose: --owner O or --person HANDLE")
    who = (
        identity.person_of(installation.people, identity.parse(person))
        if person is not None
        else the_owner(installation, owner)[1]
    )
    changed = installation.store.write(learning.say, who, yes, now(at), fresh_id(), salt())
    answer(
        {"learning": yes, "changed": changed},
        as_json,
        [learning.SAID if yes else "From now on it is in no further total."],
    )
