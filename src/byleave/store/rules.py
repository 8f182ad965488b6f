"""The rules that let the schema run on Citus (store.md, "Rules from the first table on"), over the metadata.

`broken(metadata, …)` lists every table and key that breaks one; a test demands the empty list.
"""

from __future__ import annotations

from sqlalchemy import MetaData, UniqueConstraint

from byleave.store.schema import REFERENCE, SESSION


def broken(*parts: MetaData) -> list[str]:
    """One line a breach: rule 1 (owner_id first in every key), rule 4 (foreign keys), and tables without a kind."""
    found: list[str] = []
    for part in parts:
        for table in part.sorted_tables:
            if table.name in REFERENCE or table.name in SESSION:
                continue
            keys = [list(table.primary_key.columns)]
            keys += [list(c.columns) for c in table.constraints if isinstance(c, UniqueConstraint)]
            keys += [list(i.columns) for i in table.indexes]
            for key in keys:
                if not key or key[0].name != "owner_id":
                    found.append(
                        f"{table.name}: key ({', '.join(c.name for c in key)}) does not begin with owner_id"
                    )
            for foreign in table.foreign_keys:
                target = foreign.column.table
                if target.name not in REFERENCE and foreign.parent.name != "owner_id":
                    found.append(f"{table.name}: a foreign key leaves the owner")
    return found
