"""Statements are compiled once a dialect, bound by name, and mean the same to both databases."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Column, Integer, MetaData, Table, bindparam, exists, not_, select
from sqlalchemy.sql.util import ClauseAdapter

from byleave.store import among, prepare

T = Table("t", MetaData(), Column("a", Integer), Column("b", Integer))


def rows(statement: object, **values: object) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (a INTEGER, b INTEGER)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(1, 10), (2, 20), (3, 30), (3, 31)])
    sql, bound = prepare(statement).bind("sqlite", values)  # type: ignore[arg-type]
    return connection.execute(sql, bound).fetchall()


def test_among_takes_one_list() -> None:
    statement = select(T.c.b).where(among(T.c.a, "wanted")).order_by(T.c.b)
    assert rows(statement, wanted=[1, 3]) == [(10,), (30,), (31,)]
    assert rows(statement, wanted=[]) == []
    assert rows(select(T.c.b).where(not_(among(T.c.a, "wanted"))), wanted=[1, 3]) == [(20,)]
    sql, _ = prepare(statement).bind("postgresql", {"wanted": [1]})
    assert "= ANY(" in sql and "json_each" not in sql


def test_among_is_adapted_with_its_clause() -> None:
    """What is said of one table can be said of its alias: the column moves, the list stays."""
    other = T.alias("other")
    inside = ClauseAdapter(other).traverse(among(T.c.b, "wanted"))
    later = exists(select(other.c.a).where(inside, other.c.a > T.c.a).correlate(T))
    assert rows(select(T.c.b).where(later), wanted=[31]) == [(10,), (20,)]


def test_a_limit_keeps_its_parameters_in_order() -> None:
    statement = select(T.c.b).where(T.c.a == bindparam("x")).order_by(T.c.b).limit(bindparam("n")).offset(1)
    assert rows(statement, n=5, x=3) == [(31,)]


def test_compiled_once() -> None:
    made = prepare(select(T.c.a).where(T.c.b == bindparam("b")))
    assert made.text("sqlite") is made.text("sqlite")
    assert made.text("sqlite")[1] == ("b",)
