"""The second pass of an import: numbers for what is new, then every record, in batches, under an import id."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import Any

import msgspec
from sqlalchemy import bindparam, select

from byleave.consent import identity
from byleave.ingest import publish
from byleave.ingest.encode import Encoded, Encoder, Task
from byleave.ingest.gather import Gathered, Progress, Source
from byleave.ingest.kept import copy_id, digest_of, kept_raw, msgid_number, record_id, unpack
from byleave.ingest.workers import Workers
from byleave.model import Authentication, Handle, Kind, Ms, Person, Record
from byleave.store import Snapshot, Store, among, prepare
from byleave.store.bodies import record as record_table
from byleave.store.tables import conversation, folder, handle, importing, member, message, name_seen
from byleave.words.language import Verdict
from byleave.words.mask import Titles
from byleave.words.people import People

BATCH, BATCH_BYTES = 1000, 8 << 20
"""Records, and bytes of raw mail, that are written at a time."""
TASKS = 250
"""Records that a worker is handed at a time."""
AHEAD = 2
"""Batches that are being encoded while one is written."""
LARGE = 1 << 20
"""Bytes of a mail that are not handed around."""
INBOX, SENT, ARCHIVE, CHATS = 1, 2, 3, 4
FIRST_FOLDER = 16
DIRECT = 1000
"""`link.place` of what stands in In-Reply-To; References count from 0."""


Rows = dict[str, list[dict[str, Any]]]
"""Table → rows to insert."""


class Known(msgspec.Struct, frozen=True):
    """What stands under a native id already; `id` is b"" for what this import itself has written."""

    id: bytes
    digest: bytes
    kind: str
    authentication: str = Authentication.CLAIMED.value


class Result(msgspec.Struct, frozen=True):
    """What an import came to."""

    import_id: bytes
    conversations: int
    added: int
    updated: int
    unchanged: int
    skipped: dict[str, int]


# ── statements ──────────────────────────────────────────────────────────────────────────────────────────────
_HANDLES = prepare(
    select(handle.c.value, handle.c.handle, handle.c.own).where(handle.c.owner_id == bindparam("owner_id"))
)
_NAMES = prepare(
    select(handle.c.value, name_seen.c.name)
    .join(handle, (handle.c.owner_id == name_seen.c.owner_id) & (handle.c.handle == name_seen.c.handle))
    .where(name_seen.c.owner_id == bindparam("owner_id"))
)
_SEEN = prepare(
    select(name_seen.c.handle, name_seen.c.name).where(name_seen.c.owner_id == bindparam("owner_id"))
)
_CONVERSATIONS = prepare(
    select(
        conversation.c.source, conversation.c.key, conversation.c.conversation, conversation.c.horizon
    ).where(conversation.c.owner_id == bindparam("owner_id"))
)
_MEMBERS = prepare(
    select(member.c.conversation, member.c.handle).where(member.c.owner_id == bindparam("owner_id"))
)
_PUBLISHED = prepare(
    select(importing.c.import_id).where(
        importing.c.owner_id == bindparam("owner_id"), importing.c.published_at.is_not(None)
    )
)
_FOLDERS = prepare(select(folder.c.name, folder.c.folder).where(folder.c.owner_id == bindparam("owner_id")))
_KNOWN = prepare(
    select(
        message.c.native, message.c.id, message.c.digest, message.c.kind, message.c.import_id, message.c.authentication
    ).where(
        message.c.owner_id == bindparam("owner_id"), message.c.conversation == bindparam("conversation"),
        among(message.c.native, "natives"), message.c.replaced_at.is_(None),
    )
)  # fmt: skip
_BODY = prepare(
    select(record_table.c.body).where(
        record_table.c.owner_id == bindparam("owner_id"), record_table.c.id == bindparam("id")
    )
)


class _Batch:
    """A batch on its way to the store: the rows that are known, and the answers that the rest waits for."""

    def __init__(self) -> None:
        self.rows = no_rows()
        self.answers: list[Future[list[Encoded]]] = []


def no_rows() -> Rows:
    return {"message": [], "link": [], "raw": [], "record": [], "fragment": [], "part": []}


def part_rows(at: dict[str, Any], made: Encoded) -> Iterator[dict[str, Any]]:
    for n, author, may, body in made.parts:
        yield {**at, "n": n, "author": author, "may": may, "body": body}


def batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record.raw)
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class Ingest:
    """The second pass of one import into one inbox."""

    def __init__(
        self, store: Store, secret: bytes, owner_id: bytes, import_id: bytes, found: Gathered, *,
        own: Iterable[Handle], titles: Titles, now: Ms, file_time: Ms, tier: str = "plain", workers: Workers | None = None,
    ) -> None:  # fmt: skip
        self.store = store
        self.secret = secret
        self.owner_id = owner_id
        self.import_id = import_id
        self.found = found
        self.now = now
        self.file_time = file_time
        self.tier = tier
        self.titles = titles
        self.own = set(own)
        self.counts: Counter[str] = Counter()
        self._last_time: Ms = file_time
        self.workers = workers or Workers()
        self.begun: deque[_Batch] = deque()
        """Batches that are being encoded, in order."""
        self.read = 0

    def run(self, read: Source, source: str, progress: Progress) -> Result:
        """Writes every record in batches and publishes them; on any error nothing of it stands."""
        try:
            with self.store.read() as snapshot:
                self._number(snapshot)
            self.store.write(publish.start, self.owner_id, self.import_id, source, self.now)
            done = 0
            for batch in batches(item for item in read() if isinstance(item, Record)):
                self.begun.append(self._begin(batch))
                done += len(batch)
                if len(self.begun) > AHEAD:
                    self._write(self.begun[0])
                progress("importing", done)
            while self.begun:
                self._write(self.begun[0])
            self.store.write(
                publish.publish, self.owner_id, self.import_id, self.now, self.fresh, self._horizons()
            )
        except BaseException:
            self.store.write(publish.discard, self.owner_id, self.import_id)
            raise
        counts = self.counts
        skipped = {k: n for k, n in counts.items() if k not in ("added", "updated", "unchanged")}
        return Result(
            self.import_id,
            len(self.found.conversations),
            counts["added"],
            counts["updated"],
            counts["unchanged"],
            skipped,
        )

    def _write(self, batch: _Batch) -> None:
        """Writes the oldest batch; it counts as on its way until it stands."""
        self.store.write(publish.write, self.owner_id, self.import_id, self._rows(batch))
        self.begun.popleft()

    # what the first pass found
    def _number(self, snapshot: Snapshot) -> None:
        """Gives numbers to people, conversations and folders that are new to the inbox. They are written by
        `publish`: an import that is not published leaves nothing behind, not even a name."""
        found, owner_id = self.found, self.owner_id
        for mine in sorted(self.own):
            found.names.setdefault(mine, {})
        at = {"owner_id": owner_id}
        known = snapshot.all(_HANDLES, owner_id=owner_id)
        self.handles: dict[str, int] = {v: n for v, n, _ in known} or {"": identity.UNKNOWN}
        claimed = {v for v, _, own in known if own}
        old_names = set(snapshot.all(_SEEN, owner_id=owner_id))
        fresh: dict[str, list[dict[str, Any]]] = {
            "handle": [], "claim": [], "name": [], "named": [], "conversation": [], "member": [], "folder": [],
        }  # fmt: skip
        if not known:
            fresh["handle"].append(
                {**at, "handle": identity.UNKNOWN, "value": "", "name": "", "own": 0, "person": bytes(16)}
            )
        old = len(known)
        for value, names in found.names.items():
            number = self.handles.setdefault(value, len(self.handles))
            name, own = next(iter(names), ""), value in self.own
            if number >= max(old, 1):
                person = owner_id if own else identity.person_of(self.secret, value)
                fresh["handle"].append(
                    {**at, "handle": number, "value": value, "name": name, "own": int(own), "person": person}
                )
            else:
                if own and value not in claimed:
                    fresh["claim"].append({"owner_id": owner_id, "of_value": value, "to_person": owner_id})
                if name:
                    fresh["named"].append({"owner_id": owner_id, "of_value": value, "to_name": name})
            fresh["name"].extend(
                {**at, "handle": number, "name": n} for n in names if (number, n) not in old_names
            )
        fresh["name"].extend(
            {**at, "handle": 0, "name": n} for n in found.loose_names if (0, n) not in old_names
        )

        talks = {(s, k): (n, h) for s, k, n, h in snapshot.all(_CONVERSATIONS, owner_id=owner_id)}
        self.conversations: dict[tuple[str, str], int] = {key: n for key, (n, _) in talks.items()}
        self.old_horizons: dict[int, Ms] = dict(talks.values())
        for (source, key), name in found.conversations.items():
            if (source, key) not in talks:
                number = self.conversations[source, key] = len(self.conversations) + 1
                self.old_horizons[number] = -1
                fresh["conversation"].append(
                    {**at, "conversation": number, "source": source, "key": key, "name": name, "horizon": -1}
                )
        members = set(snapshot.all(_MEMBERS, owner_id=owner_id))
        for (source, key), people in found.members.items():
            number = self.conversations[source, key]
            new = sorted(
                {self.handles[v] for v in people} - {h for n, h in members if n == number}
                if number <= len(talks)
                else {self.handles[v] for v in people}
            )
            fresh["member"].extend({**at, "conversation": number, "handle": h} for h in new)
        self.folders: dict[str, int] = dict(snapshot.all(_FOLDERS, owner_id=owner_id))
        for name in found.folders:
            if name not in self.folders:
                self.folders[name] = FIRST_FOLDER + len(self.folders)
                fresh["folder"].append({**at, "folder": self.folders[name], "name": name})
        self.fresh = fresh
        self.news: list[str] = [row["name"] for row in fresh["name"]] if old_names else []
        self._published = {i for (i,) in snapshot.all(_PUBLISHED, owner_id=owner_id)}
        self._old_talks = len(talks)

        book = snapshot.all(_NAMES, owner_id=owner_id)
        everyone = [Person(v or None, n) for v, n in book]
        everyone += [Person(v, n) for v, names in found.names.items() for n in names]
        everyone += [Person(None, n) for n in found.loose_names] + [Person(v, "") for v in self.handles if v]
        book_of = People(dict.fromkeys(everyone))
        self.encoder = Encoder(self.secret, self.owner_id, self.handles, book_of, self.titles, self.tier)
        self.verdicts: dict[tuple[str, str, Handle | None], Verdict] = {}
        self.workers.learn(self.encoder)
        self.verdicts.update(self.workers.judged(found.voices))

    def _horizons(self) -> list[list[int]]:
        return [
            [self.conversations[k], at]
            for k, at in self.found.horizons.items()
            if at > self.old_horizons[self.conversations[k]]
        ]

    # one batch
    def _begin(self, batch: list[Record]) -> _Batch:
        """Looks up, numbers and hands out to be encoded what is new in a batch."""
        begun = _Batch()
        tasks: list[Task] = []
        with self.store.read() as snapshot:
            known = self._known(snapshot, batch)
            for record in batch:
                self.read += 1
                if (task := self._task(snapshot, record, known, begun)) is not None:
                    tasks.append(task)
        begun.answers = [self.workers.encoded(tasks[i : i + TASKS]) for i in range(0, len(tasks), TASKS)]
        return begun

    def _rows(self, batch: _Batch) -> Rows:
        """The rows of a batch, once it is encoded."""
        rows = batch.rows
        made = (one for answer in batch.answers for one in answer.result())
        for row, one in zip(rows["message"], made, strict=True):
            row["masked"], row["parts"] = int(one.may), int(bool(one.parts))
            at = {"owner_id": self.owner_id, "id": row["id"]}
            rows["fragment"].append(
                {**at, "sender": row["sender"], "received_at": row["received_at"], "written": one.written,
                 "text": one.text, "masked": one.masked}
            )  # fmt: skip
            rows["part"].extend(part_rows(at, one))
            rows["record"].append({**at, "body": one.body})
            if one.raw is not None:
                rows["raw"].append({**at, "bytes": one.raw})
        return rows

    def _known(self, snapshot: Snapshot, batch: list[Record]) -> dict[tuple[int, str], Known]:
        """What the inbox, and this import so far, hold under the batch's keys."""
        natives: dict[int, list[str]] = {}
        for record in batch:
            at = natives.setdefault(self.conversations[record.source, record.conversation], [])
            at.append(record.id)
            if record.mail is not None:
                at.append(copy_id(record.id, digest_of(record)))
        known: dict[tuple[int, str], Known] = {}
        for number, asked in natives.items():
            for native, id, digest, kind, import_id, authentication in snapshot.all(
                _KNOWN, owner_id=self.owner_id, conversation=number, natives=asked
            ):
                if import_id == self.import_id:
                    known[number, native] = Known(b"", digest, "")
                elif import_id in self._published:
                    known.setdefault((number, native), Known(id, digest, kind, authentication))
        for begun in self.begun:  # what is on its way to the store
            for row in begun.rows["message"]:
                known[row["conversation"], row["native"]] = Known(b"", row["digest"], "")
        return known

    def _task(
        self, snapshot: Snapshot, record: Record, known: dict[tuple[int, str], Known], begun: _Batch
    ) -> Task | None:
        """Notes what is new of a record in `begun`; what is left to encode, None where nothing is new."""
        number = self.conversations[record.source, record.conversation]
        digest = digest_of(record)
        before = known.get((number, record.id))
        if record.mail is not None and before is not None and before.digest != digest:
            # Mail is never edited: another mail under the same Message-ID stands beside the first.
            record = msgspec.structs.replace(record, id=copy_id(record.id, digest))
            before = known.get((number, record.id))
        replaces = self._replaces(snapshot, record, number, digest, before)
        if replaces is None:
            return None
        known[number, record.id] = Known(b"", digest, "")
        sender = self.handles.get(record.sender or "", identity.UNKNOWN)
        received_at = self._received_at(record)
        id = record_id(self.secret, self.owner_id, record, received_at, digest, replaces)
        begun.rows["message"].append(
            {
                "owner_id": self.owner_id, "id": id, "sender": sender, "received_at": received_at, "conversation": number,
                "native": record.id, "mailbox": self._mailbox(record), "folder": self._folder(record), "sent_at": record.sent_at,
                "quality": record.quality.value, "kind": record.kind.value, "authentication": record.authentication.value,
                "digest": digest, "import_id": self.import_id, "replaces": replaces or None, "replaced_at": None,
            }
        )  # fmt: skip
        if record.mail is not None:
            at = {"owner_id": self.owner_id, "id": id}
            own = {msgid_number(m) for m in record.mail.message_id[:1]}
            named = {msgid_number(m): place for place, m in enumerate(record.mail.references[-50:])}
            named |= {msgid_number(m): DIRECT + place for place, m in enumerate(record.mail.in_reply_to[:5])}
            begun.rows["link"].extend({**at, "msgid": m, "own": 1, "place": 0} for m in sorted(own))
            begun.rows["link"].extend(
                {**at, "msgid": m, "own": 0, "place": named[m]} for m in sorted(named.keys() - own)
            )
        verdict = self.verdicts[record.source, record.conversation, record.sender]
        written = None
        if len(record.raw) > LARGE:
            begun.rows["raw"].append({"owner_id": self.owner_id, "id": id, "bytes": kept_raw(record.raw)})
            written = self.encoder.written_mail(record, received_at)
            record = msgspec.structs.replace(record, raw=b"")
        return Task(
            record, sender, number, received_at, verdict, self.found.before.get(self.read, ""), written
        )

    def _replaces(
        self, snapshot: Snapshot, record: Record, number: int, digest: bytes, old: Known | None
    ) -> bytes | None:
        """b"" for a new record, the old record's id for an edit, None where nothing is to be written."""
        if old is None:
            self.counts["added"] += 1
            return b""
        if not old.id:
            self.counts["unchanged" if old.digest == digest else "duplicate id"] += 1
            return None
        if old.digest != digest and old.authentication != record.authentication:
            self.counts["vouched for otherwise"] += 1  # a claim edits nothing that somebody vouches for
            return None
        if old.digest == digest or self._is_older(snapshot, record, number, old):
            self.counts["unchanged"] += 1
            return None
        self.counts["updated"] += 1
        return old.id

    def _is_older(self, snapshot: Snapshot, record: Record, number: int, old: Known) -> bool:
        """Does `record` come from an export older than the one that gave us what we have?"""
        before = unpack(snapshot.value(_BODY, owner_id=self.owner_id, id=old.id))
        if old.kind == Kind.DELETED and record.kind is not Kind.DELETED:
            return True
        rank, old_rank = (record.revision, record.edited_at or 0), (before.revision, before.edited_at or 0)
        horizon = self.found.horizons.get((record.source, record.conversation), 0)
        return rank < old_rank or (rank == old_rank and horizon < self.old_horizons[number])

    def _received_at(self, record: Record) -> Ms:
        """When it came; a missing time takes the neighbour's before it in the file, else the file's date."""
        at = (
            record.mail.received_at
            if record.mail is not None and record.mail.received_at is not None
            else record.sent_at
        )
        if at is None:
            return self._last_time
        self._last_time = min(max(0, at), (1 << 47) - 1)
        return self._last_time

    def _mailbox(self, record: Record) -> int:
        """Which of the four mailboxes a view other than the owner's shows it in (spec api.md)."""
        if record.mail is None:
            return CHATS
        name = record.mail.folder.rsplit("/", 1)[-1].lower()
        if record.sender in self.own or name == "sent":
            return SENT
        return INBOX if name in ("", "inbox") else ARCHIVE

    def _folder(self, record: Record) -> int:
        """Where the owner sees it: the real folder; a file without folders is inbox."""
        if record.mail is None:
            return CHATS
        return self.folders.get(record.mail.folder, INBOX)
