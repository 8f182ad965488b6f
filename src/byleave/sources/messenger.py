"""Meta's JSON: Messenger and Instagram ("download your information"), and Messenger's end-to-end encrypted
store.

Rules of this file:

1. Two schemas. *DYI*: `…/<slug>_<id>/message_N.json` with `sender_name`, `timestamp_ms`; its strings are
   UTF-8 bytes written as `\\u00XX` and are repaired one by one, only where that round-trips. *E2EE*:
   `<Name>_<n>.json` with `senderName`, `timestamp`; right as it stands, never repaired.
2. The source is `messenger` or `instagram` by what the export shows: its folders, else its files' names
   inside it, else its own name and the folders it lies in, else `messenger`.
3. There are only names. A handle is `messenger:<conversation>/<name>`; a name that the conversation lists
   twice, and a deleted account's ("Facebook user"), is unknown.
4. message_1..N of a folder are one conversation, newest first within and across files. Its key is the last
   part of `thread_path`, else the folder's name, else how it begins (chat.py, rule 3). The key leaves out
   the box (inbox, archived_threads, …): threads move between them.
5. No ids: time in ms, sender and which one (chat.py, rule 2). Words are no part of it, so a message that was
   unsent later is the same record.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple
from unicodedata import normalize

from byleave.errors import Code, Refused
from byleave.model import Attachment, Conversation, Kind, Ms, Person, Quality, Reaction, Record
from byleave.sources import Claim, Options
from byleave.sources import messenger_phrases as phrases
from byleave.sources.archive import Export
from byleave.sources.chat import LAST_MS, Beginning, Ordinals, clean, clean_name
from byleave.sources.jsonstream import JsonStream

_HEAD_LIMIT = 4 << 20
_SECONDS = range(10**9, 10**10)
"""A time in ms that only makes sense in seconds: which one is meant, nobody can tell."""
_DYI_FILE = re.compile(r"message_(\d{1,6})\.json", re.IGNORECASE)
_FILES = ("photos", "videos", "audio_files", "gifs", "files")
_TYPES = {"photos": "image/jpeg", "videos": "video/mp4", "gifs": "image/gif"}


class _Thread(NamedTuple):
    """The files of one conversation, newest first."""

    files: tuple[str, ...]
    e2ee: bool


class MessengerImporter:
    name = "messenger"
    options: dict[str, str] = {}  # noqa: RUF012 (the protocol's shape)
    fields: dict[str, str] = {  # noqa: RUF012
        "source": "messenger or instagram, by what the export shows",
        "id": "timestamp in ms, a digest of the sender's name, which one of that time",
        "sender": "<source>:<conversation>/<name>; none for deleted accounts and names listed twice",
        "sender_name": "sender_name (E2EE: senderName)",
        "sent_at": "timestamp_ms (timestamp)",
        "text": "content (text), else the link of a share",
        "shared_text": "share_text, and the link beside a text",
        "reactions": "reactions with actor",
        "attachments": "file names of photos, videos, audio, gifs, files, sticker",
        "kind": "text, share, attachment, reaction (notices), call, member, deleted, unsupported",
    }
    refusals: tuple[str, ...] = (
        "HTML export (remedy: export as JSON)",
        "broken or cut JSON, by member and byte",
        "a message that is no object or has an impossible time, by number",
    )

    def sniff(self, export: Export) -> Claim | None:
        threads = _threads(export)
        if not threads:
            return None
        keys = "senderName and timestamp" if threads[0].e2ee else "sender_name and timestamp_ms"
        return Claim(_source(export, threads), f"messages with {keys}, in {threads[0].files[0]}")

    def read(self, export: Export, options: Options) -> Iterator[Conversation | Record]:
        threads = _threads(export)
        source = _source(export, threads)
        for thread in threads:
            yield from _Reader(export, source, thread).read()


# -- which members are conversations --


def _threads(export: Export) -> list[_Thread]:
    """Files by conversation. In a DYI export one file of a folder is looked into, of others each."""
    folders: dict[str, list[tuple[int, str]]] = {}
    single: list[str] = []
    for name in export.names:
        folder, _, base = name.rpartition("/")
        numbered = _DYI_FILE.fullmatch(base)
        if numbered and (folder or len(export.names) > 1 or export.is_folder):
            folders.setdefault(folder, []).append((int(numbered[1]), name))
        elif base.lower().endswith(".json") or len(export.names) == 1:
            single.append(name)
    found: list[tuple[str | None, tuple[str, ...]]] = []
    for _, files in sorted(folders.items()):
        names = tuple(name for _, name in sorted(files))
        found.append((next((s for s in (_schema(export, n) for n in names[:3]) if s), None), names))
    found += [(_schema(export, name), (name,)) for name in single]
    schemas = {schema for schema, _ in found}
    if not schemas & {"dyi", "e2ee"}:
        return []
    # Beside sound conversations a broken one is not left out: reading it refuses the whole, with its place.
    e2ee_only = "dyi" not in schemas
    return [_Thread(names, s == "e2ee" or (s == "broken" and e2ee_only)) for s, names in found if s]


def _schema(export: Export, name: str) -> str | None:
    """`dyi`, `e2ee`, `broken` or None, by the first message, or by participants and title."""
    with export.open(name) as stream:
        json = JsonStream(stream, export.name, limit=_HEAD_LIMIT)
        keys: set[str] = set()
        try:
            if json.peek() != "{":
                return None
            for key in json.members():
                keys.add(key)
                if key == "messages" and json.peek() == "[":
                    for message in json.values():
                        if not isinstance(message, dict):
                            return None
                        if "sender_name" in message and "timestamp_ms" in message:
                            return "dyi"
                        return "e2ee" if "senderName" in message and "timestamp" in message else None
                else:
                    json.skip()
        except Refused:
            return "broken"
        if "messages" in keys and "participants" in keys:
            return "e2ee" if "threadName" in keys else "dyi" if "thread_path" in keys else None
    return None


def _source(export: Export, threads: list[_Thread]) -> str:
    """Rule 2."""
    names = "\n".join(t.files[0] for t in threads).lower()
    if found := _told(names if len(export.names) > 1 or export.is_zip else ""):
        return found
    for thread in threads[:20]:
        head = export.head(thread.files[0]).lower()
        for sign, source in (
            (b"your_instagram_activity", "instagram"),
            (b"your_facebook_activity", "messenger"),
        ):
            if sign in head:
                return source
        if b'"instagram user"' in head or b'"instagrammer"' in head:
            return "instagram"
    for part in reversed(export.path.absolute().parts):
        if found := _told(part.lower()):
            return found
    return "messenger"


def _told(names: str) -> str | None:
    if "instagram" in names:
        return "instagram"
    return "messenger" if "facebook" in names or "messenger" in names else None


# -- one conversation --


class _Head:
    """What the first pass over a thread tells."""

    def __init__(self) -> None:
        self.title = ""
        self.path = ""
        self.participants: list[str] = []
        self.beginning = Beginning()
        self.empty = True


class _Reader:
    """Reads one conversation in two passes: what stands behind the messages decides how they are read."""

    def __init__(self, export: Export, source: str, thread: _Thread) -> None:
        self._export, self._source, self._thread = export, source, thread
        self._many = len(export.names) > 1 or export.is_zip
        self._fix = _as_it_stands if thread.e2ee else _repaired

    def read(self) -> Iterator[Conversation | Record]:
        head = _Head()
        for name in self._thread.files:
            self._look(name, head)
        if head.empty:
            return
        key = self._key(head)
        counts = Counter(head.participants)
        twice = frozenset(name for name, count in counts.items() if count > 1)
        people = _People(self._source, key, twice)
        members = tuple(people.person(name) for name in counts)
        yield Conversation(source=self._source, key=key, name=head.title, members=members)
        messages = _Messages(self._source, key, people, self._fix)
        make = messages.e2ee if self._thread.e2ee else messages.dyi
        newest: Ms | None = None
        for name in self._thread.files:
            for number, message in enumerate(self._messages(name), 1):
                try:
                    record = make(message, f"{name}, message {number}" if self._many else f"message {number}")
                except (ValueError, TypeError, KeyError, AttributeError):
                    raise self._export.refused(
                        Code.MALFORMED,
                        name,
                        "is not what Meta writes",
                        "export it again as JSON",
                        f"message {number}",
                    ) from None
                if record.sent_at is not None and (newest is None or record.sent_at > newest):
                    newest = record.sent_at
                yield record
        yield Conversation(source=self._source, key=key, name=head.title, members=members, as_of=newest)

    def _key(self, head: _Head) -> str:
        if self._thread.e2ee:
            # No thread id, and the number in the file's name counts the download, not the thread.
            return head.beginning.key("e2ee")
        if slug := clean_name(head.path.rstrip("/").rsplit("/", 1)[-1]):
            return slug
        folder = self._thread.files[0].rpartition("/")[0].rsplit("/", 1)[-1]
        return clean_name(folder) or head.beginning.key()

    def _open(self, name: str) -> Iterator[tuple[JsonStream, str]]:
        """Each key of the file's object; the caller takes the value."""
        with self._export.open(name) as stream:
            json = JsonStream(stream, self._export.name, name if self._many else "")
            for key in json.members():
                yield json, key
            json.end()

    def _messages(self, name: str) -> Iterator[Any]:
        for json, key in self._open(name):
            if key == "messages" and json.peek() == "[":
                yield from json.values()
            else:
                json.skip()

    def _look(self, name: str, head: _Head) -> None:
        e2ee = self._thread.e2ee
        who, when = ("senderName", "timestamp") if e2ee else ("sender_name", "timestamp_ms")
        first = not head.participants
        for json, key in self._open(name):
            if key == "messages" and json.peek() == "[":
                for message in json.values():
                    head.empty = False
                    if isinstance(message, dict):
                        at, sender = message.get(when), message.get(who)
                        if isinstance(at, int) and isinstance(sender, str):
                            head.beginning.add(at, self._fix(sender))
            elif key == "participants" and json.peek() == "[":
                names = [p.get("name") if isinstance(p, dict) else p for p in json.values()]
                if first:
                    head.participants = [self._name(n) for n in names if isinstance(n, str) and n]
            elif key in ("title", "threadName", "thread_path"):
                value = json.value()
                if isinstance(value, str) and key == "thread_path":
                    head.path = head.path or value
                elif isinstance(value, str):
                    head.title = head.title or self._name(value)
            else:
                json.skip()

    def _name(self, raw: str) -> str:
        name = normalize("NFC", clean_name(self._fix(raw)))
        return re.sub(r"_\d+\Z", "", name) if self._thread.e2ee else name


class _People:
    """Names of one conversation to handles (rule 3)."""

    def __init__(self, source: str, conversation: str, twice: frozenset[str]) -> None:
        self._prefix, self._twice = f"{source}:{conversation}/", twice
        self._known: dict[str, Person] = {}

    def person(self, name: str) -> Person:
        person = self._known.get(name)
        if person is None:
            unknown = not name or name in self._twice or name.lower() in phrases.GONE
            person = Person(None if unknown else self._prefix + name, name)
            if len(self._known) < 20_000:
                self._known[name] = person
        return person


class _Messages:
    """Turns message objects into records. Raises ValueError, TypeError, KeyError or AttributeError for
    others."""

    def __init__(self, source: str, conversation: str, people: _People, fix: Any) -> None:
        self._source, self._conversation, self._people, self._fix = source, conversation, people, fix
        self._ordinals = Ordinals()
        self._senders: dict[str, Person] = {}

    def dyi(self, m: dict[str, Any], place: str) -> Record:
        fix = self._fix
        content = m.get("content")
        text = clean(fix(content)) if content else ""
        share = m.get("share") or {}
        link = clean(fix(share.get("link") or ""))
        shared = [clean(fix(share.get("share_text") or ""))] if share else []
        files = _files(m)
        kind, revision = Kind.TEXT, 0
        if m.get("is_unsent"):
            kind, revision, text, files, shared = Kind.DELETED, 2, "", (), []
        elif (
            "call_duration" in m
            or m.get("type") == "Call"
            or (text and len(text) < 200 and phrases.CALL.fullmatch(text))
        ):
            kind = Kind.CALL
        elif m.get("type") in ("Subscribe", "Unsubscribe") or m.get("users"):
            kind = Kind.MEMBER
        elif share:
            kind = Kind.SHARE
            if not text:
                text = link
            elif link and link not in text:
                shared.insert(0, link)
        elif text:
            if len(text) < 200:
                kind = _notice_kind(text)
        else:
            kind = Kind.ATTACHMENT if files else Kind.UNSUPPORTED
        return self._record(m["sender_name"], m.get("timestamp_ms"), kind, text, files, m.get("reactions"),
                            revision, "\n".join(s for s in shared if s), place)  # fmt: skip

    def e2ee(self, m: dict[str, Any], place: str) -> Record:
        text = clean(m.get("text") or "")
        files = tuple(Attachment(_base(f["uri"])) for f in m.get("media") or ())
        kind, revision, sort = Kind.TEXT, 0, m.get("type")
        if m.get("isUnsent") or text.strip().rstrip(".").lower() in phrases.UNSENT:
            kind, revision, text, files = Kind.DELETED, 2, "", ()
        elif sort == "placeholder":
            kind = (
                Kind.CALL
                if phrases.CALL.fullmatch(text)
                else Kind.MEMBER
                if phrases.MEMBER.fullmatch(text)
                else Kind.UNSUPPORTED
            )
        elif sort == "link" and text:
            kind = Kind.SHARE
        elif not text:
            kind = Kind.ATTACHMENT if files else Kind.UNSUPPORTED
        elif len(text) < 200:
            kind = _notice_kind(text)
        return self._record(m["senderName"], m.get("timestamp"), kind, text, files, m.get("reactions"),
                            revision, "", place)  # fmt: skip

    def _record(
        self, raw_name: str, at: Ms | None, kind: Kind, text: str, files: tuple[Attachment, ...],
        reactions: list[dict[str, Any]] | None, revision: int, shared: str, place: str,
    ) -> Record:  # fmt: skip
        if at is not None and (
            isinstance(at, bool) or not isinstance(at, int) or not 0 <= at <= LAST_MS or at in _SECONDS
        ):
            raise ValueError
        sender = self._sender(raw_name)
        return Record(
            source=self._source,
            conversation=self._conversation,
            id=self._ordinals.key(at, sender.name),
            sender=sender.handle,
            sender_name=sender.name,
            sent_at=at,
            quality=Quality.EXACT if at is not None else Quality.MISSING,
            kind=kind,
            text=text,
            reactions=tuple(self._reaction(r) for r in reactions) if reactions else (),
            attachments=files,
            revision=revision,
            shared_text=shared,
            place=place,
        )

    def _sender(self, raw: str) -> Person:
        person = self._senders.get(raw)
        if person is None:
            person = self._people.person(normalize("NFC", clean_name(self._fix(raw or ""))))
            if len(self._senders) < 20_000:
                self._senders[raw] = person
        return person

    def _reaction(self, r: dict[str, Any]) -> Reaction:
        actor = self._sender(r.get("actor") or "")
        at = r.get("timestamp")
        exact = isinstance(at, int) and not isinstance(at, bool) and 0 <= at <= LAST_MS // 1000
        return Reaction(
            clean(self._fix(r["reaction"])), actor.handle, actor.name, at * 1000 if exact and at else None
        )


def _notice_kind(text: str) -> Kind:
    if phrases.REACTED_WHOLE.fullmatch(text):
        return Kind.REACTION
    return Kind.MEMBER if phrases.MEMBER.fullmatch(text) else Kind.TEXT


def _files(m: dict[str, Any]) -> tuple[Attachment, ...]:
    found = []
    for key in _FILES:
        for file in m.get(key) or ():
            name = _base(_repaired(file["uri"]))
            found.append(
                Attachment(
                    name, _TYPES.get(key, "") if name.rpartition(".")[2] in ("jpg", "mp4", "gif") else ""
                )
            )
    if sticker := m.get("sticker"):
        found.append(Attachment(_base(sticker["uri"])))
    return tuple(found)


def _base(uri: str) -> str:
    return clean_name(uri.split("?", 1)[0].replace("\\", "/").rsplit("/", 1)[-1])


def _repaired(text: str) -> str:
    """UTF-8 bytes that were written as `\\u00XX` put back together, where they are such bytes."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return text


def _as_it_stands(text: str) -> str:
    return text
