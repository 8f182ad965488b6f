"""Message bodies. PROTECTED: only `ingest` and `view` may import this module (import-linter, "the one door").

Kept are: `raw`: a mail's own bytes, compressed, cold. `record`: the canonical record, cold, for
re-masking, re-splitting and the owner's export. `fragment`: the JSON of a message, encoded once at ingest with
slots for people, hot, keyed so that a sender's messages lie together in time order. And `part`: of messages that
carry words of others whom the record names, the pieces in order, for the views that may show some of them; and
`composed`: such a message as one grant sees it, put together when its row was filled, gone when the row goes. `mention`
says where a message's own words name a title: no words, but as telling as they are.
"""

from __future__ import annotations

from sqlalchemy import Index, MetaData, PrimaryKeyConstraint, Table

from byleave.store.schema import blob, number, words

metadata = MetaData()

raw = Table(
    "raw",
    metadata,
    blob("owner_id"),
    blob("id"),
    blob("bytes"),  # zlib
    PrimaryKeyConstraint("owner_id", "id"),
    sqlite_with_rowid=False,
)
record = Table(
    "record",
    metadata,
    blob("owner_id"),
    blob("id"),
    blob("body"),  # msgpack of the canonical Record, zlib where that is shorter
    PrimaryKeyConstraint("owner_id", "id"),
    sqlite_with_rowid=False,
)
fragment = Table(
    "fragment",
    metadata,
    blob("owner_id"),
    number("sender"),
    number("received_at"),
    blob("id"),
    blob("written"),  # as the owner sees it
    blob("text", null=True),  # own words only; null: the same as written
    blob("masked", null=True),  # own words masked; null: the same as text
    PrimaryKeyConstraint("owner_id", "sender", "received_at", "id"),
    sqlite_with_rowid=False,
)
part = Table(
    "part",
    metadata,
    blob("owner_id"),
    blob("id"),
    number("n"),
    number("author"),  # handle; 0: the message's own author
    number("may"),  # 1: may be shown at `masked`
    blob("body"),  # msgpack [text, [[start, end, replacement], …]]: the cuts make it masked
    PrimaryKeyConstraint("owner_id", "id", "n"),
    Index("part_author", "owner_id", "author"),
    sqlite_with_rowid=False,
)
mention = Table(
    "mention",
    metadata,
    blob("owner_id"),
    number("conversation"),
    number("sitting"),  # see `shelf`
    blob("id"),
    number("start"),  # code points of the message's own words
    number("end"),
    number("sender"),
    words("title_id"),  # of the store's catalogue; "": nothing of this stretch counts (a sensitive title)
    number("sureness"),  # the model's probability in thousandths
    PrimaryKeyConstraint("owner_id", "conversation", "sitting", "id", "start"),
    Index("mention_of_sender", "owner_id", "sender", "conversation", "sitting"),
    Index("mention_of_record", "owner_id", "id"),
    sqlite_with_rowid=False,
)
composed = Table(
    "composed",
    metadata,
    blob("owner_id"),
    blob("grant_id"),
    number("born"),
    blob("words"),  # a fragment
    PrimaryKeyConstraint("owner_id", "grant_id", "born"),
    sqlite_with_rowid=False,
)
