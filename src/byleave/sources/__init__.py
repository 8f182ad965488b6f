"""Hostile bytes → Records. No store, no network framework, no clock.

Rules of this room:

1. One file an importer; importers do not know each other. Each has `sniff` and `read`.
2. Exactly one `sniff` may say yes; none or several is a refusal that lists the claimants.
3. `read` is a generator that never holds the file in memory; bad input raises `Refused` with the place in the
   file and the remedy. It may raise at the very last record: the caller publishes nothing before the end.
4. Options that settle an ambiguity are declared on the importer (`options`), so that `--help`, refusals and
   docs/sources.md come from one place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from byleave.errors import Code, Refused
from byleave.model import Conversation, Record
from byleave.sources.archive import Export


class Claim(msgspec.Struct, frozen=True):
    """An importer's yes: which source, and by what sign it knows."""

    source: str
    sign: str


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the person said to settle an ambiguity."""

    date_order: str | None = None
    """dmy, mdy or ymd (WhatsApp)."""
    zone: str = "UTC"
    """IANA name of the zone that local times are read in."""
    authserv_id: str | None = None
    """Whose Authentication-Results are believed (mail)."""


class Importer(Protocol):
    """One source. `name` is the word used in the store, `options` maps option name → what it settles."""

    name: str
    options: dict[str, str]
    fields: dict[str, str]
    """Field of the record → where it comes from, for docs/sources.md."""
    refusals: tuple[str, ...]
    """What is refused, for docs/sources.md."""

    def sniff(self, export: Export) -> Claim | None:
        """A claim if this export is surely ours; reads heads and names only."""

    def read(self, export: Export, options: Options) -> Iterator[Conversation | Record]:
        """Streams the export: each conversation before its records. Raises Refused."""


def importers() -> list[Importer]:
    """All importers, in the order in which refusals name them."""
    from byleave.sources.mail import MailImporter
    from byleave.sources.messenger import MessengerImporter
    from byleave.sources.telegram import TelegramImporter
    from byleave.sources.whatsapp import WhatsAppImporter

    return [MailImporter(), MessengerImporter(), TelegramImporter(), WhatsAppImporter()]


def recognise(export: Export) -> Importer:
    """The one importer that claims `export`. Raises Refused: by name what nobody claims (strangers.py), else
    SEVERAL_FORMATS."""
    from byleave.sources import strangers

    claims = [(i, c) for i in importers() if (c := i.sniff(export)) is not None]
    if len(claims) == 1:
        return claims[0][0]
    if not claims:
        raise strangers.refusal(export)
    raise Refused(
        Code.SEVERAL_FORMATS,
        export.name,
        "",
        "several importers claim it: " + ", ".join(f"{i.name} ({c.sign})" for i, c in claims),
        "import the part that you mean",
    )
