"""The rules over a schema name what breaks them, and ours breaks none."""

from __future__ import annotations

import pytest
from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from byleave.store import bodies, rules, tables


def columns(*names: str) -> list[Column[int]]:
    return [Column(name, Integer) for name in names]


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([*columns("owner_id", "n"), PrimaryKeyConstraint("owner_id", "n")], []),
        ([*columns("owner_id", "n"), PrimaryKeyConstraint("n", "owner_id")], ["big: key (n, owner_id)"]),
        ([*columns("owner_id", "n")], ["big: key ()"]),
        (
            [*columns("owner_id", "n"), PrimaryKeyConstraint("owner_id"), UniqueConstraint("n")],
            ["big: key (n)"],
        ),
        ([*columns("owner_id", "n"), PrimaryKeyConstraint("owner_id"), Index("by_n", "n")], ["big: key (n)"]),
        (
            [
                *columns("owner_id"), Column("other", Integer, ForeignKey("elsewhere.id")),
                PrimaryKeyConstraint("owner_id"),
            ],
            ["big: a foreign key"],
        ),
    ],
)  # fmt: skip
def test_a_table_that_could_not_be_spread(items: list[object], said: list[str]) -> None:
    metadata = MetaData()
    Table("elsewhere", metadata, Column("owner_id", Integer, primary_key=True), Column("id", Integer))
    Table("big", metadata, *items)  # type: ignore[arg-type]
    found = rules.broken(metadata)
    assert len(found) == len(said) and all(f.startswith(s) for f, s in zip(found, said, strict=True)), found


def test_ours() -> None:
    assert rules.broken(tables.metadata, bodies.metadata) == []
