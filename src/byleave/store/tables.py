"""All tables but the bodies and those of `asking.py`. `rules.py` holds them to the rules that let the schema run on Citus.

Words: `owner_id` is 16 bytes, made by the application (UUIDv7), and distributes everything large. `sender`,
`handle` and `conversation` are small integers inside one inbox (0 = unknown sender), `id` is a record's 16
bytes (`ingest.record_id`: 48 bits of time, the rest keyed by the record itself). Times are ms UTC.
"""

from __future__ import annotations

from sqlalchemy import Index, PrimaryKeyConstraint, UniqueConstraint, literal_column

from byleave.store import asking as asking  # its tables belong to the same metadata
from byleave.store import recalls as recalls
from byleave.store.schema import blob, number, table, words
from byleave.store.schema import metadata as metadata

# ── the store itself ────────────────────────────────────────────────────────────────────────────────────────
setting = table("setting", words("name"), words("value"), PrimaryKeyConstraint("name"), kind="reference")
"""mode, created_at, redaction version, …: one value a name."""

version = table("version", words("name"), number("number"), PrimaryKeyConstraint("name"), kind="reference")
"""Counters that bind every worker: `consent` (highest withdrawal number), `policy`."""

# ── who said yes ────────────────────────────────────────────────────────────────────────────────────────────
agreement = table(
    "agreement",
    words("agreement_id"),
    number("version"),
    words("partner"),
    words("status"),  # published, suspended, superseded
    number("added_at"),
    words("document"),  # the signed JSON, byte for byte
    PrimaryKeyConstraint("agreement_id", "version"),
    kind="reference",
)
client = table(
    "client",
    words("client_id"),
    words("agreement_id"),
    words("metadata"),  # RFC 7591 client metadata, JSON
    number("added_at"),
    PrimaryKeyConstraint("client_id"),
    kind="reference",
)
consent_change = table(
    "consent_change",
    number("number"),
    number("at"),
    words("handle"),
    words("purpose", null=True),
    words("partner", null=True),
    words("conversation", null=True),
    PrimaryKeyConstraint("number"),
    kind="reference",
)
"""Numbered choices and withdrawals. Every grant works them into its rows before its next answer."""

choice = table(
    "choice",
    blob("owner_id"),  # the person who chose
    blob("choice_id"),
    words("handle"),
    number("level"),  # 0 = no
    words("purpose", null=True),
    words("partner", null=True),
    words("conversation", null=True),  # SOURCE/KEY
    number("at"),
    words("by"),  # self, owner
    blob("by_owner", null=True),  # whose typing it was, where by = owner
    number("version"),
    number("withdrawn_at", null=True),
    PrimaryKeyConstraint("owner_id", "choice_id"),
    Index("choice_of_handle", "owner_id", "handle"),
)
grant = table(
    "grant",
    blob("owner_id"),
    blob("grant_id"),
    words("purpose"),
    number("level"),
    words("agreement_id", null=True),
    words("partner", null=True),
    words("client_id", null=True),
    words("conversations"),  # JSON: {"mode": "all" | "listed" | "all-but", "of": ["SOURCE/KEY", …]}
    number("period_from", null=True),
    number("period_to", null=True),
    number("unanswered"),  # level of senders who have not answered (own-agent only, ≤ masked)
    number("created_at"),
    number("expires_at"),
    number("revoked_at", null=True),
    number("seq"),  # the grant's own sequence: its JMAP state
    number("applied"),  # highest consent change worked into its rows
    number("filled_policy"),  # policy version its rows were filled at
    PrimaryKeyConstraint("owner_id", "grant_id"),
)

# ── an inbox ────────────────────────────────────────────────────────────────────────────────────────────────
owner = table(
    "owner",
    blob("owner_id"),
    words("name"),
    number("created_at"),
    PrimaryKeyConstraint("owner_id"),
    kind="reference",
)
handle = table(
    "handle",
    blob("owner_id"),
    number("handle"),
    words("value"),
    words("name"),
    number("own"),  # 1: claimed or proved to be the owner's
    blob("person"),  # who it is: proof joins handles under one person
    PrimaryKeyConstraint("owner_id", "handle"),
    UniqueConstraint("owner_id", "value"),
)
name_seen = table(
    "name_seen",
    blob("owner_id"),
    number("handle"),
    words("name"),
    PrimaryKeyConstraint("owner_id", "handle", "name"),
)
"""The address book: every name the inbox ever held, by handle (0: a name without one)."""

conversation = table(
    "conversation",
    blob("owner_id"),
    number("conversation"),
    words("source"),
    words("key"),
    words("name"),
    number("horizon"),  # newest record an export of it held: an older export never undoes
    PrimaryKeyConstraint("owner_id", "conversation"),
    UniqueConstraint("owner_id", "source", "key"),
)
member = table(
    "member",
    blob("owner_id"),
    number("conversation"),
    number("handle"),
    PrimaryKeyConstraint("owner_id", "conversation", "handle"),
)
folder = table(
    "folder",
    blob("owner_id"),
    number("folder"),
    words("name"),
    PrimaryKeyConstraint("owner_id", "folder"),
    UniqueConstraint("owner_id", "name"),
)
importing = table(
    "import",
    blob("owner_id"),
    blob("import_id"),
    words("source"),
    number("started_at"),
    number("published_at", null=True),
    words(
        "mentioned", null=True
    ),  # with which edition of titles and models its words were read (`mentioning`)
    PrimaryKeyConstraint("owner_id", "import_id"),
)
_REPLACING = literal_column("replaces").is_not(None)
message = table(
    "message",
    blob("owner_id"),
    number("sender"),
    number("received_at"),
    blob("id"),
    number("conversation"),
    words("native"),
    number("mailbox"),
    number("folder"),
    number("sent_at", null=True),
    words("quality"),
    words("kind"),
    words("authentication"),
    blob("digest"),
    number("masked"),  # 1: may be shown at `masked` (redaction passed)
    number("parts"),  # 1: words of others in it have an author whom the record names
    blob("import_id"),
    blob("replaces", null=True),  # id of the record this one edits
    number("replaced_at", null=True),
    PrimaryKeyConstraint("owner_id", "sender", "received_at", "id"),
    Index("message_of_import", "owner_id", "import_id", "received_at", "id"),
    Index("message_native", "owner_id", "conversation", "native"),
    Index(
        "message_edit",
        "owner_id",
        "import_id",
        "replaces",
        sqlite_where=_REPLACING,
        postgresql_where=_REPLACING,
    ),
)
link = table(
    "link",
    blob("owner_id"),
    number("msgid"),  # 63 bits of the SHA-256 of a Message-ID
    blob("id"),
    number("own"),  # 1: the record's own Message-ID, 0: one it refers to
    number("place"),  # of one it refers to: its place in References, from 1000 on in In-Reply-To
    PrimaryKeyConstraint("owner_id", "msgid", "id", "own"),
    Index("link_of_record", "owner_id", "id"),
)

# ── the view: one row per visible message and grant ─────────────────────────────────────────────────────────
view_row = table(
    "view_row",
    blob("owner_id"),
    blob("grant_id"),
    number("received_at"),
    blob("id"),
    number("born"),
    number("changed"),
    number("sender"),
    number("conversation"),
    number("level"),
    number("mailbox"),
    number("thread"),
    number("parts"),  # how many of others' parts it shows (`view_part`)
    blob("refs", null=True),  # borns of the visible mails it refers to (`rows.references_of`)
    number("size"),  # octets, with tokens in place of names
    number("sent_at", null=True),
    number("flags"),  # `view.tally`
    PrimaryKeyConstraint("owner_id", "grant_id", "received_at", "id"),
    UniqueConstraint("owner_id", "grant_id", "born"),
    Index("view_row_sender", "owner_id", "grant_id", "sender"),
    Index("view_row_thread", "owner_id", "grant_id", "thread", "received_at", "id"),
    Index("view_row_mailbox", "owner_id", "grant_id", "mailbox", "received_at", "id", "thread"),
)
view_count = table(
    "view_count", blob("owner_id"), blob("grant_id"), number("mailbox"),
    number("emails"), number("unread_emails"), number("threads"), number("unread_threads"),
    number("founded"), number("moved"),  # numbers of the grant's sequence
    PrimaryKeyConstraint("owner_id", "grant_id", "mailbox"),
)  # fmt: skip
"""Sums over a grant's rows by mailbox, kept with them (`view.tally`)."""

view_gone = table(
    "view_gone",
    blob("owner_id"),
    blob("grant_id"),
    number("died"),
    number("born"),
    number("sender"),
    blob("id"),
    number("mailbox"),
    number("thread"),
    PrimaryKeyConstraint("owner_id", "grant_id", "died", "born"),
    Index("view_gone_born", "owner_id", "grant_id", "born"),
)
view_slot = table(
    "view_slot",
    blob("owner_id"),
    blob("grant_id"),
    number("handle"),
    number("born"),
    number("named"),  # 1: by name, 0: as a token
    PrimaryKeyConstraint("owner_id", "grant_id", "born", "handle"),
    Index("view_slot_handle", "owner_id", "grant_id", "handle"),
)
"""Which rows name whom: where a change of that person's choice changes how, those rows are created anew."""

view_part = table(
    "view_part",
    blob("owner_id"),
    blob("grant_id"),
    number("born"),
    number("n"),
    number("handle"),
    number("level"),
    PrimaryKeyConstraint("owner_id", "grant_id", "born", "n"),
    Index("view_part_handle", "owner_id", "grant_id", "handle"),
)
"""Others' parts that a row shows, at which level. They stay when the row goes: a born is used once, and a reading
of it is told to everybody whose words it showed."""

view_term = table(
    "view_term",
    blob("owner_id"),
    blob("grant_id"),
    words("term"),
    number("chunk"),  # born // 4096
    blob("borns"),  # ascending 16-bit offsets in the chunk
    PrimaryKeyConstraint("owner_id", "grant_id", "term", "chunk"),
)
"""Search postings of one grant's visible rows only: hidden words have no postings here to touch."""

fill = table(
    "fill",
    blob("owner_id"),
    blob("grant_id"),
    number("task"),
    blob("import_id", null=True),  # the records of one import, or
    number("handle", null=True),  # the words of one sender, or (both null) the whole inbox
    PrimaryKeyConstraint("owner_id", "grant_id", "task"),
)
"""What still has to be worked into a grant's rows; written with its cause, deleted with its last row."""

filling = table(
    "filling",
    blob("owner_id"),
    blob("grant_id"),
    number("received_at"),  # of the last record that was looked at
    blob("id"),
    number(
        "reached"
    ),  # the grant's sequence so far; its own stays 0, and it shows nothing, until the fill is whole
    PrimaryKeyConstraint("owner_id", "grant_id"),
)
"""How far the first fill of a grant has come."""

# ── the ledger ──────────────────────────────────────────────────────────────────────────────────────────────
entry = table(
    "entry",
    blob("owner_id"),
    blob("entry_id"),
    words("kind"),
    number("at"),
    blob("grant_id", null=True),
    blob("event"),  # canonical bytes
    blob("salt"),
    number("leaf", null=True),  # index in the tree, once integrated
    PrimaryKeyConstraint("owner_id", "entry_id"),
    Index("entry_of_grant", "owner_id", "grant_id", "kind", "at"),
    Index("entry_kind", "owner_id", "kind", "at"),
)
delivering = table(
    "delivering", blob("owner_id"), blob("entry_id"), number("at"), PrimaryKeyConstraint("owner_id", "entry_id")
)  # fmt: skip
"""Readings whose bytes are on their way: the worker that sent them says so, or they are marked undelivered."""

asked = table(
    "asked", blob("owner_id"), blob("grant_id"),
    number("minute"),  # minutes since 1970
    blob("id"), words("operative"), number("denied"), PrimaryKeyConstraint("owner_id", "grant_id", "minute", "id"),
)  # fmt: skip
"""What was asked without being given anything: one entry a caller and minute, once that is over."""

pending = table(
    "pending",
    blob("owner_id"),
    blob("entry_id"),
    PrimaryKeyConstraint("owner_id", "entry_id"),
)
"""Entries not in the tree yet: the sequencer takes them in closed epochs."""

follow = table(
    "follow",
    blob("owner_id"),
    blob("entry_id"),
    PrimaryKeyConstraint("owner_id", "entry_id"),
)
"""Readings whose concerned people have not been told yet: the follower's resume position."""

read_of = table(
    "read_of",
    blob("owner_id"),
    number("handle"),
    blob("entry_id"),
    number("at"),
    number("messages"),
    PrimaryKeyConstraint("owner_id", "handle", "entry_id"),
)
"""A follower's work: which readings touched whose words, inbox by inbox."""

tile = table(
    "tile",
    words("path"),  # as C2SP tlog-tiles names it: tile/0/x001/067.p/12
    blob("data"),
    PrimaryKeyConstraint("path"),
    kind="reference",
)
leaf = table(
    "leaf",
    number("leaf"),
    blob("owner_id", null=True),  # null: a pad
    blob("entry_id", null=True),
    PrimaryKeyConstraint("leaf"),
    kind="reference",
)
"""Which entry stands behind a leaf: the sequencer's own book."""

checkpoint = table(
    "checkpoint",
    number("size"),
    number("at"),
    words("note"),
    PrimaryKeyConstraint("size"),
    kind="reference",
)

# ── sends, clicks, reports ──────────────────────────────────────────────────────────────────────────────────
learning = table(
    "learning",
    blob("owner_id"),  # who said it: an inbox's owner, or a person
    number("number"),
    number("allows"),
    number("at"),
    PrimaryKeyConstraint("owner_id", "number"),
)
release = table(
    "release",
    words("series"),
    words("period"),
    number("revision"),
    number("year"),  # whose account it drew on
    number("rho"),  # in millionths
    number("made_at"),
    words("body"),  # JSON, the bytes that were released
    PrimaryKeyConstraint("series", "period", "revision"),
    kind="reference",
)
send = table(
    "send",
    blob("owner_id"),  # the sender
    blob("send_id"),
    blob("grant_id"),
    words("agreement_id"),
    words("partner"),
    words("client_id"),
    words("recipient"),  # as the partner named them
    blob("person"),  # who that is; 16 bytes that are nobody's where it is nobody
    words("card"),  # JSON
    words("interface"),
    words("surface"),
    words("variant"),
    number("day"),  # UTC day on which it was counted, days since 1970; 0 while it waits
    words("state"),  # waiting, accepted, declined
    number("delivered"),
    number("made_at"),
    number("accepted_at", null=True),
    number("clicks"),  # rows in `click`
    number("counted"),  # of them counted
    number("last_click", null=True),  # the newest click that was not refused: the 30-second rule
    PrimaryKeyConstraint("owner_id", "send_id"),
    Index("send_of_grant", "owner_id", "grant_id", "send_id"),
)
send_leave = table(
    "send_leave",
    blob("owner_id"),
    blob("grant_id"),
    blob("person"),
    number("given_at"),
    number("until"),
    PrimaryKeyConstraint("owner_id", "grant_id", "person"),
)
"""Standing leave: sends to this person need no confirmation before `until`."""

card = table(
    "card",
    blob("owner_id"),  # the recipient's person
    blob("send_id"),
    blob("sender_id"),
    words("agreement_id"),
    words("partner"),
    words("card"),
    number("at"),
    PrimaryKeyConstraint("owner_id", "send_id"),
)
"""A delivered card, in its recipient's part of the store."""

receiving = table(
    "receiving",
    blob("owner_id"),  # the recipient's person
    words("partner"),
    number("cards"),  # 1: yes, 0: no more
    number("clicks"),  # 1: clicks may be counted
    number("at"),
    PrimaryKeyConstraint("owner_id", "partner"),
)
click = table(
    "click",
    blob("owner_id"),
    blob("send_id"),
    number("number"),
    number("at"),
    words("reason"),  # first, repeat, or why it does not count
    blob("client"),  # keyed hash of address and agent, of one day
    PrimaryKeyConstraint("owner_id", "send_id", "number"),
)
send_count = table(
    "send_count",
    blob("owner_id"),
    words("agreement_id"),
    number("day"),
    words("interface"),
    words("surface"),
    words("variant"),
    number("sends"),
    number("recipient_clicks"),
    number("clicks_total"),
    PrimaryKeyConstraint("owner_id", "agreement_id", "day", "interface", "surface", "variant"),
)
"""One owner's sums of one UTC day; written in the transaction of the send or click."""

count_epoch = table(
    "count_epoch",
    words("agreement_id"),
    number("day"),
    words("interface"),
    words("surface"),
    words("variant"),
    number("sends"),
    number("recipient_clicks"),
    number("clicks_total"),
    PrimaryKeyConstraint("agreement_id", "day", "interface", "surface", "variant"),
    kind="reference",
)
"""Closed sums of one UTC day over all owners: what reports are reconciled with."""

closed_until = table(
    "closed_until",
    words("agreement_id"),
    number("day"),  # every day before it is closed
    PrimaryKeyConstraint("agreement_id"),
    kind="reference",
)
sent_today = table(
    "sent_today",
    words("agreement_id"),
    number("day"),
    number("sends"),
    PrimaryKeyConstraint("agreement_id", "day"),
    kind="reference",
)
"""Draws on a partner's daily cap: confirmed or not."""

send_place = table(
    "send_place",
    blob("send_id"),
    blob("owner_id"),
    words("agreement_id"),
    PrimaryKeyConstraint("send_id"),
    Index("send_place_of_agreement", "agreement_id", "send_id"),
    kind="session",
)
"""Whose part of the store a send lies in: for click tokens, and for the partner's page."""

card_image = table(
    "card_image",
    words("agreement_id"),
    blob("sha256"),  # of the bytes that the partner sent
    words("media"),
    blob("data"),  # drawn anew by us
    number("at"),
    PrimaryKeyConstraint("agreement_id", "sha256"),
    kind="reference",
)

click_key = table(
    "click_key",
    number("kid"),
    blob("salt"),
    number("made_at"),
    number("expires_at", null=True),
    PrimaryKeyConstraint("kid"),
    kind="reference",
)
asked_once = table(
    "asked_once",
    blob("hash"),  # of client, place and Idempotency-Key
    blob("digest"),  # of the body
    number("status"),
    words("answer"),
    number("at"),
    PrimaryKeyConstraint("hash"),
    Index("asked_once_at", "at"),
    kind="session",
)
report = table(
    "report",
    words("agreement_id"),
    number("sequence"),
    number("revision"),
    words("report_id"),
    number("received_at"),
    words("client_id"),
    words("form"),
    blob("rows"),
    blob("manifest", null=True),
    blob("content_sha256"),
    words("receipt"),
    PrimaryKeyConstraint("agreement_id", "sequence", "revision"),
    UniqueConstraint("agreement_id", "report_id"),
    kind="reference",
)
"""Accepted reports as they came, every version."""
