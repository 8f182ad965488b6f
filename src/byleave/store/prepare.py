"""Core statement → text and parameter order, once per dialect.

A `Prepared` is a module constant. The text is compiled the first time a driver asks for it and kept; a call
then costs one dict lookup a parameter. `among()` is the one construct that differs between databases: a column
among a list that arrives as one parameter (JSON on SQLite, an array on PostgreSQL).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import BindParameter, ColumnElement, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import Boolean

DIALECTS: dict[str, Dialect] = {
    "sqlite": sqlite.dialect(paramstyle="qmark"),
    "postgresql": postgresql.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]
}


class among(ColumnElement[bool]):
    """`among(column, "name")`: column ∈ the list bound as `name` (integers or texts, bound as one value)."""

    inherit_cache = True
    _is_implicitly_boolean = True  # without it SQLite gets "… = 1" behind the clause
    type = Boolean()
    _traverse_internals = [  # noqa: RUF012  # what a clause is adapted to another table by
        ("column", InternalTraversal.dp_clauseelement),
        ("values", InternalTraversal.dp_clauseelement),
    ]

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        self.column = column
        self.values: BindParameter[Any] = bindparam(name)


@compiles(among, "sqlite")
def _among_sqlite(element: among, compiler: Any, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    values = compiler.process(element.values, **options)
    return f"{column} IN (SELECT value FROM json_each({values}))"


@compiles(among, "postgresql")
def _among_postgresql(element: among, compiler: Any, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    values = compiler.process(element.values, **options)
    return f"{column} = ANY({values})"


class Prepared:
    """A statement whose text is compiled once per dialect."""

    __slots__ = ("_texts", "statement")

    def __init__(self, statement: Executable) -> None:
        self.statement = statement
        self._texts: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {}

    def text(self, dialect: str) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        """(SQL, names of the parameters in order, values the statement itself carries)."""
        found = self._texts.get(dialect)
        if found is None:
            compiled = self.statement.compile(dialect=DIALECTS[dialect])  # type: ignore[attr-defined]
            names = tuple(compiled.positiontup or ())
            fixed = {k: v for k, v in compiled.params.items() if v is not None or k.startswith("param_")}
            found = self._texts[dialect] = (str(compiled), names, fixed)
        return found

    def bind(self, dialect: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """(SQL, parameters in order) for one call."""
        sql, names, fixed = self.text(dialect)
        return sql, [_value(values[n] if n in values else fixed.get(n)) for n in names]


def compile_all(dialect: str) -> None:
    """Compiles the module constants of everything imported so far: a process that serves does so before its first
    request, whose time it would otherwise be."""
    for name, module in list(sys.modules.items()):
        if name.startswith("byleave."):
            for value in list(vars(module).values()):
                for one in value.values() if isinstance(value, dict) else (value,):
                    if isinstance(one, Prepared):
                        one.text(dialect)


def prepare(statement: Executable) -> Prepared:
    """The way to make a module constant: `PAGE = prepare(select(…))`."""
    return Prepared(statement)


def _value(value: Any) -> Any:
    """A list becomes one JSON parameter (see `among`); everything else is handed to the driver as it is."""
    if type(value) in (bytes, str, int) or value is None:
        return value
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview)):
        return orjson.dumps(value).decode()
    return value
