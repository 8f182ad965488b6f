"""`byleave catalogue`: the titles that are looked for, what a partner carries of them, which are sensitive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from byleave import titles
from byleave.cli.importing import fill_all, lock, progress
from byleave.cli.options import AtOption, JsonOption, StoreOption, answer, fresh_id, now, opened, salt
from byleave.errors import Code, Refused
from byleave.mentioning import catch_up
from byleave.tailoring.catalogue import FEWEST, read_catalogue

app = typer.Typer(help="Titles: import them, mark sensitive ones, see what stands.", no_args_is_help=True)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV, JSON Lines or IMDb title.basics TSV; .gz too.")],
    partner: Annotated[
        str | None, typer.Option(help="It is what this partner carries, under its own ids.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Read it all, write nothing.")] = False,
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import titles: all of them or none, every refused row explained.

    Without --partner they are the store's own: what is looked for in every inbox, which is read again. A partner's
    titles must stand in the store's own; a list of fewer than 20, or a second change on one day, is refused.

    Example: byleave catalogue import films.csv
    """
    found = read_catalogue(file, fewest=FEWEST)
    if partner is not None and not (0 < len(partner) <= 80 and partner.isprintable()):
        raise Refused(Code.MALFORMED, "--partner", "", "not a partner's id", "write it as its agreement does")
    value = {
        "catalogue": partner or "own", "format": found.format, "titles": len(found.titles), "skipped": found.skipped,
        "sensitive": 0, "changed": False, "messages_read": 0,
    }  # fmt: skip
    if not dry_run:
        installation = opened(store)
        moment = now(at)
        with lock(installation.store.path), progress(as_json) as show:
            if partner is not None:
                value["changed"] = titles.put_partners(
                    installation.store, partner, found.titles, file.name, found.format, moment, fresh_id(), salt()
                )  # fmt: skip
            else:
                value["changed"] = titles.put(
                    installation.store, found.titles, found.format, moment, fresh_id(), salt()
                )
                value["messages_read"] = catch_up(installation.store, moment, show)
                fill_all(installation)
        with installation.store.read() as snapshot:
            value["sensitive"] = len(titles.sensitive(snapshot, found.titles)) if partner is None else 0
    lines = [f"{value['titles']} titles ({value['format']}) of {value['catalogue']}"]
    lines += [f"  {value['skipped']} rows are no films"] if value["skipped"] else []
    lines += [f"  {value['sensitive']} are sensitive and never a signal"] if value["sensitive"] else []
    lines += ["  nothing was written" if dry_run else "  unchanged"] if not value["changed"] else []
    lines += [f"  {value['messages_read']} messages read with them"] if value["messages_read"] else []
    answer(value, as_json, lines)


@app.command("flag")
def flag(
    title_id: Annotated[str, typer.Argument(help="The store's title_id.")],
    theme: Annotated[str, typer.Argument(help="health, addiction, lgbtq, religion, politics, …")],
    by: Annotated[list[str], typer.Option("--by", help="An operator; two different ones are needed.")],
    off: Annotated[bool, typer.Option("--off", help="It is not sensitive after all.")] = False,
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Two operators say that a title is sensitive, or is not: it is never a signal while it is.

    Example: byleave catalogue flag tt0107818 health --by "operator:a" --by "operator:b"
    """
    installation = opened(store)
    moment = now(at)
    with lock(installation.store.path), progress(as_json) as show:
        installation.store.write(titles.flag, title_id, theme, not off, by, moment, fresh_id(), salt())
        read = catch_up(installation.store, moment, show)
        fill_all(installation)
    value = {"title_id": title_id, "theme": theme, "on": not off, "messages_read": read}
    answer(value, as_json, [f"{title_id}: {theme} {'off' if off else 'on'}; {read} messages read again"])


@app.command("show")
def show(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """How many titles stand, and how many of them are sensitive.

    Example: byleave catalogue show --json
    """
    with opened(store).store.read() as snapshot:
        shelf = titles.shelf(snapshot)
    value = {
        "titles": len(shelf.titles) if shelf else 0,
        "sensitive": len(shelf.sensitive) if shelf else 0,
        "edition": shelf.edition if shelf else None,
    }
    answer(value, as_json, [f"{value['titles']} titles, {value['sensitive']} of them sensitive"])


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="catalogue")
