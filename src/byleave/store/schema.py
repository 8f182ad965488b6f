"""What a table of the house is made of: the metadata it joins, its columns, and which machines hold it.

`tables.py` and `bodies.py` are made of these; `rules.py` holds them to the rules that let the schema run on Citus.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData()

REFERENCE: set[str] = set()
"""Small tables that every shard may hold in full: joins with them are allowed."""
SESSION: set[str] = set()
"""Short-lived state of the authorisation dialogue, found by the hash of a secret; joined with nothing."""


def table(name: str, *items: Any, kind: str = "owner", rowid: bool = False) -> Table:
    """A table of the house: WITHOUT ROWID on SQLite, so that a page reads in key order."""
    if kind == "reference":
        REFERENCE.add(name)
    elif kind == "session":
        SESSION.add(name)
    return Table(name, metadata, *items, sqlite_with_rowid=rowid)


def blob(name: str, null: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=null)


def number(name: str, null: bool = False) -> Column[int]:
    return Column(name, BigInteger().with_variant(Integer, "sqlite"), nullable=null)


def words(name: str, null: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null)
