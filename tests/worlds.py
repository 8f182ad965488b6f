"""Small worlds for tests: installations, records, agreements, grants and choices, made in a line each."""

from __future__ import annotations

import datetime
import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from byleave import titles
from byleave.consent import agreement, choice, grant, register
from byleave.ingest import publish
from byleave.ingest.gather import gather
from byleave.ingest.run import Ingest, Result
from byleave.installation import Installation, create
from byleave.keys import Key, generate
from byleave.mentioning import catch_up
from byleave.model import Conversation, Kind, Level, Mail, Mode, Person, Quality, Record
from byleave.view import rows
from byleave.words.gazetteer import Title
from byleave.words.mask import Titles

NOW = 1_790_000_000_000  # 2026-09-21
DAY = 86_400_000


class World:
    """An installation with a counter for ids, so that the same steps make the same store."""

    def __init__(self, folder: Path, mode: Mode = Mode.SANDBOX) -> None:
        self.path = folder / "byleave.db"
        self.installation: Installation = create(self.path, mode, NOW - 365 * DAY, entropy=lambda n: b"k" * n)
        self.store = self.installation.store
        self._ids = itertools.count(1)
        self.now = NOW
        self.partner_key: Key = generate()

    def id(self) -> bytes:
        return b"\x01" * 8 + next(self._ids).to_bytes(8, "big")

    def owner(self, name: str = "me") -> bytes:
        self.store.write(
            publish.make_owner, name, self.id(), self.id(), self.id(), b"s" * 32, self.now - 300 * DAY
        )
        with self.store.read() as snapshot:
            return publish.owners(snapshot)[name]

    def put(
        self, owner_id: bytes, records: Iterable[Record | Conversation], own: Iterable[str] = ()
    ) -> Result:
        """Imports `records` as one export, and fills every view."""
        items = list(records)
        found = gather(lambda: iter(items), lambda step, n: None)
        made = Ingest(
            self.store,
            self.installation.people,
            owner_id,
            self.id(),
            found,
            own=own,
            titles=Titles(()),
            now=self.now,
            file_time=NOW,
            tier="rules",
        ).run(lambda: iter(items), "test", lambda step, n: None)
        self.work()
        catch_up(self.store, self.now)
        self.work()
        return made

    def shelve(self, films: Iterable[Title]) -> None:
        """Makes `films` the store's catalogue, and reads every inbox with it."""
        titles.put(self.store, tuple(films), "csv", self.now, self.id(), b"s" * 32)
        catch_up(self.store, self.now)
        self.work()

    def flag(self, title_id: str, on: bool = True) -> None:
        two = ["operator:a", "operator:b"]
        self.store.write(titles.flag, title_id, "health", on, two, self.now, self.id(), b"s" * 32)
        catch_up(self.store, self.now)
        self.work()

    def work(self) -> None:
        while self.store.write(rows.work_any, self.now):
            pass

    def agree(
        self,
        purposes: Iterable[tuple[str, str]] = (("tailoring", "masked"),),
        partner: str = "streamflix",
        version: int = 1,
        **options: Any,
    ) -> str:
        """A published agreement; answers its id."""
        made = agreement.new(
            partner,
            list(purposes),
            [self.partner_key.public()],
            today=datetime.date(2026, 9, 1),
            id=f"{partner}-deal",
            **{"redirect_uris": ("https://streamflix.example/cb",), **options},
        )
        if version > 1:
            made = agreement.from_document({**made.document, "version": version, "signatures": []}, "test")
        signed = agreement.sign(made, self.partner_key)
        signed = agreement.sign(signed, self.installation.keyring.active("agreement"))
        jwks = self.installation.keyring.public("agreement")
        self.store.write(
            register.publish,
            signed.encode(),
            jwks,
            self.installation.mode.value,
            self.now,
            self.id(),
            b"s" * 32,
        )
        return signed.id

    def allow(
        self,
        owner_id: bytes,
        purpose: str = "tailoring",
        level: Level = Level.MASKED,
        *,
        agreement_id: str | None = None,
        partner: str | None = None,
        scope: dict[str, Any] | None = None,
        start: int | None = None,
        end: int | None = None,
        unanswered: Level = Level.NONE,
        until: int | None = None,
    ) -> grant.Grant:
        grant_id = self.id()
        values = {
            "owner_id": owner_id,
            "grant_id": grant_id,
            "purpose": purpose,
            "level": int(level),
            "agreement_id": agreement_id,
            "partner": partner,
            "client_id": None,
            "conversations": json.dumps(scope or {"mode": "all", "of": []}),
            "period_from": start,
            "period_to": end,
            "unanswered": int(unanswered),
            "created_at": self.now,
            "expires_at": until or self.now + grant.lifetime(purpose),
            "revoked_at": None,
            "seq": 0,
            "applied": 0,
            "filled_policy": 0,
        }
        self.store.write(grant.create, values, self.id(), b"s" * 32)
        self.work()
        with self.store.read() as snapshot:
            return grant.find(snapshot, owner_id, grant_id)

    def choose(
        self,
        handle: str,
        level: Level,
        purpose: str | None = "tailoring",
        partner: str | None = None,
        conversation: str | None = None,
    ) -> bytes:
        choice_id = self.id()
        self.store.write(
            choice.choose,
            self.installation.people,
            choice_id,
            handle,
            int(level),
            purpose,
            partner,
            conversation,
            self.now,
            "self",
            None,
            b"s" * 32,
        )
        return choice_id

    def withdraw(self, handle: str, choice_id: bytes) -> None:
        self.store.write(
            choice.withdraw, self.installation.people, handle, choice_id, self.now, self.id(), b"s" * 32
        )


_SERIAL = itertools.count()


def chat(
    text: str,
    sender: str | None = "telegram:user1",
    *,
    at: int = NOW - 10 * DAY,
    place: str = "c1",
    id: str | None = None,
    kind: Kind = Kind.TEXT,
    source: str = "telegram",
    **more: Any,
) -> Record:
    return Record(
        source=source,
        conversation=place,
        id=id or f"n{next(_SERIAL)}",
        sender=sender,
        sender_name=(sender or "").rpartition(":")[2],
        sent_at=at,
        quality=Quality.EXACT,
        kind=kind,
        text=text,
        **more,
    )


def mail(
    text: str,
    sender: str = "mail:ann@example.test",
    *,
    at: int = NOW - 10 * DAY,
    id: str | None = None,
    subject: str | None = "Hello",
    to: Iterable[str] = ("mail:me@example.test",),
    references: Iterable[str] = (),
    folder: str = "",
    raw: bytes | None = None,
) -> Record:
    native = id or f"n{next(_SERIAL)}@example.test"
    refs = tuple(references)
    address = sender.partition(":")[2]
    head = f"From: {address}\r\nTo: me@example.test\r\nSubject: {subject}\r\nMessage-ID: <{native}>"
    body = raw if raw is not None else f"{head}\r\n\r\n{text}".encode()
    return Record(
        source="mail",
        conversation=(refs[0] if refs else native),
        id=native,
        sender=sender,
        sender_name=address,
        sent_at=at,
        quality=Quality.EXACT,
        text=text,
        raw=body,
        mail=Mail(
            subject=subject,
            from_=(Person(sender, address),),
            to=tuple(Person(h, "") for h in to),
            message_id=(native,),
            references=refs,
            in_reply_to=refs[-1:],
            folder=folder,
        ),
    )
