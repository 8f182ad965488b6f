"""The writer process: takes procedures from reader processes over a local socket and commits them in groups.

Frames are 4 bytes of length (big-endian) and msgpack: a call is [n, "module:function", arguments], an answer is
[n, true, result] or [n, false, [class, code, detail, facts]]. All calls that have arrived while the disk was
busy share the next commit; each runs in a savepoint of its own, so one that fails takes nothing with it. No
answer leaves before the commit is on disk. The socket lives in a folder of mode 700.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import sqlite3
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

import byleave.errors
from byleave.errors import ByleaveError, Code, Exhausted, Unavailable
from byleave.store.sqlite import Procedure, Remote, Transaction, connect

LENGTH = struct.Struct(">I")
MAX_GROUP = 256
IDLE_S = 0.2
_pack = msgspec.msgpack.encode
_unpack = msgspec.msgpack.decode
Job = Callable[[Transaction, int], bool]
"""Work behind the answers: `(tx, now_ms) -> there is more`. Runs between groups, one short step at a time."""


def name_of(procedure: Procedure) -> str:
    return f"{procedure.__module__}:{procedure.__qualname__}"


def procedure_of(name: str) -> Procedure:
    """The function that `name` means. Only functions of the house can be named."""
    module, _, function = name.partition(":")
    if not module.startswith("byleave.") or "." in function:
        raise Unavailable(Code.INVALID_REQUEST, "not a procedure")
    found: Procedure = getattr(importlib.import_module(module), function)
    return found


class Writer:
    """Serves one store's writes until cancelled. `clock` gives ms UTC; `jobs` run when nobody waits."""

    def __init__(self, path: Path, at: Path, clock: Callable[[], int], jobs: Sequence[Job] = ()) -> None:
        self._connection = connect(path)
        self._connection.execute("PRAGMA wal_autocheckpoint=0")
        self._at = at
        self._clock = clock
        self._jobs = jobs
        self._waiting: list[tuple[asyncio.StreamWriter, int, str, list[Any]]] = []
        self._arrived = asyncio.Event()

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Listens at the socket path; `ready` is called once it does."""
        self._at.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._converse, path=str(self._at))
        async with server:
            ready()
            while True:
                busy = self._work() if not self._waiting else True
                if not self._waiting and not busy:
                    try:
                        await asyncio.wait_for(self._arrived.wait(), IDLE_S)
                    except TimeoutError:
                        self._checkpoint()
                        continue
                else:
                    await asyncio.sleep(0)  # let what has arrived be parsed
                self._arrived.clear()
                if self._waiting:
                    group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
                    await self._commit(group)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = LENGTH.unpack(await reader.readexactly(LENGTH.size))[0]
                number, name, arguments = _unpack(await reader.readexactly(size))
                self._waiting.append((writer, number, name, arguments))
                self._arrived.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _commit(self, group: list[tuple[asyncio.StreamWriter, int, str, list[Any]]]) -> None:
        """Runs a group in one transaction and answers when it is on disk."""
        answers: list[tuple[asyncio.StreamWriter, list[Any]]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for writer, number, name, arguments in group:
                answers.append((writer, [number, *self._run(name, arguments)]))
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            failure = [False, ["Unavailable", Code.UNAVAILABLE, "the store could not write", {}]]
            answers = [(writer, [number, *failure]) for writer, number, _, _ in group]
        for writer, answer in answers:
            frame = _pack(answer)
            writer.write(LENGTH.pack(len(frame)) + frame)
        await asyncio.gather(*{id(w): w.drain() for w, _ in answers}.values(), return_exceptions=True)

    def _run(self, name: str, arguments: list[Any]) -> list[Any]:
        self._connection.execute("SAVEPOINT call")
        try:
            result = procedure_of(name)(Transaction(self._connection), *arguments)
            self._connection.execute("RELEASE call")
            return [True, result]
        except ByleaveError as error:
            self._connection.execute("ROLLBACK TO call")
            self._connection.execute("RELEASE call")
            facts = dict(error.facts)
            if isinstance(error, Exhausted):
                facts["retry_after_s"] = error.retry_after_s
            return [False, [type(error).__name__, error.code, error.detail, facts]]

    def _work(self) -> bool:
        """One step of each job; True if any has more."""
        more = False
        for job in self._jobs:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                more = job(Transaction(self._connection), self._clock()) or more
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        return more

    def _checkpoint(self) -> None:
        log = Path(f"{self._connection.execute('PRAGMA database_list').fetchone()[2]}-wal")
        if log.exists() and log.stat().st_size > 4096 * 8192:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class WriterClient(Remote):
    """A reader process's way to the writer: one blocking connection and one for the event loop."""

    def __init__(self, at: Path) -> None:
        self._at = at
        self._blocking: socket.socket | None = None
        self._stream: asyncio.StreamWriter | None = None
        self._listener: asyncio.Task[None] | None = None
        self._opening: asyncio.Lock | None = None
        self._promised: dict[int, asyncio.Future[Any]] = {}
        self._number = 0

    def call(self, procedure: Procedure, arguments: Sequence[Any]) -> Any:
        frame = _pack([0, name_of(procedure), arguments])
        try:
            if self._blocking is None:
                self._blocking = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self._blocking.connect(str(self._at))
            self._blocking.sendall(LENGTH.pack(len(frame)) + frame)
            answer = _unpack(_exactly(self._blocking, LENGTH.unpack(_exactly(self._blocking, LENGTH.size))[0]))
        except OSError:
            if self._blocking is not None:
                self._blocking.close()
                self._blocking = None
            raise Unavailable(Code.UNAVAILABLE, "the writer is restarting") from None
        return _result(answer)

    async def call_soon(self, procedure: Procedure, arguments: Sequence[Any]) -> Any:
        try:
            await self._connect()
            assert self._stream is not None
            self._number += 1
            promise = self._promised[self._number] = asyncio.get_running_loop().create_future()
            frame = _pack([self._number, name_of(procedure), arguments])
            self._stream.write(LENGTH.pack(len(frame)) + frame)
        except OSError:
            raise Unavailable(Code.UNAVAILABLE, "the writer is restarting") from None
        return _result(await promise)

    async def _connect(self) -> None:
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._stream is not None and not self._stream.is_closing():
                return
            reader, self._stream = await asyncio.open_unix_connection(str(self._at))
            self._listener = asyncio.create_task(self._listen(reader, self._stream))

    async def _listen(self, reader: asyncio.StreamReader, stream: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = LENGTH.unpack(await reader.readexactly(LENGTH.size))[0]
                answer = _unpack(await reader.readexactly(size))
                promise = self._promised.pop(answer[0], None)
                if promise is not None and not promise.done():
                    promise.set_result(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            stream.close()
            if self._stream is stream:
                self._stream = None
            lost, self._promised = self._promised, {}
            for promise in lost.values():
                if not promise.done():
                    promise.set_exception(Unavailable(Code.UNAVAILABLE, "the writer is restarting"))

    def close(self) -> None:
        if self._blocking is not None:
            self._blocking.close()
        if self._listener is not None:
            self._listener.cancel()


def _exactly(connection: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        piece = connection.recv(size - len(got))
        if not piece:
            raise ConnectionError
        got += piece
    return bytes(got)


def _result(answer: list[Any]) -> Any:
    if answer[1]:
        return answer[2]
    kind, code, detail, facts = answer[2]
    raise getattr(byleave.errors, kind)(Code(code), detail, **facts)
