"""A store that is made through the migrations has the schema of the tables, and the planner's figures."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from byleave.store import bodies, migrations, planner, tables
from byleave.store.sqlite import schema


def made(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {
        name: re.sub(r"\s+", " ", sql) for name, sql in rows if not name.startswith(("sqlite_", "alembic"))
    }


def test_the_history_ends_where_the_tables_are(tmp_path: Path) -> None:
    path = tmp_path / "byleave.db"
    migrations.upgrade(path)
    through = sqlite3.connect(path)
    straight = sqlite3.connect(":memory:")
    for statement in schema(tables.metadata, bodies.metadata):
        straight.execute(statement)
    assert made(through) == made(straight)
    planted = {(t, i, s) for t, i, s in through.execute("SELECT tbl, idx, stat FROM sqlite_stat1")}
    assert planted == {(f["tbl"], f["idx"], f["stat"]) for f in planner.figures()}
    through.close()


def test_once_more_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "byleave.db"
    migrations.upgrade(path)
    before = path.read_bytes()
    migrations.upgrade(path)
    assert path.read_bytes()[100:] == before[100:], "but for the file's own counters"
