"""The first pass: reads an export to its end and writes nothing.

It meets every refusal, and gathers what a part may use of the inbox besides itself: the people whom the export
names and each author's voice in each conversation. Whose words a record's text is, as the record itself tells,
stands here too: both passes ask it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

from byleave.model import Conversation, Handle, Kind, Ms, Part, Person, Record
from byleave.words import quotes
from byleave.words.language import Voice
from byleave.words.mask import remembered

Source = Callable[[], Iterator[Conversation | Record]]
"""Reads the export from its beginning, each time it is called."""
Progress = Callable[[str, int], None]
"""(step, records so far): `reading` or `importing`."""
LARGE = 150_000
_DIGIT = re.compile(r"[\d\u0080-\U0010ffff]")
"""Where there is none, nothing written before matters to a mask (`mask.mask`)."""


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
        self.characters = 0
        self.before: dict[int, str] = {}
        """Number of a record → what its sender wrote before that its mask may need (`mask.remembered`)."""
        self._cued: dict[tuple[str, str, Handle | None], str] = {}

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
        if item.shared_of is not None:
            self._person(Person(item.shared_of), None)
        if item.mail is not None:
            for person in people_of(item):
                self._person(person, None)
            if item.mail.folder:
                self.folders[item.mail.folder] = None
        self._hear((*key, item.sender), own_text(item))

    def _hear(self, who: tuple[str, str, Handle | None], text: str) -> None:
        self.characters += len(text)
        voice = self.voices.get(who)
        if voice is None:
            voice = self.voices[who] = Voice()
        voice.add(text)
        if who in self._cued:
            cue = self._cued.pop(who)
            if _DIGIT.search(text):
                self.before[self.records] = cue
        if cue := remembered(text):
            self._cued[who] = cue

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


def gather(read: Source, progress: Progress, ready: Callable[[], None] | None = None) -> Gathered:
    """The first pass: reads to the end, so that a refusal at the last line has written nothing. `ready` is called
    once it shows that the export is a large one (`LARGE` characters)."""
    found = Gathered()
    for item in read():
        found.take(item)
        if ready is not None and found.characters > LARGE:
            ready()
            ready = None
        if found.records % 1000 == 0:
            progress("reading", found.records)
    progress("reading", found.records)
    return found
