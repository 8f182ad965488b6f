"""What SQLite's planner believes of our tables: planted once, never measured.

Without statistics SQLite takes an `owner_id` to narrow a table to ten rows and then walks a million-row inbox;
with measured ones (ANALYZE) a plan, and so the work of an answer, would depend on what is hidden. So the figures
of a big inbox are written down here and stand in every store alike. ANALYZE and PRAGMA optimize are never run.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    insert,
)

from byleave.store import bodies, shelf
from byleave.store.schema import REFERENCE, SESSION

ROWS = 10_000_000
ROWS_OF = {
    "owner_id": 1_000_000, "grant_id": 500_000, "import_id": 200_000, "mailbox": 200_000, "kind": 100_000,
    "conversation": 5_000, "sender": 2_000, "handle": 2_000, "thread": 50, "at": 10, "term": 20, "received_at": 2,
    "msgid": 2, "native": 1, "id": 1, "born": 1, "died": 1, "replaces": 1, "name": 1, "value": 1, "key": 1, "source": 5_000,
    "sitting": 20, "title_id": 2, "start": 1,
}  # fmt: skip
"""Rows that share a value of this column, among those that share the columns before it."""
SMALL = {"grant": 20, "fill": 20, "import": 50, "owner": 10}
"""Tables that stay small: an owner's rows."""

_STATISTICS = Table(
    "sqlite_stat1", MetaData(), Column("tbl", Text), Column("idx", Text), Column("stat", Text)
)


def figures() -> list[dict[str, str]]:
    """Rows of `sqlite_stat1`: table, index (the table's own name for its primary key), rows and rows a prefix."""
    found = []
    for part in (shelf.catalogue.metadata, bodies.metadata):  # the shelf's tables stand with all others
        for table in part.sorted_tables:
            if table.name in REFERENCE or table.name in SESSION:
                continue
            keys: list[tuple[str, list[str], bool]] = []
            for constraint in table.constraints:
                if isinstance(constraint, PrimaryKeyConstraint):
                    keys.append((table.name, [c.name for c in constraint.columns], True))
            uniques = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
            keys += [
                (f"sqlite_autoindex_{table.name}_{n}", [c.name for c in u.columns], True)
                for n, u in enumerate(uniques, 2)
            ]
            keys += [(str(i.name), [c.name for c in i.columns], bool(i.unique)) for i in table.indexes]
            rows, of_owner = (
                (ROWS, ROWS_OF["owner_id"])
                if table.name not in SMALL
                else (10 * SMALL[table.name], SMALL[table.name])
            )
            for name, columns, unique in keys:
                left = of_owner
                prefixes = []
                for column in columns:
                    left = max(1, min(left, ROWS_OF.get(column, left)))
                    prefixes.append(left)
                if unique:
                    prefixes[-1] = 1
                found.append({"tbl": table.name, "idx": name, "stat": " ".join(map(str, [rows, *prefixes]))})
    return sorted(found, key=lambda f: (f["tbl"], f["idx"]))


def plant(connection: Connection) -> None:
    """Writes the figures into a new SQLite store; its connections read them when they open."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(
            "ANALYZE"
        )  # of empty tables: makes the table of statistics and nothing else
        connection.execute(_STATISTICS.delete())
        connection.execute(insert(_STATISTICS), figures())
