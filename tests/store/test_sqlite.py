"""Snapshots that do not move, transactions that stand whole or not at all, a reader that cannot write."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, insert, select

from byleave.errors import Unavailable
from byleave.store import Store, Transaction, prepare, sqlite
from byleave.store.tables import setting
from tests.worlds import World

_ADD = prepare(insert(setting))
_VALUE = prepare(select(setting.c.value).where(setting.c.name == bindparam("of")))
_NAMES = prepare(select(setting.c.name).where(setting.c.name.startswith("x")).order_by(setting.c.name))


def add(tx: Transaction, name: str, value: str) -> str:
    tx.run(_ADD, name=name, value=value)
    return value


def broken(tx: Transaction) -> None:
    add(tx, "x half", "1")
    raise RuntimeError


@pytest.fixture
def store(tmp_path: Path) -> Any:
    made = World(tmp_path).store
    yield made
    made.close()


def test_a_write_stands_whole_or_not_at_all(store: Store) -> None:
    assert store.write(add, "x one", "1") == "1"
    with pytest.raises(RuntimeError):
        store.write(broken)
    with store.read() as snapshot:
        assert snapshot.all(_NAMES) == [("x one",)]
        assert snapshot.value(_VALUE, of="x half") is None and snapshot.one(_VALUE, of="x half") is None


def test_a_snapshot_does_not_move(store: Store) -> None:
    other = Store.open(store.path)
    seen = store.watch()
    with store.read() as snapshot, store.read() as inner:
        assert list(inner.stream(_NAMES)) == []
        other.write(add, "x two", "2")
        assert snapshot.all(_NAMES) == []
    with store.read() as snapshot:
        assert snapshot.all(_NAMES) == [("x two",)]
    assert store.watch() != seen
    other.close()


def test_many_rows_and_no_row(store: Store) -> None:
    def fill(tx: Transaction) -> None:
        tx.many(_ADD, [])
        tx.many(_ADD, [{"name": f"x{n}", "value": str(n)} for n in range(5)])

    store.write(fill)
    assert [name for (name,) in store.stream(_NAMES)] == [f"x{n}" for n in range(5)]


def test_a_reader_beside_a_writer_writes_nothing_itself(store: Store) -> None:
    connection = sqlite.connect(store.path, readonly=True)
    with pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM setting")
    connection.close()


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="there is no store"):
        Store.open(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
