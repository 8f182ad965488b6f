"""Record → identity → mask → fragments → store: the whole way in, in one file.

Rules of this file (sources.md "Interface", DESIGN.md "Flow"):

1. An export is read twice. The first pass writes nothing: it finds every refusal and gathers what a part may
   use of the inbox besides itself, the address book and each author's voice in each conversation. The second
   writes in batches under an import id that no view, count or export sees. `publish` is one transaction.
2. A message is masked and encoded once, here; a read only picks, fills slots and joins.
3. What is computed for a part may use that part, the same author's parts in that conversation and the inbox's
   address book: never another's words.
4. A record's id is drawn from its key by the store's secret: importing twice is importing once, and ids do not
   depend on what else the inbox holds.
5. A newer export adds and edits; an older one never undoes. An edit is a new record that replaces the old one.
"""

from __future__ import annotations

import hashlib
import hmac
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec
import orjson
from sqlalchemy import bindparam, delete, func, insert, select, tuple_, update

from byleave.consent import grant, identity
from byleave.errors import Code, Conflict
from byleave.model import Authentication, Conversation, Handle, Kind, Level, Ms, Part, Person, Record
from byleave.sources.parts import Message, bodies, has_attachment
from byleave.store import Snapshot, Store, Transaction, among, prepare
from byleave.store.bodies import fragment as fragment_table
from byleave.store.bodies import part as part_table
from byleave.store.bodies import raw as raw_table
from byleave.store.bodies import record as record_table
from byleave.store.tables import (
    conversation,
    fill,
    folder,
    handle,
    importing,
    link,
    member,
    message,
    name_seen,
    owner,
)
from byleave.words import fragment, quotes
from byleave.words.fragment import PREVIEW, Cuts, rfc3339, slot, text_json, with_body
from byleave.words.language import Verdict, Voice, shown
from byleave.words.mask import Span, Titles, mask
from byleave.words.people import People

BATCH = 1000
INBOX, SENT, ARCHIVE, CHATS = 1, 2, 3, 4
FIRST_FOLDER = 16
DIRECT = 1000
"""`link.place` of what stands in In-Reply-To; References count from 0."""
Source = Callable[[], Iterator[Conversation | Record]]
"""Reads the export from its beginning, each time it is called."""
Progress = Callable[[str, int], None]
"""(step, records so far): `reading` or `importing`."""


class Known(msgspec.Struct, frozen=True):
    """What stands under a native id already; `id` is b"" for what this import itself has written."""

    id: bytes
    digest: bytes
    kind: str


class Result(msgspec.Struct, frozen=True):
    """What an import came to."""

    import_id: bytes
    conversations: int
    added: int
    updated: int
    unchanged: int
    skipped: dict[str, int]


# ── statements ──────────────────────────────────────────────────────────────────────────────────────────────
_BY_NAME = prepare(select(owner.c.owner_id).where(owner.c.name == bindparam("name")))
_OWNERS = prepare(select(owner.c.owner_id, owner.c.name).order_by(owner.c.created_at, owner.c.owner_id))
_ADD_OWNER = prepare(insert(owner))
_HANDLES = prepare(
    select(handle.c.value, handle.c.handle, handle.c.own).where(handle.c.owner_id == bindparam("owner_id"))
)
_ADD_HANDLE = prepare(insert(handle))
_CLAIM = prepare(
    update(handle)
    .values(own=1, person=bindparam("to_person"))
    .where(handle.c.owner_id == bindparam("owner_id"), handle.c.value == bindparam("of_value"))
)
_NAME = prepare(
    update(handle)
    .values(name=bindparam("to_name"))
    .where(
        handle.c.owner_id == bindparam("owner_id"),
        handle.c.value == bindparam("of_value"),
        handle.c.name == "",
    )
)
_NAMES = prepare(
    select(handle.c.value, name_seen.c.name)
    .join(handle, (handle.c.owner_id == name_seen.c.owner_id) & (handle.c.handle == name_seen.c.handle))
    .where(name_seen.c.owner_id == bindparam("owner_id"))
)
_SEEN = prepare(
    select(name_seen.c.handle, name_seen.c.name).where(name_seen.c.owner_id == bindparam("owner_id"))
)
_ADD_NAME = prepare(insert(name_seen))
_CONVERSATIONS = prepare(
    select(
        conversation.c.source, conversation.c.key, conversation.c.conversation, conversation.c.horizon
    ).where(conversation.c.owner_id == bindparam("owner_id"))
)
_ADD_CONVERSATION = prepare(insert(conversation))
_MOVE_HORIZON = prepare(
    update(conversation)
    .values(horizon=bindparam("to"))
    .where(
        conversation.c.owner_id == bindparam("owner_id"), conversation.c.conversation == bindparam("number")
    )
)
_MEMBERS = prepare(
    select(member.c.conversation, member.c.handle).where(member.c.owner_id == bindparam("owner_id"))
)
_ADD_MEMBER = prepare(insert(member))
_PUBLISHED = prepare(
    select(importing.c.import_id).where(
        importing.c.owner_id == bindparam("owner_id"), importing.c.published_at.is_not(None)
    )
)
_FOLDERS = prepare(select(folder.c.name, folder.c.folder).where(folder.c.owner_id == bindparam("owner_id")))
_ADD_FOLDER = prepare(insert(folder))
_KNOWN = prepare(
    select(message.c.native, message.c.id, message.c.digest, message.c.kind, message.c.import_id).where(
        message.c.owner_id == bindparam("owner_id"), message.c.conversation == bindparam("conversation"),
        among(message.c.native, "natives"), message.c.replaced_at.is_(None),
    )
)  # fmt: skip
_BODY = prepare(
    select(record_table.c.body).where(
        record_table.c.owner_id == bindparam("owner_id"), record_table.c.id == bindparam("id")
    )
)
_ADD_MESSAGE = prepare(insert(message))
_ADD_LINK = prepare(insert(link))
_ADD_RAW = prepare(insert(raw_table))
_ADD_RECORD = prepare(insert(record_table))
_ADD_FRAGMENT = prepare(insert(fragment_table))
_ADD_PART = prepare(insert(part_table))
_START = prepare(insert(importing))
_PUBLISH = prepare(
    update(importing)
    .values(published_at=bindparam("now"))
    .where(
        importing.c.owner_id == bindparam("owner_id"), importing.c.import_id == bindparam("import_id"),
        importing.c.published_at.is_(None),
    )
)  # fmt: skip
_WAITS = prepare(
    select(importing.c.import_id).where(
        importing.c.owner_id == bindparam("owner_id"), importing.c.import_id == bindparam("import_id"),
        importing.c.published_at.is_(None),
    )
)  # fmt: skip
_EDITS = prepare(
    select(message.c.conversation, message.c.native, message.c.replaces).where(
        message.c.owner_id == bindparam("owner_id"),
        message.c.import_id == bindparam("import_id"),
        message.c.replaces.is_not(None),
    )
)
_REPLACE = prepare(
    update(message)
    .values(replaced_at=bindparam("now"))
    .where(
        message.c.owner_id == bindparam("of_owner"), message.c.conversation == bindparam("place"),
        message.c.native == bindparam("of_native"), message.c.id == bindparam("of_id"),
    )
)  # fmt: skip
_UNFINISHED = prepare(
    select(importing.c.owner_id, importing.c.import_id).where(importing.c.published_at.is_(None))
)
_THEIR_KEYS = select(message.c.sender, message.c.received_at, message.c.id).where(
    message.c.owner_id == bindparam("owner_id"), message.c.import_id == bindparam("import_id")
)
_THEIR_IDS = select(message.c.id).where(
    message.c.owner_id == bindparam("owner_id"), message.c.import_id == bindparam("import_id")
)
_DROP = [
    prepare(delete(table).where(table.c.owner_id == bindparam("owner_id"), table.c.id.in_(_THEIR_IDS)))
    for table in (link, raw_table, record_table, part_table)
] + [
    prepare(
        delete(table).where(
            table.c.owner_id == bindparam("owner_id"), tuple_(table.c.sender, table.c.received_at, table.c.id).in_(_THEIR_KEYS)
        )
    )
    for table in (fragment_table, message)
] + [prepare(delete(importing).where(importing.c.owner_id == bindparam("owner_id"), importing.c.import_id == bindparam("import_id")))]  # fmt: skip
_GRANTS_TASK = prepare(
    select(func.coalesce(func.max(fill.c.task), 0) + 1).where(
        fill.c.owner_id == bindparam("owner_id"), fill.c.grant_id == bindparam("grant_id")
    )
)
_ADD_TASK = prepare(insert(fill))


# ── owners ──────────────────────────────────────────────────────────────────────────────────────────────────
def owners(snapshot: Snapshot) -> dict[str, bytes]:
    """name → owner id, oldest first."""
    return {name: owner_id for owner_id, name in snapshot.all(_OWNERS)}


def make_owner(
    tx: Transaction, name: str, owner_id: bytes, grant_id: bytes, entry_id: bytes, salt: bytes, now: Ms
) -> None:
    """Procedure: an inbox is born with one grant of purpose `owner`, so that its owner comes by the one door."""
    if tx.one(_BY_NAME, name=name) is not None:
        return
    tx.run(_ADD_OWNER, owner_id=owner_id, name=name, created_at=now)
    values: dict[str, Any] = {
        "owner_id": owner_id, "grant_id": grant_id, "purpose": "owner", "level": int(Level.FULL),
        "agreement_id": None, "partner": None, "client_id": None, "conversations": '{"mode":"all","of":[]}',
        "period_from": None, "period_to": None, "unanswered": int(Level.FULL), "created_at": now,
        "expires_at": grant.FOREVER, "revoked_at": None, "seq": 0, "applied": 0, "filled_policy": 0,
    }  # fmt: skip
    grant.create(tx, values, entry_id, salt)


# ── the two passes ──────────────────────────────────────────────────────────────────────────────────────────
class Gathered:
    """What the first pass learned: people, conversations, voices and how far each conversation reaches."""

    def __init__(self) -> None:
        self.conversations: dict[tuple[str, str], str] = {}
        self.members: dict[tuple[str, str], dict[Handle, str]] = {}
        self.names: dict[Handle, dict[str, None]] = {}
        self.loose_names: dict[str, None] = {}
        self.senders: Counter[tuple[Handle | None, str]] = Counter()
        self.voices: dict[tuple[str, str, Handle | None], Voice] = {}
        self.horizons: dict[tuple[str, str], Ms] = {}
        self.folders: dict[str, None] = {}
        self.records = 0
        self.per_source: dict[str, set[tuple[str, str]]] = {}

    def take(self, item: Conversation | Record) -> None:
        if isinstance(item, Conversation):
            key = (item.source, item.key)
            self.conversations[key] = item.name or self.conversations.get(key, "")
            for person in item.members:
                self._person(person, key)
            if item.as_of is not None:
                self.horizons[key] = max(self.horizons.get(key, 0), item.as_of)
            return
        self.records += 1
        key = (item.source, item.conversation)
        self.conversations.setdefault(key, "")
        self._person(Person(item.sender, item.sender_name), key if item.source != "mail" else None)
        self.senders[item.sender, item.sender_name] += 1
        if item.sent_at is not None:
            self.horizons[key] = max(self.horizons.get(key, 0), item.sent_at)
        for reaction in item.reactions:
            self._person(Person(reaction.actor, reaction.actor_name), None)
        if item.mail is not None:
            for person in people_of(item):
                self._person(person, None)
            if item.mail.folder:
                self.folders[item.mail.folder] = None
        voice = self.voices.setdefault((*key, item.sender), Voice())
        voice.add(own_text(item))

    def _person(self, person: Person, key: tuple[str, str] | None) -> None:
        if person.handle is None:
            if person.name:
                self.loose_names[person.name] = None
            return
        names = self.names.setdefault(person.handle, {})
        if person.name:
            names[person.name] = None
        if key is not None:
            self.members.setdefault(key, {})[person.handle] = person.name


def people_of(record: Record) -> Iterator[Person]:
    """Everybody whom a mail's headers name."""
    mail = record.mail
    if mail is not None:
        for group in (mail.from_, mail.sender, mail.to, mail.cc, mail.bcc, mail.reply_to):
            yield from group


def own_pieces(record: Record) -> list[str]:
    """The pieces of a record that its own sender wrote, in order; the rest belongs to who wrote it."""
    return [p.text for p in parts_of(record) if is_own(p, record)]


def is_own(part: Part, record: Record) -> bool:
    """Did the record's own sender write this part?"""
    return (
        part.how in ("own", "signature")
        and (part.author is not None or record.mail is None)
        and part.author == record.sender
    )


def parts_of(record: Record) -> tuple[Part, ...]:
    """The parts of a record's text, each with who wrote it, as the record itself tells."""
    text, mail = record.text, record.mail
    if record.kind in (Kind.MEMBER, Kind.DELETED, Kind.OPAQUE, Kind.UNSUPPORTED) or not text:
        return ()
    if record.forwarded_from is not None:
        return (Part(author=record.forwarded_from.handle, how="forward", start=0, end=len(text), text=text),)
    if mail is None:
        return quotes.split_chat(text, author=record.sender)
    reply = bool(mail.in_reply_to or mail.references)
    return quotes.split(text, author=record.sender, subject=mail.subject, reply=reply)


def own_text(record: Record) -> str:
    return "".join(own_pieces(record)).strip("\n")


def gather(read: Source, progress: Progress) -> Gathered:
    """The first pass: reads to the end, so that a refusal at the last line has written nothing."""
    found = Gathered()
    for item in read():
        found.take(item)
        if found.records % 1000 == 0:
            progress("reading", found.records)
    progress("reading", found.records)
    return found


class Ingest:
    """The second pass of one import into one inbox."""

    def __init__(
        self, store: Store, secret: bytes, owner_id: bytes, import_id: bytes, found: Gathered, *,
        own: Iterable[Handle], titles: Titles, now: Ms, file_time: Ms, tier: str = "plain",
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
        self._previous: dict[tuple[int, int], str] = {}

    def run(self, read: Source, source: str, progress: Progress) -> Result:
        """Writes every record in batches and publishes them; on any error nothing of it stands."""
        try:
            with self.store.read() as snapshot:
                self._number(snapshot)
            self.store.write(_start, self.owner_id, self.import_id, source, self.now)
            records = (item for item in read() if isinstance(item, Record))
            done = 0
            while batch := list(islice(records, BATCH)):
                self.store.write(_write, self.owner_id, self.import_id, self._rows(batch))
                done += len(batch)
                progress("importing", done)
            self.store.write(publish, self.owner_id, self.import_id, self.now, self.fresh, self._horizons())
        except BaseException:
            self.store.write(discard, self.owner_id, self.import_id)
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
        self.people = People(dict.fromkeys(everyone))
        self.verdicts: dict[tuple[str, str, Handle | None], Verdict] = {}
        while found.voices:
            who, voice = found.voices.popitem()
            self.verdicts[who] = voice.judge()

    def _horizons(self) -> list[list[int]]:
        return [
            [self.conversations[k], at]
            for k, at in self.found.horizons.items()
            if at > self.old_horizons[self.conversations[k]]
        ]

    # one batch
    def _rows(self, batch: list[Record]) -> dict[str, list[dict[str, Any]]]:
        rows: dict[str, list[dict[str, Any]]] = {
            "message": [],
            "link": [],
            "raw": [],
            "record": [],
            "fragment": [],
            "part": [],
        }
        with self.store.read() as snapshot:
            known = self._known(snapshot, batch)
            for record in batch:
                self._row(snapshot, record, known, rows)
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
            for native, id, digest, kind, import_id in snapshot.all(
                _KNOWN, owner_id=self.owner_id, conversation=number, natives=asked
            ):
                if import_id == self.import_id:
                    known[number, native] = Known(b"", digest, "")
                elif import_id in self._published:
                    known.setdefault((number, native), Known(id, digest, kind))
        return known

    def _row(
        self,
        snapshot: Snapshot,
        record: Record,
        known: dict[tuple[int, str], Known],
        rows: dict[str, list[dict[str, Any]]],
    ) -> None:
        number = self.conversations[record.source, record.conversation]
        digest = digest_of(record)
        before = known.get((number, record.id))
        if record.mail is not None and before is not None and before.digest != digest:
            # Mail is never edited: another mail under the same Message-ID stands beside the first.
            record = msgspec.structs.replace(record, id=copy_id(record.id, digest))
            before = known.get((number, record.id))
        replaces = self._replaces(snapshot, record, number, digest, before)
        if replaces is None:
            return
        known[number, record.id] = Known(b"", digest, "")
        sender = self.handles.get(record.sender or "", identity.UNKNOWN)
        received_at = self._received_at(record)
        id = record_id(self.secret, self.owner_id, record, received_at, digest, replaces)
        written, text, masked, may_mask, parts = self._fragments(record, sender, number)
        at = {"owner_id": self.owner_id, "id": id}
        key = {**at, "sender": sender, "received_at": received_at}
        rows["message"].append(
            {
                **key, "conversation": number, "native": record.id, "mailbox": self._mailbox(record),
                "folder": self._folder(record), "sent_at": record.sent_at, "quality": record.quality.value,
                "kind": record.kind.value, "authentication": Authentication.CLAIMED.value, "digest": digest,
                "masked": int(may_mask), "parts": int(bool(parts)), "import_id": self.import_id, "replaces": replaces or None, "replaced_at": None,
            }
        )  # fmt: skip
        rows["fragment"].append({**key, "written": written, "text": text, "masked": masked})
        rows["part"].extend({**at, **part} for part in parts)
        rows["record"].append(
            {**at, "body": pack(msgspec.structs.replace(record, raw=b"") if record.raw else record)}
        )
        if record.raw:
            rows["raw"].append({**at, "bytes": zlib.compress(record.raw, 1)})
        if record.mail is not None:
            own = {msgid_number(m) for m in record.mail.message_id[:1]}
            named = {msgid_number(m): place for place, m in enumerate(record.mail.references[-50:])}
            named |= {msgid_number(m): DIRECT + place for place, m in enumerate(record.mail.in_reply_to[:5])}
            rows["link"].extend({**at, "msgid": m, "own": 1, "place": 0} for m in sorted(own))
            rows["link"].extend(
                {**at, "msgid": m, "own": 0, "place": named[m]} for m in sorted(named.keys() - own)
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

    # fragments
    def _fragments(
        self, record: Record, sender: int, number: int
    ) -> tuple[bytes, bytes | None, bytes | None, bool, list[dict[str, Any]]]:
        """(as the owner sees it, own words, own words masked, may it be shown masked, rows of `part`); None: as the
        one before."""
        parts = parts_of(record)
        own = "".join(p.text for p in parts if is_own(p, record)).strip("\n")
        subject = self._own_subject(record)
        head = self._head(record, sender, subject)
        text = with_body(head, own, [])
        written = (
            self._written_mail(record)
            if record.mail is not None
            else _written_chat(record, head, own, text, number)
        )
        previous = self._previous.get((sender, number), "")
        self._previous[sender, number] = own[:500]
        spans = mask(own, self.people, self.titles, tier=self.tier, previous=previous)
        subject_spans = mask(subject, self.people, self.titles, tier=self.tier) if subject else ()
        verdict = self.verdicts[record.source, record.conversation, record.sender]
        may = (not own or shown(own, verdict, spans)) and (
            not subject or shown(subject, verdict, subject_spans)
        )
        masked = None
        if may and (spans or subject_spans):
            if subject_spans:
                head = {**head, "subject": text_json(subject, self._cuts(subject, subject_spans))}
            masked = with_body(head, own, self._cuts(own, spans))
        pieces = self._pieces(record, parts, self._cuts(own, spans))
        return written, None if text == written else text, masked, may, pieces

    def _pieces(self, record: Record, parts: tuple[Part, ...], cuts: Cuts) -> list[dict[str, Any]]:
        """Rows of `part`: own pieces and those of others whom the record names and the inbox knows, in order; none
        where there is nobody else to show. `cuts` mask the own pieces, joined and stripped of blank lines."""
        others = {
            p.author: self.handles.get(p.author or "", 0)
            for p in parts
            if p.author is not None and not is_own(p, record)
        }
        if not any(others.values()):
            return []
        rows: list[dict[str, Any]] = []
        whole = "".join(p.text for p in parts if is_own(p, record))
        at = whole.find(whole.strip("\n")) * -1
        for part in parts:
            if is_own(part, record):
                end = at + len(part.text)
                mine = [
                    (max(a, at) - at, min(b, end) - at, what) for a, b, what in cuts if a < end and b > at
                ]
                author, may, at = 0, True, end
            else:
                author = others.get(part.author or "", 0)
                if not author:
                    continue
                spans = mask(part.text, self.people, self.titles, tier=self.tier)
                mine, voice = self._cuts(part.text, spans), Voice()
                voice.add(part.text)
                may = shown(part.text, voice.judge(), spans)
            body = msgspec.msgpack.encode([part.text, mine])
            rows.append({"n": len(rows), "author": author, "may": int(may), "body": body})
        return rows

    def _head(self, record: Record, sender: int, subject: str) -> dict[str, bytes]:
        """What a view other than the owner's shows around the words: people as slots, own subject only."""
        head = {
            "from": b"[" + slot("A", sender) + b"]",
            "subject": orjson.dumps(subject) if subject else b"null",
            "sentAt": orjson.dumps(rfc3339(record.sent_at)) if record.sent_at is not None else b"null",
            "hasAttachment": b"false", "sender": b"null", "to": b"null", "cc": b"null", "bcc": b"null", "replyTo": b"null",
        }  # fmt: skip
        if record.mail is not None:
            for name, people in (("to", record.mail.to), ("cc", record.mail.cc)):
                slots = [slot("A", self.handles[p.handle]) for p in people if p.handle is not None]
                head[name] = b"[" + b",".join(slots) + b"]" if slots else b"null"
        return head

    def _own_subject(self, record: Record) -> str:
        """A subject that its sender wrote; one taken over from another's mail is that other's words."""
        subject = record.mail.subject if record.mail is not None else None
        if not subject or quotes.subject_part(subject, record.sender).author is None:
            return ""
        return subject

    def _written_mail(self, record: Record) -> bytes:
        """The owner's mail as it is; body structure and HTML are read from the raw bytes when asked for."""
        mail = record.mail
        assert mail is not None

        def addresses(people: tuple[Person, ...]) -> bytes:
            if not people:
                return b"null"
            return orjson.dumps(
                [{"name": p.name or None, "email": (p.handle or "mail:").partition(":")[2]} for p in people]
            )

        segments = {
            "from": addresses(mail.from_), "sender": addresses(mail.sender), "to": addresses(mail.to),
            "cc": addresses(mail.cc), "bcc": addresses(mail.bcc), "replyTo": addresses(mail.reply_to),
            "subject": orjson.dumps(mail.subject),
            "sentAt": orjson.dumps(rfc3339(record.sent_at)) if record.sent_at is not None else b"null",
            "preview": text_json(" ".join(record.text[: 4 * PREVIEW].split()), [], PREVIEW),
            "size": str(len(record.raw)).encode(), "body": text_json(record.text, []),
            "messageId": orjson.dumps(list(mail.message_id) or None),
            "inReplyTo": orjson.dumps(list(mail.in_reply_to) or None),
            "references": orjson.dumps(list(mail.references) or None),
            "keywords": orjson.dumps(dict.fromkeys(mail.keywords, True)),
        }  # fmt: skip
        message = Message(record.raw)
        if message.plain:
            part = fragment.slotted(message.described(message.root, fragment.PART))
            value = message.value(message.root, 0)
            if not value["isEncodingProblem"]:
                segments["body"] = text_json(value["value"], [])
                segments["bodyStructure"] = part
                segments["textBody"] = segments["htmlBody"] = b"[" + part + b"]"
                segments["attachments"] = b"[]"
        segments["hasAttachment"] = b"true" if has_attachment(bodies(message.root)[2]) else b"false"
        return fragment.encode(segments)

    def _cuts(self, text: str, spans: tuple[Span, ...]) -> list[tuple[int, int, bytes]]:
        cuts: list[tuple[int, int, bytes]] = []
        for span in spans:
            if span.type == "PERSON":
                known = self.handles.get(span.person or "")
                name = " ".join(text[span.start : span.end].casefold().split())
                what = slot("P", known) if known else slot("N", name_number(self.secret, self.owner_id, name))
            else:
                what = f"[{span.type.lower()}]".encode()
            cuts.append((span.start, span.end, what))
        return cuts


def _written_chat(record: Record, head: dict[str, bytes], own: str, text: bytes, number: int) -> bytes:
    """The owner's chat message: with the conversation's name, files and shared words where there are any."""
    whole = "\n".join(filter(None, (record.text, record.shared_text)))
    if whole == own and not record.attachments:
        return text
    has = b"true" if record.attachments else b"false"
    return with_body({**head, "subject": slot("C", number), "hasAttachment": has}, whole, [])


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────
def record_id(
    secret: bytes, owner_id: bytes, record: Record, received_at: Ms, digest: bytes, replaces: bytes
) -> bytes:
    """16 bytes in the form of a UUIDv7 (RFC 9562 §5.7): 48 bits of time, the rest keyed by the record and by the
    one that it replaces, so that an edit taken back is a record of its own."""
    key = "\0".join((record.source, record.conversation, record.id)).encode()
    tail = hmac.digest(secret, owner_id + digest + key + replaces, "sha256")[:10]
    return (
        received_at.to_bytes(6, "big") + bytes((0x70 | tail[0] & 15, tail[1], 0x80 | tail[2] & 63)) + tail[3:]
    )


def digest_of(record: Record) -> bytes:
    """What makes a record this version of itself: all but where it stood, when a folder got it and the owner's own
    marks."""
    if record.mail is not None:
        mail = msgspec.structs.replace(record.mail, folder="", keywords=(), received_at=None)
        record = msgspec.structs.replace(record, raw=b"", place="", mail=mail)
    elif record.place or record.raw:
        record = msgspec.structs.replace(record, raw=b"", place="")
    return hashlib.blake2b(_encode(record), digest_size=16).digest()


def copy_id(id: str, digest: bytes) -> str:
    """The id of another mail under the same Message-ID."""
    return f"{id} {digest.hex()[:16]}"


def msgid_number(message_id: str) -> int:
    return int.from_bytes(hashlib.sha256(message_id.encode(errors="replace")).digest()[:8], "big") >> 1


def name_number(secret: bytes, owner_id: bytes, name: str) -> int:
    """32 bits that stand for a name that is nobody's handle, in one inbox."""
    return int.from_bytes(hmac.new(secret, owner_id + name.encode(), hashlib.sha256).digest()[:4], "big")


def pack(record: Record) -> bytes:
    plain: bytes = _encode(record)
    small = zlib.compress(plain, 1) if len(plain) > 600 else plain
    return b"z" + small if len(small) < len(plain) else b"p" + plain


def unpack(body: bytes) -> Record:
    return _decode(zlib.decompress(body[1:]) if body[:1] == b"z" else body[1:])


_RAW = prepare(
    select(raw_table.c.bytes).where(
        raw_table.c.owner_id == bindparam("owner_id"), raw_table.c.id == bindparam("id")
    )
)


def raw_of(snapshot: Snapshot, owner_id: bytes, id: bytes) -> bytes | None:
    """A mail's own bytes as they are kept (zlib), or None for what has none."""
    found: bytes | None = snapshot.value(_RAW, owner_id=owner_id, id=id)
    return found


def with_raw(record: Record, kept: bytes) -> Record:
    return msgspec.structs.replace(record, raw=zlib.decompress(kept))


# ── procedures ──────────────────────────────────────────────────────────────────────────────────────────────
def _start(tx: Transaction, owner_id: bytes, import_id: bytes, source: str, now: Ms) -> None:
    """Begins an import. What an import that died has left behind in this inbox goes first."""
    for of_owner, dead in tx.all(_UNFINISHED):
        if of_owner == owner_id:
            discard(tx, owner_id, dead)
    tx.run(_START, owner_id=owner_id, import_id=import_id, source=source, started_at=now, published_at=None)


def _write(tx: Transaction, owner_id: bytes, import_id: bytes, rows: dict[str, list[dict[str, Any]]]) -> None:
    _still_ours(tx.one(_WAITS, owner_id=owner_id, import_id=import_id) is not None)
    for name, statement in _WRITERS:
        tx.many(statement, rows[name])


def _still_ours(is_so: bool) -> None:
    if not is_so:
        raise Conflict(Code.CONFLICT, "another import into this inbox came between; import again")


_WRITERS = (
    ("message", _ADD_MESSAGE), ("link", _ADD_LINK), ("raw", _ADD_RAW), ("record", _ADD_RECORD), ("fragment", _ADD_FRAGMENT),
    ("part", _ADD_PART),
)  # fmt: skip
_FRESH = (
    ("handle", _ADD_HANDLE), ("claim", _CLAIM), ("named", _NAME), ("name", _ADD_NAME), ("conversation", _ADD_CONVERSATION),
    ("member", _ADD_MEMBER), ("folder", _ADD_FOLDER),
)  # fmt: skip


def publish(
    tx: Transaction,
    owner_id: bytes,
    import_id: bytes,
    now: Ms,
    fresh: dict[str, list[dict[str, Any]]],
    horizons: list[list[int]],
) -> None:
    """The moment an import counts: until this commits nobody sees any of it. Leaves a task for every grant.

    Raises Conflict where another import into this inbox came between: the numbers given out may be taken."""
    _still_ours(tx.run(_PUBLISH, owner_id=owner_id, import_id=import_id, now=now) == 1)
    for name, statement in _FRESH:
        tx.many(statement, fresh[name])
    edits = tx.all(_EDITS, owner_id=owner_id, import_id=import_id)
    tx.many(
        _REPLACE,
        [{"of_owner": owner_id, "place": c, "of_native": n, "of_id": r, "now": now} for c, n, r in edits],
    )
    tx.many(_MOVE_HORIZON, [{"owner_id": owner_id, "number": number, "to": at} for number, at in horizons])
    claimed = [identity.number_in(tx, owner_id, claim["of_value"]) for claim in fresh["claim"]]
    for found in grant.of_owner(tx, owner_id):
        if found.revoked_at is None:
            at_grant = {"owner_id": owner_id, "grant_id": found.grant_id}
            task = tx.value(_GRANTS_TASK, **at_grant)
            tx.run(_ADD_TASK, **at_grant, task=task, import_id=import_id, handle=None)
            for n, known in enumerate(claimed, 1):  # words that were another's are the owner's own now
                if known is not None and not found.for_owner:
                    tx.run(_ADD_TASK, **at_grant, task=task + n, import_id=None, handle=known[0])


def discard(tx: Transaction, owner_id: bytes, import_id: bytes) -> None:
    """Takes back an import that was not published."""
    for statement in _DROP:
        tx.run(statement, owner_id=owner_id, import_id=import_id)


def discard_unfinished(tx: Transaction) -> int:
    """Takes back every import whose process died before it published; answers how many."""
    unfinished = tx.all(_UNFINISHED)
    for owner_id, import_id in unfinished:
        discard(tx, owner_id, import_id)
    return len(unfinished)
