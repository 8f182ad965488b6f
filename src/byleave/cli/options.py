"""What several verbs share: the store, the clock, how answers are printed."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from uuid_utils import uuid7

from byleave.errors import Code, Refused, Unavailable
from byleave.installation import Installation, open_installation
from byleave.model import Mode, Ms

DEFAULT_STORE = "var/byleave.db"


def store_named(text: str) -> Path:
    """The file behind `--store`: a path, or a URL sqlite:///PATH. Raises Refused for any other URL."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        return Path(text)
    if scheme not in ("sqlite", "file") or not rest.startswith("/") or len(rest) < 2:
        raise Refused(
            Code.MALFORMED, "--store", "", "only SQLite stores here", "give a file or sqlite:///PATH"
        )
    return Path(rest[1:] if scheme == "sqlite" else rest)


StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        parser=store_named,
        metavar="FILE",
        help=f"The store's file. Default: $BYLEAVE_STORE, else {DEFAULT_STORE}.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else there.")]
AtOption = Annotated[str | None, typer.Option("--at", help="RFC 3339 time to take as now.")]
OwnerOption = Annotated[
    str | None, typer.Option("--owner", help="Whose inbox. Default: the store's only owner.")
]


def store_path(store: Path | None) -> Path:
    return store if store is not None else store_named(os.environ.get("BYLEAVE_STORE") or DEFAULT_STORE)


def opened(store: Path | None) -> Installation:
    """The installation at `--store`. Raises Unavailable where there is none."""
    return open_installation(store_path(store))


def now(at: str | None = None) -> Ms:
    """Ms of now, or of `at`. Raises Refused for a time without a zone."""
    return int(time.time() * 1000) if at is None else moment(at, "--at")


def moment(text: str, option: str) -> Ms:
    """Ms of an RFC 3339 time; a bare date is its first moment in UTC."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        found = None
    if found is not None and found.tzinfo is None and len(text) == 10:
        found = found.replace(tzinfo=UTC)
    if found is None or found.tzinfo is None:
        raise Refused(
            Code.MALFORMED, option, "", "not a time with a zone", "write RFC 3339, as 2026-11-02T09:00:00Z"
        )
    return round(found.timestamp() * 1000)


def not_in_provider(installation: Installation, what: str) -> None:
    """In a provider's store owners and senders decide on their own pages, never the console (consent.md)."""
    if installation.mode is Mode.PROVIDER:
        raise Unavailable(
            Code.WRONG_MODE,
            f"{what}: not on the console of a provider store; people decide on their own pages",
        )


def operator_named(text: str) -> str:
    """`operator:a`, also where `a` alone is given: the name under which agreements are approved. Raises Refused."""
    name = text if text.startswith("operator:") else f"operator:{text}"
    if not re.fullmatch(r"operator:[a-z0-9][a-z0-9._-]{0,62}", name):
        raise Refused(Code.MALFORMED, "--operator", "", "not an operator's name", "write it as operator:a")
    return name


def fresh_id() -> bytes:
    return uuid7().bytes


def salt() -> bytes:
    return os.urandom(32)


def answer(value: Any, as_json: bool, pretty: Sequence[str] | None = None) -> None:
    """Prints the one answer of a verb: JSON for programs, `pretty` lines for people."""
    if as_json or pretty is None:
        print(json.dumps(value, ensure_ascii=False))
    else:
        for line in pretty:
            print(line)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table for people."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    Console().print(made)


def warn(line: str) -> None:
    print(line, file=sys.stderr)
