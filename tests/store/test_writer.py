"""The writer process survives its callers: bad frames, bad procedures, bad jobs, SIGKILL, others on the
same file."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import bindparam, func, insert, select

from byleave import installation as installations
from byleave.errors import Code, Exhausted, Invalid, Refused, Unavailable
from byleave.model import Mode
from byleave.store import Store, Transaction, prepare
from byleave.store import writer as writers
from byleave.store.tables import setting
from byleave.store.writer import LENGTH, Writer, WriterClient
from byleave.view.reading import Stale

_PUT = prepare(insert(setting))
_COUNT = prepare(select(func.count()).select_from(setting).where(setting.c.name.like(bindparam("pattern"))))


# ── procedures; the writer is a fork of this process, where they can be named ──
def put(tx: Transaction, name: str) -> str:
    tx.run(_PUT, name=name, value="x")
    return name


def put_then(tx: Transaction, name: str, how: str) -> Any:
    put(tx, name)
    if how == "stale":
        raise Stale(Code.CONFLICT, "moved")
    if how == "refused":
        raise Refused(Code.MALFORMED, "file", "line 1", "odd", "do better")
    if how == "exhausted":
        raise Exhausted(Code.BUDGET, retry_after_s=5)
    if how == "key":
        raise KeyError("ann@example.test")
    if how == "unpackable":
        return object()
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "twice":
        put(tx, name)
    return None


def count(tx: Transaction, pattern: str) -> int:
    return int(tx.value(_COUNT, pattern=pattern))


for _procedure in (put, put_then, count):
    _procedure.__module__ = "byleave.tests_of_the_writer"


def _fork_writer(path: Path, at: Path, jobs: Any = ()) -> int:
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        import sys

        sys.modules["byleave.tests_of_the_writer"] = sys.modules[__name__]
        try:
            asyncio.run(Writer(path, at, lambda: 0, jobs).serve(lambda: os.write(tell, b".") and None))
        finally:
            os._exit(0)
    os.read(ready, 1)
    os.close(ready)
    os.close(tell)
    return pid


@contextmanager
def running(folder: Path, jobs: Any = ()) -> Iterator[tuple[Store, Path, list[int]]]:
    path = folder / "byleave.db"
    installations.create(path, Mode.SANDBOX, 0).store.close()
    at = folder / "w"
    pids = [_fork_writer(path, at, jobs)]
    store = Store.open(path, WriterClient(at))
    try:
        yield store, path, pids
    finally:
        store.close()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass


def test_errors_cross_as_what_they_are_and_take_nothing_with_them(tmp_path: Path) -> None:
    with running(tmp_path) as (store, _, _):
        for how, kind in (
            ("stale", Stale),
            ("refused", Refused),
            ("exhausted", Exhausted),
            ("key", Unavailable),
            ("unpackable", Unavailable),
            ("twice", Unavailable),
        ):
            with pytest.raises(kind) as caught:
                store.write(put_then, f"a-{how}", how)
            assert "ann@" not in str(caught.value)
        with pytest.raises(Refused, match="line 1: odd; do better"):
            store.write(put_then, "a-again", "refused")
        assert store.write(put, "b") == "b"
        assert store.write(count, "a-%") == 0 and store.write(count, "b") == 1


def test_one_bad_call_in_a_group_of_many(tmp_path: Path) -> None:
    async def many(store: Store) -> list[Any]:
        calls = [store.write_soon(put_then, f"g-{n}", "key" if n % 7 == 0 else "fine") for n in range(70)]
        return await asyncio.gather(*calls, return_exceptions=True)

    with running(tmp_path) as (store, _, _):
        answers = asyncio.run(many(store))
        assert sum(isinstance(a, Unavailable) for a in answers) == 10
        assert store.write(count, "g-%") == 60


def test_frames_that_are_none_end_their_connection_alone(tmp_path: Path) -> None:
    with running(tmp_path) as (store, path, _):
        for frame in (
            b"\x00",
            LENGTH.pack(5) + b"ab",
            LENGTH.pack(3) + b"\xc1\xc1\xc1",
            LENGTH.pack(2**32 - 1) + b"x",
            LENGTH.pack(1) + b"\x01",
            struct.pack(">I", 0),
        ):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path.parent / "w"))
                connection.sendall(frame)
        foreign = msgspec.msgpack.encode([1, "os:system", ["true"]])
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path.parent / "w"))
            connection.sendall(LENGTH.pack(len(foreign)) + foreign)
            answer = msgspec.msgpack.decode(connection.recv(4096)[4:])
            assert answer[:2] == [1, False]
        assert store.write(put, "after") == "after"


def test_big_frames(tmp_path: Path) -> None:
    with running(tmp_path) as (store, _, _):
        big = "x" * 5_000_000
        assert store.write(put, big) == big
        assert asyncio.run(store.write_soon(put, big + "y")) == big + "y"


def test_a_frame_over_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "MAX_FRAME", 1000)
    with running(tmp_path) as (store, _, _):
        with pytest.raises(Invalid):
            store.write(put, "x" * 2000)
        assert store.write(put, "small") == "small"


def test_a_job_that_fails_rests_and_the_others_go_on(tmp_path: Path) -> None:
    done: list[int] = []

    def bad(tx: Transaction, now: int) -> bool:
        put(tx, "job-bad")
        raise RuntimeError("ann@example.test")

    def good(tx: Transaction, now: int) -> bool:
        if not done:
            put(tx, "job-good")
            done.append(1)
        return False

    with running(tmp_path, [bad, good]) as (store, _, _):
        deadline = time.monotonic() + 10
        while store.write(count, "job-good") == 0:
            assert time.monotonic() < deadline
        assert store.write(count, "job-bad") == 0


def test_a_writer_that_is_killed_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with running(tmp_path) as (store, path, pids):
        acknowledged = [store.write(put, f"k-{n}") for n in range(5)]
        with pytest.raises(Unavailable):
            store.write(put_then, "k-lost", "kill")
        os.waitpid(pids[0], 0)
        pids[0] = _fork_writer(path, path.parent / "w")
        assert store.write(put, "k-5") == "k-5"
        assert store.write(count, "k-%") == len(acknowledged) + 1


def test_waiting_calls_hear_of_it(tmp_path: Path) -> None:
    acknowledged: list[int] = []

    async def story(store: Store, path: Path, pids: list[int]) -> None:
        answers = await asyncio.gather(
            *(store.write_soon(put_then, f"w-{n}", "kill" if n == 5 else "fine") for n in range(10)),
            return_exceptions=True,
        )
        assert isinstance(answers[5], Unavailable) and all(
            a is None or isinstance(a, Unavailable) for a in answers
        )
        acknowledged.append(answers.count(None))
        os.waitpid(pids[0], 0)
        waiting = asyncio.ensure_future(store.write_soon(put, "w-new"))
        await asyncio.sleep(0.1)
        pids[0] = _fork_writer(path, path.parent / "w")
        assert await waiting == "w-new"

    with running(tmp_path) as (store, path, pids):
        asyncio.run(story(store, path, pids))
        assert store.write(count, "w-%") == acknowledged[0] + 1


def test_another_process_writes_to_the_same_file(tmp_path: Path) -> None:
    with running(tmp_path) as (store, path, _):
        beside = Store.open(path)
        for n in range(50):
            assert store.write(put, f"s-{n}") and beside.write(put, f"t-{n}")
        assert beside.write(count, "s-%") == 50 and store.write(count, "t-%") == 50
        beside.close()
