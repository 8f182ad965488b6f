"""The nouns of the house as frozen structs. They know no database, no protocol and no clock.

Times are integers: milliseconds since 1970-01-01T00:00:00Z (`Ms`). Handles are strings `kind:value` exactly
as the spec's "Identity" gives them: `mail:ann@example.test`, `tel:+15550100`, `telegram:user42`,
`whatsapp:<conversation>/<name>`.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TypeAlias

import msgspec

Ms: TypeAlias = int
Handle: TypeAlias = str


class Level(IntEnum):
    """What a view yields, lowest first. The lowest yes wins, so levels are compared and `min`ed."""

    NONE = 0
    SIGNALS = 1
    MASKED = 2
    TEXT = 3
    FULL = 4

    @classmethod
    def named(cls, name: str) -> Level:
        """The level called `name` (`none`, `signals`, …). Raises KeyError for any other word."""
        return cls[name.upper()]

    @property
    def word(self) -> str:
        return self.name.lower()


class Mode(StrEnum):
    """Who may decide for whom in a store (consent.md, "Stores")."""

    PERSONAL = "personal"
    SANDBOX = "sandbox"
    PROVIDER = "provider"


class Quality(StrEnum):
    """How well the source told the time of a record."""

    EXACT = "exact"
    MINUTE = "minute"
    LOCAL_GUESS = "local-guess"
    MISSING = "missing"


class Kind(StrEnum):
    TEXT = "text"
    SHARE = "share"
    ATTACHMENT = "attachment"
    REACTION = "reaction"
    CALL = "call"
    MEMBER = "member"
    DELETED = "deleted"
    UNSUPPORTED = "unsupported"
    OPAQUE = "opaque"


class Authentication(StrEnum):
    """Who vouches for the sender of a record (consent.md, "Sender authentication")."""

    SOURCE = "source"
    ALIGNED = "aligned"
    CLAIMED = "claimed"


class Person(msgspec.Struct, frozen=True, omit_defaults=True):
    """A handle and the name that stood beside it."""

    handle: Handle | None
    name: str = ""


class Reaction(msgspec.Struct, frozen=True, omit_defaults=True):
    emoji: str
    actor: Handle | None = None
    actor_name: str = ""
    at: Ms | None = None


class Attachment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file named by a record. Only its name is kept of chats; of mail the part stays in the raw bytes."""

    name: str = ""
    type: str = ""
    size: int | None = None


class Mail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What RFC 5322 adds to a record. Addresses are handles `mail:…` (lower case) with the name as seen; an
    address that cannot be read has handle None. Message-IDs stand without angle brackets (RFC 8621
    §4.1.2.4)."""

    subject: str | None = None
    from_: tuple[Person, ...] = ()
    sender: tuple[Person, ...] = ()
    to: tuple[Person, ...] = ()
    cc: tuple[Person, ...] = ()
    bcc: tuple[Person, ...] = ()
    reply_to: tuple[Person, ...] = ()
    message_id: tuple[str, ...] = ()
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    received_at: Ms | None = None
    folder: str = ""
    """Name of the folder or label the export gave, "" where it gave none."""
    keywords: tuple[str, ...] = ()
    """JMAP keywords the export gave (`$seen`, …): the owner's private data."""
    html_only: bool = False
    """True where the text was taken out of an HTML part because there is no text/plain part."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message as its source shows it (sources.md, "Canonical record")."""

    source: str
    """`mail`, `whatsapp`, `telegram`, `messenger`, `instagram`."""
    conversation: str
    """Key of the conversation, unique in (owner, source)."""
    id: str
    """Unique in its conversation; holds the native id unchanged, else a stable key."""
    sender: Handle | None
    """None where the sender cannot be resolved: `none` for everyone but the owner."""
    sender_name: str
    sent_at: Ms | None
    quality: Quality
    kind: Kind = Kind.TEXT
    text: str = ""
    reply_to: str | None = None
    """`id` of the record replied to, in the same conversation."""
    edited_at: Ms | None = None
    reactions: tuple[Reaction, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    forwarded_from: Person | None = None
    """Set where the text was written by somebody else; handle None where the source does not tell by whom."""
    revision: int = 0
    """Which state of the message this is where the source tells no time of it: 0 as sent, 1 edited, 2
    deleted. A lower one never replaces a higher one: it comes from an older export."""
    shared_text: str = ""
    """Words of a shared link's page or post, or a contact card: somebody else's, author unknown unless `shared_of` is set."""
    shared_of: Handle | None = None
    """Whose contact card `shared_text` is: it follows that person's choice."""
    authentication: Authentication = Authentication.CLAIMED
    mail: Mail | None = None
    raw: bytes = b""
    """The source's bytes for this record, byte-exact for mail; b"" where the canonical record says it all."""
    place: str = ""
    """Where in the file it stood, for refusals: "line 12", "byte 3400", "message 7"."""


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as its source shows it. An importer yields it before the first of its records; yielding
    it again adds members."""

    source: str
    key: str
    name: str = ""
    members: tuple[Person, ...] = ()
    as_of: Ms | None = None
    """Newest time in this export of it, given with the last yield: of two exports the later one is the
    newer."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a record with one author. `start` and `end` are code points in the record's text."""

    author: Handle | None
    how: str
    """own, quote, forward, attribution, signature, footer, subject, reaction, share."""
    start: int
    end: int
    text: str
