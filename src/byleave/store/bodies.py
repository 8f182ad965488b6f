"""Message bodies. PROTECTED: only `ingest` and `view` may import this module (import-linter, "the one door").

Three things are kept. `raw`: a mail's own bytes, compressed, cold. `record`: the canonical record, cold, for
re-masking, re-splitting and the owner's export. `fragment`: the JSON of a message, encoded once at ingest with
slots for people, hot, keyed so that a sender's messages lie together in time order.
"""

from __future__ import annotations

from sqlalchemy import MetaData, PrimaryKeyConstraint, Table

from byleave.store.tables import blob, number

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
