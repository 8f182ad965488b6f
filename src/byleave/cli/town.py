"""`byleave town`: a seeded world of exports, for the demo, for developers' sandboxes and for the benches."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from byleave.cli.importing import bring_in, fill_all
from byleave.cli.options import StoreOption, fresh_id, moment, now, salt, store_path
from byleave.consent import choice, identity
from byleave.errors import Code, Refused
from byleave.ingest.gather import gather
from byleave.installation import Installation, create, open_installation
from byleave.model import Level, Mode
from byleave.sources import Options, recognise
from byleave.sources.archive import Export
from byleave.town import plain, world


def town(
    people: Annotated[int, typer.Option(min=2, help="How many live there.")] = 12,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 7,
    out: Annotated[Path, typer.Option(help="An empty or new folder.")] = Path("town"),
    load: Annotated[
        bool, typer.Option("--load", help="Put all of it into the store (sandbox only).")
    ] = False,
    store: StoreOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    messages: Annotated[int | None, typer.Option(help="Messages in all inboxes together.")] = None,
    quotes: Annotated[float, typer.Option(help="Least share of messages that quote or forward.")] = 0.1,
    taints: Annotated[
        bool, typer.Option("--taints", help="A word of its own in all that a person writes.")
    ] = False,
    until: Annotated[str, typer.Option(help="The day on which the two years end.")] = world.UNTIL,
    inbox_messages: Annotated[
        int | None, typer.Option(help="For benches: one inbox of this many plain messages, nothing else.")
    ] = None,
    inbox_format: Annotated[str, typer.Option(help="telegram, whatsapp, messenger or mbox.")] = "telegram",
) -> None:
    """A seeded world: DIR/<owner>/… the exports, DIR/world.json the people, handles and timed choices."""
    if load and inbox_messages is not None:
        raise Refused(Code.WRONG_MODE, "town", "--load", "a bench's inbox is not loaded", "import it by hand")
    plan = world.Plan(people=people, seed=seed, messages=messages, quotes=quotes, taints=taints, until=until)
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("Building the town")

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if inbox_messages is not None:
            made = plain.build(plan, out, inbox_messages, inbox_format, progress)
        else:
            made = world.build(plan, out, progress)
        if load:
            bar.update(bar.add_task("Moving in"), total=None)
            move_in(out, store_path(store))
    if json:
        print(msgspec.json.encode(made).decode())
    else:
        print(
            f"{made.people} people, {made.inboxes} inboxes, {made.messages:,} messages, {made.files:,} files"
        )


def move_in(town: Path, store: Path, *, only: str | None = None, choices: bool = True) -> Installation:
    """Puts a town into a sandbox store (made where there is none): every inbox (or `only` one), and every
    choice made by now."""
    installation = open_installation(store) if store.exists() else create(store, Mode.SANDBOX, now())
    if installation.mode is not Mode.SANDBOX:
        raise Refused(
            Code.WRONG_MODE, "town", "--load", "made-up people live in a sandbox only", "give another --store"
        )
    made = msgspec.json.decode((town / "world.json").read_bytes())
    inboxes = made["inboxes"] if only is None else {only: made["inboxes"][only]}
    for owner, inbox in inboxes.items():
        for one in inbox["exports"]:
            export = Export(town / one["path"])
            importer, options = recognise(export), Options(zone=inbox["zone"])
            read = partial(importer.read, export, options)
            found = gather(read, lambda step, n: None)
            bring_in(installation, importer, export, options, found, owner, inbox["me"], lambda step, n: None)
    for act in made["choices"] if choices else ():
        at = moment(act["at"], "world.json")
        if at <= now():
            for handle in act["handles"]:
                installation.store.write(
                    choice.choose,
                    installation.people,
                    fresh_id(),
                    identity.parse(handle),
                    int(Level.named(act["level"])),
                    act["purpose"],
                    act["partner"],
                    act["conversation"],
                    at,
                    "self",
                    None,
                    salt(),
                )
    fill_all(installation)
    return installation


def register(app: typer.Typer) -> None:
    app.command("town")(town)
