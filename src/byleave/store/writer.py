"""The writer process: takes procedures from reader processes over a local socket and commits them in groups.

Frames are 4 bytes of length (big-endian) and msgpack: a call is [n, "module:function", arguments], an
answer is [n, true, result] or [n, false, [class, code, detail, facts]]. All calls that have arrived while
the disk was busy share the next commit; each runs in a savepoint of its own, so one that fails takes
nothing with it. No answer leaves before the commit is on disk. The socket lives in a folder of mode 700.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
import sqlite3
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from byleave.errors import ByleaveError, Code, Exhausted, Invalid, Refused, Unavailable
from byleave.store.sqlite import BUSY_MS, CHECKPOINT_PAGES, Procedure, Remote, Transaction, connect

LENGTH = struct.Struct(">I")
MAX_FRAME = 256 * 1024 * 1024
MAX_GROUP = 256
IDLE_S = 0.2
"""How often jobs get a step while calls keep coming, or nothing does."""
FIRST_PAUSE_S, LAST_PAUSE_S = 1.0, 60.0
CONNECT_S = 2.0
"""How long a caller waits for a writer that is being restarted. Nothing was sent yet, so trying again is
safe."""
_pack = msgspec.msgpack.encode
_unpack = msgspec.msgpack.decode
Job = Callable[[Transaction, int], bool]
"""Work behind the answers: `(tx, now_ms) -> there is more`. Runs between groups, one short step at a time."""
Call = tuple[asyncio.StreamWriter, int, str, list[Any]]
_FAILED: list[Any] = [
    False,
    ["byleave.errors:Unavailable", Code.UNAVAILABLE.value, "the store could not write", {}],
]
_decode_call = msgspec.msgpack.Decoder(tuple[int, str, list[Any]]).decode
_logger = logging.getLogger("byleave")


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
    """Serves one store's writes until cancelled. `clock` gives ms UTC; `jobs` run when nobody waits.

    Whatever a call or a job does wrong ends with that call or job: the writer goes on. The log gets a line
    with the name of the procedure and the kind of error, never its text or arguments.
    """

    def __init__(self, path: Path, at: Path, clock: Callable[[], int], jobs: Sequence[Job] = ()) -> None:
        self._connection = connect(path)
        self._connection.execute("PRAGMA wal_autocheckpoint=0")
        self._log = Path(f"{path}-wal")
        self._at = at
        self._clock = clock
        self._jobs = list(jobs)
        self._resting: dict[int, tuple[float, float]] = {}
        self._waiting: list[Call] = []
        self._arrived = asyncio.Event()

    async def serve(self, ready: Callable[[], object] = lambda: None) -> None:
        """Listens at the socket path; `ready` is called once it does."""
        self._at.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._converse, path=str(self._at))
        ticking = asyncio.ensure_future(self._tick())
        more, due = False, 0.0
        try:
            ready()
            while True:
                if time.monotonic() >= due or (more and not self._waiting):
                    more = self._work()
                    due = time.monotonic() + IDLE_S
                if self._waiting or more:
                    await asyncio.sleep(0)  # let what has arrived be parsed
                else:
                    await self._arrived.wait()
                self._arrived.clear()
                if self._waiting:
                    group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
                    self._commit(group)
        finally:
            ticking.cancel()
            server.close()

    async def _tick(self) -> None:
        """Wakes the loop for its jobs, and looks after the log."""
        while True:
            await asyncio.sleep(IDLE_S)
            self._checkpoint()
            self._arrived.set()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = LENGTH.unpack(await reader.readexactly(LENGTH.size))[0]
                if size > MAX_FRAME:
                    raise ValueError
                number, name, arguments = _decode_call(await reader.readexactly(size))
                self._waiting.append((writer, number, name, arguments))
                self._arrived.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except (ValueError, msgspec.MsgspecError):
            _logger.error("writer: a frame that is none; its connection is closed")
        finally:
            writer.close()

    def _commit(self, group: list[Call]) -> None:
        """Runs a group in one transaction and answers when it is on disk."""
        answers: list[tuple[asyncio.StreamWriter, bytes]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            answers = [
                (writer, self._run(number, name, arguments)) for writer, number, name, arguments in group
            ]
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            _logger.error("writer: %s; %d calls undone", type(error).__name__, len(group))
            self._roll_back()
            answers = [(writer, _pack([number, *_FAILED])) for writer, number, _, _ in group]
        for writer, frame in answers:
            if (
                not writer.is_closing()
            ):  # a reader that does not read keeps its answers, and nobody waits for it
                writer.write(LENGTH.pack(len(frame)) + frame)

    def _run(self, number: int, name: str, arguments: list[Any]) -> bytes:
        """The answer's frame. Raises sqlite3.Error only where the whole transaction is lost."""
        self._connection.execute("SAVEPOINT call")
        try:
            frame = _pack([number, True, procedure_of(name)(Transaction(self._connection), *arguments)])
            if len(frame) > MAX_FRAME:
                raise OverflowError
            self._connection.execute("RELEASE call")
            return frame
        except ByleaveError as error:
            answer = [False, _told(error)]
        except Exception as error:
            _logger.error("writer: %s in %s", type(error).__name__, name if name.isprintable() else "?")
            answer = _FAILED
        if not self._connection.in_transaction:
            raise sqlite3.OperationalError("the transaction is gone")
        self._connection.execute("ROLLBACK TO call")
        self._connection.execute("RELEASE call")
        return _pack([number, *answer])

    def _work(self) -> bool:
        """One step of each job; True if any has more. A job that fails rests, longer each time."""
        more = False
        for i, job in enumerate(self._jobs):
            until, pause = self._resting.get(i, (0.0, 0.0))
            if until > time.monotonic():
                continue
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                step = job(Transaction(self._connection), self._clock())
                self._connection.execute("COMMIT")
            except Exception as error:
                self._roll_back()
                pause = min(max(2 * pause, FIRST_PAUSE_S), LAST_PAUSE_S)
                self._resting[i] = (time.monotonic() + pause, pause)
                _logger.error("writer: %s in job %d, which rests %g s", type(error).__name__, i, pause)
                continue
            self._resting.pop(i, None)
            more = step or more
        return more

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _checkpoint(self) -> None:
        """Truncates the log past a size; a reader that is in the way is not waited for."""
        try:
            if self._log.stat().st_size > 4096 * CHECKPOINT_PAGES:
                self._connection.execute("PRAGMA busy_timeout=50")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (OSError, sqlite3.Error):
            pass
        finally:
            self._connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")


def _told(error: ByleaveError) -> list[Any]:
    """An error as it crosses the socket: [class, code, detail, facts]."""
    facts: dict[str, Any] = dict(error.facts)
    if isinstance(error, Exhausted):
        facts["retry_after_s"] = error.retry_after_s
    if isinstance(error, Refused):
        facts = {name: getattr(error, name) for name in ("file", "place", "problem", "remedy")}
    return [f"{type(error).__module__}:{type(error).__qualname__}", error.code.value, error.detail, facts]


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
        frame = _call_frame(0, procedure, arguments)
        try:
            if self._blocking is None:
                self._blocking = _dial(self._at)
            self._blocking.sendall(LENGTH.pack(len(frame)) + frame)
            answer = _unpack(
                _exactly(self._blocking, LENGTH.unpack(_exactly(self._blocking, LENGTH.size))[0])
            )
        except OSError:
            if self._blocking is not None:
                self._blocking.close()
                self._blocking = None
            raise Unavailable(Code.UNAVAILABLE, "the writer is restarting") from None
        return _result(answer)

    async def call_soon(self, procedure: Procedure, arguments: Sequence[Any]) -> Any:
        self._number += 1
        number = self._number
        frame = _call_frame(number, procedure, arguments)
        try:
            stream = await self._connect()
            promised = self._promised
            promise = promised[number] = asyncio.get_running_loop().create_future()
            stream.write(LENGTH.pack(len(frame)) + frame)
        except OSError:
            raise Unavailable(Code.UNAVAILABLE, "the writer is restarting") from None
        try:
            return _result(await promise)
        finally:
            promised.pop(number, None)

    async def _connect(self) -> asyncio.StreamWriter:
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._stream is not None and not self._stream.is_closing():
                return self._stream
            until = time.monotonic() + CONNECT_S
            while True:
                try:
                    reader, self._stream = await asyncio.open_unix_connection(str(self._at))
                    break
                except OSError:
                    if time.monotonic() > until:
                        raise
                    await asyncio.sleep(0.02)
            self._promised = {}
            self._listener = asyncio.create_task(self._listen(reader, self._stream, self._promised))
            return self._stream

    async def _listen(
        self,
        reader: asyncio.StreamReader,
        stream: asyncio.StreamWriter,
        promised: dict[int, asyncio.Future[Any]],
    ) -> None:
        try:
            while True:
                size = LENGTH.unpack(await reader.readexactly(LENGTH.size))[0]
                answer = _unpack(await reader.readexactly(size))
                promise = promised.pop(answer[0], None)
                if promise is not None and not promise.done():
                    promise.set_result(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            stream.close()
            if self._stream is stream:
                self._stream = None
            for promise in promised.values():
                if not promise.done():
                    promise.set_exception(Unavailable(Code.UNAVAILABLE, "the writer is restarting"))

    def close(self) -> None:
        if self._blocking is not None:
            self._blocking.close()
        if self._listener is not None:
            self._listener.cancel()


def _call_frame(number: int, procedure: Procedure, arguments: Sequence[Any]) -> bytes:
    frame = _pack([number, name_of(procedure), arguments])
    if len(frame) > MAX_FRAME:
        raise Invalid(Code.TOO_LARGE, "too much for one write")
    return frame


def _dial(at: Path) -> socket.socket:
    until = time.monotonic() + CONNECT_S
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(at))
            return connection
        except OSError:
            connection.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


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
    module, _, name = kind.partition(":")
    made = getattr(importlib.import_module(module), name) if module.startswith("byleave.") else None
    if made is Refused:
        raise Refused(Code(code), **facts)
    if not (isinstance(made, type) and issubclass(made, ByleaveError)):
        raise Unavailable(Code.UNAVAILABLE, "the writer failed")
    raise made(Code(code), detail, **facts)
