"""`byleave import`, `byleave export`, `byleave people`."""

from __future__ import annotations

import fcntl
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson
import typer
from rich.console import Console
from rich.text import Text

from byleave import titles
from byleave.cli.options import (
    JsonOption,
    OwnerOption,
    StoreOption,
    answer,
    fresh_id,
    not_in_provider,
    now,
    opened,
    salt,
    store_path,
    table,
    warn,
)
from byleave.consent import identity
from byleave.errors import Absent, Code, Conflict, Refused
from byleave.ingest import publish
from byleave.ingest.gather import Gathered, Progress, gather
from byleave.ingest.run import Ingest, Result
from byleave.ingest.workers import Workers, usual
from byleave.installation import Installation, create, open_installation
from byleave.mentioning import catch_up
from byleave.model import Mode
from byleave.remask import remask
from byleave.sources import Importer, Options, recognise
from byleave.sources.archive import Export
from byleave.view import export as view_export
from byleave.view import rows
from byleave.words.mask import Tier, Titles

OWN_NAME = "me"


def register(app: typer.Typer) -> None:
    app.command("import")(import_)
    app.command("export")(export)
    app.command("people")(people)


def import_(
    path: Annotated[Path, typer.Argument(help="A file, folder or zip of one export.")],
    owner: OwnerOption = None,
    me: Annotated[
        list[str] | None, typer.Option("--me", help="A handle that is the owner's own. May be repeated.")
    ] = None,
    date_order: Annotated[
        str | None, typer.Option(help="dmy, mdy or ymd, where the file does not tell.")
    ] = None,
    zone: Annotated[str, typer.Option("--tz", envvar="TZ", help="IANA zone for times without one.")] = "UTC",
    authserv_id: Annotated[
        str | None,
        typer.Option(
            help="Mail: the name under which your provider writes Authentication-Results. Its word counts, nobody else's."
        ),
    ] = None,
    tier: Annotated[
        Tier,
        typer.Option(envvar="BYLEAVE_TIER", help="How much the masks look for; full needs the extra ner."),
    ] = Tier.plain,
    dry_run: Annotated[bool, typer.Option(help="Read it all, write nothing.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=64,
            help="Processes that mask and encode beside this one; by default one a further core.",
        ),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import mail or chats; the format is recognised. All of it or nothing.

    Example: byleave import "WhatsApp Chat with Ann.txt" --me "whatsapp:Ann/Me" --date-order dmy
    """
    started = time.monotonic()
    handles = [identity.parse(h) for h in me or ()]
    export = Export(path)
    importer = recognise(export)
    options = msgspec.structs.replace(settled(date_order, zone), authserv_id=authserv_id)
    if tier is Tier.full:
        from byleave.words import ner

        ner.reader()

    with Workers(usual() if workers is None else workers) as crew, progress(as_json) as show:
        found = gather(lambda: importer.read(export, options), show, None if dry_run else crew.start)
        if dry_run:
            skipped = dict(getattr(importer, "skipped", {}))
            report(_answer(importer.name, owner or OWN_NAME, found, None, started, skipped), as_json)
            return
        where = store_path(store)
        installation = open_installation(where) if where.exists() else create(where, Mode.PERSONAL, now())
        name, result = bring_in(
            installation, importer, export, options, found, owner, handles, show, tier, crew
        )
    skipped = dict(getattr(importer, "skipped", {}))
    report(_answer(importer.name, name, found, result, started, skipped), as_json)


def settled(date_order: str | None, zone: str) -> Options:
    """What the person said to settle an ambiguity. Raises Refused for a word that is no order."""
    if date_order not in (None, "dmy", "mdy", "ymd"):
        raise Refused(Code.MALFORMED, "--date-order", "", "no such order", "write dmy, mdy or ymd")
    return Options(date_order=date_order, zone=zone or "UTC")


def bring_in(
    installation: Installation,
    importer: Importer,
    export: Export,
    options: Options,
    found: Gathered,
    owner: str | None,
    own: list[str],
    show: Progress,
    tier: Tier = Tier.plain,
    workers: Workers | None = None,
) -> tuple[str, Result]:
    """The second pass, published, and the views filled; answers (owner's name, what it came to)."""
    with lock(installation.store.path):
        installation.store.write(publish.discard_unfinished)
        name, owner_id = the_owner(installation, owner, make=True)
        with installation.store.read() as snapshot:
            protected = Titles(titles.names(snapshot))
        run = Ingest(
            installation.store,
            installation.people,
            owner_id,
            fresh_id(),
            found,
            own=own,
            titles=protected,
            now=now(),
            file_time=int(export.path.stat().st_mtime * 1000),
            tier=tier.value,
            workers=workers,
        )
        result = run.run(lambda: importer.read(export, options), importer.name, show)
        fill_all(installation, owner_id)
        if run.news and remask(
            installation.store,
            installation.people,
            owner_id,
            fresh_id(),
            run.news,
            protected,
            now(),
            tier.value,
        ):
            fill_all(installation, owner_id)
        if catch_up(installation.store, now(), show):
            fill_all(installation, owner_id)
    return name, result


def _answer(
    source: str,
    owner: str,
    found: Gathered,
    result: Result | None,
    started: float,
    skipped: dict[str, int] | None = None,
) -> dict[str, Any]:
    messages = {"added": 0, "updated": 0, "unchanged": 0, "skipped": skipped or {}}
    if result is not None:
        messages |= {"added": result.added, "updated": result.updated, "unchanged": result.unchanged}
        messages["skipped"] = {**result.skipped, **(skipped or {})}
    sources = {s for s, _ in found.conversations}
    return {
        "source": sources.pop() if len(sources) == 1 else source,
        "owner": owner,
        "conversations": len(found.conversations),
        "messages": messages,
        "seconds": round(time.monotonic() - started, 3),
        **({"records": found.records} if result is None else {}),
    }


def report(value: dict[str, Any], as_json: bool) -> None:
    counts = value["messages"]
    lines = [
        f"{value['source']}: {value['conversations']} conversations, "
        + ", ".join(f"{counts[k]} {k}" for k in ("added", "updated", "unchanged"))
        + f" messages for {value['owner']} in {value['seconds']} s"
    ]
    lines += [f"  skipped {n}: {reason}" for reason, n in counts["skipped"].items()]
    answer(value, as_json, lines)


def the_owner(installation: Installation, name: str | None, *, make: bool = False) -> tuple[str, bytes]:
    """(name, id) of `--owner`: the only one where none is named. `make`: one is made where there is none.

    Raises Conflict where several stand and none is named, Absent for one that is not there.
    """
    if name is not None and not (0 < len(name) <= 80 and name.isprintable() and name == name.strip()):
        raise Refused(Code.MALFORMED, "--owner", "", "not a name", "write 1 to 80 plain characters")
    with installation.store.read() as snapshot:
        known = publish.owners(snapshot)
    if name is None and len(known) > 1:
        raise Conflict(Code.CONFLICT, "several owners here: name one with --owner")
    if name is None and known:
        return next(iter(known.items()))
    name = name or OWN_NAME
    if name not in known and make:
        installation.store.write(publish.make_owner, name, fresh_id(), fresh_id(), fresh_id(), salt(), now())
        with installation.store.read() as snapshot:
            known = publish.owners(snapshot)
    if name not in known:
        raise Absent(Code.NOT_FOUND, "no such owner; `byleave import` makes one")
    return name, known[name]


def fill_all(installation: Installation, owner_id: bytes | None = None) -> None:
    """Works every waiting task into the views, so that what was done on the console stands when it
    returns."""
    while installation.store.write(rows.work_any, now()):
        pass


@contextmanager
def lock(store: Path) -> Iterator[None]:
    """One import at a time on a store; held by a file lock, so that a dead process holds nothing."""
    with store.with_name(store.name + ".import.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict(Code.CONFLICT, f"{store.name}: another import is running; wait for it") from None
        yield


@contextmanager
def progress(quiet: bool) -> Iterator[Progress]:
    """A bar on stderr where a person is looking."""
    if quiet or not sys.stderr.isatty():
        yield lambda step, done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}
        total = 0

        def show(step: str, done: int) -> None:
            nonlocal total
            if step == "reading":
                total = done
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=None if step == "reading" else total)
            bar.update(tasks[step], completed=done)

        yield show


def export(
    owner: OwnerOption = None,
    format: Annotated[str, typer.Option(help="jsonl is the only one.")] = "jsonl",
    store: StoreOption = None,
) -> None:
    """Everything that is the owner's, one JSON record a line.

    Example: byleave export --format jsonl > inbox.jsonl
    """
    if format != "jsonl":
        raise Refused(Code.MALFORMED, "--format", "", "no such format", "write jsonl")
    installation = opened(store)
    not_in_provider(installation, "export")
    _, owner_id = the_owner(installation, owner)
    for line in view_export.lines(installation.store, owner_id, installation.ids, now()):
        sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def people(owner: OwnerOption = None, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Who is in the inbox, and for which purposes a yes makes their words visible. For the owner's eyes
    only."""
    installation = opened(store)
    not_in_provider(installation, "people")
    _, owner_id = the_owner(installation, owner)
    found = view_export.people(installation.store, owner_id, now())
    if as_json:
        print(orjson.dumps(found).decode())
    else:
        table(
            "people",
            ("handle", "name", "messages", "visible for"),
            [(p["handle"], p["name"], p["messages"], ", ".join(p["visible_for"])) for p in found],
        )
    if not found:
        warn("nobody yet: import a mailbox or a chat first")


def ask_who(console: Console, found: Gathered) -> list[str]:
    """Which senders are the person: asked on a terminal, else told how to say it."""
    senders = Counter[str]()
    for (handle, _), count in found.senders.items():
        if handle is not None:
            senders[handle] += count
    listed = senders.most_common(20)
    for i, (handle, count) in enumerate(listed, 1):
        console.print(Text(f"  {i:>2}  {count:>6}  {handle}"))
    if not sys.stdin.isatty():
        console.print(
            "None of these is taken to be you. Say which: make run INBOX=… ME=HANDLE  (byleave demo --me HANDLE)"
        )
        return []
    answer = input("Which of these are you? Numbers, separated by commas; empty for none: ")
    return [listed[int(n) - 1][0] for n in re.findall(r"\d+", answer) if 0 < int(n) <= len(listed)]
