"""`byleave town`: a seeded world of exports, for the demo, for developers' sandboxes and for the benches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from byleave.errors import Code, Refused
from byleave.town import plain, world


def town(
    people: Annotated[int, typer.Option(min=2, help="How many live there.")] = 12,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 7,
    out: Annotated[Path, typer.Option(help="An empty or new folder.")] = Path("town"),
    load: Annotated[
        bool, typer.Option("--load", help="Put all of it into the store (sandbox only).")
    ] = False,
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
    if load:
        # Wired where the store is: import each export with its `me` handles, then act out `choices`.
        raise Refused(
            Code.WRONG_MODE,
            "town",
            "--load",
            "there is no sandbox store to load into",
            "make the exports with --out and import them",
        )
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
    if json:
        print(msgspec.json.encode(made).decode())
    else:
        print(
            f"{made.people} people, {made.inboxes} inboxes, {made.messages:,} messages, {made.files:,} files"
        )
