"""SQLite (WAL): readers read snapshots, one writer writes.

Rules of this file:

1. A reader process holds one connection; `read()` is one short transaction, a snapshot.
2. Every write is a *procedure*: a module-level function `(tx, *arguments) -> result` with plain arguments. A
   store opened on a file runs it in its own transaction; a store opened beside a running writer process sends
   its name and arguments there (`writer.py`), where it is group-committed. The caller cannot tell.
3. `synchronous=FULL`: when `write` returns, what it wrote survives a power cut.
4. Busy readers starve SQLite's automatic checkpoint, so the writer truncates the log itself (store.md).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from sqlalchemy import MetaData
from sqlalchemy.schema import CreateIndex, CreateTable

from byleave.errors import Code, Unavailable
from byleave.store.prepare import DIALECTS, Prepared

Row: TypeAlias = tuple[Any, ...]
Procedure: TypeAlias = Callable[..., Any]

BUSY_MS = 30_000
CACHE_KIB = 64 * 1024
MAPPED_BYTES = 1 << 30
CHECKPOINT_PAGES = 8_192
"""Pages in the write-ahead log (4 KiB each) past which the writer truncates it."""


class Snapshot:
    """One consistent state of the store; all reads of one answer go through one snapshot."""

    dialect = "sqlite"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self, statement: Prepared, **values: Any) -> list[Row]:
        """Every row, as tuples."""
        sql, bound = statement.bind("sqlite", values)
        return self._connection.execute(sql, bound).fetchall()

    def one(self, statement: Prepared, **values: Any) -> Row | None:
        """The first row, or None."""
        sql, bound = statement.bind("sqlite", values)
        row: Row | None = self._connection.execute(sql, bound).fetchone()
        return row

    def value(self, statement: Prepared, **values: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.one(statement, **values)
        return None if row is None else row[0]

    def stream(self, statement: Prepared, **values: Any) -> Iterator[Row]:
        """Rows one by one, for answers larger than memory."""
        sql, bound = statement.bind("sqlite", values)
        yield from self._connection.execute(sql, bound)


class Transaction(Snapshot):
    """A snapshot that may write; made by the writer only."""

    def run(self, statement: Prepared, **values: Any) -> int:
        """Runs one statement; answers the number of rows it touched."""
        sql, bound = statement.bind("sqlite", values)
        return self._connection.execute(sql, bound).rowcount

    def many(self, statement: Prepared, rows: Sequence[Mapping[str, Any]]) -> None:
        """Runs one statement for each of `rows`. All rows name the same columns."""
        if not rows:
            return
        sql, names, fixed = statement.text("sqlite")
        self._connection.executemany(sql, [[r.get(n, fixed.get(n)) for n in names] for r in rows])


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection with the house's settings. `path` must exist unless it is being made by `create`."""
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=BUSY_MS / 1000, cached_statements=512, check_same_thread=False
    )
    for pragma in (
        f"busy_timeout={BUSY_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        f"cache_size=-{CACHE_KIB}",
        # Mapped pages count as a process's memory: readers map, an import stays small whatever it writes.
        f"mmap_size={MAPPED_BYTES if readonly else 0}",
        "temp_store=MEMORY",
        "wal_autocheckpoint=0" if readonly else f"wal_autocheckpoint={CHECKPOINT_PAGES}",
        f"query_only={int(readonly)}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[Transaction]:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK and re-raise."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield Transaction(connection)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


class Store:
    """A store on a SQLite file. `remote` is the way to a running writer process, or None to write here."""

    def __init__(self, path: Path, connection: sqlite3.Connection, remote: Remote | None = None) -> None:
        self.path = path
        self._connection = connection
        self._remote = remote
        self._reading = 0

    @classmethod
    def open(cls, path: Path, remote: Remote | None = None) -> Store:
        """Opens the store at `path`. Raises Unavailable where there is none."""
        if not path.is_file():
            raise Unavailable(Code.NOT_FOUND, f"{path}: there is no store; make one with `byleave init`")
        return cls(path, connect(path, readonly=remote is not None), remote)

    @contextmanager
    def read(self) -> Iterator[Snapshot]:
        """A snapshot; nested reads join the outer one."""
        if self._reading == 0:
            self._connection.execute("BEGIN")
        self._reading += 1
        try:
            yield Snapshot(self._connection)
        finally:
            self._reading -= 1
            if self._reading == 0:
                self._connection.execute("COMMIT")

    def write(self, procedure: Procedure, *arguments: Any) -> Any:
        """Runs `procedure(tx, *arguments)` in one durable transaction; blocks until it is on disk."""
        if self._remote is not None:
            return self._remote.call(procedure, arguments)
        with transaction(self._connection) as tx:
            return procedure(tx, *arguments)

    async def write_soon(self, procedure: Procedure, *arguments: Any) -> Any:
        """As `write`, but other requests of this process go on while the disk works."""
        if self._remote is not None:
            return await self._remote.call_soon(procedure, arguments)
        return self.write(procedure, *arguments)

    def stream(self, statement: Prepared, **values: Any) -> Iterator[Row]:
        """Rows of one statement in a snapshot of its own."""
        with self.read() as snapshot:
            yield from snapshot.stream(statement, **values)

    def watch(self) -> int:
        """A number that changes when another process has committed (PRAGMA data_version)."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def count_steps(
        self, counter: Callable[[], None] | None, said: Callable[[str], None] | None = None
    ) -> None:
        """Calls `counter` at every step of SQLite's machine, for tests that compare work, and `said` with every
        statement that begins; None: no longer."""
        self._connection.set_trace_callback(said)
        if counter is None:
            self._connection.set_progress_handler(None, 0)
            return

        def step() -> int:
            counter()
            return 0

        self._connection.set_progress_handler(step, 1)

    def close(self) -> None:
        self._connection.close()
        if self._remote is not None:
            self._remote.close()


class Remote(Protocol):
    """The way to a writer process; `writer.WriterClient` is the one that speaks over a socket."""

    def call(self, procedure: Procedure, arguments: Sequence[Any]) -> Any: ...

    async def call_soon(self, procedure: Procedure, arguments: Sequence[Any]) -> Any: ...

    def close(self) -> None: ...


def schema(*parts: MetaData) -> list[str]:
    """The CREATE statements of all tables and indexes in `parts`, in order, for SQLite."""
    dialect = DIALECTS["sqlite"]
    made: list[str] = []
    for part in parts:
        for table in part.sorted_tables:
            made.append(str(CreateTable(table).compile(dialect=dialect)))
            made.extend(
                str(CreateIndex(i).compile(dialect=dialect))
                for i in sorted(table.indexes, key=lambda i: i.name or "")
            )
    return made
